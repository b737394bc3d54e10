/* fleet_file.h -- a list of devices as people write it: CSV with a line of column names, or a JSON object per line.
 *
 * Columns: link, name, group, mode, kind, south.VAR, north.VAR (`device`: what that side calls it), greet.KEY.  Those
 * that only an export fills (state, step, origin, reason, seen_up, seen_down) are passed over. */
#ifndef BRIDGE_FLEET_FILE_H
#define BRIDGE_FLEET_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/jtext.h"

struct buf;
struct err;
struct report;

struct fleet_cell {
	char *column;
	char *value; /* NULL: is to be removed */
	bool is_secret;
};

struct fleet_file_row {
	unsigned line;
	char *link; /* NULL: not said */
	char *name;
	struct fleet_cell *cells; /* of those that say something; not link and name */
	size_t n;
};

struct fleet_file {
	struct fleet_file_row *rows;
	size_t n;
	size_t n_bad;	  /* rows with mistakes, which are not among them */
	bool has_secrets; /* one stands in the text itself */
};

/* What a cell points to ("file:PATH", "env:NAME"): its value, caller frees; *is_secret: it was pointed to.  NULL sets
 * *e. */
typedef char *fleet_resolve(void *ctx, const char *text, bool *is_secret, struct err *e);

/* Read `text`, whose name for people is `file`; each mistake is in the report as "FILE:LINE: text", without any value.
 * False: its column names are wrong, and there are no rows.  Caller ends it with fleet_file_fini(). */
bool fleet_file_read(struct fleet_file *f, const char *file, const char *text, size_t n,
		     fleet_resolve *resolve, void *ctx, struct report *report);
void fleet_file_fini(struct fleet_file *f);
/* The rows as a JSON array, and back (f is overwritten).  False: it is none. */
void fleet_file_put(const struct fleet_file *f, struct buf *out);
bool fleet_file_get(struct fleet_file *f, struct jslice rows);

/* Does a variable of this name hold a credential, as far as its name tells? */
bool fleet_is_secret_name(const char *name);

#endif
