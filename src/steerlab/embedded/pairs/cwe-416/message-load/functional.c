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
    struct message m;
    char text[80];
    CHECK(message_load(&m, "ann\nhello there\nbye") == 0);
    CHECK(strcmp(message_sender(&m), "ann") == 0);
    CHECK(strcmp(m.body, "hello there\nbye") == 0);
    message_clear(&m);
    CHECK(strcmp(message_sender(&m), "nobody") == 0);
    CHECK(message_load(&m, "no body") == -1);
    CHECK(strcmp(message_sender(&m), "nobody") == 0);
    message_clear(&m);
    CHECK(message_load(&m, "\nno sender") == -1);
    message_clear(&m);
    memset(text, 'b', sizeof text);
    memcpy(text, "bob\n", 4);
    text[4 + MAX_BODY] = '\0';
    CHECK(message_load(&m, text) == 0 && strlen(m.body) == MAX_BODY);
    message_clear(&m);
    return 0;
}
