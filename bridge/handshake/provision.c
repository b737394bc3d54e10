/* provision.c -- what happens to a handshake: who asks and waits, what is answered, and when time is up. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/kind.h"
#include "state/change.h"
#include "state/machine.h"
#include "handshake/provision_inside.h"
#include "message/state_json.h"

#define MAX_WAITING 1000
#define MAX_EACH    10 /* of those, of one asker: who asks again, or for several names */

/* Knowing a name must not be enough to be given its credentials: whoever asks again with other keys
 * is for the north to judge.  A proof is the JSON object of these fields of a request. */
static const char *const proof_fields[] = { "provision_key", "provision_secret", "device_key" };

/* Ends.  Bodies hold secrets. */

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
	provision_free_talks(t);
	free(t->owner);
	map_fini(&t->by_device, NULL);
	map_fini(&t->issued, provision_free_issued);
	free(t);
}

/* Names and proofs. */

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

/* Actions. */

struct provision_action *provision_add_action(struct provision_actions *acts,
					      enum provision_act act)
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
	struct provision_action *a = provision_add_action(acts, PROVISION_ANSWER);

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
	return provision_may_ask(t, terms, a->name) ? NULL : &not_its_link;
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

static void answer_asker(struct provisions *t, struct asker *a, struct jslice body, bool is_lost,
			 struct changes *out, struct provision_actions *acts)
{
	struct provision_action *told = answer(&a->request, a->reply_topic, body, acts);

	told->is_own = a->is_own;
	told->is_lost = is_lost;
	drop_asker(t, a, out);
}

bool provision_is_same(const struct asker *a, const struct asker *b)
{
	return strcmp(a->name, b->name) == 0 && crypto_text_equal(a->proof, b->proof);
}

/* The handshake of `asker` is over: he and all who joined him get `body`.  is_lost: struct provision_action. */
static void finish(struct provisions *t, struct asker *asker, struct jslice body, bool is_lost,
		   struct changes *out, struct provision_actions *acts)
{
	struct talk *talk = provision_talk_of(t, asker);
	struct asker *a = TAILQ_FIRST(&t->queue), *next;
	char *name = mem_strdup(asker->name), *proof = mem_strdup(asker->proof);

	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if ((a->is_named || a == asker) && strcmp(a->name, name) == 0 &&
		    crypto_text_equal(a->proof, proof))
			answer_asker(t, a, body, is_lost, out, acts);
	}
	free(name);
	free_secret_text(proof);
	if (talk)
		provision_end_talk(talk);
}

/* Questions. */

static int64_t deadline_of(const struct provision_terms *terms)
{
	return terms->timeout_ms < INT64_MAX - terms->now_ms ? terms->now_ms + terms->timeout_ms
							     : INT64_MAX;
}

static void put_question(struct provisions *t, const struct provision_terms *terms,
			 struct talk *talk, struct asker *asker, struct changes *out,
			 struct provision_actions *acts)
{
	struct asked *q = provision_find_asked(t, asker);
	struct provision_action *a = provision_add_action(acts, PROVISION_ASK);

	provision_open_talk(t, talk, asker);
	talk->is_repeated = q;
	talk->was_sent = q && q->is_sent;
	talk->is_sent = talk->is_told = false;
	if (!q)
		q = provision_note_question(t, terms, asker, talk->is_beside, out);
	else if (q->is_beside != talk->is_beside)
		provision_note_beside(q, talk->is_beside, out);
	provision_word_question(&a->message, asker, q);
	a->session = talk->session;
	talk->deadline_ms = deadline_of(terms);
}

void provisions_sent(struct provisions *t, uint64_t session)
{
	struct talk *talk = provision_talk(t, session);
	struct asked *q = talk && talk->asker ? provision_find_asked(t, talk->asker) : NULL;

	if (talk)
		talk->is_sent = talk->asker && talk->trial == TRIAL_NONE;
	if (q)
		q->is_sent = true;
}

void provisions_tried(struct provisions *t, uint64_t session, bool is_let_in)
{
	struct talk *talk = provision_talk(t, session);

	if (talk && talk->trial == TRIAL_OUT)
		talk->trial = is_let_in ? TRIAL_LET_IN : TRIAL_REFUSED;
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
	struct asker *a;
	struct talk *talk;

	if (t->is_hearing)
		return;
	if (provision_n_open(t) == 0)
		refuse_first(t, terms, out, acts);
	while ((a = provision_next_asker(t)) != NULL &&
	       (talk = provision_talk_for(t, terms, a)) != NULL)
		put_question(t, terms, talk, a, out, acts);
	if (TAILQ_EMPTY(&t->queue))
		provision_close_idle(t, acts);
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
	return provision_talk_of(t, a);
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
	return t->n_queue - provision_n_open(t) >= MAX_WAITING;
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
	provision_adopt(t, terms, out);
	a->is_known = map_get_str(&t->issued, a->name);
	if (answer_now(t, terms, a, acts)) {
		provision_free_asker(a);
		return;
	}
	if (is_full(t))
		answer_asker(t, last_stranger(t), text_of(too_many), false, out, acts);
	t->last_number++;
	provision_enqueue(t, a);
	provision_put_asker(a, out);
	go_on(t, terms, out, acts);
}

