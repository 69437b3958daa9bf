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
    struct limits l = {3, 30};
    CHECK(limits_set(&l, "retries", "12") == 0 && l.retries == 12);
    CHECK(limits_set(&l, "seconds", "0") == 0 && l.seconds == 0);
    CHECK(limits_set(&l, "seconds", "2147483647") == 0 && l.seconds == INT_MAX);
    CHECK(limits_set(&l, "seconds", "0008") == 0 && l.seconds == 8);
    CHECK(limits_set(&l, "seconds", "") == -1);
    CHECK(limits_set(&l, "seconds", "-1") == -1);
    CHECK(limits_set(&l, "seconds", " 4") == -1);
    CHECK(limits_set(&l, "seconds", "4s") == -1);
    CHECK(limits_set(&l, "minutes", "4") == -1);
    CHECK(l.retries == 12 && l.seconds == 8);
    return 0;
}
