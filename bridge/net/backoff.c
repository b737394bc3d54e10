#include "net/backoff.h"

static const struct {
	int64_t first_ms, max_ms;
} steps[] = {
	[BACKOFF_LOST] = { 1000, 60000 },
	[BACKOFF_REFUSED] = { 30000, 300000 },
};

int64_t backoff_next(struct backoff *b, enum backoff_class c, uint32_t random)
{
	int64_t step = steps[c].first_ms;

	for (unsigned i = 0; i < b->failures[c] && step < steps[c].max_ms; i++)
		step *= 2;
	if (step >= steps[c].max_ms)
		step = steps[c].max_ms; /* no need to count on */
	else
		b->failures[c]++;
	/* A fleet that lost its broker together must not come back together. */
	return step / 2 + step / 2 * (int64_t)random / UINT32_MAX;
}

void backoff_ease(struct backoff *b)
{
	if (b->failures[BACKOFF_LOST] > 1)
		b->failures[BACKOFF_LOST] = 1;
}

void backoff_reset(struct backoff *b)
{
	*b = (struct backoff){ { 0, 0 } };
}
