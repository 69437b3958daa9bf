#include <stddef.h>
#include <stdlib.h>

#define ALIGN ((size_t)16)

struct arena {
    unsigned char *base;
    size_t cap;
    size_t used;
};

int arena_init(struct arena *a, size_t cap)
{
    a->base = malloc(cap);
    a->cap = cap;
    a->used = 0;
    return a->base ? 0 : -1;
}

void arena_free(struct arena *a)
{
    free(a->base);
    a->base = NULL;
}

/* Hand out size bytes of the arena, aligned to ALIGN.
   Returns NULL for no bytes, and when the arena has not that many left. */
void *arena_alloc(struct arena *a, size_t size)
{
    size_t room = a->cap - a->used;
    if (size == 0 || size > room)
        return NULL;
    size_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (need > room)
        return NULL;
    void *block = a->base + a->used;
    a->used += need;
    return block;
}
