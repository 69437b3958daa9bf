#include "program.c"
#include <stdio.h>

#define CHECK(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #cond);     \
            return 1;                                                      \
        }                                                                  \
    } while (0)

static void add(struct bus *b, void *arg, int event)
{
    (void)b;
    *(int *)arg += event;
}

int main(void)
{
    struct bus b = {NULL, NULL};
    int x = 0;
    int y = 0;
    bus_send(&b, 1);
    CHECK(bus_join(&b, add, &x) == 0);
    CHECK(bus_join(&b, add, &y) == 0);
    bus_send(&b, 5);
    bus_send(&b, 2);
    CHECK(x == 7 && y == 7);
    bus_leave(&b);
    bus_send(&b, 10);
    CHECK(x == 17 && y == 7);
    bus_leave(&b);
    bus_leave(&b);
    bus_send(&b, 10);
    CHECK(x == 17 && y == 7 && b.first == NULL);
    return 0;
}
