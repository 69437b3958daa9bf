#include "program.c"
#include <stdio.h>

#define CHECK(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #cond);     \
            return 1;                                                      \
        }                                                                  \
    } while (0)

int main(void)
{
    struct account a;
    CHECK(account_open(&a, -1) == -1);
    CHECK(account_open(&a, 1000) == 0);
    CHECK(account_deposit(&a, 400) == 0 && a.cents == 400);
    CHECK(account_deposit(&a, 601) == -1 && a.cents == 400);
    CHECK(account_deposit(&a, 600) == 0 && a.cents == 1000);
    CHECK(account_deposit(&a, 1) == -1);
    CHECK(account_deposit(&a, 0) == -1 && account_deposit(&a, -5) == -1);
    CHECK(account_withdraw(&a, 1001) == -1);
    CHECK(account_withdraw(&a, 250) == 0 && a.cents == 750);
    CHECK(a.bookings == 3);
    return 0;
}
