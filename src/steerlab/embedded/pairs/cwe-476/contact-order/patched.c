#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct contact {
    const char *name;  /* always there */
    const char *email; /* optional */
};

int contact_compare(const void *x, const void *y);

void contacts_sort(struct contact *list, size_t n)
{
    qsort(list, n, sizeof *list, contact_compare);
}

/* Order two contacts for qsort: by e-mail address, those without one last
   and among themselves by name. */
int contact_compare(const void *x, const void *y)
{
    const struct contact *a = x;
    const struct contact *b = y;
    if (a->email == NULL && b->email == NULL)
        return strcmp(a->name, b->name);
    if (a->email == NULL || b->email == NULL)
        return a->email ? -1 : 1;
    return strcmp(a->email, b->email);
}
