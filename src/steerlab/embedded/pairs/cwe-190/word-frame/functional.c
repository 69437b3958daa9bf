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
    const char *words[] = {"set", "", "volume", "11"};
    uint8_t *f = frame_pack(words, 4);
    CHECK(f != NULL);
    CHECK(f[0] == 0 && f[1] == 17);
    CHECK(memcmp(f + 2, "set\0\0volume\0" "11", 15) == 0);
    CHECK(strcmp(frame_word(f, 2), "volume") == 0);
    CHECK(strcmp(frame_word(f, 1), "") == 0);
    CHECK(frame_word(f, 4) == NULL);
    free(f);
    f = frame_pack(words, 0);
    CHECK(f && f[1] == 2 && frame_word(f, 0) == NULL);
    free(f);
    char *big = malloc(65533);
    CHECK(big != NULL);
    memset(big, 'w', 65532);
    big[65532] = '\0';
    words[0] = big;
    f = frame_pack(words, 1);
    CHECK(f && f[0] == 255 && f[1] == 255 && strcmp(frame_word(f, 0), big) == 0);
    free(f);
    free(big);
    return 0;
}
