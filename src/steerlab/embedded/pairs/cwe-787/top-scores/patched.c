#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SLOTS 5

struct score {
    char name[12];
    int points;
};

static struct score table[SLOTS];
static size_t used;

const struct score *top_at(size_t rank)
{
    return rank < used ? &table[rank] : NULL;
}

/* Enter a result in the table of the best SLOTS, best first, behind those
   with as many points; a result that leaves the table is dropped.
   Returns its rank from 0, or -1 when it is not among the best. */
int top_add(const char *name, int points)
{
    size_t rank = 0;
    while (rank < used && table[rank].points >= points)
        rank++;
    if (rank == SLOTS)
        return -1;
    if (used < SLOTS)
        used++;
    memmove(&table[rank + 1], &table[rank], (used - rank - 1) * sizeof table[0]);
    snprintf(table[rank].name, sizeof table[rank].name, "%s", name);
    table[rank].points = points;
    return (int)rank;
}
