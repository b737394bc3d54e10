#include "frontdoor/bucket.h"

static void refill(struct bucket *b, double rate, int64_t now_ms)
{
	if (now_ms > b->at_ms)
		b->missing -= (double)(now_ms - b->at_ms) * rate / 1000;
	if (b->missing < 0)
		b->missing = 0;
	b->at_ms = now_ms;
}

bool bucket_has(struct bucket *b, double rate, double burst, int64_t now_ms)
{
	if (rate <= 0)
		return true;
	refill(b, rate, now_ms);
	return b->missing + 1 <= burst;
}

bool bucket_take(struct bucket *b, double rate, double burst, int64_t now_ms)
{
	if (rate <= 0)
		return true;
	if (!bucket_has(b, rate, burst, now_ms))
		return false;
	b->missing += 1;
	return true;
}

bool bucket_is_full(struct bucket *b, double rate, int64_t now_ms)
{
	refill(b, rate, now_ms);
	return b->missing <= 0;
}
