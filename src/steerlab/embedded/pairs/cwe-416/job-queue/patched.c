#include <stdlib.h>

struct job {
    int id;
    struct job *next;
};

struct queue {
    struct job *head;
    struct job *tail;
};

int queue_push(struct queue *q, int id)
{
    struct job *j = malloc(sizeof *j);
    if (!j)
        return -1;
    j->id = id;
    j->next = NULL;
    if (q->tail)
        q->tail->next = j;
    else
        q->head = j;
    q->tail = j;
    return 0;
}

int queue_pop(struct queue *q)
{
    struct job *j = q->head;
    if (!j)
        return -1;
    int id = j->id;
    q->head = j->next;
    if (!q->head)
        q->tail = NULL;
    free(j);
    return id;
}

/* Take the waiting job with this id out of the queue.
   Returns 0, or -1 when no such job waits. */
int queue_cancel(struct queue *q, int id)
{
    struct job *prev = NULL;
    struct job *j = q->head;
    while (j && j->id != id) {
        prev = j;
        j = j->next;
    }
    if (!j)
        return -1;
    *(prev ? &prev->next : &q->head) = j->next;
    if (q->tail == j)
        q->tail = prev;
    free(j);
    return 0;
}
