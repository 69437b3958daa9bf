/* Sizes of files, asked from the system's wc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes "text" to out, quotes and backslashes marked with a backslash. */
int quote_soft(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (out[used++] = '"'; *text != '\0' && used + 4 < size; text++) {
        if (*text == '"' || *text == '\\')
            out[used++] = '\\';
        out[used++] = *text;
    }
    out[used++] = '"';
    out[used] = '\0';
    return *text == '\0' ? 0 : -1;
}

/* Writes 'text' to out, a quote in it as '\''. */
int quote_hard(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (out[used++] = '\''; *text != '\0' && used + 6 < size; text++) {
        if (*text == '\'')
            used += (size_t)sprintf(out + used, "'\\''");
        else
            out[used++] = *text;
    }
    out[used++] = '\'';
    out[used] = '\0';
    return *text == '\0' ? 0 : -1;
}

/* Returns the size in bytes of the file at path, or -1 when it cannot be read. */
long file_size(const char *path)
{
    char quoted[256], command[300], answer[32] = "";

    if (quote_hard(path, quoted, sizeof quoted) != 0)
        return -1;
    snprintf(command, sizeof command, "exec 2>/dev/null; wc -c < %s", quoted);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        return -1;
    char *got = fgets(answer, sizeof answer, pipe);
    return pclose(pipe) != 0 || got == NULL ? -1 : atol(answer);
}
