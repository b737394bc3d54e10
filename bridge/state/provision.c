#include "state/provision.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "message/kind.h"
#include "state/change.h"
#include "state/state_json.h"

#define MACHINE	    "provision"
#define OPEN	    "open/"   /* before a number: a device that waits for its answer */
#define ISSUED	    "issued/" /* before a name: the answer that it got */
#define MAX_WAITING 1000

/* Somebody who waits for an answer.  The handshake in hand is that of the first in the queue; all
 * with the same name and proof have joined it. */
struct asker {
	TAILQ_ENTRY(asker) link;
	uint64_t number; /* grows by 1 */
	char *name, *proof;
	struct canonical request;
	char *reply_topic;
	char *south_device_id;
	uint64_t ticket;
	int64_t deadline_ms;
};
TAILQ_HEAD(askers, asker);

struct issued {
	char *name, *device;
	uint64_t number; /* of the asker: of two for one device, the later one counts */
	bool is_refused; /* the north refused a login with it since */
	char *proof;	 /* what a request must say to get this answer again */
	char *reply;	 /* body of the provision_reply */
};

struct provisions {
	struct askers queue; /* by number */
	size_t n_queue;
	bool is_asking;	      /* the first of the queue was asked */
	bool is_open;	      /* the provisioning session may be open */
	struct map issued;    /* name -> struct issued */
	struct map by_device; /* device -> struct issued, borrowed */
	uint64_t last_number;
};

/* Knowing a name must not be enough to be given its credentials: whoever asks again with other keys
 * is for the north to judge.  A proof is the JSON object of these fields of a request. */
static const char *const proof_fields[] = { "provision_key", "provision_secret", "device_key" };

/* Ends.  Bodies hold secrets. */

static void free_secret_text(char *s)
{
	if (s)
		mem_free_secret(s, strlen(s));
}

static void fini_secret_buf(struct buf *b)
{
	mem_free_secret(b->data, b->len);
	*b = (struct buf){ 0 };
}

static void fini_secret_canonical(struct canonical *p)
{
	mem_free_secret(p->body, p->body_len);
	p->body = NULL;
	p->body_len = 0;
	canonical_fini(p);
}

static void free_asker(struct asker *a)
{
	free(a->name);
	free_secret_text(a->proof);
	fini_secret_canonical(&a->request);
	free(a->reply_topic);
	free(a->south_device_id);
	free(a);
}

static void free_issued(void *value)
{
	struct issued *is = value;

	free(is->name);
	free(is->device);
	free_secret_text(is->proof);
	free_secret_text(is->reply);
	free(is);
}

void provision_actions_fini(struct provision_actions *a)
{
	for (size_t i = 0; i < a->n; i++) {
		fini_secret_canonical(&a->items[i].message);
		fini_secret_canonical(&a->items[i].request);
		free(a->items[i].reply_topic);
	}
	free(a->items);
	*a = (struct provision_actions){ 0 };
}

struct provisions *provisions_new(void)
{
	struct provisions *t = mem_zalloc(sizeof *t);

	TAILQ_INIT(&t->queue);
	return t;
}

void provisions_free(struct provisions *t)
{
	struct asker *a;

	if (!t)
		return;
	while ((a = TAILQ_FIRST(&t->queue))) {
		TAILQ_REMOVE(&t->queue, a, link);
		free_asker(a);
	}
	map_fini(&t->by_device, NULL);
	map_fini(&t->issued, free_issued);
	free(t);
}

/* Names and proofs. */

