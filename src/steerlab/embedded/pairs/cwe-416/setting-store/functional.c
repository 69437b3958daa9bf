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
    struct store s = {.used = 0};
    char name[16];
    CHECK(store_get(&s, "colour") == NULL);
    CHECK(store_set(&s, "colour", "red") == 0);
    CHECK(store_set(&s, "shape", "round") == 0);
    CHECK(strcmp(store_get(&s, "colour"), "red") == 0);
    CHECK(store_set(&s, "colour", "a far longer value than before") == 0);
    CHECK(strcmp(store_get(&s, "colour"), "a far longer value than before") == 0);
    CHECK(store_set(&s, "colour", store_get(&s, "shape")) == 0);
    CHECK(strcmp(store_get(&s, "colour"), "round") == 0 && s.used == 2);
    for (int i = 2; i < MAX_SETTINGS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK(store_set(&s, name, "x") == 0);
    }
    CHECK(store_set(&s, "more", "x") == -1);
    CHECK(store_set(&s, "n3", "y") == 0 && strcmp(store_get(&s, "n3"), "y") == 0);
    store_clear(&s);
    CHECK(store_get(&s, "shape") == NULL);
    return 0;
}
