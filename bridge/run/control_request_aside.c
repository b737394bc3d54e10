/* control_request_aside.c -- the rows that could not be read back: {"request":"aside"}.  An item per row;
 * what was in it is not told. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "run/control_request_table.h"
#include "store/aside.h"

static bool put_row(void *ctx, const struct aside_row *row)
{
	struct buf *out = ctx;

	buf_printf(out, "{\"item\":{\"id\":%llu", (unsigned long long)row->id);
	control_request_put_text(out, "link", row->link);
	control_request_put_text(out, "part", row->part);
	control_request_put_text(out, "key", row->key);
	control_request_put_text(out, "reason", row->reason);
	buf_printf(out, ",\"at_ms\":%lld,\"bytes\":%lld}}\n",
		   (long long)row->at_ms + clock_ahead_ms(), (long long)row->bytes);
	return true;
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	(void)asked;
	(void)e;
	return (void *)parts;
}

/* They are a thousand at most, and short. */
static bool more(void *work, struct buf *out, struct err *e)
{
	const struct control_request_parts *parts = work;
	uint64_t n;

	if (aside_count(parts->db, &n, e) && aside_each(parts->db, put_row, out, e))
		buf_printf(out, "{\"done\":{\"set_aside\":%llu}}\n", (unsigned long long)n);
	return false;
}

static void end(void *work)
{
	(void)work;
}

const struct control_request_row control_request_aside = { "aside", start, more, end };
