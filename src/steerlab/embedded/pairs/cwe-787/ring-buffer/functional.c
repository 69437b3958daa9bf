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
    struct ring r;
    unsigned char out[16];
    CHECK(ring_init(&r, 8) == 0);
    CHECK(ring_write(&r, (const unsigned char *)"abcde", 5) == 0);
    CHECK(ring_write(&r, (const unsigned char *)"wxyz", 4) == -1);
    CHECK(ring_read(&r, out, 3) == 3 && memcmp(out, "abc", 3) == 0);
    CHECK(ring_write(&r, (const unsigned char *)"fgh", 3) == 0);
    CHECK(ring_write(&r, (const unsigned char *)"ij", 2) == 0);
    CHECK(ring_read(&r, out, 16) == 7 && memcmp(out, "defghij", 7) == 0);
    CHECK(ring_read(&r, out, 1) == 0);
    CHECK(ring_write(&r, (const unsigned char *)"", 0) == 0 && r.count == 0);
    ring_free(&r);
    return 0;
}
