/* change.h -- what a state machine wants remembered: a list of puts and deletes.
 *
 * The machines keep their state in memory and say what changed; whoever drives them writes the changes
 * to the store, together with what else happened in the same step, and gives the rows back (`restore` in
 * state/machine.h) at the next start. */
#ifndef BRIDGE_CHANGE_H
#define BRIDGE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

struct change {
	const char *machine; /* a string constant: "pairing", "twin" ... */
	char *key;	     /* unique within link and machine */
	char *value;	     /* JSON text; NULL: delete the row */
	bool is_secret;	     /* the store encrypts it */
};

struct changes {
	struct change *items;
	size_t n;
};

void changes_put(struct changes *c, const char *machine, const char *key, const char *value,
		 bool is_secret); /* copied */
void changes_delete(struct changes *c, const char *machine, const char *key);
/* Something to be told of a device later (store/history.h): who did it (NULL: the bridge), what, and what came of it,
 * in words, without a secret.  It is written like the others, with the time of that; nothing reads it back. */
#define CHANGES_NOTE "note"
void changes_note(struct changes *c, const char *device, const char *who, const char *what,
		  const char *answer);
/* Move the first `n` of `from` to the end of `to`. */
void changes_move(struct changes *to, struct changes *from, size_t n);
/* Take the first `n` away. */
void changes_drop(struct changes *c, size_t n);
void changes_fini(struct changes *c); /* empty, ready for use again */

#endif
