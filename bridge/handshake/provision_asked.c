/* provision_asked.c -- questions to the north: what each one offers to log in with, and which have no answer yet. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "handshake/provision_inside.h"

#define MAX_ASKED 1000 /* questions without an answer that are remembered */

void provision_free_asked(struct asked *a)
{
	free(a->name);
	free_secret_text(a->proof);
	free(a->device);
	free_secret_text(a->reply);
	free(a);
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

struct asked *provision_find_asked(const struct provisions *t, const struct asker *a)
{
	struct asked *q;

	TAILQ_FOREACH (q, &t->asked, link)
		if (strcmp(q->name, a->name) == 0 && crypto_text_equal(q->proof, a->proof))
			return q;
	return NULL;
}

void provision_drop_asked(struct provisions *t, struct asked *q, struct changes *out)
{
	if (!q)
		return;
	provision_drop_asked_row(q, out);
	TAILQ_REMOVE(&t->asked, q, link);
	t->n_asked--;
	provision_free_asked(q);
}

/* Is the question open on a session? */
static bool is_open(const struct provisions *t, const struct asked *q)
{
	for (size_t i = 0; i < t->n_talks; i++)
		if (t->talks[i]->asker && provision_find_asked(t, t->talks[i]->asker) == q)
			return true;
	return false;
}

static struct asked *oldest_closed(const struct provisions *t)
{
	struct asked *q;

	TAILQ_FOREACH (q, &t->asked, link)
		if (!is_open(t, q))
			return q;
	return NULL;
}

struct asked *provision_note_question(struct provisions *t, const struct provision_terms *terms,
				      const struct asker *a, bool is_beside, struct changes *out)
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
		provision_drop_asked(t, oldest_closed(t), out);
	q = mem_zalloc(sizeof *q);
	*q = (struct asked){ .number = a->number,
			     .name = mem_strdup(a->name),
			     .proof = mem_strdup(a->proof),
			     .device = mem_strdup(a->request.device),
			     .is_chosen = is_chosen,
			     .is_beside = is_beside,
			     .reply = reply };
	TAILQ_INSERT_TAIL(&t->asked, q, link);
	t->n_asked++;
	provision_put_asked(q, out);
	return q;
}

void provision_note_beside(struct asked *q, bool is_beside, struct changes *out)
{
	q->is_beside = is_beside;
	provision_put_asked(q, out);
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

void provision_word_question(struct canonical *question, const struct asker *a,
			     const struct asked *q)
{
	struct jslice body = canonical_body(&a->request);
	char *own = own_reply(body);

	canonical_copy(question, &a->request);
	if (q && q->is_chosen && !own && wants_a_token(body))
		put_token(question, q);
	free_secret_text(own);
}

/* A token is spelled everywhere as it is here; of other names it may be missed that they are there. */
static bool is_in(struct jslice question, struct jslice credentials, const char *key)
{
	struct jslice v;

	return says(credentials, key) && jtext_field(credentials, key, &v) &&
	       memmem(question.text, question.len, v.text + 1, v.len - 2);
}

void provisions_written(struct provisions *t, uint64_t session, struct jslice question)
{
	struct talk *talk = provision_talk(t, session);
	const struct asked *q = talk && talk->asker ? provision_find_asked(t, talk->asker) : NULL;
	struct jslice reply = q ? text_of(q->reply) : (struct jslice){ NULL, 0 };

	if (talk)
		talk->is_told = q && (is_in(question, reply, "token") ||
				      is_in(question, reply, "username") ||
				      is_in(question, reply, "client_id"));
}

bool provision_forget_asked(struct provisions *t, const char *name, const char *device,
			    struct changes *out)
{
	struct asked *q = TAILQ_FIRST(&t->asked), *next;
	bool did = false;

	for (; q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (strcmp(name ? q->name : q->device, name ? name : device) == 0 &&
		    !is_open(t, q)) {
			provision_drop_asked(t, q, out);
			did = true;
		}
	}
	return did;
}

/* --- tokens */

bool provision_offers_token(const struct provisions *t, const struct provision_terms *terms,
			    const struct asker *a)
{
	const struct asked *q = provision_find_asked(t, a);
	struct jslice body = canonical_body(&a->request);

	if (q)
		return says(text_of(q->reply), "token");
	return says(body, "token") || (terms->chooses_token && wants_a_token(body));
}

/* Do both say this token, a JSON string?  It may be spelled in two ways. */
static bool is_same_token(struct jslice a, struct jslice b)
{
	struct buf text = { 0 };
	bool is_it = jtext_string_decode(a, &text) && jtext_string_is(b, buf_str(&text));

	mem_free_secret(text.data, text.len);
	return is_it;
}

static bool says_token(struct jslice body, struct jslice token)
{
	struct jslice v;

	return says(body, "token") && jtext_field(body, "token", &v) && is_same_token(v, token);
}

bool provision_has_its_token(const struct asked *q, struct jslice body)
{
	struct jslice token;

	return q && says(body, "token") && jtext_field(body, "token", &token) &&
	       says_token(text_of(q->reply), token);
}

bool provision_is_anothers(const struct provisions *t, const struct asker *a, struct jslice body)
{
	const struct asked *q;
	const struct issued *is;
	struct map_pos pos = { 0 };
	struct jslice token;

	if (!says(body, "token") || !jtext_field(body, "token", &token))
		return false;
	TAILQ_FOREACH (q, &t->asked, link)
		if (strcmp(q->name, a->name) != 0 && says_token(text_of(q->reply), token))
			return true;
	while ((is = map_next(&t->issued, &pos)) != NULL)
		if (strcmp(is->name, a->name) != 0 && says_token(text_of(is->reply), token))
			return true;
	return false;
}

struct asker *provision_asker_of(const struct provisions *t, struct jslice body)
{
	struct asker *a;

	TAILQ_FOREACH (a, &t->queue, link)
		if (provision_has_its_token(provision_find_asked(t, a), body))
			return a;
	return NULL;
}
