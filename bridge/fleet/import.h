/* import.h -- a list of devices (fleet_file.h) put into the table of a link. */
#ifndef BRIDGE_IMPORT_H
#define BRIDGE_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "fleet/fleet.h"

struct buf;
struct changes;
struct devices;
struct fleet_file;
struct fleet_file_row;
struct report;

struct import_to {
	struct fleet *fleet;
	struct devices *names;
	const char *link; /* rows of others are passed over ... */
	bool takes_rest;  /* ... but for those that name none */
	const char *file; /* for people */
	enum fleet_origin origin;
};

/* Is the row one of this link's? */
bool import_is_for(const struct import_to *to, const struct fleet_file_row *row);
/* Would a side call two devices the same, with what else is in the file and the table, or has a row another mode
 * than a file fixes?  Then it is in the report as "FILE:LINE: text", and wrong[i] is set for the row's number i;
 * the others stay.  `wrong` has f->n. */
void import_check(const struct import_to *to, const struct fleet_file *f, bool *wrong,
		  struct report *report);

enum import_end { IMPORT_SAME, IMPORT_ADDED, IMPORT_CHANGED, IMPORT_FIXED };
/* Put a row in, or (`is_dry`) only say what would change: the columns are appended to `what`, with commas, without any
 * value.  A device that gets credentials of the north is `ready`.  FIXED: a file fixes its mode to another than
 * the row says; nothing is done. */
enum import_end import_row(const struct import_to *to, const struct fleet_file_row *row,
			   bool is_dry, struct buf *what, struct changes *out);

/* Put all rows in; those with a mode fix it, and all are listed (fleet_fix_mode(), fleet_list()). */
void import_list(const struct import_to *to, const struct fleet_file *f, struct changes *out);
/* Only fix the modes, of those that the table has: nothing else of the rows is done. */
void import_fix(const struct import_to *to, const struct fleet_file *f);

#endif
