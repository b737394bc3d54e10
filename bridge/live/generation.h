/* generation.h -- a configuration at work: what was read from files, and the processes that translate by it.
 *
 * Configuration, mappings and plans are immutable once read, but for the values of secrets, and belong
 * together: a plan points into its mappings, a message into its plan, a worker process has the programs as they were
 * when it was forked, and none is in this process.  So they are one object.  Another generation never changes this
 * one; it takes over what comes from then on, while this one goes on until what it has in hand is settled.
 *
 * Whoever made it owns it.  Its *users* are counted: each live link from live_link_new() to
 * live_link_free(), and each message of a link until it is settled (through plan->users).  The owner may
 * free it when there are none, and not from within a call of theirs; generation_free() asserts it. */
#ifndef BRIDGE_GENERATION_H
#define BRIDGE_GENERATION_H

#include <stdbool.h>
#include <stddef.h>

#include "message/side.h"

struct buf;
struct compiler;
struct conf;
struct err;
struct executor;
struct generation;
struct loop;
struct mapping_path;
struct plan;
struct report;
struct workers_counters;

/* Read the configuration at `conf_path`, load its mappings (those in `mappings`, borrowed, come first) and
 * make the plan of each link.  All mistakes and hints are in the report, which must be empty; NULL if there
 * is a mistake.  What this machine lacks of what a link needs (secrets, TLS files) is in it, too, and no
 * mistake: such links cannot be opened yet (live_link_open()).  `compiler`, which is taken, also on failure, compiles
 * and forks; NULL: this process does.  Nothing runs yet. */
struct generation *generation_read(const char *conf_path, const struct mapping_path *mappings,
				   struct compiler *compiler, struct report *report);
/* Read the secrets of a session again that come from files.  False sets *e: one is not there, or cannot be used,
 * and stays as it was; the others are read.  New values are in the configuration (whose n_renewed tells) and in the
 * plan; in topics and for functions of mappings they count from the next start. */
bool generation_renew(struct generation *g, size_t link, enum side side, struct err *e);

/* Append what of the bridge (or of link `i` of `from` and link `j` of `to`) is not the same: names of keys, a comma
 * between each two; "(file)" behind those of which only the file has changed, as its mapping.  Nothing: it is. */
void generation_put_difference(const struct generation *from, const struct generation *to,
			       struct buf *out);
void generation_put_link_difference(const struct generation *from, size_t i,
				    const struct generation *to, size_t j, struct buf *out);
/* One takes over from another one, in three steps, in one turn of the loop.
 *
 * The workers of `from` end; those of `to`, which has none of its own yet but started ones
 * (generation_start_workers()), do the jobs that it has, all anew.  Links that are not adopted next must have been
 * freed. */
void generation_hand_over(struct generation *from, struct generation *to);
/* Link `i` of `from`, which is the same as link `j` of `to`, goes on as that: the plan, and so all that points to
 * it, stays where it is. */
void generation_adopt(struct generation *from, size_t i, struct generation *to, size_t j);
/* That were all.  `from` has no users any more, and is freed. */
void generation_end(struct generation *from, struct generation *to);
/* What workers do not know of the plan yet: the device table, as its link restored it. */
void generation_tell_devices(struct generation *g, size_t link);

/* There must be no users, and no jobs.  NULL is allowed. */
void generation_free(struct generation *g);

/* Make what does the jobs of its links: workers of this loop, not forked yet; without a loop (NULL) nobody does any.
 * `gone` is called when there are none any more, and can be none.  False sets *e (ERR_IO). */
bool generation_make_executor(struct generation *g, struct loop *loop, void (*gone)(void *ctx),
			      void *ctx, struct err *e);
/* Fork the workers, with the device tables as they are now: after the state of earlier runs was restored.
 * False sets *e, see workers_start(). */
bool generation_start_workers(struct generation *g, struct err *e);
/* End them; jobs stay undone until their links drop them. */
void generation_end_workers(struct generation *g);
void generation_count_workers(const struct generation *g, struct workers_counters *out);

/* Once per turn: complete what is done, and hand on what can be. */
void generation_run(struct generation *g);
bool generation_is_idle(const struct generation *g); /* it has no jobs */

/* Borrowed from it. */
const struct conf *generation_conf(const struct generation *g);
const struct plan *generation_plan(const struct generation *g, size_t link);
struct executor *generation_executor(const struct generation *g);

size_t generation_users(const struct generation *g);

#endif
