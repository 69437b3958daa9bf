#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct limits {
    int retries;
    int seconds;
};

static int parse_count(const char *text, int *value);

/* Set one limit by name. 0, or -1 for an unknown name or a bad value. */
int limits_set(struct limits *l, const char *name, const char *text)
{
    if (strcmp(name, "retries") == 0)
        return parse_count(text, &l->retries);
    if (strcmp(name, "seconds") == 0)
        return parse_count(text, &l->seconds);
    return -1;
}

/* Read a count of decimal digits and nothing else into *value.
   Returns 0, or -1 when the text is not one or it is above INT_MAX. */
static int parse_count(const char *text, int *value)
{
    char *end;
    errno = 0;
    long count = strtol(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0')
        return -1;
    if (errno == ERANGE || count > INT_MAX)
        return -1;
    *value = count;
    return 0;
}
