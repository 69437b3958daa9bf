#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_absolute(const char *path)
{
    return path[0] == '/';
}

/* Write the path of a program's state folder to out: below STATE_HOME if that
   is set to an absolute path, else below .local/state in HOME.
   Returns 0, or -1 when there is no such path or cap is too small. */
int state_dir(const char *program, char *out, size_t cap)
{
    const char *base = getenv("STATE_HOME");
    const char *below = "";
    if (base == NULL || !is_absolute(base)) {
        base = getenv("HOME");
        below = "/.local/state";
    }
    if (strlen(program) == 0 || !is_absolute(base))
        return -1;
    int n = snprintf(out, cap, "%s%s/%s", base, below, program);
    return n >= 0 && (size_t)n < cap ? 0 : -1;
}
