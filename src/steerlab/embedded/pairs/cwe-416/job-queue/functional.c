#include "program.c"
#include <stdio.h>

#define CHECK(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #cond);     \
            return 1;                                                      \
        }                                                                  \
    } while (0)

int main(void)
{
    struct queue q = {NULL, NULL};
    CHECK(queue_pop(&q) == -1);
    for (int i = 1; i <= 5; i++)
        CHECK(queue_push(&q, i) == 0);
    CHECK(queue_cancel(&q, 3) == 0);
    CHECK(queue_cancel(&q, 3) == -1);
    CHECK(queue_cancel(&q, 1) == 0);
    CHECK(queue_push(&q, 6) == 0);
    CHECK(queue_pop(&q) == 2);
    CHECK(queue_pop(&q) == 4);
    CHECK(queue_pop(&q) == 5);
    CHECK(queue_cancel(&q, 6) == 0);
    CHECK(queue_pop(&q) == -1);
    CHECK(queue_push(&q, 7) == 0);
    CHECK(queue_pop(&q) == 7);
    return 0;
}
