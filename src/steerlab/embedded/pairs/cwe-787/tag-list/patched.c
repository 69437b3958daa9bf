#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tags {
    char *text;
    size_t cap;
};

int tags_init(struct tags *t, size_t cap)
{
    t->text = calloc(1, cap);
    t->cap = cap;
    return t->text ? 0 : -1;
}

void tags_free(struct tags *t)
{
    free(t->text);
    t->text = NULL;
}

/* Add one tag to the comma-separated list in t->text.
   Returns 0, or -1 with the list unchanged when the tag does not fit. */
int tags_add(struct tags *t, const char *tag)
{
    size_t used = strlen(t->text);
    if (used + strlen(tag) + (used ? 3 : 1) > t->cap)
        return -1;
    if (used)
        strcat(t->text, ", ");
    strcat(t->text, tag);
    return 0;
}
