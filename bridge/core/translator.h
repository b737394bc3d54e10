/* translator.h -- where jobs are done: submitted now, completed later, in order.
 *
 * Jobs complete in the order they were submitted; a job that is submitted from within a completion
 * comes before all that wait (what one message leads to is done before the next message).  This
 * translator works in place, when translator_run() is called; one that hands jobs to processes has
 * the same contract per device. */
#ifndef BRIDGE_TRANSLATOR_H
#define BRIDGE_TRANSLATOR_H

#include <stdbool.h>

#include "core/translate.h"

struct translator;

struct translator *translator_new(void);
void translator_free(struct translator *t); /* jobs that wait are dropped */

/* The job is the caller's: its start() and then its done() are called once from translator_run(), and
 * done() may free it. */
void translator_submit(struct translator *t, struct job *job);
/* Do what waits.  False if nothing did. */
bool translator_run(struct translator *t);

#endif
