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
    CHECK(top_at(0) == NULL);
    CHECK(top_add("ann", 50) == 0);
    CHECK(top_add("bob", 70) == 0);
    CHECK(top_add("cem", 60) == 1);
    CHECK(top_add("dea", 60) == 2);
    CHECK(top_add("somebody with a long name", 10) == 4);
    CHECK(strcmp(top_at(0)->name, "bob") == 0);
    CHECK(strcmp(top_at(1)->name, "cem") == 0);
    CHECK(strcmp(top_at(2)->name, "dea") == 0);
    CHECK(strcmp(top_at(3)->name, "ann") == 0 && top_at(3)->points == 50);
    CHECK(strcmp(top_at(4)->name, "somebody wi") == 0);
    CHECK(top_at(5) == NULL);
    CHECK(top_add("low", 10) == -1 && top_add("low", -3) == -1);
    CHECK(top_at(4)->points == 10);
    return 0;
}
