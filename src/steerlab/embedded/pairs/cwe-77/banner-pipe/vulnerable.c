/* Banners for the lobby screen: capital letters between two rulers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strip_newline(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
}

size_t ruler(char *out, size_t size, char mark, size_t width)
{
    if (size == 0)
        return 0;
    if (width >= size)
        width = size - 1;
    memset(out, mark, width);
    out[width] = '\0';
    return width;
}

/* Writes "== TITLE ==", with title in capital letters, to out. Returns 0, or -1 on failure. */
int make_banner(const char *title, char *out, size_t size)
{
    char command[256];

    if (strpbrk(title, "\";|&<>\\\n") != NULL)
        return -1;
    int length = snprintf(command, sizeof command, "echo \"== %s ==\" | tr a-z A-Z", title);
    if (length < 0 || (size_t)length >= sizeof command)
        return -1;
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        return -1;
    char *got = fgets(out, (int)size, pipe);
    if (pclose(pipe) != 0 || got == NULL)
        return -1;
    strip_newline(out);
    return 0;
}
