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
    if (setenv("BANNER_TITLE", title, 1) != 0)
        return -1;
    FILE *pipe = popen("echo \"== $BANNER_TITLE ==\" | tr a-z A-Z", "r");
    if (pipe == NULL)
        return -1;
    char *got = fgets(out, (int)size, pipe);
    if (pclose(pipe) != 0 || got == NULL)
        return -1;
    strip_newline(out);
    return 0;
}
