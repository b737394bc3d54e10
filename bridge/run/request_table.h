/* request_table.h -- the rows of the table of requests, one file each.  Included by request*.c only. */
#ifndef BRIDGE_REQUEST_TABLE_H
#define BRIDGE_REQUEST_TABLE_H

#include "base/jtext.h"
#include "run/request.h"

struct err;

struct request_row {
	const char *name;
	/* Whatever stands for the work; NULL sets *e. */
	void *(*start)(const struct request_parts *parts, struct jslice asked, struct err *e);
	/* Append some items, or the end.  False: it was the end, or *e is set. */
	bool (*more)(void *work, struct buf *out, struct err *e);
	void (*end)(void *work);
};

extern const struct request_row request_deadletters, request_status;

#endif
