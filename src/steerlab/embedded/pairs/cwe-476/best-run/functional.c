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
    struct race r;
    struct run a = {"ann", 12.5, NULL};
    struct run b = {"bob", 11.25, NULL};
    struct run c = {"cem", 13.0, NULL};
    race_reset(&r);
    race_add(&r, &a);
    CHECK(race_best(&r) == &a);
    race_add(&r, &b);
    CHECK(race_best(&r) == &b);
    race_add(&r, &c);
    CHECK(race_best(&r) == &b && r.count == 3);
    race_reset(&r);
    race_add(&r, &b);
    race_add(&r, &a);
    CHECK(race_best(&r) == &b);
    return 0;
}
