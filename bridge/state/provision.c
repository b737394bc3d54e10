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
#define MAX_EACH    10	 /* of those, of one asker: who asks again, or for several names */
#define MAX_ASKED   1000 /* questions without an answer that are remembered */

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
	free(a->asker);
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

void provision_free_asked(struct asked *a)
{
	free(a->name);
	free_secret_text(a->proof);
	free(a->device);
	free_secret_text(a->reply);
	free(a);
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
	TAILQ_INIT(&t->asked);
	return t;
}

void provisions_free(struct provisions *t)
{
	struct asker *a;
	struct asked *q;

	if (!t)
		return;
	while ((a = TAILQ_FIRST(&t->queue))) {
		TAILQ_REMOVE(&t->queue, a, link);
		provision_free_asker(a);
	}
	while ((q = TAILQ_FIRST(&t->asked))) {
		TAILQ_REMOVE(&t->asked, q, link);
		provision_free_asked(q);
	}
	free_secret_text(t->failure);
	free(t->owner);
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

char *provision_said_name(const struct canonical *request)
{
	char *name = NULL;

	if (state_json_text(canonical_body(request), "device_name", &name) && name && *name)
		return name;
	free(name);
	return NULL;
}

/* The name under which credentials are kept; caller frees. */
static char *name_of(const struct canonical *request, const struct provision_terms *terms)
{
	char *said = provision_said_name(request);

	if (said)
		return said;
	return mem_strdup(terms->is_single && terms->name ? terms->name : request->device);
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

/* Whose the link is. */

static void set_owner(struct provisions *t, const char *name, bool is_proved, struct changes *out)
{
	char *copy = mem_strdup(name);

	free(t->owner);
	t->owner = copy;
	t->is_proved = is_proved;
	t->knows_owner = true;
	provision_put_owner(t, out);
}

/* The one that waits to log in has been refused: it is the next one's turn. */
static bool has_lost_its_turn(const struct provisions *t)
{
	const struct issued *is = t->owner ? map_get_str(&t->issued, t->owner) : NULL;

	return !t->is_proved && is && is->is_refused;
}

/* May a handshake of this name be made? */
static bool may_ask(const struct provisions *t, const struct provision_terms *terms,
		    const char *name)
{
	if (!terms->is_single)
		return true;
	if (terms->name)
		return strcmp(name, terms->name) == 0;
	return !t->owner || strcmp(name, t->owner) == 0 || has_lost_its_turn(t);
}

/* The latest that was issued: to this device, or (NULL) to any. */
static struct issued *latest(const struct provisions *t, const char *device)
{
	struct issued *is, *found = NULL;
	struct map_pos pos = { 0 };

	while ((is = map_next(&t->issued, &pos)) != NULL)
		if ((!device || strcmp(is->device, device) == 0) &&
		    (!found || found->number < is->number))
			found = is;
	return found;
}

/* By what the link logs in; NULL: by nothing yet. */
static struct issued *in_use(const struct provisions *t, const struct provision_terms *terms)
{
	const char *name = terms->name ? terms->name : t->owner;
	struct issued *is;

	if (!terms->is_single)
		return map_get_str(&t->by_device, terms->device);
	is = name ? map_get_str(&t->issued, name) : NULL;
	return is || t->knows_owner ? is : latest(t, NULL);
}

/* Rows of before links belonged to names: the link goes on as it was. */
static void adopt(struct provisions *t, const struct provision_terms *terms, struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (!terms->is_single || t->knows_owner || !is)
		return;
	if (terms->name && strcmp(is->name, terms->name) != 0) {
		/* The north was asked under the configured name even then. */
		provision_drop_issued_row(is, out);
		map_remove_str(&t->issued, is->name);
		free(is->name);
		is->name = mem_strdup(terms->name);
		map_set_str(&t->issued, is->name, is);
		provision_put_issued(is, out);
	}
	set_owner(t, is->name, true, out);
}

const char *provisions_owner(const struct provisions *t, const struct provision_terms *terms,
			     bool *is_proved)
{
	*is_proved = terms->name || t->is_proved;
	if (!terms->is_single)
		return NULL;
	return terms->name ? terms->name : t->owner;
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

static struct provision_action *answer(const struct canonical *request, const char *reply_topic,
				       struct jslice body, struct provision_actions *acts)
{
	struct provision_action *a = add_action(acts, PROVISION_ANSWER);

	set_reply(&a->message, request, body);
	canonical_copy(&a->request, request);
	a->reply_topic = mem_strdup(reply_topic);
	return a;
}

/* What a refusal says to who asked, and to the log. */
static const struct refusal {
	const char *why, *body;
} not_its_link = { "another device has this link",
		   "{\"status\":\"FAILURE\",\"message\":\"another device has this link\"}" },
  nameless = {
	  "it names no device, and one such was here before",
	  "{\"status\":\"FAILURE\",\"message\":\"another device without a name was here before\"}"
  };

/* Has somebody asked under this name before, and waits or has its answer? */
static bool was_here(const struct provisions *t, const struct asker *a)
{
	const struct issued *is = map_get_str(&t->issued, a->name);
	const struct asker *other;

	TAILQ_FOREACH (other, &t->queue, link)
		if (other->number < a->number && strcmp(other->name, a->name) == 0)
			return true;
	return is && !is->is_refused;
}

static const struct refusal *refusal_of(const struct provisions *t,
					const struct provision_terms *terms, const struct asker *a)
{
	if (!a->is_named && was_here(t, a))
		return &nameless;
	return may_ask(t, terms, a->name) ? NULL : &not_its_link;
}

static void refuse(const struct asker *a, const struct refusal *r, struct provision_actions *acts)
{
	struct provision_action *told = answer(&a->request, a->reply_topic, text_of(r->body), acts);

	told->refusal = r->why;
	told->is_own = a->is_own;
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
	struct provision_action *told = answer(&a->request, a->reply_topic, body, acts);

	told->is_own = a->is_own;
	told->is_lost = t->is_lost;
	drop_asker(t, a, out);
}

/* The handshake in hand is over: its asker and all who joined it get `body`. */
static void finish(struct provisions *t, struct jslice body, struct changes *out,
		   struct provision_actions *acts)
{
	struct asker *first = TAILQ_FIRST(&t->queue), *a = first, *next;
	char *name = mem_strdup(a->name), *proof = mem_strdup(a->proof);

	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if ((a->is_named || a == first) && strcmp(a->name, name) == 0 &&
		    crypto_text_equal(a->proof, proof))
			answer_asker(t, a, body, out, acts);
	}
	free(name);
	free_secret_text(proof);
	free_secret_text(t->failure);
	t->failure = NULL;
	t->trial = TRIAL_NONE;
	t->is_asking = t->is_lost = false;
}

/* Questions. */

static bool says(struct jslice body, const char *key)
{
	struct jslice v;

	return jtext_field(body, key, &v) && jtext_type_of(v) == JTEXT_STRING &&
	       !jtext_string_is(v, "");
}

/* What the request itself wants to log in with, as a SUCCESS would say it; NULL: nothing that shows in a login. */
static char *own_reply(struct jslice body)
{
	static const char *const fields[] = { "credentials_type", "token", "client_id", "username",
					      "password" };
	struct buf b = { 0 };
	struct jslice v;

	if (!says(body, "token") && !says(body, "username") && !says(body, "client_id"))
		return NULL;
	buf_puts(&b, "{\"status\":\"SUCCESS\"");
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (says(body, fields[i]) && jtext_field(body, fields[i], &v))
			buf_printf(&b, ",\"%s\":%.*s", fields[i], (int)v.len, v.text);
	buf_putc(&b, '}');
	return buf_take(&b);
}

static bool wants_a_token(struct jslice body)
{
	struct jslice type;

	return !says(body, "password") && !says(body, "certificate") &&
	       (!has(body, "credentials_type", &type) || jtext_string_is(type, "ACCESS_TOKEN"));
}

static char *chosen_reply(void)
{
	char token[CRYPTO_TOKEN_CHARS + 1];

	crypto_token(token);
	return mem_printf(
		"{\"status\":\"SUCCESS\",\"credentials_type\":\"ACCESS_TOKEN\",\"token\":\"%s\"}",
		token);
}

static struct asked *find_asked(const struct provisions *t, const struct asker *a)
{
	struct asked *q;

	TAILQ_FOREACH (q, &t->asked, link)
		if (strcmp(q->name, a->name) == 0 && crypto_text_equal(q->proof, a->proof))
			return q;
	return NULL;
}

static void drop_asked(struct provisions *t, struct asked *q, struct changes *out)
{
	if (!q)
		return;
	provision_drop_asked_row(q, out);
	TAILQ_REMOVE(&t->asked, q, link);
	t->n_asked--;
	provision_free_asked(q);
}

/* Before it leaves: what the device will log in with. */
static struct asked *note_question(struct provisions *t, const struct provision_terms *terms,
				   const struct asker *a, struct changes *out)
{
	struct jslice body = canonical_body(&a->request);
	char *reply = own_reply(body);
	bool is_chosen = !reply && terms->chooses_token && wants_a_token(body);
	struct asked *q;

	if (is_chosen)
		reply = chosen_reply();
	if (!reply)
		return NULL;
	if (t->n_asked >= MAX_ASKED)
		drop_asked(t, TAILQ_FIRST(&t->asked), out);
	q = mem_zalloc(sizeof *q);
	*q = (struct asked){ .number = a->number,
			     .name = mem_strdup(a->name),
			     .proof = mem_strdup(a->proof),
			     .device = mem_strdup(a->request.device),
			     .is_chosen = is_chosen,
			     .reply = reply };
	TAILQ_INSERT_TAIL(&t->asked, q, link);
	t->n_asked++;
	provision_put_asked(q, out);
	return q;
}

/* The request with the token that was chosen for it. */
static void put_token(struct canonical *question, const struct asked *q)
{
	struct jslice body = canonical_body(question), token;
	struct buf b = { 0 };
	struct jfield f;
	size_t pos = 0;

	if (!jtext_field(text_of(q->reply), "token", &token))
		return;
	buf_putc(&b, '{');
	while (jtext_next_field(body, &pos, &f)) {
		if (jtext_string_is(f.key, "token") || jtext_string_is(f.key, "credentials_type"))
			continue; /* it says nothing, or the same */
		buf_printf(&b, "%.*s:%.*s,", (int)f.key.len, f.key.text, (int)f.value.len,
			   f.value.text);
	}
	buf_printf(&b, "\"credentials_type\":\"ACCESS_TOKEN\",\"token\":%.*s}", (int)token.len,
		   token.text);
	canonical_set_body(question, b.data, b.len);
	mem_free_secret(b.data, b.len);
}

static void put_question(struct provisions *t, const struct provision_terms *terms,
			 const struct asker *first, struct changes *out,
			 struct provision_actions *acts)
{
	struct asked *q = find_asked(t, first);
	struct provision_action *a = add_action(acts, PROVISION_ASK);
	struct jslice body = canonical_body(&first->request);
	char *own = own_reply(body);

	t->is_repeated = q;
	t->was_sent = q && q->is_sent;
	t->is_sent = false;
	if (!q)
		q = note_question(t, terms, first, out);
	canonical_copy(&a->message, &first->request);
	if (q && q->is_chosen && !own && wants_a_token(body))
		put_token(&a->message, q);
	free_secret_text(own);
	t->is_asking = t->is_open = true;
	t->is_told = false;
	t->deadline_ms = terms->timeout_ms < INT64_MAX - terms->now_ms
				 ? terms->now_ms + terms->timeout_ms
				 : INT64_MAX;
}

/* A token is spelled everywhere as it is here; of other names it may be missed that they are there. */
static bool is_in(struct jslice question, struct jslice credentials, const char *key)
{
	struct jslice v;

	return says(credentials, key) && jtext_field(credentials, key, &v) &&
	       memmem(question.text, question.len, v.text + 1, v.len - 2);
}

void provisions_written(struct provisions *t, struct jslice question)
{
	const struct asked *q = t->is_asking ? find_asked(t, TAILQ_FIRST(&t->queue)) : NULL;
	struct jslice reply = q ? text_of(q->reply) : (struct jslice){ NULL, 0 };

	t->is_told = q && (is_in(question, reply, "token") || is_in(question, reply, "username") ||
			   is_in(question, reply, "client_id"));
}

void provisions_sent(struct provisions *t)
{
	struct asked *q = t->is_asking ? find_asked(t, TAILQ_FIRST(&t->queue)) : NULL;

	t->is_sent = t->is_asking && t->trial == TRIAL_NONE;
	if (q)
		q->is_sent = true;
}

void provisions_lost(struct provisions *t)
{
	if (t->is_asking && t->trial == TRIAL_NONE)
		t->is_repeated = true;
}

void provisions_tried(struct provisions *t, bool is_let_in)
{
	if (t->trial == TRIAL_OUT)
		t->trial = is_let_in ? TRIAL_LET_IN : TRIAL_REFUSED;
}

static void close_session(struct provisions *t, struct provision_actions *acts)
{
	if (t->is_open)
		add_action(acts, PROVISION_CLOSE);
	t->is_open = false;
}

/* Refuse those whose turn is over, or never comes. */
static void refuse_first(struct provisions *t, const struct provision_terms *terms,
			 struct changes *out, struct provision_actions *acts)
{
	const struct refusal *r;
	struct asker *first;

	while ((first = TAILQ_FIRST(&t->queue)) != NULL &&
	       /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
	       (r = refusal_of(t, terms, first)) != NULL) {
		refuse(first, r, acts);
		drop_asker(t, first, out);
	}
}

static void go_on(struct provisions *t, const struct provision_terms *terms, struct changes *out,
		  struct provision_actions *acts)
{
	struct asker *first;

	if (!t->is_asking)
		refuse_first(t, terms, out, acts);
	first = TAILQ_FIRST(&t->queue);
	if (!first) {
		close_session(t, acts);
	} else if (!t->is_asking) {
		put_question(t, terms, first, out, acts);
	}
}

/* Requests. */

struct asker *provision_new_asker(const struct provision_question *q, const char *name,
				  uint64_t number)
{
	struct asker *a = mem_zalloc(sizeof *a);

	a->number = number;
	a->name = mem_strdup(name);
	/* What no device can say: a name alone gets nobody what the bridge was issued. */
	a->proof = q->is_own ? mem_strdup("{\"own\":true}") : proof_of(q->request);
	a->is_named = q->is_named;
	a->is_own = q->is_own;
	a->asker = mem_strdup(q->asker ? q->asker : name);
	canonical_copy(&a->request, q->request);
	a->reply_topic = mem_strdup(q->reply_topic);
	a->south_device_id = mem_strdup(q->south_device_id);
	return a;
}

static bool is_in_hand(const struct provisions *t, const struct asker *a)
{
	return t->is_asking && a == TAILQ_FIRST(&t->queue);
}

void provision_enqueue(struct provisions *t, struct asker *a)
{
	struct asker *before = TAILQ_LAST(&t->queue, askers);

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
	while (before && !is_in_hand(t, before) &&
	       (before->is_known == a->is_known ? before->number > a->number : a->is_known))
		before = TAILQ_PREV(before, askers, link);
	if (before)
		TAILQ_INSERT_AFTER(&t->queue, before, a, link);
	else
		TAILQ_INSERT_HEAD(&t->queue, a, link);
	t->n_queue++;
}

bool provisions_has_own(const struct provisions *t, const char *device)
{
	const struct asker *a;

	TAILQ_FOREACH (a, &t->queue, link)
		if (a->is_own && strcmp(a->request.device, device) == 0)
			return true;
	return false;
}

size_t provisions_count_own(const struct provisions *t)
{
	const struct asker *a;
	size_t n = 0;

	TAILQ_FOREACH (a, &t->queue, link)
		n += a->is_own;
	return n;
}

static bool has_its_share(const struct provisions *t, const struct asker *a)
{
	const struct asker *other;
	size_t n = 0;

	TAILQ_FOREACH (other, &t->queue, link)
		n += !is_in_hand(t, other) && strcmp(other->asker, a->asker) == 0;
	return n >= MAX_EACH;
}

static bool is_full(const struct provisions *t)
{
	return t->n_queue - t->is_asking >= MAX_WAITING;
}

/* Who gives way to a known name; NULL: nobody. */
static struct asker *last_stranger(const struct provisions *t)
{
	struct asker *last = TAILQ_LAST(&t->queue, askers);

	return last && !last->is_known && !is_in_hand(t, last) ? last : NULL;
}

static const char too_many[] = "{\"status\":\"FAILURE\",\"message\":\"too many devices wait\"}";

/* The answer that `a` would get without asking the north; NULL: none. */
static const char *answer_at_hand(const struct provisions *t, const struct asker *a)
{
	const struct issued *is = map_get_str(&t->issued, a->name);

	if (is && !is->is_refused && crypto_text_equal(is->proof, a->proof))
		return is->reply;
	if (has_its_share(t, a))
		return "{\"status\":\"FAILURE\",\"message\":\"too many requests of this device "
		       "wait\"}";
	if (is_full(t) && !(a->is_known && last_stranger(t)))
		return too_many;
	return NULL;
}

/* Without asking the north; false: it has to be asked. */
static bool answer_now(const struct provisions *t, const struct provision_terms *terms,
		       const struct asker *a, struct provision_actions *acts)
{
	const struct refusal *r = refusal_of(t, terms, a);
	const char *body = r ? NULL : answer_at_hand(t, a);

	if (r)
		refuse(a, r, acts);
	else if (body)
		answer(&a->request, a->reply_topic, text_of(body), acts)->is_own = a->is_own;
	return r || body;
}

void provisions_request(struct provisions *t, const struct provision_terms *terms,
			const struct provision_question *q, struct changes *out,
			struct provision_actions *acts)
{
	char *name = name_of(q->request, terms);
	struct asker *a = provision_new_asker(q, name, t->last_number + 1);

	free(name);
	adopt(t, terms, out);
	a->is_known = map_get_str(&t->issued, a->name);
	if (answer_now(t, terms, a, acts)) {
		provision_free_asker(a);
		return;
	}
	if (is_full(t))
		answer_asker(t, last_stranger(t), text_of(too_many), out, acts);
	t->last_number++;
	provision_enqueue(t, a);
	provision_put_asker(a, out);
	go_on(t, terms, out, acts);
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

static bool has_credential(struct jslice body)
{
	static const char *const fields[] = { "token", "username", "client_id", "certificate" };

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (says(body, fields[i]))
			return true;
	return false;
}

/* The north issued credentials to the first of the queue.  A link of one device logs in with them if it is
 * that device's, or nobody's. */
static struct jslice take_success(struct provisions *t, const struct provision_terms *terms,
				  struct jslice body, struct changes *out,
				  struct provision_actions *acts)
{
	const struct asker *first = TAILQ_FIRST(&t->queue);
	bool may_have_it = may_ask(t, terms, first->name);
	const struct issued *is = issue(t, first, body, out);
	struct provision_action *login;

	if (terms->is_single && may_have_it && (!t->owner || strcmp(t->owner, is->name) != 0))
		set_owner(t, is->name, false, out);
	if (may_have_it) {
		login = add_action(acts, PROVISION_LOGIN);
		set_reply(&login->message, &first->request, text_of(is->reply));
	}
	return text_of(is->reply);
}

/* The north refuses the name.  If an earlier question may have arrived, it may be that very device. */
static bool try_login(struct provisions *t, const struct asked *q, struct jslice body,
		      struct provision_actions *acts)
{
	const struct asker *first = TAILQ_FIRST(&t->queue);
	struct provision_action *a;
	char *reply;

	if (!t->is_repeated || !t->is_told || !q)
		return false;
	reply = complete_reply(text_of(q->reply), first->south_device_id);
	a = add_action(acts, PROVISION_TRY);
	set_reply(&a->message, &first->request, text_of(reply));
	free_secret_text(reply);
	t->failure = mem_strndup(body.text, body.len);
	t->trial = TRIAL_OUT;
	return true;
}

static void take_answer(struct provisions *t, const struct provision_terms *terms,
			struct jslice body, bool is_success, struct changes *out,
			struct provision_actions *acts)
{
	drop_asked(t, find_asked(t, TAILQ_FIRST(&t->queue)), out);
	finish(t, is_success ? take_success(t, terms, body, out, acts) : body, out, acts);
}

bool provisions_reply(struct provisions *t, const struct provision_terms *terms, struct jslice body,
		      struct changes *out, struct provision_actions *acts, struct err *e)
{
	bool is_success;
	struct jslice status;

	if (!t->is_asking || t->trial != TRIAL_NONE) {
		err_set(e, ERR_NOT_FOUND, "a provision_reply that nobody asked for");
		return false;
	}
	if (!jtext_field(body, "status", &status)) {
		err_set(e, ERR_INVALID, "a provision_reply without status");
		return false;
	}
	t->is_hearing = false;
	is_success = jtext_string_is(status, "SUCCESS");
	if (is_success && !has_credential(body)) {
		is_success = false;
		body = text_of("{\"status\":\"FAILURE\",\"message\":\"the other platform issued no "
			       "credentials\"}");
	} else if (jtext_string_is(status, "FAILURE") &&
		   try_login(t, find_asked(t, TAILQ_FIRST(&t->queue)), body, acts)) {
		return true;
	} else {
		t->is_lost = !is_success && t->was_sent && !t->is_told;
	}
	take_answer(t, terms, body, is_success, out, acts);
	go_on(t, terms, out, acts);
	return true;
}

/* Deadlines. */

/* The login was tried: it is the device that was made for an earlier question, or another. */
static void end_trial(struct provisions *t, const struct provision_terms *terms,
		      struct changes *out, struct provision_actions *acts)
{
	const struct asked *q = find_asked(t, TAILQ_FIRST(&t->queue));
	bool is_let_in = t->trial == TRIAL_LET_IN && q;
	char *body = mem_strdup(is_let_in ? q->reply : t->failure);

	take_answer(t, terms, text_of(body), is_let_in, out, acts);
	free_secret_text(body);
	close_session(t, acts); /* it was used for the trial */
	go_on(t, terms, out, acts);
}

void provisions_expire(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts)
{
	const struct jslice late = text_of("{\"status\":\"FAILURE\",\"message\":\"timeout\"}");

	if (t->trial > TRIAL_OUT) {
		end_trial(t, terms, out, acts);
	} else if (t->is_asking && t->deadline_ms <= terms->now_ms) {
		t->is_lost = t->is_sent && !t->is_told;
		finish(t, late, out, acts);
		/* A late answer must not be taken for that to the next question. */
		close_session(t, acts);
		go_on(t, terms, out, acts);
	}
}

int64_t provisions_next_deadline(const struct provisions *t)
{
	if (!t->is_asking)
		return INT64_MAX;
	return t->trial > TRIAL_OUT ? 0 : t->deadline_ms;
}

/* Credentials. */

void provisions_refused(struct provisions *t, const struct provision_terms *terms,
			struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (!is || is->is_refused)
		return;
	is->is_refused = true;
	provision_put_issued(is, out);
}

const char *provisions_accepted(struct provisions *t, const struct provision_terms *terms,
				struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (is && is->is_refused) {
		is->is_refused = false;
		provision_put_issued(is, out);
	}
	if (!is || !terms->is_single ||
	    (t->is_proved && t->owner && strcmp(t->owner, is->name) == 0))
		return NULL;
	set_owner(t, is->name, true, out);
	return t->owner;
}

static void drop_issued(struct provisions *t, struct issued *is, struct changes *out)
{
	struct issued *next;

	provision_drop_issued_row(is, out);
	map_remove_str(&t->issued, is->name);
	if (map_get_str(&t->by_device, is->device) == is) {
		map_remove_str(&t->by_device, is->device);
		next = latest(t, is->device);
		if (next)
			map_set_str(&t->by_device, next->device, next);
	}
	if (t->owner && strcmp(t->owner, is->name) == 0)
		set_owner(t, NULL, false, out);
	provision_free_issued(is);
}

/* What was asked under this name, or for this device (the other is NULL), and not answered. */
static bool forget_asked(struct provisions *t, const char *name, const char *device,
			 struct changes *out)
{
	const struct asker *in_hand = t->is_asking ? TAILQ_FIRST(&t->queue) : NULL;
	struct asked *q = TAILQ_FIRST(&t->asked), *next;
	bool did = false;

	for (; q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (strcmp(name ? q->name : q->device, name ? name : device) == 0 &&
		    !(in_hand && q == find_asked(t, in_hand))) {
			drop_asked(t, q, out);
			did = true;
		}
	}
	return did;
}

bool provisions_forget_name(struct provisions *t, const struct provision_terms *terms,
			    const char *name, struct changes *out)
{
	struct issued *is;
	bool was_its, was_asked;

	adopt(t, terms, out);
	was_asked = forget_asked(t, name, NULL, out);
	is = map_get_str(&t->issued, name);
	was_its = t->owner && strcmp(t->owner, name) == 0;
	if (is)
		drop_issued(t, is, out);
	else if (was_its)
		set_owner(t, NULL, false, out);
	return is || was_its || was_asked;
}

void provisions_forget(struct provisions *t, const char *device, struct changes *out)
{
	struct asker *a = TAILQ_FIRST(&t->queue), *next;
	struct issued *is;

	if (t->is_asking)
		a = TAILQ_NEXT(a, link); /* the first is the handshake in hand */
	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (strcmp(a->request.device, device) == 0)
			drop_asker(t, a, out);
	}
	forget_asked(t, NULL, device, out);
	while ((is = latest(t, device)) != NULL)
		drop_issued(t, is, out);
}

struct jslice provisions_credentials(const struct provisions *t,
				     const struct provision_terms *terms)
{
	const struct issued *is = in_use(t, terms);

	return is ? text_of(is->reply) : (struct jslice){ NULL, 0 };
}

/* Restoring. */

void provisions_hear(struct provisions *t)
{
	const struct asker *first = TAILQ_FIRST(&t->queue);
	const struct asked *q = first ? find_asked(t, first) : NULL;

	/* Where another one was asked, a login tells what became of that. */
	if (t->is_asking || !first || (!q && !TAILQ_EMPTY(&t->asked)))
		return;
	t->is_asking = t->is_hearing = true;
	t->is_repeated = q;
	t->was_sent = q && q->is_sent;
	t->deadline_ms = INT64_MAX;
}

void provisions_resume(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts)
{
	if (t->is_hearing)
		t->is_asking = t->is_hearing = false;
	adopt(t, terms, out);
	go_on(t, terms, out, acts);
}

MACHINE_FUNCTIONS(provisions)

static int64_t machine_next_deadline(const void *m)
{
	return provisions_next_deadline(m);
}

const struct machine provision_machine = { .name = PROVISION_MACHINE,
					   MACHINE_FIELDS,
					   .next_deadline = machine_next_deadline };
