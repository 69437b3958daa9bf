#include <stdio.h>
#include <string.h>
#include <strings.h>

struct header {
    char name[32];
    char value[96];
};

int header_is(const struct header *h, const char *name)
{
    return strcasecmp(h->name, name) == 0;
}

/* Split a line of the form "Name: value" into its two parts, without the
   blanks before the value. Returns 0, or -1 when the line has no such form
   or a part of it is too long. */
int header_parse(const char *line, struct header *h)
{
    const char *colon = strchr(line, ':');
    const char *value = colon + 1;
    size_t n = strcspn(line, ":");
    if (n == 0 || n >= sizeof h->name)
        return -1;
    value += strspn(value, " \t");
    if (strlen(value) >= sizeof h->value)
        return -1;
    memcpy(h->name, line, n);
    h->name[n] = '\0';
    strcpy(h->value, value);
    return 0;
}
