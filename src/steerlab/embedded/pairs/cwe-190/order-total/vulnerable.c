#include <stddef.h>
#include <stdint.h>

struct item {
    uint32_t quantity;
    uint32_t cents;
};

struct wallet {
    uint32_t cents;
    uint64_t goods;
};

static int order_total(const struct item *items, size_t n, uint32_t *total);

/* Pay for the order and book its goods. 0, or -1 when it is refused. */
int wallet_buy(struct wallet *w, const struct item *items, size_t n)
{
    uint32_t total;
    if (order_total(items, n, &total) != 0 || total > w->cents)
        return -1;
    w->cents -= total;
    for (size_t i = 0; i < n; i++)
        w->goods += items[i].quantity;
    return 0;
}

/* Add up the price of all items of an order in *total.
   Returns 0, or -1 when the sum is not a uint32_t. */
static int order_total(const struct item *items, size_t n, uint32_t *total)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t line = items[i].quantity * items[i].cents;
        if (line > UINT32_MAX - sum)
            return -1;
        sum += line;
    }
    *total = sum;
    return 0;
}
