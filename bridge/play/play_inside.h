/* play_inside.h -- what the files of the answering side share.  Included by play_*.c only. */
#ifndef BRIDGE_PLAY_INSIDE_H
#define BRIDGE_PLAY_INSIDE_H

#include <stdbool.h>

#include "base/jtext.h"
#include "jq/mapping_path.h"

struct buf;
struct err;

struct play_child {
	struct mapping_path path; /* of what is not edited */
	char *drafts;
};

/* A text of an object, without a NUL; NULL: there is none.  Caller frees. */
char *play_text(struct jslice object, const char *key);
/* "KEY":"TEXT"; what is no UTF-8 is "?", NULL is null. */
void play_put_text(struct buf *out, const char *key, const char *text);

/* {"do":"try"}, in play_try.c.  False sets *e. */
bool play_try(struct play_child *c, struct jslice asked, struct buf *out, struct err *e);

#endif
