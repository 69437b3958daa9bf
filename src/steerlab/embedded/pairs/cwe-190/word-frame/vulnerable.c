#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The nth word of a frame, or NULL. */
const char *frame_word(const uint8_t *frame, size_t nth)
{
    size_t size = frame[0] * 256u + frame[1];
    size_t pos = 2;
    while (pos < size && nth-- > 0)
        pos += strlen((const char *)frame + pos) + 1;
    return pos < size ? (const char *)frame + pos : NULL;
}

/* Pack words into a new frame: its whole size in two bytes, high byte first,
   then the words with their ending zeros. Returns NULL when that cannot be. */
uint8_t *frame_pack(const char *const *words, size_t count)
{
    uint16_t size = 2;
    for (size_t i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    uint8_t *frame = malloc(size);
    if (!frame)
        return NULL;
    frame[0] = size >> 8;
    frame[1] = size & 255;
    char *to = (char *)frame + 2;
    for (size_t i = 0; i < count; i++) {
        strcpy(to, words[i]);
        to += strlen(to) + 1;
    }
    return frame;
}
