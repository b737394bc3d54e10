/* vars.h -- named values: the variables of a side, the captures of a topic, MQTT user properties.
 * An ordered list; names may repeat only where vars_add() put them. */
#ifndef BRIDGE_VARS_H
#define BRIDGE_VARS_H

#include <stdbool.h>
#include <stddef.h>

struct var {
	char *name, *value;
	bool is_secret; /* a credential: never printed, never given to jq */
};

struct vars {
	struct var *items;
	size_t n;
};

/* The first value called `name`, borrowed; NULL if there is none. */
const char *vars_get(const struct vars *v, const char *name);
const struct var *vars_find(const struct vars *v, const char *name);
/* Replace the value called `name` or add it; copied. */
void vars_set(struct vars *v, const char *name, const char *value, bool is_secret);
/* Add, even if the name is there already; copied. */
void vars_add(struct vars *v, const char *name, const char *value);
/* A copy of `text` in which "***" stands for the values that are secret.  A value of fewer than four
 * characters stays: it protects nothing, and would be found in every text.  Caller frees. */
char *vars_hide(const struct vars *v, const char *text);
void vars_copy(struct vars *to, const struct vars *from); /* `to` is overwritten, not freed */
void vars_fini(struct vars *v);

#endif
