#include "program.c"
#include <sys/stat.h>

static int holds(const char *path, const char *want)
{
    char got[64] = "";
    FILE *in = fopen(path, "r");

    if (in == NULL)
        return 0;
    size_t length = fread(got, 1, sizeof got - 1, in);
    got[length] = '\0';
    fclose(in);
    return strcmp(got, want) == 0;
}

int main(void)
{
    if (mkdir("spool", 0700) != 0)
        return 1;
    if (count_jobs("spool") != 0 || count_jobs("nowhere") != -1)
        return 2;
    if (write_job("spool", "letter", "Dear reader") != 0 || !holds("spool/letter.job", "Dear reader"))
        return 3;
    if (write_job("spool", "draft-1..2", "abc") != 0 || !holds("spool/draft-1..2.job", "abc"))
        return 4;
    if (write_job("spool", "letter", "again") != 0 || !holds("spool/letter.job", "again"))
        return 5;
    if (count_jobs("spool") != 2)
        return 6;
    if (write_job("nowhere", "letter", "x") != -1)
        return 7;
    if (!is_job("a.job") || is_job(".job") || is_job("job"))
        return 8;
    return 0;
}
