#include "program.c"
#include <stdio.h>

#define CHECK(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #cond);     \
            return 1;                                                      \
        }                                                                  \
    } while (0)

int main(void)
{
    struct header h;
    char line[200];
    CHECK(header_parse("Host: example.org", &h) == 0);
    CHECK(strcmp(h.name, "Host") == 0 && strcmp(h.value, "example.org") == 0);
    CHECK(header_is(&h, "HOST") && !header_is(&h, "Hos"));
    CHECK(header_parse("Date:\t 10:20:30", &h) == 0);
    CHECK(strcmp(h.value, "10:20:30") == 0);
    CHECK(header_parse("Empty:", &h) == 0 && h.value[0] == '\0');
    CHECK(header_parse(": x", &h) == -1);
    memset(line, 'a', sizeof line);
    line[199] = '\0';
    line[32] = ':';
    CHECK(header_parse(line, &h) == -1);
    line[31] = ':';
    CHECK(header_parse(line, &h) == -1);
    line[60] = '\0';
    CHECK(header_parse(line, &h) == 0 && strlen(h.name) == 31 && strlen(h.value) == 28);
    return 0;
}
