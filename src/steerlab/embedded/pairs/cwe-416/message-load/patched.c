#include <stdlib.h>
#include <string.h>

#define MAX_BODY 64

struct message {
    char *sender;
    char *body;
};

void message_clear(struct message *m)
{
    free(m->sender);
    free(m->body);
    m->sender = NULL;
    m->body = NULL;
}

const char *message_sender(const struct message *m)
{
    return m->sender ? m->sender : "nobody";
}

/* Fill m from a text whose first line is the sender and the rest, at most
   MAX_BODY bytes, the body. Returns 0, or -1 when the text is not like that.
   The caller uses message_clear on m in either case. */
int message_load(struct message *m, const char *text)
{
    size_t n = strcspn(text, "\n");
    m->sender = NULL;
    m->body = NULL;
    if (n == 0 || text[n] == '\0')
        return -1;
    m->sender = strndup(text, n);
    m->body = strdup(text + n + 1);
    if (!m->sender || !m->body)
        return -1;
    return strlen(m->body) > MAX_BODY ? -1 : 0;
}
