#include "program.c"

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
    char out[64];

    put("a.txt", "hello");
    put("two words.txt", "hello world\n");
    put("it's.txt", "");
    if (file_size("a.txt") != 5 || file_size("./two words.txt") != 12)
        return 1;
    if (file_size("it's.txt") != 0)
        return 2;
    if (file_size("none.txt") != -1)
        return 3;
    if (quote_soft("say \"hi\"", out, sizeof out) != 0 || strcmp(out, "\"say \\\"hi\\\"\"") != 0)
        return 4;
    if (quote_hard("it's", out, sizeof out) != 0 || strcmp(out, "'it'\\''s'") != 0)
        return 5;
    if (quote_hard("much too long", out, 12) != -1 || quote_soft("much too long", out, 12) != -1)
        return 6;
    return 0;
}
