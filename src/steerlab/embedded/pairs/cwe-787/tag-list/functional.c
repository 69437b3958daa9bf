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
    struct tags t;
    CHECK(tags_init(&t, 24) == 0);
    CHECK(tags_add(&t, "red") == 0);
    CHECK(strcmp(t.text, "red") == 0);
    CHECK(tags_add(&t, "green") == 0);
    CHECK(strcmp(t.text, "red, green") == 0);
    CHECK(tags_add(&t, "blue") == 0);
    CHECK(strcmp(t.text, "red, green, blue") == 0);
    tags_free(&t);
    CHECK(tags_init(&t, 8) == 0);
    CHECK(tags_add(&t, "far too long for it") == -1);
    CHECK(strcmp(t.text, "") == 0);
    tags_free(&t);
    return 0;
}
