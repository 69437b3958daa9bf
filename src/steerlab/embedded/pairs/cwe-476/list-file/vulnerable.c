#include <stdio.h>
#include <string.h>

static int is_entry(const char *line)
{
    line += strspn(line, " \t\r\n");
    return *line != '\0' && *line != '#';
}

/* Count the entries of a list file: its lines that are neither blank nor a
   comment. A file beginning with '!' is switched off and has none.
   Returns -1 when it cannot be read. */
long list_count(const char *path)
{
    char line[256];
    long entries = 0;
    FILE *f = fopen(path, "r");
    int off = fgetc(f) == '!';
    if (f == NULL || ferror(f))
        return -1;
    rewind(f);
    while (!off && fgets(line, sizeof line, f))
        entries += is_entry(line);
    fclose(f);
    return entries;
}
