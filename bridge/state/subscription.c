#include "state/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "message/state_json.h"

#define MACHINE "subscription"

struct subscriptions {
	struct subscription {
		enum side side;
		char *filter;
	} * items;
	size_t n;
};

struct subscriptions *subscriptions_new(void)
{
	return mem_zalloc(sizeof(struct subscriptions));
}

void subscriptions_free(struct subscriptions *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		mem_free_secret(t->items[i].filter, strlen(t->items[i].filter));
	free(t->items);
	free(t);
}

/* Its place; t->n: it is not there. */
static size_t find(const struct subscriptions *t, enum side side, const char *filter)
{
	size_t i = 0;

	while (i < t->n && !(t->items[i].side == side && strcmp(t->items[i].filter, filter) == 0))
		i++;
	return i;
}

static void put_key(struct buf *out, enum side side, const char *filter)
{
	struct crypto_piece piece = { filter, strlen(filter) };
	uint8_t hash[CRYPTO_HASH_BYTES];

	crypto_hash(&piece, 1, hash);
	buf_printf(out, "%s/", side_name(side));
	for (size_t i = 0; i < 16; i++)
		buf_printf(out, "%02x", hash[i]);
}

static void add(struct subscriptions *t, enum side side, const char *filter)
{
	t->items = mem_grow(t->items, t->n, sizeof *t->items);
	t->items[t->n++] = (struct subscription){ side, mem_strdup(filter) };
}

void subscriptions_add(struct subscriptions *t, enum side side, const char *filter,
		       struct changes *out)
{
	struct buf key = { 0 }, row = { 0 };

	if (find(t, side, filter) < t->n)
		return;
	add(t, side, filter);
	put_key(&key, side, filter);
	buf_printf(&row, "{\"side\":\"%s\",\"filter\":", side_name(side));
	state_json_put_text(&row, filter);
	buf_putc(&row, '}');
	changes_put(out, MACHINE, key.data, row.data, true);
	buf_fini(&key);
	mem_free_secret(row.data, row.len);
}

void subscriptions_remove(struct subscriptions *t, enum side side, const char *filter,
			  struct changes *out)
{
	size_t i = find(t, side, filter);
	struct buf key = { 0 };
	char *old;

	if (i == t->n)
		return;
	put_key(&key, side, filter);
	changes_delete(out, MACHINE, key.data);
	buf_fini(&key);
	old = t->items[i].filter; /* which `filter` may be */
	t->items[i] = t->items[--t->n];
	mem_free_secret(old, strlen(old));
}

const char *subscriptions_next(const struct subscriptions *t, enum side side, const char *after)
{
	for (size_t i = after ? find(t, side, after) + 1 : 0; i < t->n; i++)
		if (t->items[i].side == side)
			return t->items[i].filter;
	return NULL;
}

bool subscriptions_restore(struct subscriptions *t, const char *key, const char *value,
			   struct err *e)
{
	char *side = NULL, *filter = NULL;
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row) && state_json_text(row, "side", &side) &&
		  side && state_json_text(row, "filter", &filter) && filter;

	if (!ok)
		err_set(e, ERR_CORRUPT, "subscription %s is none", key);
	else
		add(t, strcmp(side, side_name(SOUTH)) == 0 ? SOUTH : NORTH, filter);
	free(side);
	free(filter);
	buf_fini(&text);
	return ok;
}

static void *machine_new(void)
{
	return subscriptions_new();
}

static void machine_free(void *m)
{
	subscriptions_free(m);
}

static bool machine_restore(void *m, const char *key, const char *value, struct changes *out,
			    struct err *e)
{
	(void)out;
	return subscriptions_restore(m, key, value, e);
}

/* Its rows are of a session, not of a device. */
const struct machine subscription_machine = {
	.name = MACHINE,
	.new = machine_new,
	.free = machine_free,
	.restore = machine_restore,
};
