#include "state/pairing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "message/state_json.h"

#define MACHINE	     "pairing"
#define MAX_COUNTERS 10000
#define COUNTER	     "counter/" /* before the device: no kind is called that */

struct group;

struct entry {
	struct pairing pairing; /* first: a pairing handed out is its entry */
	char *key;		/* of its row: "KIND/DEVICE/FAR ID" */
	struct group *group;
	TAILQ_ENTRY(entry) link; /* in group->entries */
	uint64_t order;		 /* grows by 1 per pairing */
	size_t at;		 /* in the heap */
};
TAILQ_HEAD(entries, entry);

/* The open pairings of one device, kind and caller, in the order asked. */
struct group {
	struct entries entries;
	char *key;
};

struct counter {
	int64_t last;
};

struct pairings {
	struct map by_key;   /* -> struct entry */
	struct map groups;   /* -> struct group */
	struct map counters; /* device -> struct counter */
	struct entry **heap; /* the earliest deadline first; n is by_key.n */
	uint64_t last_order;
};

struct pairings *pairings_new(void)
{
	return mem_zalloc(sizeof(struct pairings));
}

static void free_entry(void *value)
{
	struct entry *it = value;

	canonical_fini(&it->pairing.request);
	free(it->pairing.far_id);
	free(it->pairing.reply_topic);
	free(it->key);
	free(it);
}

static void free_group(void *value)
{
	struct group *g = value;

	free(g->key);
	free(g);
}

void pairings_free(struct pairings *t)
{
	if (!t)
		return;
	map_fini(&t->by_key, free_entry);
	map_fini(&t->groups, free_group);
	map_fini(&t->counters, free);
	free(t->heap);
	free(t);
}

/* The heap: no entry is before its parent at (i - 1) / 2. */

static bool is_before(const struct entry *a, const struct entry *b)
{
	int64_t da = a->pairing.deadline_ms, db = b->pairing.deadline_ms;

	return da != db ? da < db : a->order < b->order;
}

static void heap_place(struct pairings *t, size_t i, struct entry *it)
{
	t->heap[i] = it;
	it->at = i;
}

/* Move `it` from place `i` of a heap of `n` to where it belongs. */
static void heap_settle(struct pairings *t, size_t n, size_t i, struct entry *it)
{
	while (i > 0 && is_before(it, t->heap[(i - 1) / 2])) {
		heap_place(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && is_before(t->heap[child + 1], t->heap[child]))
			child++;
		if (!is_before(t->heap[child], it))
			break;
		heap_place(t, i, t->heap[child]);
	}
	heap_place(t, i, it);
}

/* Keys. */

static const char *device_of(const struct canonical *p)
{
	return p->device ? p->device : "";
}

/* Append what a far id says, whether it is a number or a string. */
static void put_id_text(struct buf *out, const char *id)
{
	struct jslice v = { id, strlen(id) };

	if (!jtext_string_decode(v, out))
		buf_append(out, v.text, v.len);
}

static void put_key(struct buf *out, enum kind kind, const char *device, const char *far_id)
{
	buf_printf(out, "%s/%s/", kind_name(kind), device);
	put_id_text(out, far_id);
}

static void put_group_key(struct buf *out, enum kind kind, enum side caller, const char *device)
{
	buf_printf(out, "%s/%s/%s", kind_name(kind), side_name(caller), device);
}

/* Rows. */

static void put_row(const struct entry *it, struct changes *out)
{
	const struct pairing *p = &it->pairing;
	struct buf row = { 0 };

	if (p->is_own)
		return;
	buf_puts(&row, "{\"request\":");
	canonical_put(&row, &p->request);
	buf_printf(&row, ",\"caller\":\"%s\",\"far_id\":%s,\"reply_topic\":", side_name(p->caller),
		   p->far_id);
	state_json_put_text(&row, p->reply_topic);
	buf_printf(&row, ",\"deadline_ms\":%" PRId64 "}", p->deadline_ms);
	changes_put(out, MACHINE, it->key, buf_str(&row), false);
	buf_fini(&row);
}

/* The name of the counter that counts for the device: its own, or when there are too many, one that those
 * without one share, so that strangers cannot make more and more of them.  Its ids grow as well. */
static const char *counted_by(const struct pairings *t, const char *device)
{
	bool has_own = map_get_str(&t->counters, device) || t->counters.n < MAX_COUNTERS;

	return has_own ? device : "";
}

