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
    struct wallet w = {1000, 0};
    struct item a[] = {{2, 150}, {1, 99}};
    struct item dear[] = {{1, 602}};
    struct item most[] = {{1, UINT32_MAX}, {1, 1}};
    uint32_t total = 5;
    CHECK(order_total(a, 2, &total) == 0 && total == 399);
    CHECK(wallet_buy(&w, a, 2) == 0);
    CHECK(w.cents == 601 && w.goods == 3);
    CHECK(wallet_buy(&w, dear, 1) == -1);
    CHECK(w.cents == 601 && w.goods == 3);
    CHECK(wallet_buy(&w, a, 0) == 0 && w.cents == 601);
    CHECK(order_total(most, 1, &total) == 0 && total == UINT32_MAX);
    CHECK(order_total(most, 2, &total) == -1);
    return 0;
}
