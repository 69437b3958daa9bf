#include <stdlib.h>

struct user {
    int id;
    int visits;
    struct user *next;
};

struct users {
    struct user *first;
    struct user *recent; /* the one found last */
};

int users_add(struct users *t, int id)
{
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        return -1;
    u->id = id;
    u->next = t->first;
    t->first = u;
    return 0;
}

struct user *users_find(struct users *t, int id)
{
    if (t->recent && t->recent->id == id)
        return t->recent;
    struct user *u = t->first;
    while (u && u->id != id)
        u = u->next;
    if (u)
        t->recent = u;
    return u;
}

/* Delete the user with this id. Returns its visits, or -1 for no such user. */
int users_delete(struct users *t, int id)
{
    struct user **link = &t->first;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    struct user *u = *link;
    if (!u)
        return -1;
    int visits = u->visits;
    *link = u->next;
    if (t->recent == u)
        t->recent = t->first;
    free(u);
    return visits;
}
