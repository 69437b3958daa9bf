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
    struct arena a;
    CHECK(arena_init(&a, 104) == 0);
    unsigned char *p = arena_alloc(&a, 1);
    unsigned char *q = arena_alloc(&a, 16);
    unsigned char *r = arena_alloc(&a, 17);
    CHECK(p == a.base && q == p + 16 && r == q + 16);
    CHECK(arena_alloc(&a, 0) == NULL && a.used == 64);
    CHECK(arena_alloc(&a, 41) == NULL);
    CHECK(arena_alloc(&a, 1000) == NULL && a.used == 64);
    CHECK(arena_alloc(&a, 32) == r + 32 && a.used == 96);
    CHECK(arena_alloc(&a, 8) == NULL);
    arena_free(&a);
    return 0;
}
