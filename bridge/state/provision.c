/* provision.c -- what happens to a handshake. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/kind.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/provision_inside.h"
#include "message/state_json.h"

#define MAX_WAITING 1000

/* Knowing a name must not be enough to be given its credentials: whoever asks again with other keys
 * is for the north to judge.  A proof is the JSON object of these fields of a request. */
static const char *const proof_fields[] = { "provision_key", "provision_secret", "device_key" };

/* Ends.  Bodies hold secrets. */

static void free_secret_text(char *s)
{
	if (s)
		mem_free_secret(s, strlen(s));
}

void provision_fini_canonical(struct canonical *p)
{
	mem_free_secret(p->body, p->body_len);
	p->body = NULL;
	p->body_len = 0;
	canonical_fini(p);
}

void provision_free_asker(struct asker *a)
{
	free(a->name);
	free_secret_text(a->proof);
	provision_fini_canonical(&a->request);
	free(a->reply_topic);
	free(a->south_device_id);
	free(a);
}

void provision_free_issued(void *value)
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
		provision_fini_canonical(&a->items[i].message);
		provision_fini_canonical(&a->items[i].request);
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
		provision_free_asker(a);
	}
	map_fini(&t->by_device, NULL);
	map_fini(&t->issued, provision_free_issued);
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

static void answer(const struct canonical *request, const char *reply_topic, struct jslice body,
		   struct provision_actions *acts)
{
	struct provision_action *a = add_action(acts, PROVISION_ANSWER);

	set_reply(&a->message, request, body);
	canonical_copy(&a->request, request);
	a->reply_topic = mem_strdup(reply_topic);
}

static void drop_asker(struct provisions *t, struct asker *a, struct changes *out)
{
	provision_drop_asker_row(a, out);
	TAILQ_REMOVE(&t->queue, a, link);
	t->n_queue--;
	provision_free_asker(a);
}

static void answer_asker(struct provisions *t, struct asker *a, struct jslice body,
			 struct changes *out, struct provision_actions *acts)
{
	answer(&a->request, a->reply_topic, body, acts);
	drop_asker(t, a, out);
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
		t->is_asking = t->is_open = true;
	}
}

/* Requests. */

struct asker *provision_new_asker(const struct canonical *request, const char *reply_topic,
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
			const char *reply_topic, const char *south_device_id, int64_t deadline_ms,
			struct changes *out, struct provision_actions *acts)
{
	struct asker *a =
		provision_new_asker(request, reply_topic, south_device_id, t->last_number + 1);
	const char *body = answer_at_hand(t, a);

	if (body) {
		answer(request, reply_topic, text_of(body), acts);
		provision_free_asker(a);
		return;
	}
	a->deadline_ms = deadline_ms;
	t->last_number++;
	TAILQ_INSERT_TAIL(&t->queue, a, link);
	t->n_queue++;
	provision_put_asker(a, out);
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

void provision_add_issued(struct provisions *t, struct issued *is)
{
	struct issued *before = map_set_str(&t->issued, is->name, is);
	struct issued *other;

	if (before && map_get_str(&t->by_device, before->device) == before)
		map_remove_str(&t->by_device, before->device);
	if (before)
		provision_free_issued(before);
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
	provision_add_issued(t, is);
	provision_put_issued(is, out);
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
	provision_put_issued(is, out);
}

static void drop_issued(struct provisions *t, struct issued *is, struct changes *out)
{
	provision_drop_issued_row(is, out);
	map_remove_str(&t->issued, is->name);
	provision_free_issued(is);
}

void provisions_forget(struct provisions *t, const char *device, struct changes *out)
{
	struct asker *a = TAILQ_FIRST(&t->queue), *next;
	struct map_pos pos = { 0 };
	struct issued *is;

	if (t->is_asking)
		a = TAILQ_NEXT(a, link); /* the first is the handshake in hand */
	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (strcmp(a->request.device, device) == 0)
			drop_asker(t, a, out);
	}
	map_remove_str(&t->by_device, device);
	while ((is = map_next(&t->issued, &pos)) != NULL)
		if (strcmp(is->device, device) == 0)
			drop_issued(t, is, out);
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

MACHINE_FUNCTIONS(provisions)

static int64_t machine_next_deadline(const void *m)
{
	return provisions_next_deadline(m);
}

const struct machine provision_machine = { .name = PROVISION_MACHINE,
					   MACHINE_FIELDS,
					   .next_deadline = machine_next_deadline };
