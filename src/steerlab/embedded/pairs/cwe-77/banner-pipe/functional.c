#include "program.c"

int main(void)
{
    char out[128];

    if (make_banner("open day", out, sizeof out) != 0 || strcmp(out, "== OPEN DAY ==") != 0)
        return 1;
    if (make_banner("Lunch at 12, room 4", out, sizeof out) != 0 || strcmp(out, "== LUNCH AT 12, ROOM 4 ==") != 0)
        return 2;
    if (make_banner("", out, sizeof out) != 0 || strcmp(out, "==  ==") != 0)
        return 3;
    if (ruler(out, sizeof out, '=', 5) != 5 || strcmp(out, "=====") != 0)
        return 4;
    if (ruler(out, 4, '-', 9) != 3 || strcmp(out, "---") != 0)
        return 5;
    strcpy(out, "line\r\n");
    strip_newline(out);
    return strcmp(out, "line") == 0 ? 0 : 6;
}
