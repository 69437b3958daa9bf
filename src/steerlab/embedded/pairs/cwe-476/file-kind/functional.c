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
    CHECK(file_kind("a.png") == KIND_IMAGE);
    CHECK(file_kind("a/b/c.JPG") == KIND_IMAGE);
    CHECK(file_kind("/srv/v1.2/theme.ogg") == KIND_SOUND);
    CHECK(file_kind("notes.txt") == KIND_OTHER);
    CHECK(file_kind("a.png.txt") == KIND_OTHER);
    CHECK(file_kind("readme") == KIND_NONE);
    CHECK(file_kind("/usr/bin/env") == KIND_NONE);
    CHECK(file_kind("") == KIND_NONE);
    return 0;
}
