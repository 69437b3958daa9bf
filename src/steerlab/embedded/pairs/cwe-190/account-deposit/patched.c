#include <stdint.h>

struct account {
    int32_t cents; /* from 0 to limit */
    int32_t limit;
    unsigned bookings;
};

int account_open(struct account *a, int32_t limit)
{
    if (limit < 0)
        return -1;
    a->cents = 0;
    a->limit = limit;
    a->bookings = 0;
    return 0;
}

int account_withdraw(struct account *a, int32_t cents)
{
    if (cents <= 0 || cents > a->cents)
        return -1;
    a->cents -= cents;
    a->bookings++;
    return 0;
}

/* Book an amount above zero onto the account.
   Returns 0, or -1 with nothing booked when the limit would be passed. */
int account_deposit(struct account *a, int32_t cents)
{
    if (cents <= 0 || cents > a->limit - a->cents)
        return -1;
    a->cents += cents;
    a->bookings++;
    return 0;
}
