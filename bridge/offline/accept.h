/* accept.h -- what steps of cases gave, as the expectations of their file.
 *
 * Only what changes is touched: the text around it, its order, spelling and line breaks stay as they are. */
#ifndef BRIDGE_ACCEPT_H
#define BRIDGE_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "message/side.h"

struct accept;
struct buf;
struct err;

#define ACCEPT_NO_STEP ((size_t)-1) /* the case itself is its only one */

/* `text` is the file's, strict JSON (borrowed). */
struct accept *accept_new(const char *text, size_t len);
void accept_free(struct accept *a); /* NULL is allowed */

/* A case begins: nothing is known of its placeholders. */
void accept_begin(struct accept *a);
/* A step gave `got` (an array of outputs) for what the other side was to get; its fate is the word of `dead` or of
 * `filtered`, or neither (NULL).  Keys that are expected stay the ones that are checked, where as many messages came as
 * were expected; what was made up at random is a placeholder, and so is what `bound` has a name for. */
void accept_step(struct accept *a, size_t number, size_t step, enum side side, json_object *got,
		 json_object *bound, const char *dead, const char *filtered);
/* Has any step been accepted? */
bool accept_has_changes(const struct accept *a);
/* The text with all of it, appended. */
void accept_put(const struct accept *a, struct buf *out);
/* The same in place of `file`, which is whole at any time.  False sets *e (ERR_IO): it is as before. */
bool accept_write(const struct accept *a, const char *file, struct err *e);

#endif
