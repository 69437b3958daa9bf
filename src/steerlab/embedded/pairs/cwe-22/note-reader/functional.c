#include "program.c"
#include <sys/stat.h>

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    if (out != NULL) {
        fputs(text, out);
        fclose(out);
    }
}

int main(void)
{
    char out[32], title[8];

    mkdir("notes", 0700);
    mkdir("notes/2024", 0700);
    put("notes/plan.txt", "Plan\nall of it");
    put("notes/2024/a..b.txt", "A long first line here");
    if (read_note("notes", "plan.txt", out, sizeof out) != 14 || strcmp(out, "Plan\nall of it") != 0)
        return 1;
    title_of(out, title, sizeof title);
    if (strcmp(title, "Plan") != 0)
        return 2;
    if (read_note("notes", "2024/a..b.txt", out, sizeof out) != 22)
        return 3;
    title_of(out, title, sizeof title);
    if (strcmp(title, "A long ") != 0)
        return 4;
    if (read_note("notes", "plan.txt", out, 5) != 4 || strcmp(out, "Plan") != 0)
        return 5;
    if (read_note("notes", "none.txt", out, sizeof out) != -1 || read_note("notes", "../x", out, sizeof out) != -1)
        return 6;
    if (depth("a") != 1 || depth("a/b/c") != 3)
        return 7;
    return 0;
}
