/* control_request_table.h -- the rows of the table of requests, one file each.  Included by control_request*.c only. */
#ifndef BRIDGE_CONTROL_REQUEST_TABLE_H
#define BRIDGE_CONTROL_REQUEST_TABLE_H

#include "base/jtext.h"
#include "control/control_request.h"

struct err;

struct control_request_row {
	const char *name;
	/* Whatever stands for the work; NULL sets *e. */
	void *(*start)(const struct control_request_parts *parts, struct jslice asked,
		       struct err *e);
	/* Append some items, or the end.  False: it was the end, or *e is set.  True and nothing: there is none yet,
	 * which others make (control_request.c: waits()) and wake the loop for, or else it goes on at once. */
	bool (*more)(void *work, struct buf *out, struct err *e);
	void (*end)(void *work);
};

extern const struct control_request_row control_request_aside, control_request_deadletters,
	control_request_devices, control_request_log, control_request_reload, control_request_state,
	control_request_status, control_request_waves, control_request_tap;

#endif