static struct counter *counter_of(struct pairings *t, const char *name)
{
	struct counter *c = map_get_str(&t->counters, name);

	if (!c) {
		c = mem_zalloc(sizeof *c);
		map_set_str(&t->counters, name, c);
	}
	return c;
}

static char *next_integer(struct pairings *t, const char *device, struct changes *out)
{
	const char *name = counted_by(t, device);
	struct counter *c = counter_of(t, name);
	char *id = mem_printf("%" PRId64, ++c->last);
	char *key = mem_printf(COUNTER "%s", name);

	if (out)
		changes_put(out, MACHINE, key, id, false);
	free(key);
	return id;
}

/* `out` NULL: what it is for is not kept, and neither need it be. */
static char *new_far_id(struct pairings *t, const char *device, enum id_type type,
			struct changes *out)
{
	char uuid[CRYPTO_UUID_CHARS + 1];

	if (type == ID_INTEGER)
		return next_integer(t, device, out);
	crypto_uuid_random(uuid);
	return mem_printf("\"%s\"", uuid);
}

/* Opening and closing. */

static struct group *group_of(struct pairings *t, const struct pairing *p)
{
	struct buf key = { 0 };
	struct group *g;

	put_group_key(&key, p->request.kind, p->caller, device_of(&p->request));
	g = map_get(&t->groups, key.data, key.len);
	if (!g) {
		g = mem_alloc(sizeof *g);
		TAILQ_INIT(&g->entries);
		g->key = mem_strdup(buf_str(&key));
		map_set_str(&t->groups, g->key, g);
	}
	buf_fini(&key);
	return g;
}

/* Take the pairing in; its strings are the entry's from now on. */
static struct entry *add(struct pairings *t, const struct pairing *p)
{
	struct entry *it = mem_zalloc(sizeof *it);
	struct buf key = { 0 };
	size_t n = t->by_key.n;

	put_key(&key, p->request.kind, device_of(&p->request), p->far_id);
	it->pairing = *p;
	it->key = buf_take(&key);
	it->order = ++t->last_order;
	it->group = group_of(t, p);
	TAILQ_INSERT_TAIL(&it->group->entries, it, link);
	t->heap = mem_grow(t->heap, n, sizeof *t->heap);
	heap_settle(t, n + 1, n, it);
	map_set_str(&t->by_key, it->key, it);
	return it;
}

static bool keeps_its_id(const struct canonical *request)
{
	return kind_table[request->kind].keeps_id && request->id;
}

const struct pairing *pairings_open(struct pairings *t, const struct canonical *request,
				    enum side caller, enum id_type far_type,
				    const char *reply_topic, int64_t deadline_ms,
				    struct changes *out)
{
	struct pairing p = { .caller = caller, .deadline_ms = deadline_ms };
	const struct pairing *again = NULL;
	struct entry *it;

	if (keeps_its_id(request))
		again = pairings_find(t, device_of(request), request->kind, caller, request->id);
	if (again) {
		pairings_extend(t, again, deadline_ms, out);
		return again;
	}
	canonical_copy(&p.request, request);
	p.far_id = keeps_its_id(request) ? mem_strdup(request->id)
					 : new_far_id(t, device_of(request), far_type, out);
	p.reply_topic = mem_strdup(reply_topic);
	it = add(t, &p);
	put_row(it, out);
	return &it->pairing;
}

static struct group *find_group(const struct pairings *t, enum kind kind, enum side caller,
				const char *device)
{
	struct buf key = { 0 };
	struct group *g;

	put_group_key(&key, kind, caller, device);
	g = map_get(&t->groups, key.data, key.len);
	buf_fini(&key);
	return g;
}

bool pairings_has_open(const struct pairings *t, const char *device)
{
	for (int k = 0; k < KINDS; k++)
		for (int s = 0; s < SIDES; s++)
			if (kind_table[k].asks != ASKS_NOTHING &&
			    find_group(t, (enum kind)k, (enum side)s, device))
				return true;
	return false;
}

static bool is_repeated(const struct canonical *a, const struct canonical *b)
{
	return a->id && strcmp(a->id, b->id) == 0 && a->body_len == b->body_len &&
	       (a->body_len == 0 || memcmp(a->body, b->body, a->body_len) == 0);
}

const struct pairing *pairings_repeated(const struct pairings *t, const struct canonical *request,
					enum side caller, uint64_t login, bool is_dup)
{
	const struct group *g = find_group(t, request->kind, caller, device_of(request));
	const struct entry *it;

