/* Notes of a team: plain text files in folders below one root. */
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 256

size_t depth(const char *name)
{
    size_t count = 1;

    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        count++;
    return count;
}

void title_of(const char *note, char *out, size_t size)
{
    size_t length = strcspn(note, "\n");

    if (length >= size)
        length = size - 1;
    memcpy(out, note, length);
    out[length] = '\0';
}

/* Reads the note called name, such as "2024/plan.txt", below root into out. Returns its length, or -1. */
long read_note(const char *root, const char *name, char *out, size_t size)
{
    char path[PATH_SIZE];

    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strcspn(part, "/") == 2 && strncmp(part, "..", 2) == 0)
            return -1;
    }
    if (snprintf(path, sizeof path, "%s/%s", root, name) >= (int)sizeof path)
        return -1;
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return -1;
    size_t length = fread(out, 1, size - 1, in);
    out[length] = '\0';
    fclose(in);
    return (long)length;
}
