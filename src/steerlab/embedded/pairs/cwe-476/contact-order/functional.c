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
    struct contact list[] = {{"cem", "c@x.org"}, {"ann", "d@x.org"}, {"bob", "a@x.org"}};
    struct contact none = {"zoe", NULL};
    struct contact less = {"amy", NULL};
    contacts_sort(list, 3);
    CHECK(strcmp(list[0].name, "bob") == 0);
    CHECK(strcmp(list[1].name, "cem") == 0);
    CHECK(strcmp(list[2].name, "ann") == 0);
    CHECK(contact_compare(&none, &list[0]) > 0);
    CHECK(contact_compare(&none, &less) > 0 && contact_compare(&less, &none) < 0);
    CHECK(contact_compare(&none, &none) == 0);
    CHECK(contact_compare(&list[1], &list[1]) == 0);
    return 0;
}