	if (!g || !request->id || keeps_its_id(request))
		return NULL;
	TAILQ_FOREACH (it, &g->entries, link)
		if ((is_dup || it->pairing.login != login) &&
		    is_repeated(&it->pairing.request, request))
			return &it->pairing;
	return NULL;
}

static void close_own(struct pairings *t, enum kind kind, const char *device, struct changes *out)
{
	struct group *g = find_group(t, kind, SOUTH, device);
	struct entry *it = g ? TAILQ_FIRST(&g->entries) : NULL, *next;

	for (; it; it = next) {
		next = TAILQ_NEXT(it, link); /* before it may take its group with it */
		if (it->pairing.is_own)
			pairings_close(t, &it->pairing, out);
	}
}

const struct pairing *pairings_ask(struct pairings *t, const struct canonical *request,
				   enum id_type far_type, int64_t deadline_ms, struct changes *out)
{
	struct pairing p = { .caller = SOUTH, .is_own = true, .deadline_ms = deadline_ms };

	close_own(t, request->kind, device_of(request), out);
	canonical_copy(&p.request, request);
	p.far_id = new_far_id(t, device_of(request), far_type, NULL);
	return &add(t, &p)->pairing;
}

const struct pairing *pairings_find(const struct pairings *t, const char *device,
				    enum kind request_kind, enum side caller, const char *far_id)
{
	struct buf key = { 0 };
	struct entry *it = NULL;
	struct group *g;

	if (far_id) {
		put_key(&key, request_kind, device, far_id);
		it = map_get(&t->by_key, key.data, key.len);
	} else {
		g = find_group(t, request_kind, caller, device);
		if (g)
			it = TAILQ_FIRST(&g->entries);
	}
	buf_fini(&key);
	return it && it->pairing.caller == caller ? &it->pairing : NULL;
}

void pairings_extend(struct pairings *t, const struct pairing *p, int64_t deadline_ms,
		     struct changes *out)
{
	struct entry *it = (struct entry *)p;

	it->pairing.deadline_ms = deadline_ms;
	heap_settle(t, t->by_key.n, it->at, it);
	put_row(it, out);
}

void pairings_asked(struct pairings *t, const struct pairing *p, uint64_t login)
{
	(void)t;
	((struct entry *)p)->pairing.login = login;
}

void pairings_leaves(struct pairings *t, const struct pairing *p)
{
	(void)t;
	((struct entry *)p)->pairing.n_underway++;
}

void pairings_arrives(struct pairings *t, const struct pairing *p, bool is_delivered)
{
	struct entry *it = (struct entry *)p;

	(void)t;
	if (it->pairing.n_underway > 0)
		it->pairing.n_underway--;
	it->pairing.is_delivered = it->pairing.is_delivered || is_delivered;
}

void pairings_end(struct pairings *t, const struct pairing *p, const char *answer, const char *why)
{
	struct entry *it = (struct entry *)p;

	it->pairing.answer = answer;
	it->pairing.why = why;
	it->pairing.deadline_ms = 0;
	heap_settle(t, t->by_key.n, it->at, it);
}

void pairings_end_of(struct pairings *t, const char *device, enum side caller, const char *why)
{
	for (int k = 0; k < KINDS; k++) {
		const struct group *g = kind_table[k].asks == ASKS_NOTHING
						? NULL
						: find_group(t, (enum kind)k, caller, device);
		const struct entry *it;

		if (!g)
			continue;
		TAILQ_FOREACH (it, &g->entries, link)
			if (!it->pairing.is_own)
				pairings_end(t, &it->pairing, NULL, why);
	}
}

void pairings_close(struct pairings *t, const struct pairing *p, struct changes *out)
{
	struct entry *it = (struct entry *)p;
	size_t n = t->by_key.n - 1;
	struct entry *last = t->heap[n];

	if (!it->pairing.is_own)
		changes_delete(out, MACHINE, it->key);
	if (last != it)
		heap_settle(t, n, it->at, last);
	TAILQ_REMOVE(&it->group->entries, it, link);
	if (TAILQ_EMPTY(&it->group->entries)) {
		map_remove_str(&t->groups, it->group->key);
		free_group(it->group);
	}
	map_remove_str(&t->by_key, it->key);
	free_entry(it);
}

