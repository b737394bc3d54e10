/* schema.h -- groups of values read into structs by tables of their keys: JSON objects here, groups of
 * settings in conf/conf_schema.h.
 *
 * A table row says a key's name, its type and where its value goes.  Reading reports every mistake (here
 * as "FILE: messages[3].topic: text") and goes on.  The tables are data: what else describes a metadata
 * object (a JSON Schema, say) can be made of them.  The readers share tables and look-up, not what they
 * say: people edit these files, and each kind of file has its words and its places. */
#ifndef BRIDGE_SCHEMA_H
#define BRIDGE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"

struct report;

/* Type of the value, and of the member that it goes to.  Not every reader has all. */
enum schema_type {
	SCHEMA_TEXT,	/* a string that is not empty: char * */
	SCHEMA_VERSION, /* a string or number: char *, its text */
	SCHEMA_NAME,	/* of a function, or fit for file names and client ids: char * */
	SCHEMA_PATH,	/* relative to the file: char * */
	SCHEMA_SECRET,	/* a string that may come from env: or file: char * */
	SCHEMA_BOOLEAN, /* bool */
	SCHEMA_INTEGER, /* int, from min to max */
	SCHEMA_INT64,	/* int64_t, from min to max */
	SCHEMA_COUNT,	/* int64_t, 1 or more */
	SCHEMA_WORD,	/* a string out of `words`: an enum */
	SCHEMA_SWITCH,	/* the same: bool */
	SCHEMA_KIND,	/* a name of a kind: enum kind */
	SCHEMA_TOPIC,	/* a topic template: struct topic_template */
	SCHEMA_TEXTS,	/* an object of strings: struct vars, merged into it */
	SCHEMA_JSON,	/* anything: char *, its JSON text */
	SCHEMA_GROUP,	/* an object: a struct with the schema `group` */
	SCHEMA_OWN,	/* what `set` takes: values of the type `like`, or a list of them */
	SCHEMA_REFUSED	/* known, and not allowed here: `what` says why */
};

struct schema_word {
	const char *name;
	int value;
};

struct conf_reader;
struct config_setting_t;
struct guess;
struct schema_reader;

struct schema_key {
	const char *name;
	enum schema_type type;
	size_t offset;
	bool is_required;
	int64_t min, max, preset; /* preset: the default */
	const char *preset_text;
	const struct schema_word *words; /* the last has no name */
	const struct schema *group;
	const char *about; /* what the key says, in a line for people */
	const char *what;  /* says what the value must be, instead of the type's words */
	union {
		bool (*json)(struct schema_reader *r, void *member, json_object *value);
		bool (*conf)(struct conf_reader *r, void *member, const struct config_setting_t *s);
	} set; /* false: the value has the wrong type */
	/* Of SCHEMA_OWN without a group: append what its member says, for conf_schema_put_values(). */
	void (*put)(const void *member, struct buf *out);
	/* Of SCHEMA_OWN, for those who describe it: with `group` too, an object of that is as good. */
	enum schema_type like;
	bool is_list;	   /* of `min` elements at least */
	bool is_map;	   /* a group whose keys may have any name */
	bool is_as_before; /* its group is that of the row before, and was told there */
	/* Of SCHEMA_SECRET: nobody else may know it (of the others somebody may want that). */
	bool is_secret;
};

/* Where `key` is, `other` must not be; with a `value`, it must not be that. */
struct schema_rule {
	const char *key, *other, *value;
};

struct schema {
	const struct schema_key *keys;
	size_t n_keys;
	/* For those who describe it; the reader of the object checks them in words of its own. */
	const struct schema_rule *rules;
	size_t n_rules;
};
#define SCHEMA_COUNT_OF(table) (sizeof(table) / sizeof(table)[0])
#define SCHEMA_OF(table)                                                                           \
	{                                                                                          \
		.keys = (table), .n_keys = SCHEMA_COUNT_OF(table)                                  \
	}
#define SCHEMA_WITH_RULES(table, its_rules)                                                        \
	{                                                                                          \
		.keys = (table), .n_keys = SCHEMA_COUNT_OF(table), .rules = (its_rules),           \
		.n_rules = SCHEMA_COUNT_OF(its_rules)                                              \
	}

/* The row of a key, or a word; NULL: there is none, and *g guesses which was meant. */
const struct schema_key *schema_find(const struct schema *schema, const char *name,
				     struct guess *g);
const struct schema_word *schema_word_of(const struct schema_word *words, const char *name,
					 struct guess *g);

struct schema_reader {
	const char *file;
	struct report *report;
	struct buf place; /* of the value that is being read: "messages[3].topic" */
	size_t mistakes;
	bool is_quiet; /* mistakes are neither reported nor counted: they were before */
};

/* Read `object`; its values go to the members of `into`, replacing what was there.  A value that is
 * wrong leaves its member as it was. */
void schema_read(struct schema_reader *r, const struct schema *schema, void *into,
		 json_object *object);

/* The object that is `len` bytes of strict JSON; NULL: none, reported.  Caller puts it. */
json_object *schema_tree(struct schema_reader *r, const char *text, size_t len);

/* Report a mistake at the place that is being read. */
void schema_mistake(struct schema_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same as a hint to the author, which is no mistake. */
void schema_hint(struct schema_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Go to a value inside, by ".name" or "[i]"; the result takes back. */
size_t schema_enter_key(struct schema_reader *r, const char *name);
size_t schema_enter_element(struct schema_reader *r, size_t i);
void schema_leave(struct schema_reader *r, size_t mark);

/* Can jq call a function of this name?  A letter or _, then letters, digits and _. */
bool schema_is_name(const char *name);

/* The word that `value` is, its mistake reported if it is none; false: no string. */
bool schema_find_word(struct schema_reader *r, const struct schema_word *words, json_object *value,
		      const struct schema_word **word);
/* The string in `value` as a copy in *member, whose old text is freed.  False: no string. */
bool schema_set_text(struct schema_reader *r, char **member, json_object *value);

/* What the tables take, as a JSON Schema (draft 2020-12); caller puts it. */
json_object *schema_describe(const struct schema *schema);
/* Append a line for people per key, less the required ones: "PREFIXname: about". */
void schema_put_keys(const struct schema *schema, const char *prefix, struct buf *out);

#endif
