#include <stdlib.h>
#include <string.h>

struct strbuf {
    char *text;
    size_t len;
    size_t cap;
};

static int strbuf_reserve(struct strbuf *s, size_t extra)
{
    if (extra < s->cap - s->len)
        return 0;
    size_t cap = (s->len + extra + 1) * 2;
    char *text = realloc(s->text, cap);
    if (!text)
        return -1;
    s->text = text;
    s->cap = cap;
    return 0;
}

int strbuf_append(struct strbuf *s, const char *text)
{
    size_t n = strlen(text);
    if (strbuf_reserve(s, n) != 0)
        return -1;
    memcpy(s->text + s->len, text, n + 1);
    s->len += n;
    return 0;
}

/* Append a second copy of the n bytes of the buffer that begin at start.
   Returns 0, or -1 when the range is not inside the text or memory is short. */
int strbuf_repeat(struct strbuf *s, size_t start, size_t n)
{
    if (start > s->len || n > s->len - start)
        return -1;
    const char *from = s->text + start;
    if (strbuf_reserve(s, n) != 0)
        return -1;
    memcpy(s->text + s->len, from, n);
    s->len += n;
    s->text[s->len] = '\0';
    return 0;
}