static void forget_counter(struct pairings *t, const char *device, struct changes *out)
{
	struct counter *c = map_remove_str(&t->counters, device);
	char *key = mem_printf(COUNTER "%s", device);

	if (c)
		changes_delete(out, MACHINE, key);
	free(c);
	free(key);
}

void pairings_forget(struct pairings *t, const char *device, struct changes *out)
{
	struct map_pos pos = { 0 };
	struct entry *it;

	while ((it = map_next(&t->by_key, &pos)) != NULL)
		if (strcmp(device_of(&it->pairing.request), device) == 0)
			pairings_close(t, &it->pairing, out);
	forget_counter(t, device, out);
}

const struct pairing *pairings_expired(const struct pairings *t, int64_t now_ms)
{
	if (pairings_next_deadline(t) > now_ms || t->by_key.n == 0)
		return NULL;
	return &t->heap[0]->pairing;
}

int64_t pairings_next_deadline(const struct pairings *t)
{
	return t->by_key.n ? t->heap[0]->pairing.deadline_ms : INT64_MAX;
}

/* Restoring. */

static void raise_counter(struct pairings *t, const char *name, int64_t last)
{
	struct counter *c = counter_of(t, name);

	if (last > c->last)
		c->last = last;
}

static bool restore_counter(struct pairings *t, const char *device, const char *value)
{
	struct buf text = { 0 };
	int64_t last;
	bool ok = jtext_read(value, strlen(value), false, &text, NULL) &&
		  jtext_integer((struct jslice){ text.data, text.len }, &last) && last > 0;

	if (ok)
		raise_counter(t, device, last);
	buf_fini(&text);
	return ok;
}

static bool read_caller(struct jslice row, enum side *out)
{
	struct jslice v;

	if (!jtext_field(row, "caller", &v))
		return false;
	if (jtext_string_is(v, side_name(NORTH)))
		*out = NORTH;
	else if (jtext_string_is(v, side_name(SOUTH)))
		*out = SOUTH;
	else
		return false;
	return true;
}

static bool read_pairing(struct jslice row, struct pairing *p)
{
	struct jslice request, id;

	if (!jtext_field(row, "request", &request) ||
	    !canonical_parse(&p->request, request, NULL) || p->request.kind == KIND_NONE)
		return false;
	if (!jtext_field(row, "far_id", &id) ||
	    (jtext_type_of(id) != JTEXT_NUMBER && jtext_type_of(id) != JTEXT_STRING))
		return false;
	p->far_id = mem_strndup(id.text, id.len);
	return read_caller(row, &p->caller) &&
	       state_json_text(row, "reply_topic", &p->reply_topic) &&
	       state_json_integer(row, "deadline_ms", &p->deadline_ms);
}

static bool restore_pairing(struct pairings *t, const char *key, const char *value)
{
	struct pairing p = { .request.kind = KIND_NONE };
	struct buf text = { 0 }, right_key = { 0 };
	struct jslice row;
	int64_t number;
	bool ok = false;

	if (!state_json_read(value, &text, &row) || !read_pairing(row, &p))
		goto out;
	put_key(&right_key, p.request.kind, device_of(&p.request), p.far_id);
	if (strcmp(buf_str(&right_key), key) != 0 || map_get_str(&t->by_key, key))
		goto out;
	add(t, &p);
	if (p.far_id[0] != '"' &&
	    jtext_integer((struct jslice){ p.far_id, strlen(p.far_id) }, &number))
		raise_counter(t, counted_by(t, device_of(&p.request)), number);
	ok = true;
out:
	if (!ok) {
		canonical_fini(&p.request);
		free(p.far_id);
		free(p.reply_topic);
	}
	buf_fini(&text);
	buf_fini(&right_key);
	return ok;
}

bool pairings_restore(struct pairings *t, const char *key, const char *value, struct err *e)
{
	bool ok = strncmp(key, COUNTER, strlen(COUNTER)) == 0
			  ? restore_counter(t, key + strlen(COUNTER), value)
			  : restore_pairing(t, key, value);

	if (!ok)
		err_set(e, ERR_CORRUPT, "pairing '%s' is no pairing", key);
	return ok;
}

MACHINE_FUNCTIONS(pairings)

static int64_t machine_next_deadline(const void *m)
{
	return pairings_next_deadline(m);
}

const struct machine pairing_machine = { .name = MACHINE,
					 MACHINE_FIELDS,
					 .next_deadline = machine_next_deadline };
