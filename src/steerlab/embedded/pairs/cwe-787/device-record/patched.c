#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FIELD_NAME = 1, FIELD_PORT = 2 };

/* Describe a device from its announcement: fields of a type byte, a length
   byte and a value. Writes "name:port" to out. Fields of another type are
   skipped, of a long name the first 23 bytes count.
   Returns 0, or -1 when a field is cut off or out is too small. */
int device_describe(const uint8_t *msg, size_t n, char *out, size_t cap)
{
    char name[24] = "unnamed";
    unsigned port = 0;
    size_t pos = 0;
    while (n - pos >= 2) {
        uint8_t type = msg[pos];
        size_t len = msg[pos + 1];
        pos += 2;
        if (len > n - pos)
            return -1;
        if (type == FIELD_NAME) {
            size_t keep = len < sizeof name ? len : sizeof name - 1;
            memcpy(name, msg + pos, keep);
            name[keep] = '\0';
        } else if (type == FIELD_PORT && len == 2) {
            port = msg[pos] * 256u + msg[pos + 1];
        }
        pos += len;
    }
    int made = snprintf(out, cap, "%s:%u", name, port);
    return pos == n && made >= 0 && (size_t)made < cap ? 0 : -1;
}
