/* provision_talk.c -- the sessions of handshakes: how many there may be, and what is believed of what comes over them.
 *
 * No answer says which question it is to.  On a session at most one is open, so there it is known, as long as the far end
 * gives an answer to nobody but who asked.  A broker before a platform may give it to all who listen, and each would take
 * it for his own.  So there is one session, until the far end has shown two things:
 *
 * - that it gives a device the token that it was offered (what one gets then is known by its token), and
 * - that the session in the first place, which listens, does not hear an answer to what was asked over another: the next
 *   that it hears is the answer to its own next question, and a broker keeps the order of what it gives to one session.
 *
 * While that is being found out one question is open, as ever.  Whatever is heard later by who did not ask, or names a
 * token that was not offered, ends it for good, with this run: then one session is left. */
#include <string.h>

#include "base/mem.h"
#include "handshake/provision_inside.h"

struct talk *provision_talk(const struct provisions *t, uint64_t session)
{
	size_t place = provision_place(session);

	return place < t->n_talks && t->talks[place]->session == session ? t->talks[place] : NULL;
}

static struct talk *in_place(struct provisions *t, size_t place)
{
	while (t->n_talks <= place) {
		t->talks = mem_grow(t->talks, t->n_talks, sizeof *t->talks);
		t->talks[t->n_talks] = mem_zalloc(sizeof **t->talks);
		t->talks[t->n_talks]->session = t->n_talks;
		t->n_talks++;
	}
	return t->talks[place];
}

struct talk *provision_first_talk(struct provisions *t)
{
	return in_place(t, 0);
}

struct talk *provision_talk_of(const struct provisions *t, const struct asker *a)
{
	for (size_t i = 0; i < t->n_talks; i++)
		if (t->talks[i]->asker == a)
			return t->talks[i];
	return NULL;
}

size_t provision_n_open(const struct provisions *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_talks; i++)
		n += t->talks[i]->asker != NULL;
	return n;
}

void provision_end_talk(struct talk *talk)
{
	free_secret_text(talk->failure);
	*talk = (struct talk){ .session = talk->session,
			       .is_open = talk->is_open,
			       .was_lost = talk->was_lost };
}

void provision_free_talks(struct provisions *t)
{
	for (size_t i = 0; i < t->n_talks; i++) {
		free_secret_text(t->talks[i]->failure);
		free(t->talks[i]);
	}
	free(t->talks);
}

/* --- which question may be put, and where --------------------------------------------------- */

/* May it be open beside others?  Only what the bridge asks by itself, and what it gets then is known by its token. */
static bool is_apart(const struct provisions *t, const struct provision_terms *terms,
		     const struct asker *a)
{
	for (size_t i = 0; i < t->n_talks; i++)
		if (t->talks[i]->asker && !t->talks[i]->asker->is_own)
			return false;
	return a->is_own && provision_offers_token(t, terms, a);
}

static struct talk *free_place(struct provisions *t)
{
	size_t i = 0;

	while (i < t->n_talks && t->talks[i]->asker)
		i++;
	return in_place(t, i);
}

struct talk *provision_talk_for(struct provisions *t, const struct provision_terms *terms,
				const struct asker *a)
{
	size_t n = provision_n_open(t);

	if (t->quiet_ms > terms->now_ms)
		return NULL;
	if (n == 0)
		return in_place(t, t->trust == TRUST_TOKEN && terms->sessions > 1 && a->is_own);
	return t->trust == TRUST_ALL && n < terms->sessions && is_apart(t, terms, a) ? free_place(t)
										     : NULL;
}

/* Has one who waits the same question as one that is open?  He gets its answer. */
static bool has_joined(const struct provisions *t, const struct asker *a)
{
	for (size_t i = 0; i < t->n_talks; i++)
		if (t->talks[i]->asker && provision_is_same(t->talks[i]->asker, a))
			return true;
	return false;
}

struct asker *provision_next_asker(const struct provisions *t)
{
	struct asker *a;

	TAILQ_FOREACH (a, &t->queue, link)
		if (!has_joined(t, a))
			return a;
	return NULL;
}

void provision_open_talk(struct provisions *t, struct talk *talk, struct asker *a)
{
	size_t place = provision_place(talk->session);

	if (!talk->is_open)
		talk->session = ++t->n_sessions * PROVISION_SESSIONS + place;
	talk->is_beside = provision_n_open(t) > 0;
	for (size_t i = 0; i < t->n_talks && talk->is_beside; i++)
		t->talks[i]->is_beside = t->talks[i]->asker || t->talks[i] == talk;
	talk->is_open = true;
	talk->was_lost = false;
	talk->asker = a;
}

/* --- what ends ------------------------------------------------------------------------------ */

/* What the session in the first place has listened to is for nothing, if there is a gap in it. */
static void stop_listening(struct provisions *t, const struct talk *talk)
{
	if (talk == t->talks[0] && t->trust < TRUST_ALL)
		t->trust = TRUST_NONE;
}

void provision_renew_talk(struct provisions *t, struct talk *talk)
{
	stop_listening(t, talk);
	talk->session = ++t->n_sessions * PROVISION_SESSIONS + provision_place(talk->session);
}

void provision_close_talk(struct provisions *t, struct talk *talk, struct provision_actions *acts)
{
	if (talk->is_open)
		provision_add_action(acts, PROVISION_CLOSE)->session = talk->session;
	talk->is_open = talk->was_lost = false;
	stop_listening(t, talk);
}

void provision_close_idle(struct provisions *t, struct provision_actions *acts)
{
	for (size_t i = 0; i < t->n_talks; i++)
		if (!t->talks[i]->asker)
			provision_close_talk(t, t->talks[i], acts);
}

bool provisions_down(struct provisions *t, uint64_t session, bool was_asked)
{
	struct talk *talk = provision_talk(t, session);

	if (!talk)
		return false;
	stop_listening(t, talk);
	if (talk->trial != TRIAL_NONE)
		return false;
	talk->was_lost = talk->was_lost || was_asked;
	if (was_asked && talk->asker)
		talk->is_repeated = true;
	return talk->asker;
}

/* --- what is believed ----------------------------------------------------------------------- */

void provision_trust(struct provisions *t, const struct talk *talk, bool has_its_token)
{
	bool is_first = talk == t->talks[0];

	if (t->trust == TRUST_NONE && is_first && has_its_token)
		t->trust = TRUST_TOKEN;
	else if (t->trust == TRUST_TOKEN && !is_first && has_its_token)
		t->trust = TRUST_LISTENS;
	else if (t->trust == TRUST_LISTENS && is_first && talk->is_sent)
		t->trust = TRUST_ALL;
}

/* Any of the answers that are still to come may be heard by anybody: until they are, nobody asks. */
static void take_back(struct provisions *t, struct talk *talk, struct provision_actions *acts)
{
	if (!talk->asker || talk->trial != TRIAL_NONE)
		return;
	if (talk->deadline_ms > t->quiet_ms)
		t->quiet_ms = talk->deadline_ms;
	provision_end_talk(talk);
	provision_close_talk(t, talk, acts);
}

void provision_distrust(struct provisions *t, struct provision_actions *acts)
{
	enum provision_trust before = t->trust;

	if (before == TRUST_NONE || before == TRUST_NEVER)
		return;
	t->trust = TRUST_NEVER;
	for (size_t i = 0; i < t->n_talks && before == TRUST_ALL; i++)
		take_back(t, t->talks[i], acts);
	provision_close_idle(t, acts);
	provision_add_action(acts, PROVISION_DISTRUST);
}
