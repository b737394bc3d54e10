/* answer_bench.h -- the mapping bench of the page, over HTTP: a request of play/play_child.h, and what is said to
 * it. */
#ifndef BRIDGE_ANSWER_BENCH_H
#define BRIDGE_ANSWER_BENCH_H

#include <stddef.h>

struct answer;
struct mapping_path;
struct play;

/* `play` is borrowed until the answer has ended, all else copied. */
struct answer *answer_bench(struct play *play, const struct mapping_path *path, const char *body,
			    size_t n);

#endif
