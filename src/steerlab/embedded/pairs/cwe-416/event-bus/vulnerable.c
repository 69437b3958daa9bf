#include <stdlib.h>

struct bus;
typedef void handler_fn(struct bus *b, void *arg, int event);

struct handler {
    handler_fn *fn;
    void *arg;
    struct handler *next;
};

struct bus {
    struct handler *first;
    struct handler *running;
};

int bus_join(struct bus *b, handler_fn *fn, void *arg)
{
    struct handler *h = malloc(sizeof *h);
    if (!h)
        return -1;
    *h = (struct handler){fn, arg, b->first};
    b->first = h;
    return 0;
}

/* Take a handler off the bus: the running one, or outside bus_send the first. */
void bus_leave(struct bus *b)
{
    struct handler **link = &b->first;
    while (b->running && *link != b->running)
        link = &(*link)->next;
    struct handler *gone = *link;
    if (gone)
        *link = gone->next;
    free(gone);
    b->running = NULL;
}

/* Call every handler of the bus with the event. A handler may call bus_leave
   once; it must not call bus_send. */
void bus_send(struct bus *b, int event)
{
    for (struct handler *h = b->first; h; h = h->next) {
        b->running = h;
        h->fn(b, h->arg, event);
    }
    b->running = NULL;
}
