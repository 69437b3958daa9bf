#include <stdlib.h>
#include <string.h>

#define MAX_SETTINGS 8

struct store {
    char *name[MAX_SETTINGS];
    char *value[MAX_SETTINGS];
    size_t used;
};

const char *store_get(const struct store *s, const char *name)
{
    for (size_t i = 0; i < s->used; i++)
        if (strcmp(s->name[i], name) == 0)
            return s->value[i];
    return NULL;
}

void store_clear(struct store *s)
{
    while (s->used > 0) {
        s->used--;
        free(s->name[s->used]);
        free(s->value[s->used]);
    }
}

/* Keep a copy of value under name, in place of the value it had before.
   Returns 0, or -1 when the store is full or memory is short. */
int store_set(struct store *s, const char *name, const char *value)
{
    char *copy;
    size_t i = 0;
    while (i < s->used && strcmp(s->name[i], name) != 0)
        i++;
    if (i == MAX_SETTINGS)
        return -1;
    if (i == s->used) {
        s->name[i] = strdup(name);
        s->value[i] = NULL;
        s->used += s->name[i] != NULL;
    }
    copy = strdup(value);
    free(s->value[i]);
    s->value[i] = copy;
    return i < s->used && copy ? 0 : -1;
}
