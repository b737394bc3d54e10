/* redact.h -- what may be shown or written down of a message: the same without the secrets in it. */
#ifndef BRIDGE_REDACT_H
#define BRIDGE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/jtext.h"

struct buf;
struct vars;

#define REDACT_HIDDEN "***"

/* Does a property of this name sound as if its value were one? */
bool redact_names_secret(const char *name);
/* Append strict JSON text: the value of a key that sounds so is "***" (fewer names do than of properties, since "key"
 * is a common word in requests), and in texts and keys so is each value that one of the `n` lists holds as a secret. */
void redact_json(struct buf *out, struct jslice v, const struct vars *const *secrets, size_t n);
/* The same of a plain text.  Caller frees. */
char *redact_text(const char *text, const struct vars *const *secrets, size_t n);

#endif
