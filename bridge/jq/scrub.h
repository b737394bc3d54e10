/* scrub.h -- what may be shown of a text that may quote a payload, as jq's run-time errors do.
 *
 * Only words that are known beforehand are kept: those that jq builds its messages of, and those
 * that stand in the source of the mapping.  All else becomes "...", and so does everything in
 * parentheses or quotes, except a quoted single word that is known (the name of a key, mostly). */
#ifndef BRIDGE_SCRUB_H
#define BRIDGE_SCRUB_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct scrub;

#define SCRUB_MAX_CHARS 120 /* of a scrubbed text, less the "..." at a cut */

struct scrub *scrub_new(void);
void scrub_free(struct scrub *s); /* NULL is allowed */
/* Words of `text` are known from now on; copied. */
void scrub_learn(struct scrub *s, const char *text, size_t len);
/* All that was learnt so, as a text to be learnt again; borrowed. */
const char *scrub_learnt(const struct scrub *s);
/* Is it one of them?  Shorter than two characters: none is. */
bool scrub_knows(const struct scrub *s, const char *word);
/* Append what may be shown of `text`. */
void scrub_text(const struct scrub *s, const char *text, size_t len, struct buf *out);

#endif
