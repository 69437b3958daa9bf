#include "program.c"
#include <stdio.h>

#define CHECK(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #cond);     \
            return 1;                                                      \
        }                                                                  \
    } while (0)

#include <stdlib.h>
#include <unistd.h>

static int put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

int main(void)
{
    char path[] = "/tmp/list-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK(list_count(path) == 0);
    CHECK(put(path, "one\n  two\n\n# three\n \t\nfour"));
    CHECK(list_count(path) == 3);
    CHECK(put(path, "!one\ntwo\n"));
    CHECK(list_count(path) == 0);
    CHECK(put(path, "#!\nx\n"));
    CHECK(list_count(path) == 1);
    remove(path);
    return 0;
}
