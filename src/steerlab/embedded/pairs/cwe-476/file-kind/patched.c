#include <stddef.h>
#include <string.h>
#include <strings.h>

enum kind { KIND_NONE, KIND_OTHER, KIND_IMAGE, KIND_SOUND };

struct known {
    const char *ending;
    enum kind kind;
};

static const struct known table[] = {
    {"png", KIND_IMAGE}, {"jpg", KIND_IMAGE}, {"wav", KIND_SOUND},
    {"ogg", KIND_SOUND}, {"gif", KIND_IMAGE},
};

/* Tell the kind of a file from the ending of its name, in any case.
   KIND_NONE: the file has no ending; KIND_OTHER: one that is not known. */
enum kind file_kind(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *ending = strrchr(slash ? slash : path, '.');
    if (ending++ == NULL)
        return KIND_NONE;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcasecmp(ending, table[i].ending) == 0)
            return table[i].kind;
    return KIND_OTHER;
}
