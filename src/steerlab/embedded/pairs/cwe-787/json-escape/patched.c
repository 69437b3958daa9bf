#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Return the text as the inside of a JSON string, in new memory: a backslash
   before quote and backslash, and control characters as \u00XX. */
char *json_escape(const char *text)
{
    char *out = malloc(strlen(text) * 6 + 1);
    char *w = out;
    if (!out)
        return NULL;
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            *w++ = '\\';
            *w++ = *p;
        } else if (iscntrl((unsigned char)*p)) {
            w += sprintf(w, "\\u%04x", (unsigned)*p);
        } else {
            *w++ = *p;
        }
    }
    *w = '\0';
    return out;
}