static struct jslice text_of(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

/* A field that says something. */
static bool has(struct jslice object, const char *key, struct jslice *v)
{
	return jtext_field(object, key, v) && jtext_type_of(*v) != JTEXT_NULL;
}

/* The name under which credentials are kept; caller frees. */
static char *name_of(const struct canonical *request)
{
	char *name = NULL;

	if (state_json_text(canonical_body(request), "device_name", &name) && name && *name)
		return name;
	free(name);
	return mem_strdup(request->device);
}

static char *proof_of(const struct canonical *request)
{
	struct buf b = { 0 };
	struct jslice v;

	for (size_t i = 0; i < sizeof proof_fields / sizeof proof_fields[0]; i++)
		if (has(canonical_body(request), proof_fields[i], &v))
			buf_printf(&b, "%s\"%s\":%.*s", b.len ? "," : "{", proof_fields[i],
				   (int)v.len, v.text);
	buf_puts(&b, b.len ? "}" : "{}");
	return buf_take(&b);
}

/* Rows. */

static void put_asker(const struct asker *a, struct changes *out)
{
	char *key = mem_printf(OPEN "%" PRIu64, a->number);
	struct buf row = { 0 };

	buf_puts(&row, "{\"request\":");
	canonical_put(&row, &a->request);
	buf_puts(&row, ",\"reply_topic\":");
	state_json_put_text(&row, a->reply_topic);
	buf_puts(&row, ",\"south_device_id\":");
	state_json_put_text(&row, a->south_device_id);
	buf_putc(&row, '}');
	changes_put(out, MACHINE, key, buf_str(&row), true);
	fini_secret_buf(&row);
	free(key);
}

static void put_issued(const struct issued *is, struct changes *out)
{
	char *key = mem_printf(ISSUED "%s", is->name);
	struct buf row = { 0 };

	buf_puts(&row, "{\"device\":");
	state_json_put_text(&row, is->device);
	buf_printf(&row, ",\"number\":%" PRIu64 ",\"refused\":%s,\"proof\":%s,\"reply\":%s}",
		   is->number, is->is_refused ? "true" : "false", is->proof, is->reply);
	changes_put(out, MACHINE, key, buf_str(&row), true);
	fini_secret_buf(&row);
	free(key);
}

/* Actions. */

static struct provision_action *add_action(struct provision_actions *acts, enum provision_act act)
{
	struct provision_action *a;

	acts->items = mem_grow(acts->items, acts->n, sizeof *acts->items);
	a = &acts->items[acts->n++];
	*a = (struct provision_action){ .act = act };
	a->message.kind = a->request.kind = KIND_NONE;
	return a;
}

static void set_reply(struct canonical *m, const struct canonical *request, struct jslice body)
{
	m->kind = KIND_PROVISION_REPLY;
	m->device = mem_strdup(request->device);
	m->id = mem_strdup(request->id);
	canonical_set_body(m, body.text, body.len);
}

static void answer(const struct canonical *request, const char *reply_topic, uint64_t ticket,
		   struct jslice body, struct provision_actions *acts)
{
	struct provision_action *a = add_action(acts, PROVISION_ANSWER);

	set_reply(&a->message, request, body);
	canonical_copy(&a->request, request);
	a->reply_topic = mem_strdup(reply_topic);
	a->ticket = ticket;
}

static void answer_asker(struct provisions *t, struct asker *a, struct jslice body,
			 struct changes *out, struct provision_actions *acts)
{
	char *key = mem_printf(OPEN "%" PRIu64, a->number);

	answer(&a->request, a->reply_topic, a->ticket, body, acts);
	changes_delete(out, MACHINE, key);
	free(key);
	TAILQ_REMOVE(&t->queue, a, link);
	t->n_queue--;
	free_asker(a);
}

/* The handshake in hand is over: its asker and all who joined it get `body`. */
static void finish(struct provisions *t, struct jslice body, struct changes *out,
		   struct provision_actions *acts)
{
	struct asker *a = TAILQ_FIRST(&t->queue), *next;
	char *name = mem_strdup(a->name), *proof = mem_strdup(a->proof);

	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (strcmp(a->name, name) == 0 && crypto_text_equal(a->proof, proof))
			answer_asker(t, a, body, out, acts);
	}
	free(name);
	free_secret_text(proof);
	t->is_asking = false;
}

static void close_session(struct provisions *t, struct provision_actions *acts)
{
	if (t->is_open)
		add_action(acts, PROVISION_CLOSE);
	t->is_open = false;
}

static void go_on(struct provisions *t, struct provision_actions *acts)
{
	struct asker *first = TAILQ_FIRST(&t->queue);
	struct provision_action *a;

	if (!first) {
		close_session(t, acts);
	} else if (!t->is_asking) {
		a = add_action(acts, PROVISION_ASK);
		canonical_copy(&a->message, &first->request);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		a->ticket = first->ticket;
		t->is_asking = t->is_open = true;
	}
}

/* Requests. */

static struct asker *new_asker(const struct canonical *request, const char *reply_topic,
			       const char *south_device_id, uint64_t number)
{
	struct asker *a = mem_zalloc(sizeof *a);

	a->number = number;
	a->name = name_of(request);
	a->proof = proof_of(request);
	canonical_copy(&a->request, request);
	a->reply_topic = mem_strdup(reply_topic);
	a->south_device_id = mem_strdup(south_device_id);
	return a;
}

/* The answer that `a` would get without asking the north; NULL: none. */
static const char *answer_at_hand(const struct provisions *t, const struct asker *a)
{
	const struct issued *is = map_get_str(&t->issued, a->name);

	if (is && !is->is_refused && crypto_text_equal(is->proof, a->proof))
		return is->reply;
	if (t->n_queue - t->is_asking >= MAX_WAITING)
		return "{\"status\":\"FAILURE\",\"message\":\"too many devices wait\"}";
	return NULL;
}

