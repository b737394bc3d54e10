/* jtext.h -- JSON as text, and as a tree where a tree is needed.
 *
 * Messages travel through the bridge as strict JSON *text*, so that key order and the spelling of
 * numbers stay as they came.  jtext_read() is the only way in: it checks, and in lenient mode it
 * mends.  (No Debian library reads what Gson's lenient mode reads and keeps number spelling, hence
 * a scanner of our own.)  Trees are json-c's and are only built for what the bridge itself has to
 * understand: configurations of devices, ids, metadata.  Any thread. */
#ifndef BRIDGE_JTEXT_H
#define BRIDGE_JTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

struct buf;
struct err;

#define JTEXT_MAX_DEPTH 256 /* libjq 1.6 and 1.7.1 print broken text beyond (jv_print.c) */
/* Of what comes in from outside, and of what a mapping makes of it.  Less, since the bridge puts such
 * values into objects of its own, and must be able to read these back. */
#define JTEXT_MAX_DEPTH_TAKEN (JTEXT_MAX_DEPTH - 16)

enum jtext_type {
	JTEXT_NULL,
	JTEXT_FALSE,
	JTEXT_TRUE,
	JTEXT_NUMBER,
	JTEXT_STRING,
	JTEXT_ARRAY,
	JTEXT_OBJECT
};

/* Read one JSON value, the whole of `text`, and append it to `out` as strict JSON in valid UTF-8.
 * Strict input is copied byte for byte, less the white space around the value.
 * `lenient` also accepts what Gson's lenient reader does and then some: comments (// # and C style),
 * unquoted keys and strings, single quotes, = or => for :, ; for , in objects and arrays, trailing
 * commas in both (nothing is added for them), nothing between two commas of an array (a null), a byte
 * order mark in front.  An unquoted word that is true, false, null (in any case of letters) or a JSON
 * number is that, any other is a string.  It ends at white space or one of / \ ; # = { } [ ] : ,
 * False sets ERR_INVALID with the position and what was expected, never a piece of the input:
 * "byte 17: a string was expected"; `out` is as before. */
bool jtext_read(const char *text, size_t len, bool lenient, struct buf *out, struct err *e);
/* The same for what comes in from outside: nested no deeper than JTEXT_MAX_DEPTH_TAKEN. */
bool jtext_take(const char *text, size_t len, bool lenient, struct buf *out, struct err *e);

/* True if `len` bytes are valid UTF-8 (no surrogates, nothing overlong). */
bool jtext_is_utf8(const void *p, size_t len);

/* The functions below take strict JSON text, as jtext_read made it; white space is allowed. */

/* A value inside a text: a borrowed piece of it. */
struct jslice {
	const char *text;
	size_t len;
};
struct jfield {
	struct jslice key;   /* with its quotes */
	struct jslice value; /* no white space around it */
};

enum jtext_type jtext_type_of(struct jslice v);
/* Walk an object: start with *pos = 0; false at its end (or if it is no object). */
bool jtext_next_field(struct jslice object, size_t *pos, struct jfield *out);
/* Walk an array likewise. */
bool jtext_next_element(struct jslice array, size_t *pos, struct jslice *out);
/* The field `key` (plain text, no escapes) of an object; false if there is none. The last of
 * several wins. */
bool jtext_field(struct jslice object, const char *key, struct jslice *out);
/* Does an object have `true` there? */
bool jtext_is_true(struct jslice object, const char *key);
/* Is this string, with its quotes, the plain text `s`? */
bool jtext_string_is(struct jslice string, const char *s);
/* Append the bytes that a JSON string means.  False if it is no string. */
bool jtext_string_decode(struct jslice string, struct buf *out);
/* Append `n` bytes of UTF-8 as a JSON string with its quotes. */
void jtext_put_string(struct buf *out, const char *s, size_t n);
/* An integer, as number or as a string of digits (without leading zeros: "007" is not the id 7);
 * false if it is none or beyond int64. */
bool jtext_integer(struct jslice v, int64_t *out);

/* Numbers as doubles.  Integers below this are written with all of their digits. */
#define JTEXT_PLAIN_END 1e21
/* Is this number, a strict one, still the same after a double has held it?  An integer, be it spelled 12, 12.0 or
 * 1.2e1: does that give the same digits?  A fraction: has a double of that size room for one?  (The nearest
 * one will do.)  Neither is too large for a double, nor so small that it loses digits. */
bool jtext_number_is_kept(struct jslice number);
/* Call `f` with each number in `v` that is not kept; stop when it returns false.  True if none was
 * found or all calls returned true. */
bool jtext_each_lost_number(struct jslice v, bool (*f)(void *ctx, struct jslice number), void *ctx);
/* False if something made of `in` a text `out` that has, in the place of a number, what a double makes of
 * it.  Numbers in strings count; those that became infinite do not, nor those that became zero and are parts of
 * a word with hyphens. */
bool jtext_keeps_numbers(struct jslice in, struct jslice out);

/* Trees.  Caller ends them with json_object_put().  NULL and ERR_INVALID where the text is not JSON
 * or holds what json-c would change: an integer beyond uint64 (int64 if negative) that a double
 * does not keep either (one that it does gets a fraction, 1e20 is 100000000000000000000.0), a key with a NUL
 * character.  JSON null is NULL too, and leaves *e alone. */
json_object *jtext_tree(const char *text, size_t len, struct err *e);
/* Append a tree as text without white space; doubles read from text keep their spelling. */
void jtext_tree_put(struct buf *out, json_object *tree);

#endif
