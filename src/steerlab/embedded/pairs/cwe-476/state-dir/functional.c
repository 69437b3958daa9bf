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
    char out[64];
    setenv("HOME", "/home/ann", 1);
    unsetenv("STATE_HOME");
    CHECK(state_dir("edit", out, sizeof out) == 0);
    CHECK(strcmp(out, "/home/ann/.local/state/edit") == 0);
    CHECK(state_dir("edit", out, 27) == -1);
    CHECK(state_dir("edit", out, 28) == 0);
    setenv("STATE_HOME", "/var/state", 1);
    CHECK(state_dir("edit", out, sizeof out) == 0);
    CHECK(strcmp(out, "/var/state/edit") == 0);
    CHECK(state_dir("", out, sizeof out) == -1);
    setenv("STATE_HOME", "state", 1);
    CHECK(state_dir("edit", out, sizeof out) == 0);
    CHECK(strcmp(out, "/home/ann/.local/state/edit") == 0);
    setenv("HOME", "", 1);
    CHECK(state_dir("edit", out, sizeof out) == -1);
    return 0;
}