void provisions_request(struct provisions *t, const struct canonical *request,
			const char *reply_topic, const char *south_device_id, uint64_t ticket,
			int64_t deadline_ms, struct changes *out, struct provision_actions *acts)
{
	struct asker *a = new_asker(request, reply_topic, south_device_id, t->last_number + 1);
	const char *body = answer_at_hand(t, a);

	if (body) {
		answer(request, reply_topic, ticket, text_of(body), acts);
		free_asker(a);
		return;
	}
	a->ticket = ticket;
	a->deadline_ms = deadline_ms;
	t->last_number++;
	TAILQ_INSERT_TAIL(&t->queue, a, link);
	t->n_queue++;
	put_asker(a, out);
	go_on(t, acts);
}

/* Replies. */

/* The reply as it is kept and given to the device: `body` with what the north left out. */
static char *complete_reply(struct jslice body, const char *device_id)
{
	bool no_id, no_type;
	struct buf b = { 0 };
	struct jfield f;
	struct jslice v;
	size_t pos = 0;

	no_id = !has(body, "device_id", &v);
	no_type = !has(body, "credentials_type", &v) && has(body, "token", &v);
	while (jtext_next_field(body, &pos, &f)) {
		if ((no_id && jtext_string_is(f.key, "device_id")) ||
		    (no_type && jtext_string_is(f.key, "credentials_type")))
			continue; /* null */
		buf_putc(&b, b.len ? ',' : '{');
		buf_append(&b, f.key.text, f.key.len);
		buf_putc(&b, ':');
		buf_append(&b, f.value.text, f.value.len);
	}
	if (no_id && device_id) {
		buf_puts(&b, ",\"device_id\":"); /* never the first: there is a status */
		state_json_put_text(&b, device_id);
	}
	if (no_type)
		buf_puts(&b, ",\"credentials_type\":\"ACCESS_TOKEN\"");
	buf_putc(&b, '}');
	return buf_take(&b);
}

/* Take it into the tables, in place of what was issued under its name before. */
static void add_issued(struct provisions *t, struct issued *is)
{
	struct issued *before = map_set_str(&t->issued, is->name, is);
	struct issued *other;

	if (before && map_get_str(&t->by_device, before->device) == before)
		map_remove_str(&t->by_device, before->device);
	if (before)
		free_issued(before);
	other = map_get_str(&t->by_device, is->device);
	if (!other || other->number < is->number)
		map_set_str(&t->by_device, is->device, is);
}

static const struct issued *issue(struct provisions *t, const struct asker *a, struct jslice body,
				  struct changes *out)
{
	struct issued *is = mem_zalloc(sizeof *is);

	is->name = mem_strdup(a->name);
	is->device = mem_strdup(a->request.device);
	is->number = a->number;
	is->proof = mem_strdup(a->proof);
	is->reply = complete_reply(body, a->south_device_id);
	add_issued(t, is);
	put_issued(is, out);
	return is;
}

bool provisions_reply(struct provisions *t, struct jslice body, struct changes *out,
		      struct provision_actions *acts, struct err *e)
{
	struct asker *first = TAILQ_FIRST(&t->queue);
	struct provision_action *login;
	struct jslice status;

	if (!t->is_asking) {
		err_set(e, ERR_NOT_FOUND, "a provision_reply that nobody asked for");
		return false;
	}
	if (!jtext_field(body, "status", &status)) {
		err_set(e, ERR_INVALID, "a provision_reply without status");
		return false;
	}
	if (jtext_string_is(status, "SUCCESS")) {
		const struct issued *is = issue(t, first, body, out);

		login = add_action(acts, PROVISION_LOGIN);
		set_reply(&login->message, &first->request, text_of(is->reply));
		body = text_of(is->reply);
	}
	finish(t, body, out, acts);
	go_on(t, acts);
	return true;
}

/* Deadlines. */

void provisions_expire(struct provisions *t, int64_t now_ms, struct changes *out,
		       struct provision_actions *acts)
{
	const struct jslice late = text_of("{\"status\":\"FAILURE\",\"message\":\"timeout\"}");
	struct asker *a = TAILQ_FIRST(&t->queue), *next;

	if (t->is_asking && a->deadline_ms <= now_ms) {
		finish(t, late, out, acts);
		/* A late answer must not be taken for that to the next question. */
		close_session(t, acts);
	}
	a = TAILQ_FIRST(&t->queue);
	if (t->is_asking)
		a = TAILQ_NEXT(a, link); /* its time has not come */
	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (a->deadline_ms <= now_ms)
			answer_asker(t, a, late, out, acts);
	}
	go_on(t, acts);
}

