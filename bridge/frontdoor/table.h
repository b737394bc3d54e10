/* table.h -- what a bridge said about its devices: who may come in, and as whom.
 *
 * Each bridge (its session's client id, the *owner*) has a table of its own, under a key of its own.  A row is the
 * HMAC-SHA256 of a credential under that key, so the table has no credential in it; credentials are random, and
 * one that can be guessed is only as safe as the file that keeps this table.  A device may have several rows.
 *
 * As text, lines end with \n; a head:
 *
 *     serial NUMBER          which snapshot this is
 *     key HEX                32 bytes
 *     packet_bytes NUMBER    what the platform takes in (MQTT's remaining length); may be missing
 *     json strict FILTER     what devices publish there is JSON; any number of these
 *     json lenient FILTER
 *     provision FILTER       what one who has no credential yet may publish; any number
 *
 * and rows:
 *
 *     FORM KIND HMAC NAME    HMAC as 64 hexadecimal digits; the name is the rest of the line
 *
 * Pure. */
#ifndef BRIDGE_TABLE_H
#define BRIDGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct buf;
struct err;

#define TABLE_MAC_BYTES 32

/* How a credential is presented, and of which texts its HMAC is: "FORM\0A\0B\0C". */
enum form {
	FORM_TOKEN,    /* A is the user name */
	FORM_PASSWORD, /* A is the password, whatever the user name */
	FORM_BASIC,    /* client id, user name, password; those that are not asked for are empty */
	FORM_CERTIFICATE, /* A is the SHA-256 of its DER, as 64 small hexadecimal digits */
	FORMS
};
extern const char *const form_words[FORMS];

struct row {
	uint8_t mac[TABLE_MAC_BYTES];
	struct row *next_mac;  /* with the same first bytes */
	struct row *next_name; /* of the same device */
	enum form form;
	bool is_gateway;
	char name[];
};

struct rule {
	char *filter;
	bool is_lenient;
};

struct table {
	char *owner;
	uint64_t serial;
	uint8_t key[TABLE_MAC_BYTES];
	bool has_key;
	size_t packet_bytes; /* 0: any */
	struct rule *json, *provision;
	size_t n_json, n_provision;
	struct map by_mac, by_name; /* first row of each */
	struct table *incoming;	    /* the snapshot that is to take its place, not complete yet */
	size_t n_rows;
};

/* An empty table, without a key. */
struct table *table_empty(const char *owner);
/* An empty table with the head `text`.  NULL sets *e: ERR_INVALID (never a piece of the text). */
struct table *table_new(const char *owner, const char *text, size_t n, struct err *e);
void table_free(struct table *t); /* NULL is allowed */

/* The rows of `text` take the place of all rows of the devices they name.  Each name, once or more, is
 * told with `touched` (may be NULL) afterwards.  False sets *e, ERR_INVALID, and changes nothing. */
bool table_set(struct table *t, const char *text, size_t n,
	       void (*touched)(void *ctx, const char *name), void *ctx, struct err *e);
/* Each line is a name, of which all rows go. */
void table_remove(struct table *t, const char *text, size_t n,
		  void (*touched)(void *ctx, const char *name), void *ctx);

/* What FORM and texts give under the table's key. */
void table_mac(const struct table *t, enum form form, const char *a, const char *b, const char *c,
	       uint8_t mac[TABLE_MAC_BYTES]);
/* The row with this HMAC; NULL: none. */
const struct row *table_find(const struct table *t, const uint8_t mac[TABLE_MAC_BYTES]);
bool table_has(const struct table *t, const char *name);

/* The rule that names this topic; NULL: none. */
const struct rule *table_json_rule(const struct table *t, const char *topic);
bool table_lets_provision(const struct table *t, const char *topic);

/* Append all of it as text: "bridge OWNER", the head, and rows with "row " in front.  Nothing, if it has no key. */
void table_put(const struct table *t, struct buf *out);
/* Read such text: one table after the other, until `text` is at its end.  *pos starts with 0.  NULL with *pos < n
 * sets *e. */
struct table *table_read(const char *text, size_t n, size_t *pos, struct err *e);

#endif
