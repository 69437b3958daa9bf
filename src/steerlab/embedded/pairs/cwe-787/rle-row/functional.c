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
    const uint8_t plain[] = {3, 10, 20, 30, 40};
    const uint8_t mixed[] = {1, 1, 2, 129, 9, 0, 7, 128, 5};
    const uint8_t want[] = {1, 2, 9, 9, 9, 7, 5, 5};
    uint8_t *row = image_row(plain, sizeof plain, 4);
    CHECK(row && memcmp(row, plain + 1, 4) == 0);
    free(row);
    row = image_row(mixed, sizeof mixed, 8);
    CHECK(row && memcmp(row, want, 8) == 0);
    free(row);
    CHECK(image_row(plain, sizeof plain, 3) == NULL);
    CHECK(image_row(plain, sizeof plain, 5) == NULL);
    CHECK(image_row(plain, 4, 4) == NULL);
    CHECK(image_row(mixed, 8, 8) == NULL);
    CHECK(image_row(mixed, sizeof mixed, 9) == NULL);
    CHECK(image_row(mixed, sizeof mixed, 6) == NULL);
    return 0;
}
