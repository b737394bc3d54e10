/* state_json.h -- reading the JSON values of rows that a machine gets back at start (change.h). */
#ifndef BRIDGE_STATE_JSON_H
#define BRIDGE_STATE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jtext.h"

struct buf;

/* Check `value` and copy it to `text`, which *row then lies in.  False: no JSON object. */
bool state_json_read(const char *value, struct buf *text, struct jslice *row);

/* A field of the row; false, *out untouched: missing, or of another type. */
bool state_json_integer(struct jslice row, const char *name, int64_t *out);
bool state_json_bool(struct jslice row, const char *name, bool *out);
/* A string, caller frees; null gives NULL.  False also for one with a NUL in it. */
bool state_json_text(struct jslice row, const char *name, char **out);

/* Append `s` as JSON: a string, or null for NULL. */
void state_json_put_text(struct buf *out, const char *s);

#endif
