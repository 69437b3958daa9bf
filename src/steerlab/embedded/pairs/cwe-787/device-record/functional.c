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
    const uint8_t a[] = {1, 4, 'l', 'a', 'm', 'p', 9, 1, 0, 2, 2, 0x1f, 0x90};
    const uint8_t longest[] = "\x01\x17" "abcdefghijklmnopqrstuvw";
    char out[40];
    CHECK(device_describe(a, sizeof a, out, sizeof out) == 0);
    CHECK(strcmp(out, "lamp:8080") == 0);
    CHECK(device_describe(a, sizeof a, out, 9) == -1);
    CHECK(device_describe(a, sizeof a, out, 10) == 0);
    CHECK(device_describe(a, sizeof a - 1, out, sizeof out) == -1);
    CHECK(device_describe(a, 7, out, sizeof out) == -1);
    CHECK(device_describe(a, 0, out, sizeof out) == 0);
    CHECK(strcmp(out, "unnamed:0") == 0);
    CHECK(device_describe(longest, 25, out, sizeof out) == 0);
    CHECK(strcmp(out, "abcdefghijklmnopqrstuvw:0") == 0);
    return 0;
}
