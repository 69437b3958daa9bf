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
    char *s = json_escape("plain");
    CHECK(s && strcmp(s, "plain") == 0);
    free(s);
    s = json_escape("");
    CHECK(s && s[0] == '\0');
    free(s);
    s = json_escape("a\"b\\c");
    CHECK(s && strcmp(s, "a\\\"b\\\\c") == 0);
    free(s);
    s = json_escape("x\ny\x01");
    CHECK(s && strcmp(s, "x\\u000ay\\u0001") == 0);
    free(s);
    s = json_escape("gr\xc3\xbc\xc3\x9f");
    CHECK(s && strcmp(s, "gr\xc3\xbc\xc3\x9f") == 0);
    free(s);
    return 0;
}
