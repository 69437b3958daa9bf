#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int unpack_row(const uint8_t *src, size_t n, uint8_t *row, size_t width);

/* The pixels of one packed row in new memory, or NULL. */
uint8_t *image_row(const uint8_t *src, size_t n, size_t width)
{
    uint8_t *row = malloc(width);
    if (row && unpack_row(src, n, row, width) != 0) {
        free(row);
        row = NULL;
    }
    return row;
}

/* Unpack the n bytes at src into the width pixels of row. A code c below 128
   is followed by c + 1 plain pixels, any other by one pixel to be repeated
   c - 126 times. Returns 0, or -1 when the data do not make exactly one row. */
static int unpack_row(const uint8_t *src, size_t n, uint8_t *row, size_t width)
{
    size_t in = 0;
    size_t out = 0;
    while (in < n) {
        uint8_t code = src[in++];
        size_t len = code < 128 ? code + 1u : code - 126u;
        if (code < 128) {
            if (len > n - in || len > width - out)
                return -1;
            memcpy(row + out, src + in, len);
            in += len;
        } else {
            if (in == n || out == width)
                return -1;
            memset(row + out, src[in++], len);
        }
        out += len;
    }
    return out == width ? 0 : -1;
}
