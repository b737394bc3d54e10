/* mapping.h -- mapping files: one jq module each, loaded, checked and compiled into one program.
 *
 * The files of mapping_inside.h alone see jq.h; no jv leaves.  Reads files while loading, never
 * afterwards.  The caller must have pointed `environ` at an empty array before (jq has `env`).  One
 * thread per mapping (libjq's reference counts are plain ints). */
#ifndef BRIDGE_MAPPING_H
#define BRIDGE_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jtext.h"
#include "jq/mapping_path.h"
#include "message/side.h"

struct buf;
struct dialect;
struct err;
struct mapping;
struct report;
struct unpack;
struct vars;

/* Load NAME.jq: a dialect, or a through file.  Checks everything and puts every mistake into the
 * report; NULL if there was any.  Refused: `search:` keys, data imports, modules outside the path,
 * and in the file and all it imports the functions that read something else than their input or
 * stop the program (jq_lint.c has the list).  Caller ends it with mapping_free(). */
struct mapping *mapping_load(const struct mapping_path *p, const char *name, struct report *report);
void mapping_free(struct mapping *m);

/* The number that it has where it was compiled, for other processes. */
void mapping_set_number(struct mapping *m, uint32_t number);
uint32_t mapping_number(const struct mapping *m);
/* One that was loaded, for another process (base/pack.h): all but its program, which stays where it was compiled. */
void mapping_put(struct buf *out, const struct mapping *m);
/* Of its functions it does what needs no jq.  NULL: these are no such bytes.  Caller ends it with mapping_free(). */
struct mapping *mapping_get(struct unpack *u);

const char *mapping_file(const struct mapping *m);
/* Number `i` of the files that it was read from: its own, and what they import.  NULL: there are no more.  Borrowed. */
const char *mapping_source(const struct mapping *m, size_t i);
/* Of all that is in its files, MAPPING_SUM_BYTES of it: equal of two that do the same. */
#define MAPPING_SUM_BYTES 32
const uint8_t *mapping_sum(const struct mapping *m);
/* The table of a dialect; NULL if the file is a through file or library.  Borrowed. */
const struct dialect *mapping_dialect(const struct mapping *m);
/* Of a through file: the function for a flow, -1 if it lets that flow pass. */
int mapping_through_fn(const struct mapping *m, enum flow flow);

/* What one call may put out. */
#define MAPPING_MAX_OUTPUTS	 10000
#define MAPPING_MAX_OUTPUT_BYTES (16u << 20)

/* What functions see: an object of these keys, in this order.  mappings/README.md, "Functions", says to
 * its readers which of them `read` gets and which `write`. */
enum mapping_key {
	SEEN_KIND,
	SEEN_DEVICE,
	SEEN_ID,
	SEEN_TS,
	SEEN_BODY,
	SEEN_PAYLOAD,
	SEEN_VALUE,
	SEEN_TOPIC,
	SEEN_PROPERTIES,
	SEEN_AT,
	SEEN_LIMITS,
	SEEN_TO,
	SEEN_STATE,
	SEEN_REQUEST,
	SEEN_VARS,
	MAPPING_KEYS
};
struct mapping_field {
	enum { FIELD_NONE, FIELD_JSON, FIELD_TEXT, FIELD_INTEGER, FIELD_VARS } type;
	union {
		struct jslice json; /* strict */
		const char *text;
		int64_t integer;
		const struct vars
			*vars; /* an object of strings: the first of each name, no secrets */
	};
};
struct mapping_input {
	struct mapping_field fields[MAPPING_KEYS];
};

/* Can the function see this key of its input?  If not, the key need not be given. */
bool mapping_sees(const struct mapping *m, int fn, enum mapping_key key);
/* Can the function be done without jq, for most inputs? */
bool mapping_is_simple(const struct mapping *m, int fn);

/* Run function number `fn` on the input (borrowed) and hand each output to `on_output` as strict
 * JSON text (borrowed until it returns); it returns false to stop, and the call is then true.  False
 * sets *e: ERR_INVALID the function failed, with jq's message less any payload; ERR_LIMIT too many,
 * too large or too deep outputs; ERR_INEXACT an output has an infinite number, or what a double makes of a number
 * of the input (in a text too); ERR_ELSEWHERE it takes jq, and the program is in another process; then none is handed
 * out.  The mapping can be called again in every case, from `on_output` too. */
bool mapping_call(struct mapping *m, int fn, const struct mapping_input *in,
		  bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e);

/* A function that is called often has its own program compiled by whoever has the time: 15 to 19 ms and 90 KB on jq
 * 1.6, for 1 to 2 us less of each call.  It does the same in all ways.
 * The next one that was called MAPPING_BUSY_CALLS times without; each is told once.  -1: none. */
#define MAPPING_BUSY_CALLS 1000
int mapping_next_busy(struct mapping *m);
/* Where it was loaded.  False: there is no such function, or its files are not what they were then, or it has been
 * done; then nothing has changed. */
bool mapping_compile_own(struct mapping *m, int fn);
/* From now on jq does all, for tests: what could be done without came out the same. */
void mapping_only_jq(struct mapping *m);

/* May its functions, or those of what it imports, look at something of this name?  True where the word stands
 * anywhere in the source, or where one cannot tell: a single letter, or signs that make it no word. */
bool mapping_may_use(const struct mapping *m, const char *name);

/* From now on errors of its functions show what they say of payloads: who runs it gave them by hand. */
void mapping_show_payloads(struct mapping *m);
/* Append what may be told of a text that may quote a payload, such as jq's message (scrub.h). */
void mapping_tell(const struct mapping *m, const char *text, size_t len, struct buf *out);

/* Does libjq keep the spelling of numbers that no function touched (1.7 and later)?  Tried once. */
bool mapping_keeps_numbers(void);

#endif
