/* dialect.h -- the metadata table of a mapping file as checked data: its rows and what they say.
 *
 * Built once from the metadata's JSON and never changed.  Knows nothing of jq: functions are
 * names here, and mapping.c checks that they exist. */
#ifndef BRIDGE_DIALECT_H
#define BRIDGE_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/kind.h"
#include "message/limits.h"
#include "message/topic.h"
#include "message/vars.h"

struct buf;
struct report;

enum device_place { DEVICE_IN_TOPIC, DEVICE_IN_PAYLOAD, DEVICE_IN_SESSION /* "none" */ };
enum payload_format { FORMAT_JSON, FORMAT_TEXT, FORMAT_BYTES };
enum id_type { ID_STRING, ID_INTEGER, ID_UUID };

struct alias {
	struct topic_template topic;
	char *reply; /* topic template of the answer to a request that came here; NULL: the usual */
};

/* Which messages of its topic a row reads. */
struct guard {
	char *has; /* objects with this key; NULL: all */
};

struct row {
	enum kind kind;
	struct topic_template topic;
	struct alias *also;
	size_t n_also;
	char *read, *write, *publish; /* names of functions; NULL: none */
	bool can_read, can_write;     /* `only` */
	struct guard when;
	enum payload_format format;
	int qos;
	bool retain;
	struct vars properties; /* name -> text template */
	char *response_topic;	/* text templates; NULL: not set */
	char *correlation;
	enum id_type id;
	enum kind echoes; /* KIND_NONE: no */
	char *answered;	  /* JSON text; NULL: no */
	bool lenient;
	/* Numbers of the functions in the mapping's program, set by mapping.c; -1: none. */
	int read_fn, write_fn, publish_fn;
};

/* Text templates of a login; NULL: not set. */
struct login_template {
	char *username, *password, *client_id;
};

struct dialect {
	char *name, *about, *version;
	int mqtt; /* lowest version that works: 4 (3.1.1) or 5 */
	enum device_place device;
	struct login_template session;	   /* of a device */
	struct login_template application; /* of what stands before devices */
	bool has_application;		   /* it is there; else `session` is of both */
	bool session_per_device;
	bool has_provisioning; /* `session.provisioning` is there */
	struct login_template provisioning;
	struct vars defaults; /* of variables that a configuration may set */
	struct vars choices;  /* values that a variable may have, each under its name; none: any */
	char **credentials;
	size_t n_credentials;
	struct limits limits;
	bool echoes_publishes; /* who publishes on what he subscribes to may get it back */
	int offline_after_s;   /* a device that says nothing for so long has gone; 0: not said */
	int request_timeout_s; /* how long the platform waits for a device; 0: not said */
	/* What is said or asked after each login as a device, in this order; each once. */
	enum kind on_connect[KINDS];
	size_t n_on_connect;
	struct row *rows;
	size_t n_rows;
	/* Kinds that functions may give beside those of their rows, a bit for each; set by mapping.c. */
	uint64_t also_gives;
};

/* Build a dialect from its metadata, strict JSON text.  Each mistake goes into the report as
 * "FILE: messages[3].topic: text"; NULL if there was any.  Found here: unknown keys and kinds, wrong
 * types, bad templates, templates that overlap ambiguously, filters that overlap partly, both
 * `write` and `publish`, `reply` of an alias on no request, qos outside 0..1 ...
 * Row keys in `up` and `down` are defaults for the rows of that flow.  Caller frees. */
struct dialect *dialect_new(const char *file, const char *metadata, size_t len,
			    struct report *report);
void dialect_free(struct dialect *d);

/* How a side logs in, but for handshakes: in the north we are the device, in the south we stand before
 * devices. */
const struct login_template *dialect_login(const struct dialect *d, enum side side);

bool dialect_is_credential(const struct dialect *d, const char *variable);

/* Is this kind said or asked after each login? */
bool dialect_greets(const struct dialect *d, enum kind kind);

/* Is the row read (and not only known) on a session of this side, or written to one? */
bool row_is_read(const struct row *row, enum side side);
bool row_is_written(const struct row *row, enum side side);
/* The first row that can read, or write, `kind`; NULL: none can. */
const struct row *dialect_reader(const struct dialect *d, enum kind kind);
const struct row *dialect_writer(const struct dialect *d, enum kind kind);

/* A JSON Schema (draft 2020-12) of the metadata of dialects and through files, made of the tables that
 * dialect_new() and through_new() read by.  What it cannot say is how rows get on with each other, and
 * what only requests may have.  Caller frees. */
char *dialect_json_schema(void);
/* Append a line per optional key, "PREFIXname: what it says". */
void dialect_put_keys(const char *prefix, struct buf *out);
void dialect_put_row_keys(const char *prefix, struct buf *out);

#endif