/* Replies. */

static bool says_status(struct jslice body, const char *status)
{
	struct jslice v;

	return jtext_field(body, "status", &v) && jtext_string_is(v, status);
}

static bool has_credential(struct jslice body)
{
	static const char *const fields[] = { "token", "username", "client_id", "certificate" };

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (says(body, fields[i]))
			return true;
	return false;
}

/* The north issued credentials to `a`.  A link of one device logs in with them if it is that device's, or nobody's. */
static struct jslice take_success(struct provisions *t, const struct provision_terms *terms,
				  const struct asker *a, struct jslice body, struct changes *out,
				  struct provision_actions *acts)
{
	bool may_have_it = provision_may_ask(t, terms, a->name);
	const struct issued *is = provision_issue(t, a, body, out);
	struct provision_action *login;

	if (terms->is_single && may_have_it && (!t->owner || strcmp(t->owner, is->name) != 0))
		provision_set_owner(t, is->name, false, out);
	if (may_have_it) {
		login = provision_add_action(acts, PROVISION_LOGIN);
		set_reply(&login->message, &a->request, text_of(is->reply));
	}
	return text_of(is->reply);
}

/* The north refuses the name.  If an earlier question may have arrived, it may be that very device. */
static bool try_login(struct provisions *t, struct talk *talk, struct jslice body,
		      struct provision_actions *acts)
{
	const struct asked *q = provision_find_asked(t, talk->asker);
	struct provision_action *a;
	char *reply;

	if (!talk->is_repeated || !talk->is_told || !q)
		return false;
	reply = provision_complete_reply(text_of(q->reply), talk->asker->south_device_id);
	provision_renew_talk(t, talk);
	a = provision_add_action(acts, PROVISION_TRY);
	a->session = talk->session;
	set_reply(&a->message, &talk->asker->request, text_of(reply));
	free_secret_text(reply);
	talk->failure = mem_strndup(body.text, body.len);
	talk->trial = TRIAL_OUT;
	return true;
}

static void take_answer(struct provisions *t, const struct provision_terms *terms, struct asker *a,
			struct jslice body, bool is_success, bool is_lost, struct changes *out,
			struct provision_actions *acts)
{
	provision_drop_asked(t, provision_find_asked(t, a), out);
	if (is_success)
		body = take_success(t, terms, a, body, out, acts);
	finish(t, a, body, is_lost, out, acts);
}

static bool is_nobodys(struct err *e, const char *why)
{
	err_set(e, ERR_NOT_FOUND, "%s", why);
	return false;
}

static const char unasked[] = "a provision_reply that nobody asked for";
static const char of_another[] = "a provision_reply with another token than this question offered";

/* Over a session on which nothing is open. */
static bool overhear(struct provisions *t, const struct talk *talk, struct provision_actions *acts,
		     struct err *e)
{
	if (talk && talk->is_open && !talk->was_lost && talk->trial == TRIAL_NONE)
		provision_distrust(t, acts);
	return is_nobodys(e, unasked);
}

/* A SUCCESS that says whose it is not.  (One that is alone may be given another token than the one that it offered: a
 * platform where devices were made before has its own.) */
static bool is_foreign(const struct provisions *t, const struct talk *talk, struct jslice body,
		       bool has_its_token)
{
	return !has_its_token && (talk->is_beside || provision_is_anothers(t, talk->asker, body));
}

static const char no_credentials[] =
	"{\"status\":\"FAILURE\",\"message\":\"the other platform issued no credentials\"}";

/* To the question that is open on `talk`. */
static void conclude(struct provisions *t, const struct provision_terms *terms, struct talk *talk,
		     struct jslice body, bool has_its_token, struct changes *out,
		     struct provision_actions *acts)
{
	bool says_success = says_status(body, "SUCCESS");
	bool is_success = says_success && has_credential(body);
	bool is_lost = !says_success && talk->was_sent && !talk->is_told;

	if (says_status(body, "FAILURE") && try_login(t, talk, body, acts))
		return;
	if (terms->sessions > 1)
		provision_trust(t, talk, has_its_token);
	take_answer(t, terms, talk->asker,
		    says_success && !is_success ? text_of(no_credentials) : body, is_success,
		    is_lost, out, acts);
	if (talk->was_lost) /* what was asked twice is answered twice */
		provision_close_talk(t, talk, acts);
	go_on(t, terms, out, acts);
}

/* What an earlier run received: whose it is, its token says; if it has another one, it was the question that was open
 * alone.  What says no token is not believed, as more than one may have been: it will be said again. */
static bool hear(struct provisions *t, const struct provision_terms *terms, struct jslice body,
		 struct changes *out, struct provision_actions *acts, struct err *e)
{
	struct talk *first = provision_first_talk(t);
	struct asker *a = t->is_hearing ? provision_asker_of(t, body) : NULL;

