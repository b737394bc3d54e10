/* compiler.h -- the process that compiles the mappings of a configuration, and from which its workers are forked.
 *
 * It gets directories, tables and variables, and never a secret (an is_secret or a dialect's credential is "***" to
 * it).  What jq cannot compile within COMPILER_MS of processor time and COMPILER_MEMORY_BYTES is a mistake of that
 * mapping like any other.  All calls wait for it, but compiler_want_own(); loop thread only. */
#ifndef BRIDGE_COMPILER_H
#define BRIDGE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct compiler;
struct err;
struct mapping;
struct mapping_loader;
struct mapping_path;
struct plan;
struct plan_spec;
struct report;

#define COMPILER_MS	      5000 /* processor time for one file */
#define COMPILER_MEMORY_BYTES (512u << 20)

/* NULL sets *e (ERR_IO). */
struct compiler *compiler_new(struct err *e);
void compiler_free(struct compiler *c); /* NULL is allowed; its workers go on */

/* As mapping_load(), but the program stays there: the mapping cannot be called here. */
struct mapping *compiler_load(struct compiler *c, const struct mapping_path *path, const char *name,
			      struct report *report);
/* Have the plan made there, too, of the same mappings, all of which are its (compiler_load()); `plan`, made of `spec`,
 * then knows it (plan->there).  False sets *e (ERR_IO). */
bool compiler_plan(struct compiler *c, struct plan *plan, const struct plan_spec *spec,
		   struct err *e);
/* A row of the plan's device table; value NULL: it is gone. */
void compiler_tell(struct compiler *c, const struct plan *plan, const char *key, const char *value);

/* What was loaded is loaded anew from now on, by another process. */
void compiler_forget(struct compiler *c);
/* These, for who need not know what does it; borrowed. */
const struct mapping_loader *compiler_loader(const struct compiler *c);

/* Fork a worker with the end `fd` of its socket; `progress` is the memory that both see.  It is a child of this
 * process.  -1 sets *e (ERR_IO). */
pid_t compiler_fork(struct compiler *c, int fd, int progress, struct err *e);

/* Have it compile a program of its own for function `fn` of that mapping (mapping_number()), for workers that are
 * forked afterwards.  False: it has another one to compile, or has ended. */
bool compiler_want_own(struct compiler *c, uint32_t mapping, uint32_t fn);
bool compiler_is_busy(const struct compiler *c); /* with that */
size_t compiler_n_own(const struct compiler *c); /* programs that this led to */

/* Readable when it has ended, or is not busy any more: then compiler_hear() is due. */
int compiler_fd(const struct compiler *c);
void compiler_hear(struct compiler *c);
/* It has: then there are no new workers. */
bool compiler_is_lost(const struct compiler *c);

#endif
