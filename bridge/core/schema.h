/* schema.h -- JSON objects read into structs by tables of their keys.
 *
 * A table row says a key's name, its type and where its value goes.  Reading reports every mistake
 * as "FILE: messages[3].topic: text" and goes on.  The tables are data: what else describes a
 * metadata object (a JSON Schema, say) can be made of them. */
#ifndef BRIDGE_SCHEMA_H
#define BRIDGE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"

struct report;

/* Type of the JSON value, and of the member that it goes to. */
enum schema_type {
	SCHEMA_TEXT,	/* a string that is not empty: char * */
	SCHEMA_VERSION, /* a string or number: char *, its text */
	SCHEMA_NAME,	/* a name of a function: char * */
	SCHEMA_BOOLEAN, /* bool */
	SCHEMA_INTEGER, /* int, from min to max */
	SCHEMA_COUNT,	/* int64_t, 1 or more */
	SCHEMA_WORD,	/* a string out of `words`: an enum */
	SCHEMA_KIND,	/* a name of a kind: enum kind */
	SCHEMA_TOPIC,	/* a topic template: struct topic_template */
	SCHEMA_TEXTS,	/* an object of strings: struct vars, merged into it */
	SCHEMA_JSON,	/* anything: char *, its JSON text */
	SCHEMA_GROUP,	/* an object: a struct with the schema `group` */
	SCHEMA_OWN	/* what `set` takes, described by `what` */
};

struct schema_word {
	const char *name;
	int value;
};

struct schema_reader;

struct schema_key {
	const char *name;
	enum schema_type type;
	size_t offset;
	bool is_required;
	int min, max;
	const struct schema_word *words; /* the last has no name */
	const struct schema *group;
	const char *what; /* says what the value must be, instead of the type's words */
	bool (*set)(struct schema_reader *r, void *member, json_object *value);
};

struct schema {
	const struct schema_key *keys;
	size_t n_keys;
};
#define SCHEMA_OF(table)                                                                           \
	{                                                                                          \
		table, sizeof(table) / sizeof(table)[0]                                            \
	}

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

/* Report a mistake at the place that is being read. */
void schema_mistake(struct schema_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Go to a value inside, by ".name" or "[i]"; the result takes back. */
size_t schema_enter_key(struct schema_reader *r, const char *name);
size_t schema_enter_element(struct schema_reader *r, size_t i);
void schema_leave(struct schema_reader *r, size_t mark);

/* Can jq call a function of this name?  A letter or _, then letters, digits and _. */
bool schema_is_name(const char *name);

/* The string in `value` as a copy in *member, whose old text is freed.  False: no string. */
bool schema_set_text(struct schema_reader *r, char **member, json_object *value);

#endif
