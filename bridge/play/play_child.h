/* play_child.h -- the answering side of play.h: a process that reads one request, answers it and ends.
 *
 * It opens files of the mapping path alone, and runs no mapping itself: that is done as everywhere, in processes of
 * its own with the limits of work/worker.h and work/compiler.h, which end with it.
 *
 *   {"do":"list"} -> {"mappings":[{"name","type":"dialect"|"through"|"library"}...]}
 *   {"do":"open","name"} -> {"name","text","cases":[...]}, what there is beside it of cases
 *   {"do":"try","south","north","through":[NAME...],"edits":{NAME:TEXT...},"vars":{"SIDE.NAME":VALUE...},
 *    "name","flow", and a message as in case files}
 *     -> {"mistakes":[{"file","line","column","text","is_warning"}...],
 *         "why":{...} (offline/why.h), "cases":TEXT of a case file that expects it}
 * Without a topic there is no message, and nothing of it in the answer. */
#ifndef BRIDGE_PLAY_CHILD_H
#define BRIDGE_PLAY_CHILD_H

#include <stddef.h>

struct buf;
struct mapping_path;

/* A request for it, as bytes. */
void play_child_put(struct buf *out, const char *drafts, const struct mapping_path *path,
		    const char *json, size_t n);
/* Read that from the start of the file `in` and write the answer, a line, to `out` (both borrowed).  For a process
 * that came from the nursery (work/nursery.h). */
void play_child(int in, int out);

#endif
