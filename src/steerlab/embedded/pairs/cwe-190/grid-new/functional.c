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
    struct grid *g = grid_new(7, 5);
    CHECK(g != NULL);
    CHECK(grid_get(g, 6, 4) == 0);
    CHECK(grid_set(g, 6, 4, 42) == 0);
    CHECK(grid_set(g, 0, 4, 7) == 0);
    CHECK(grid_get(g, 6, 4) == 42);
    CHECK(grid_get(g, 0, 4) == 7);
    CHECK(grid_set(g, 7, 0, 1) == -1);
    CHECK(grid_set(g, 0, 5, 1) == -1);
    grid_free(g);
    CHECK(grid_new(0, 5) == NULL);
    CHECK(grid_new(5, 0) == NULL);
    CHECK(grid_new(2048, 1024) == NULL);
    g = grid_new(1024, 1024);
    CHECK(g != NULL);
    CHECK(grid_set(g, 1023, 1023, 3) == 0 && grid_get(g, 1023, 1023) == 3);
    grid_free(g);
    return 0;
}
