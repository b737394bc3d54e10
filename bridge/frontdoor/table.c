#include "frontdoor/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "frontdoor/topics.h"

#define MAC_PREFIX 8 /* bytes by which rows are looked up; the rest is compared in constant time */

const char *const form_words[FORMS] = { "token", "password", "basic", "certificate" };

struct line {
	const char *p;
	size_t n;
};

static bool next_line(const char *text, size_t n, size_t *pos, struct line *out)
{
	const char *end;

	if (*pos >= n)
		return false;
	end = memchr(text + *pos, '\n', n - *pos);
	out->p = text + *pos;
	out->n = end ? (size_t)(end - out->p) : n - *pos;
	*pos += out->n + 1;
	return true;
}

/* Take "WORD " off the line. */
static bool take_word(struct line *l, const char *word)
{
	size_t n = strlen(word);

	if (l->n <= n || memcmp(l->p, word, n) != 0 || l->p[n] != ' ')
		return false;
	l->p += n + 1;
	l->n -= n + 1;
	return true;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(struct line *l, uint8_t out[TABLE_MAC_BYTES])
{
	const size_t n = (size_t)2 * TABLE_MAC_BYTES;

	if (l->n < n)
		return false;
	for (size_t i = 0; i < TABLE_MAC_BYTES; i++) {
		int high = hex_digit(l->p[2 * i]), low = hex_digit(l->p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	l->p += n;
	l->n -= n;
	return true;
}

static void put_hex(struct buf *out, const uint8_t *p)
{
	for (size_t i = 0; i < TABLE_MAC_BYTES; i++)
		buf_printf(out, "%02x", p[i]);
}

static bool read_number(struct line l, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < l.n; i++) {
		if (l.p[i] < '0' || l.p[i] > '9' || *out > UINT64_MAX / 10 - 1)
			return false;
		*out = *out * 10 + (uint64_t)(l.p[i] - '0');
	}
	return l.n > 0;
}

/* The head */

static bool add_rule(struct rule **rules, size_t *n, struct line l, bool is_lenient)
{
	if (l.n == 0 || l.n > DOOR_MAX_TOPIC || memchr(l.p, '\0', l.n) || *n >= 1000)
		return false;
	*rules = mem_grow(*rules, *n, sizeof **rules);
	(*rules)[(*n)++] = (struct rule){ mem_strndup(l.p, l.n), is_lenient };
	return true;
}

static bool read_head(struct table *t, struct line l)
{
	uint64_t number;

	if (take_word(&l, "serial"))
		return read_number(l, &t->serial);
	if (take_word(&l, "key")) {
		t->has_key = take_hex(&l, t->key) && l.n == 0;
		return t->has_key;
	}
	if (take_word(&l, "packet_bytes")) {
		if (!read_number(l, &number))
			return false;
		t->packet_bytes = (size_t)number;
		return true;
	}
	if (take_word(&l, "json")) {
		bool is_lenient = take_word(&l, "lenient");

		return (is_lenient || take_word(&l, "strict")) &&
		       add_rule(&t->json, &t->n_json, l, is_lenient);
	}
	return take_word(&l, "provision") && add_rule(&t->provision, &t->n_provision, l, false);
}

struct table *table_empty(const char *owner)
{
	struct table *t = mem_zalloc(sizeof *t);

	t->owner = mem_strdup(owner);
	return t;
}

struct table *table_new(const char *owner, const char *text, size_t n, struct err *e)
{
	struct table *t = table_empty(owner);
	struct line l;
	size_t pos = 0, number = 0;

	while (next_line(text, n, &pos, &l)) {
		number++;
		if (!read_head(t, l)) {
			err_set(e, ERR_INVALID, "line %zu of the head is not understood", number);
			goto bad;
		}
	}
	if (!t->has_key) {
		err_set(e, ERR_INVALID, "no key");
		goto bad;
	}
	return t;
bad:
	table_free(t);
	return NULL;
}

static void free_rules(struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(rules[i].filter);
	free(rules);
}

static void free_chain(void *first)
{
	for (struct row *r = first, *next; r; r = next) {
		next = r->next_name;
		free(r);
	}
}

void table_free(struct table *t)
{
	if (!t)
		return;
	map_fini(&t->by_mac, NULL);
	map_fini(&t->by_name, free_chain);
	free_rules(t->json, t->n_json);
	free_rules(t->provision, t->n_provision);
	free(t->owner);
	table_free(t->incoming);
	mem_free_secret(t, sizeof *t);
}

/* Rows */

static void unlink_mac(struct table *t, struct row *row)
{
	struct row *first = map_get(&t->by_mac, row->mac, MAC_PREFIX);

	if (first == row) {
		if (row->next_mac)
			map_set(&t->by_mac, row->mac, MAC_PREFIX, row->next_mac);
		else
			map_remove(&t->by_mac, row->mac, MAC_PREFIX);
		return;
	}
	while (first->next_mac != row)
		first = first->next_mac;
	first->next_mac = row->next_mac;
}

static void drop(struct table *t, const char *name)
{
	struct row *first = map_remove_str(&t->by_name, name);

	for (struct row *r = first; r; r = r->next_name) {
		unlink_mac(t, r);
		t->n_rows--;
	}
	free_chain(first);
}

static void put(struct table *t, struct row *row)
{
	row->next_name = map_set_str(&t->by_name, row->name, row);
	row->next_mac = map_set(&t->by_mac, row->mac, MAC_PREFIX, row);
	t->n_rows++;
}

static struct row *read_row(struct line l)
{
	struct row *r;
	size_t form = 0;

	while (form < FORMS && !take_word(&l, form_words[form]))
		form++;
	if (form == FORMS)
		return NULL;
	r = mem_zalloc(sizeof *r + l.n + 1);
	r->form = (enum form)form;
	r->is_gateway = take_word(&l, "gateway");
	if ((r->is_gateway || take_word(&l, "device")) && take_hex(&l, r->mac) && l.n > 1 &&
	    l.p[0] == ' ' && !memchr(l.p, '\0', l.n)) {
		memcpy(r->name, l.p + 1, l.n - 1);
		if (topics_name_is_valid(r->name))
			return r;
	}
	free(r);
	return NULL;
}

bool table_set(struct table *t, const char *text, size_t n,
	       void (*touched)(void *ctx, const char *name), void *ctx, struct err *e)
{
	struct row *all = NULL, **end = &all, *next;
	struct line l;
	size_t pos = 0, number = 0;

	while (next_line(text, n, &pos, &l)) {
		number++;
		*end = read_row(l);
		if (!*end) {
			err_set(e, ERR_INVALID, "row %zu is not understood", number);
			free_chain(all);
			return false;
		}
		end = &(*end)->next_name;
	}
	for (struct row *r = all; r; r = r->next_name)
		drop(t, r->name);
	for (struct row *r = all; r; r = next) {
		next = r->next_name;
		put(t, r);
	}
	/* Again from the text: the rows are in their chains now. */
	for (pos = 0; touched && next_line(text, n, &pos, &l);) {
		struct row *r = read_row(l);

		touched(ctx, r->name);
		free(r);
	}
	return true;
}

void table_remove(struct table *t, const char *text, size_t n,
		  void (*touched)(void *ctx, const char *name), void *ctx)
{
	struct line l;
	size_t pos = 0;

	while (next_line(text, n, &pos, &l)) {
		char *name = mem_strndup(l.p, l.n);

		drop(t, name);
		if (touched)
			touched(ctx, name);
		free(name);
	}
}

void table_mac(const struct table *t, enum form form, const char *a, const char *b, const char *c,
	       uint8_t mac[TABLE_MAC_BYTES])
{
	const char *const texts[] = { form_words[form], a, b, c };

	crypto_hmac(t->key, texts, 4, mac);
}

const struct row *table_find(const struct table *t, const uint8_t mac[TABLE_MAC_BYTES])
{
	const struct row *r = map_get(&t->by_mac, mac, MAC_PREFIX);

	while (r && CRYPTO_memcmp(r->mac, mac, TABLE_MAC_BYTES) != 0)
		r = r->next_mac;
	return r;
}

bool table_has(const struct table *t, const char *name)
{
	return map_get_str(&t->by_name, name) != NULL;
}

const struct rule *table_json_rule(const struct table *t, const char *topic)
{
	for (size_t i = 0; i < t->n_json; i++)
		if (topics_match(t->json[i].filter, topic))
			return &t->json[i];
	return NULL;
}

bool table_lets_provision(const struct table *t, const char *topic)
{
	for (size_t i = 0; i < t->n_provision; i++)
		if (topics_match(t->provision[i].filter, topic))
			return true;
	return false;
}

/* As text */

void table_put(const struct table *t, struct buf *out)
{
	struct map_pos pos = { 0 };

	if (!t->has_key)
		return;
	buf_printf(out, "bridge %s\nserial %" PRIu64 "\nkey ", t->owner, t->serial);
	put_hex(out, t->key);
	buf_printf(out, "\npacket_bytes %zu\n", t->packet_bytes);
	for (size_t i = 0; i < t->n_json; i++)
		buf_printf(out, "json %s %s\n", t->json[i].is_lenient ? "lenient" : "strict",
			   t->json[i].filter);
	for (size_t i = 0; i < t->n_provision; i++)
		buf_printf(out, "provision %s\n", t->provision[i].filter);
	for (const struct row *first; (first = map_next(&t->by_name, &pos));)
		for (const struct row *r = first; r; r = r->next_name) {
			buf_printf(out, "row %s %s ", form_words[r->form],
				   r->is_gateway ? "gateway" : "device");
			put_hex(out, r->mac);
			buf_printf(out, " %s\n", r->name);
		}
}

struct table *table_read(const char *text, size_t n, size_t *pos, struct err *e)
{
	struct table *t = NULL;
	struct line l;
	size_t before = *pos, number = 0;

	while (next_line(text, n, pos, &l)) {
		struct row *row;
		bool is_first = number++ == 0;

		if (!is_first && l.n > 7 && memcmp(l.p, "bridge ", 7) == 0) {
			*pos = (size_t)(l.p - text); /* the next one's */
			break;
		}
		if (is_first) {
			if (!take_word(&l, "bridge") || memchr(l.p, '\0', l.n))
				goto bad;
			t = mem_zalloc(sizeof *t);
			t->owner = mem_strndup(l.p, l.n);
		} else if (take_word(&l, "row")) {
			row = read_row(l);
			if (!row)
				goto bad;
			put(t, row);
		} else if (!read_head(t, l)) {
			goto bad;
		}
	}
	if (t && t->has_key)
		return t;
	if (!t && before >= n)
		return NULL;
bad:
	err_set(e, ERR_INVALID, "line %zu of a table is not understood", number);
	table_free(t);
	*pos = before < n ? before : 0;
	return NULL;
}
