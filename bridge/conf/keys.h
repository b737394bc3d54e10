/* keys.h -- a group of settings read into a struct by a table: one row per key.
 *
 * A table ends with an empty row.  Unknown keys are mistakes, as is a required one that is missing;
 * mistakes are reported in the order of the file (setting.h), and what they concern is left as it was
 * (texts: NULL). */
#ifndef BRIDGE_KEYS_H
#define BRIDGE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libconfig.h>

struct setting_load;

enum key_type {
	KEY_INT,    /* int */
	KEY_INT64,  /* int64_t */
	KEY_BOOL,   /* bool */
	KEY_CHOICE, /* int-sized enum: number of the word */
	KEY_SWITCH, /* bool: the second word */
	KEY_TEXT,   /* char *, not empty */
	KEY_NAME,   /* char *, fit for file names and client ids */
	KEY_PATH,   /* char *, relative to the configuration file */
	KEY_SECRET, /* char *, may come from env: or file: */
	KEY_GROUP,  /* the rows of `sub`, in the same struct */
	KEY_OWN	    /* `read` */
};

struct key {
	const char *name;
	enum key_type type;
	size_t at;		 /* where in the struct */
	int64_t min, max, value; /* value: the default */
	const char *text;	 /* default of KEY_TEXT, KEY_PATH */
	const char *const *words;
	const struct key *sub;
	void (*read)(struct setting_load *ld, const config_setting_t *s, void *at);
	bool is_required;
};

/* { "workers", KEY_INT, .at = offsetof(struct conf, workers), KEY_RANGE(0, 256, 0) } */
#define KEY_RANGE(low, high, preset) .min = (low), .max = (high), .value = (preset)

/* Give every field of the struct at `base` its default. */
void keys_set_defaults(const struct key *keys, void *base);
/* Read the settings in the group `s` into the struct at `base`, which has its defaults. */
void keys_read(struct setting_load *ld, const config_setting_t *s, const struct key *keys,
	       void *base);

#endif
