/* control_request_log.c -- what the bridge wrote to its log last: {"request":"log"}, an item {"line"} for each line. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "run/control_request_table.h"

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	(void)asked;
	if (parts->is_running)
		return (void *)parts;
	err_set(e, ERR_NOT_FOUND, "no bridge runs, which would have a log");
	return NULL;
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct buf tail = { 0 };
	const char *line, *end;

	(void)work;
	(void)e;
	log_put_tail(&tail);
	for (line = buf_str(&tail); (end = strchr(line, '\n')); line = end + 1) {
		buf_puts(out, "{\"item\":{\"line\":");
		jtext_put_string(out, line, (size_t)(end - line));
		buf_puts(out, "}}\n");
	}
	buf_puts(out, "{\"done\":{}}\n");
	buf_fini(&tail);
	return false;
}

static void end(void *work)
{
	(void)work;
}

const struct control_request_row control_request_log = { "log", start, more, end };
