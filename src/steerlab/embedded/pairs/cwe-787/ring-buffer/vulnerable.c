#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct ring {
    unsigned char *data;
    size_t cap;
    size_t head;  /* where the next byte goes */
    size_t count; /* bytes stored */
};

int ring_init(struct ring *r, size_t cap)
{
    r->data = malloc(cap);
    r->cap = cap;
    r->head = 0;
    r->count = 0;
    return r->data ? 0 : -1;
}

void ring_free(struct ring *r)
{
    free(r->data);
    r->data = NULL;
}

size_t ring_read(struct ring *r, unsigned char *out, size_t n)
{
    size_t done = 0;
    while (done < n && r->count > 0) {
        size_t tail = (r->head + r->cap - r->count) % r->cap;
        out[done++] = r->data[tail];
        r->count--;
    }
    return done;
}

/* Append n bytes to the ring, all or nothing.
   Returns 0, or -1 when fewer than n bytes are free. */
int ring_write(struct ring *r, const unsigned char *src, size_t n)
{
    if (n > r->cap - r->count)
        return -1;
    size_t first = r->cap - r->count;
    if (first > n)
        first = n;
    memcpy(r->data + r->head, src, first);
    memcpy(r->data, src + first, n - first);
    r->head = (r->head + n) % r->cap;
    r->count += n;
    return 0;
}