int64_t provisions_next_deadline(const struct provisions *t)
{
	int64_t earliest = INT64_MAX;
	struct asker *a;

	TAILQ_FOREACH (a, &t->queue, link)
		if (a->deadline_ms < earliest)
			earliest = a->deadline_ms;
	return earliest;
}

/* Credentials. */

void provisions_refused(struct provisions *t, const char *device, struct changes *out)
{
	struct issued *is = map_get_str(&t->by_device, device);

	if (!is || is->is_refused)
		return;
	is->is_refused = true;
	put_issued(is, out);
}

struct jslice provisions_credentials(const struct provisions *t, const char *device)
{
	const struct issued *is = map_get_str(&t->by_device, device);

	return is ? text_of(is->reply) : (struct jslice){ NULL, 0 };
}

/* Restoring. */

void provisions_resume(struct provisions *t, int64_t deadline_ms, struct provision_actions *acts)
{
	struct asker *a;

	TAILQ_FOREACH (a, &t->queue, link)
		a->deadline_ms = deadline_ms;
	go_on(t, acts);
}

static void raise_number(struct provisions *t, uint64_t number)
{
	if (number > t->last_number)
		t->last_number = number;
}

static bool insert_asker(struct provisions *t, struct asker *a)
{
	struct asker *before = TAILQ_LAST(&t->queue, askers);

	while (before && before->number > a->number)
		before = TAILQ_PREV(before, askers, link);
	if (before && before->number == a->number)
		return false;
	if (before)
		TAILQ_INSERT_AFTER(&t->queue, before, a, link);
	else
		TAILQ_INSERT_HEAD(&t->queue, a, link);
	t->n_queue++;
	raise_number(t, a->number);
	return true;
}

static bool restore_asker(struct provisions *t, const char *number, const char *value)
{
	struct canonical request = { .kind = KIND_NONE };
	char *reply_topic = NULL, *south_device_id = NULL, *end;
	uint64_t n = strtoull(number, &end, 10);
	struct buf text = { 0 };
	struct jslice row, v;
	struct asker *a;
	bool ok = false;

	if (*end || n == 0 || !state_json_read(value, &text, &row))
		goto out;
	if (!jtext_field(row, "request", &v) || !canonical_parse(&request, v, NULL) ||
	    request.kind != KIND_PROVISION || !request.device)
		goto out;
	if (!state_json_text(row, "reply_topic", &reply_topic) ||
	    !state_json_text(row, "south_device_id", &south_device_id))
		goto out;
	a = new_asker(&request, reply_topic, south_device_id, n);
	a->deadline_ms = INT64_MAX; /* until provisions_resume() */
	ok = insert_asker(t, a);
	if (!ok)
		free_asker(a);
out:
	fini_secret_canonical(&request);
	free(reply_topic);
	free(south_device_id);
	fini_secret_buf(&text);
	return ok;
}

static bool read_object(struct jslice row, const char *name, char **out)
{
	struct jslice v;

	if (!jtext_field(row, name, &v) || jtext_type_of(v) != JTEXT_OBJECT)
		return false;
	*out = mem_strndup(v.text, v.len);
	return true;
}

static bool restore_issued(struct provisions *t, const char *name, const char *value)
{
	struct issued *is = mem_zalloc(sizeof *is);
	struct buf text = { 0 };
	struct jslice row;
	int64_t number;
	bool ok = false;

	is->name = mem_strdup(name);
	if (!state_json_read(value, &text, &row) || !state_json_text(row, "device", &is->device) ||
	    !is->device)
		goto out;
	if (!state_json_integer(row, "number", &number) || number <= 0 ||
	    !state_json_bool(row, "refused", &is->is_refused) ||
	    !read_object(row, "proof", &is->proof) || !read_object(row, "reply", &is->reply))
		goto out;
	is->number = (uint64_t)number;
	raise_number(t, is->number);
	add_issued(t, is);
	ok = true;
out:
	if (!ok)
		free_issued(is);
	fini_secret_buf(&text);
	return ok;
}

bool provisions_restore(struct provisions *t, const char *key, const char *value, struct err *e)
{
	bool ok = false;

	if (strncmp(key, OPEN, strlen(OPEN)) == 0)
		ok = restore_asker(t, key + strlen(OPEN), value);
	else if (strncmp(key, ISSUED, strlen(ISSUED)) == 0)
		ok = restore_issued(t, key + strlen(ISSUED), value);
	if (!ok)
		err_set(e, ERR_CORRUPT, "provision '%s' is no handshake", key);
	return ok;
}
