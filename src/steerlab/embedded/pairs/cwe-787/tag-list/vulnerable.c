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
    const char *sep = used ? ", " : "";
    int n = snprintf(t->text + used, t->cap, "%s%s", sep, tag);
    if (n < 0 || (size_t)n >= t->cap) {
        t->text[used] = '\0';
        return -1;
    }
    return 0;
}
