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
    struct strbuf s = {NULL, 0, 0};
    CHECK(strbuf_append(&s, "hello, world of text") == 0);
    CHECK(strbuf_append(&s, "!") == 0);
    CHECK(strcmp(s.text, "hello, world of text!") == 0);
    CHECK(strbuf_repeat(&s, 5, 2) == 0);
    CHECK(strbuf_repeat(&s, 0, 5) == 0);
    CHECK(strcmp(s.text, "hello, world of text!, hello") == 0);
    CHECK(s.len == 28);
    CHECK(strbuf_repeat(&s, 28, 0) == 0);
    CHECK(strbuf_repeat(&s, 29, 0) == -1);
    CHECK(strbuf_repeat(&s, 20, 9) == -1);
    CHECK(strcmp(s.text, "hello, world of text!, hello") == 0);
    free(s.text);
    return 0;
}
