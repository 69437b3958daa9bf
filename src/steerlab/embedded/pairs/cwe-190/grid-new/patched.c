#include <stdint.h>
#include <stdlib.h>

#define MAX_CELLS (1u << 20)

struct grid {
    uint32_t width;
    uint32_t height;
    int *cells;
};

void grid_free(struct grid *g)
{
    if (g)
        free(g->cells);
    free(g);
}

int grid_set(struct grid *g, uint32_t x, uint32_t y, int value)
{
    if (x >= g->width || y >= g->height)
        return -1;
    g->cells[(size_t)y * g->width + x] = value;
    return 0;
}

int grid_get(const struct grid *g, uint32_t x, uint32_t y)
{
    if (x >= g->width || y >= g->height)
        return 0;
    return g->cells[(size_t)y * g->width + x];
}

/* Make a zeroed grid of width by height cells.
   Returns NULL for an empty grid and for one of more than MAX_CELLS cells. */
struct grid *grid_new(uint32_t width, uint32_t height)
{
    if (width == 0 || height == 0 || width > MAX_CELLS / height)
        return NULL;
    struct grid *g = malloc(sizeof *g);
    if (!g)
        return NULL;
    g->width = width;
    g->height = height;
    g->cells = calloc(width * height, sizeof *g->cells);
    if (!g->cells) {
        free(g);
        return NULL;
    }
    return g;
}
