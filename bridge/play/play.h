/* play.h -- a mapping is edited, and what comes out of a message is seen at once: the asking side, in a loop.
 *
 * Each request is answered by a process of its own (play_child.h), which comes from the nursery, knows nothing of this
 * one and ends with its answer, or is killed after PLAY_MS.  One at a time: the others wait for it, in order.  Nothing
 * waits here, and nothing that runs is touched.  Loop thread only. */
#ifndef BRIDGE_PLAY_H
#define BRIDGE_PLAY_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct loop;
struct mapping_path;
struct play;
struct play_request;

#define PLAY_MS		2000		  /* by the clock, for an answer */
#define PLAY_MAX_BYTES	((size_t)1 << 20) /* of a request */
#define PLAY_MAX_ANSWER ((size_t)4 << 20)

/* `drafts`: a directory of its own (copied), which need not be there: while a process is at work, and only then, edited
 * files are in it. */
struct play *play_new(struct loop *l, const char *drafts);
void play_free(struct play *p); /* its requests have been freed; NULL is allowed */

/* A request, a JSON object (play_child.h), of mappings in `path`; all is copied. */
struct play_request *play_request_new(struct play *p, const struct mapping_path *path,
				      const char *json, size_t n);
/* Append the answer, a line of JSON: {"error":TEXT} if there is none.  False: that is done.  True: nothing yet, ask
 * again in a later turn; the loop wakes when there is more to say. */
bool play_request_more(struct play_request *r, struct buf *out);
void play_request_free(struct play_request *r); /* at any time: its process ends */

#endif
