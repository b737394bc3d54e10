/* device_table.h -- the devices of a link, for requests about them: the running bridge's own, or when none runs, what
 * its state says.
 *
 * It is closed at the end of each piece of a request, and opened again for the next, so that nobody relies on what may
 * have changed meanwhile. */
#ifndef BRIDGE_DEVICE_TABLE_H
#define BRIDGE_DEVICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "fleet/fleet.h"
#include "state/change.h"

struct compares;
struct control_request_parts;
struct device_rest;
struct devices;
struct err;
struct live_link;
struct provisions;
struct waves;

struct device_table {
	struct live_link *live; /* NULL: no bridge runs */
	const char *link;
	struct fleet *fleet;
	struct devices *names;
	struct waves *waves;
	const struct compares *compares;
	struct provisions *provisions; /* of no bridge, as is the next; else NULL */
	struct compares *own_compares;
	struct device_rest *rest;  /* as soon as it is asked for */
	struct changes changes;	   /* what is put here is done when it is closed */
	enum fleet_mode link_mode; /* DEFAULT: not known */
};

/* The links, of the running bridge or of the configuration. */
size_t device_table_count(const struct control_request_parts *parts);
const char *device_table_name(const struct control_request_parts *parts, size_t i);
/* Open that of the link number `i`; `who` (borrowed until it is closed) does what is done.  False sets *e: ERR_IO,
 * ERR_CORRUPT; it need not be closed. */
bool device_table_open(const struct control_request_parts *parts, size_t i, const char *who,
		       struct device_table *t, struct err *e);
/* For who sets modes: where no bridge runs, those that the configuration's list fixes are fixed (fleet_fix_mode()), as
 * they are at the next start.  False sets *e (ERR_INVALID): the list is wrong, or cannot be read. */
bool device_table_fix_modes(const struct control_request_parts *parts, struct device_table *t,
			    struct err *e);
/* What is remembered of a device beside its rows here goes with them, of a running bridge by itself when it is closed.
 * False sets *e (ERR_IO). */
bool device_table_forget_rest(const struct control_request_parts *parts, struct device_table *t,
			      const char *device, struct err *e);
/* Without `ok` its changes are dropped, if no bridge runs.  False: not `ok`, or it sets *e (ERR_IO, ERR_FULL). */
bool device_table_close(const struct control_request_parts *parts, struct device_table *t, bool ok,
			struct err *e);

#endif