	if (!a && t->is_hearing && first->asker && !provision_is_anothers(t, first->asker, body))
		a = first->asker;
	if (!a || !says_status(body, "SUCCESS") || !has_credential(body))
		return is_nobodys(e, unasked);
	take_answer(t, terms, a, body, true, false, out, acts);
	return true;
}

bool provisions_reply(struct provisions *t, const struct provision_terms *terms, uint64_t session,
		      struct jslice body, struct changes *out, struct provision_actions *acts,
		      struct err *e)
{
	struct talk *talk = provision_talk(t, session);
	bool is_open = talk && talk->asker && talk->trial == TRIAL_NONE && !t->is_hearing;
	bool has_its_token;
	struct jslice status;

	if (!is_open && session != PROVISION_NO_SESSION)
		return overhear(t, talk, acts, e);
	if (!jtext_field(body, "status", &status)) {
		err_set(e, ERR_INVALID, "a provision_reply without status");
		return false;
	}
	if (!is_open)
		return hear(t, terms, body, out, acts, e);
	has_its_token = says_status(body, "SUCCESS") &&
			provision_has_its_token(provision_find_asked(t, talk->asker), body);
	if (says_status(body, "SUCCESS") && is_foreign(t, talk, body, has_its_token)) {
		provision_distrust(t, acts);
		return is_nobodys(e, of_another);
	}
	conclude(t, terms, talk, body, has_its_token, out, acts);
	return true;
}

/* Deadlines. */

/* The login was tried: it is the device that was made for an earlier question, or another. */
static void end_trial(struct provisions *t, const struct provision_terms *terms, struct talk *talk,
		      struct changes *out, struct provision_actions *acts)
{
	const struct asked *q = provision_find_asked(t, talk->asker);
	bool is_let_in = talk->trial == TRIAL_LET_IN && q;
	char *body = mem_strdup(is_let_in ? q->reply : talk->failure);

	take_answer(t, terms, talk->asker, text_of(body), is_let_in, false, out, acts);
	free_secret_text(body);
	provision_close_talk(t, talk, acts); /* it was used for the trial */
}

/* What is due on one session. */
static void expire(struct provisions *t, const struct provision_terms *terms, struct talk *talk,
		   struct changes *out, struct provision_actions *acts)
{
	const struct jslice late = text_of("{\"status\":\"FAILURE\",\"message\":\"timeout\"}");

	if (talk->trial > TRIAL_OUT) {
		end_trial(t, terms, talk, out, acts);
	} else if (talk->asker && talk->deadline_ms <= terms->now_ms) {
		finish(t, talk->asker, late, talk->is_sent && !talk->is_told, out, acts);
		/* A late answer must not be taken for that to the next question. */
		provision_close_talk(t, talk, acts);
	}
}

void provisions_expire(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts)
{
	if (provisions_next_deadline(t) > terms->now_ms)
		return;
	for (size_t i = 0; i < t->n_talks; i++)
		expire(t, terms, t->talks[i], out, acts);
	if (t->quiet_ms <= terms->now_ms)
		t->quiet_ms = 0;
	go_on(t, terms, out, acts);
}

int64_t provisions_next_deadline(const struct provisions *t)
{
	int64_t earliest = t->quiet_ms && t->n_queue ? t->quiet_ms : INT64_MAX;

	for (size_t i = 0; i < t->n_talks; i++) {
		const struct talk *talk = t->talks[i];
		int64_t due_ms = talk->trial > TRIAL_OUT ? 0 : talk->deadline_ms;

		if (talk->asker && due_ms < earliest)
			earliest = due_ms;
	}
	return earliest;
}

/* Credentials. */

void provisions_forget(struct provisions *t, const char *device, struct changes *out)
{
	struct asker *a = TAILQ_FIRST(&t->queue), *next;

	for (; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (!is_in_hand(t, a) && strcmp(a->request.device, device) == 0)
			drop_asker(t, a, out);
	}
	provision_forget_asked(t, NULL, device, out);
	provision_drop_issued_to(t, device, out);
}

/* Restoring. */

/* May more than one question have been open at once? */
static bool were_several_open(const struct provisions *t)
{
	const struct asker *a;
	const struct asked *q;

	TAILQ_FOREACH (a, &t->queue, link)
		if ((q = provision_find_asked(t, a)) != NULL && q->is_beside)
			return true;
	return false;
}

void provisions_hear(struct provisions *t)
{
	struct asker *first = TAILQ_FIRST(&t->queue);
	const struct asked *q = first ? provision_find_asked(t, first) : NULL;
	struct talk *talk = provision_first_talk(t);

	if (t->is_hearing || provision_n_open(t) > 0)
		return;
	t->is_hearing = true;
	/* Where another one was asked, a login tells what became of that. */
	if (!first || (!q && !TAILQ_EMPTY(&t->asked)) || were_several_open(t))
		return;
	talk->asker = first;
	talk->deadline_ms = INT64_MAX;
}

void provisions_resume(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts)
{
	if (t->is_hearing)
		provision_end_talk(provision_first_talk(t));
	t->is_hearing = false;
	provision_adopt(t, terms, out);
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
