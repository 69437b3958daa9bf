#include <stddef.h>

struct run {
    const char *runner;
    double seconds;
    struct run *next;
};

struct race {
    struct run *first;
    size_t count;
};

void race_add(struct race *r, struct run *run)
{
    run->next = r->first;
    r->first = run;
    r->count++;
}

void race_reset(struct race *r)
{
    r->first = NULL;
    r->count = 0;
}

/* The run of the race that took the least time, if the race has one. */
const struct run *race_best(const struct race *r)
{
    const struct run *best = r->first;
    for (const struct run *run = best->next; run; run = run->next)
        if (run->seconds < best->seconds)
            best = run;
    return best;
}
