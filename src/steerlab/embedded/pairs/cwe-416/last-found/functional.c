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
    struct users t = {NULL, NULL};
    CHECK(users_find(&t, 1) == NULL);
    for (int id = 1; id <= 4; id++)
        CHECK(users_add(&t, id) == 0);
    CHECK(users_find(&t, 2) != NULL);
    users_find(&t, 2)->visits += 3;
    users_find(&t, 2)->visits++;
    CHECK(users_find(&t, 9) == NULL);
    CHECK(users_delete(&t, 9) == -1);
    CHECK(users_delete(&t, 3) == 0);
    CHECK(users_delete(&t, 4) == 0);
    CHECK(users_find(&t, 3) == NULL && users_find(&t, 4) == NULL);
    CHECK(users_find(&t, 2)->visits == 4);
    CHECK(users_find(&t, 1)->id == 1);
    CHECK(users_delete(&t, 2) == 4);
    CHECK(users_find(&t, 2) == NULL);
    CHECK(users_delete(&t, 1) == 0 && users_find(&t, 1) == NULL);
    return 0;
}
