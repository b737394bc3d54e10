/* record.h -- what a bridge tells of the messages of a link (live/live_link_follow.c), as a file of cases: one case,
 * whose steps are the messages as they came, each with what was made of it, and with the state and the time of the
 * beginning.
 *
 * An id that the bridge made for a request is a placeholder, in what goes to the far side and in the replies to it.
 * Handshakes are left out and counted, as are greetings (they answer to logins); so is, uncounted, what a broker gave
 * back. */
#ifndef BRIDGE_RECORD_H
#define BRIDGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jtext.h"

struct buf;
struct record_file;

struct record_file *record_file_new(void);
void record_file_free(struct record_file *r); /* NULL is allowed */

/* An item of the answer to {"request":"tap","state":"now"}. */
void record_file_take(struct record_file *r, struct jslice item);
uint64_t record_file_bytes(const struct record_file *r); /* of what was taken */

/* The file, appended; how many steps it has.  What is not settled yet is in it if anything was made of it. */
size_t record_file_put(const struct record_file *r, struct buf *out);
size_t record_file_left_out(const struct record_file *r);
const char *record_file_link(const struct record_file *r); /* NULL: nothing has begun */

#endif
