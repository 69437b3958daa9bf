/* Print jobs wait as one file each in a spool folder. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".job"

int is_job(const char *name)
{
    size_t length = strlen(name);

    return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

int count_jobs(const char *spool)
{
    DIR *folder = opendir(spool);
    int count = 0;

    if (folder == NULL)
        return -1;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += is_job(entry->d_name);
    closedir(folder);
    return count;
}

/* Stores text as the job called name in the folder spool. Returns 0, or -1 when the job cannot be stored. */
int write_job(const char *spool, const char *name, const char *text)
{
    char clean[128], path[512];
    size_t used = 0;

    while (*name != '\0' && used < sizeof clean - 1) {
        if (strncmp(name, "../", 3) == 0)
            name += 3;
        else
            clean[used++] = *name++;
    }
    clean[used] = '\0';
    if (snprintf(path, sizeof path, "%s/%s" SUFFIX, spool, clean) >= (int)sizeof path)
        return -1;
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return -1;
    int failed = fputs(text, out) == EOF;
    return fclose(out) != 0 || failed ? -1 : 0;
}
