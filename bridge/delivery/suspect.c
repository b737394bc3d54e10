#include "delivery/suspect.h"

static enum suspect_verdict lift(struct suspect *s, enum suspect_verdict verdict)
{
	struct suspect kept = *s;

	*s = (struct suspect){ .number = verdict == SUSPECT_GUILTY ? kept.number : 0,
			       .is_up = kept.is_up,
			       .is_answered = kept.is_answered,
			       .is_visit = kept.is_visit,
			       .up_ms = kept.up_ms,
			       .sent_ms = kept.sent_ms };
	return verdict;
}

void suspect_up(struct suspect *s, bool is_visit, int64_t now_ms)
{
	s->is_up = true;
	s->is_answered = false;
	s->is_visit = is_visit;
	s->up_ms = now_ms;
	s->tried = 0;
}

bool suspect_wants_ping(const struct suspect *s)
{
	return s->stage != SUSPECT_NONE;
}

void suspect_answered(struct suspect *s)
{
	s->is_answered = true;
}

void suspect_sent(struct suspect *s, uint64_t number, int64_t now_ms)
{
	s->sent_ms = now_ms;
	if (s->stage != SUSPECT_NONE)
		s->tried = number;
}

enum suspect_verdict suspect_acked(struct suspect *s, uint64_t number)
{
	if (s->stage == SUSPECT_NONE) {
		if (number == s->number)
			s->n_short = 0;
		return SUSPECT_OPEN;
	}
	if (number == s->number)
		return lift(s, SUSPECT_ACQUITTED);
	if (number == s->tried && s->stage == SUSPECT_CONTROL) {
		s->stage = SUSPECT_AGAIN;
		s->tried = 0;
	}
	return SUSPECT_OPEN;
}

void suspect_gone(struct suspect *s, uint64_t number)
{
	if (s->stage != SUSPECT_NONE && number == s->number)
		lift(s, SUSPECT_ACQUITTED);
}

static void start(struct suspect *s, enum suspect_stage stage, int64_t not_before_ms)
{
	s->stage = stage;
	s->n_ends = s->n_tries = 0;
	s->not_before_ms = not_before_ms;
}

static enum suspect_verdict short_end(struct suspect *s, uint64_t oldest)
{
	s->n_short = oldest == s->number ? s->n_short + 1 : 1;
	s->number = oldest;
	if (s->n_short < SUSPECT_AFTER)
		return SUSPECT_OPEN;
	start(s, SUSPECT_ALONE, 0);
	return SUSPECT_BEGINS;
}

/* It was not what is suspected, as that was not sent. */
static enum suspect_verdict quiet_end(struct suspect *s)
{
	s->n_ends = 0;
	if (s->stage == SUSPECT_CONTROL || s->stage == SUSPECT_AGAIN)
		s->stage = SUSPECT_ALONE;
	return ++s->n_quiet < SUSPECT_QUIET ? SUSPECT_OPEN : lift(s, SUSPECT_ACQUITTED);
}

static enum suspect_verdict control_ended(struct suspect *s, int64_t now_ms)
{
	s->pause_ms = s->pause_ms ? s->pause_ms * 2 : SUSPECT_PAUSE_MS;
	if (s->pause_ms > SUSPECT_PAUSES_MS)
		s->pause_ms = SUSPECT_PAUSES_MS;
	if (++s->n_others + 1 < SUSPECT_DIFFERENT)
		start(s, SUSPECT_ALONE, now_ms + s->pause_ms);
	else
		start(s, SUSPECT_LAST, now_ms + SUSPECT_TRY_MS);
	return SUSPECT_BOTH;
}

static enum suspect_verdict trial_ended(struct suspect *s, int64_t now_ms)
{
	s->n_quiet = 0;
	switch (s->stage) {
	case SUSPECT_NONE:
		break;
	case SUSPECT_ALONE:
		if (++s->n_ends >= SUSPECT_ENDS)
			s->stage = SUSPECT_CONTROL;
		break;
	case SUSPECT_CONTROL:
		return control_ended(s, now_ms);
	case SUSPECT_AGAIN:
		return lift(s, SUSPECT_GUILTY);
	case SUSPECT_LAST:
		s->not_before_ms = now_ms + SUSPECT_TRY_MS;
		if (++s->n_tries >= SUSPECT_TRIES)
			return lift(s, SUSPECT_GUILTY);
		break;
	}
	return SUSPECT_OPEN;
}

enum suspect_verdict suspect_ended(struct suspect *s, bool by_peer, uint64_t oldest, int64_t now_ms)
{
	bool was_up = s->is_up;
	bool is_answer = by_peer && oldest && now_ms - s->sent_ms < SUSPECT_IDLE_MS;

	s->is_up = false;
	if (!was_up)
		return SUSPECT_OPEN;
	if (s->stage == SUSPECT_NONE)
		return is_answer && now_ms - s->up_ms < SUSPECT_SHORT_MS ? short_end(s, oldest)
									 : SUSPECT_OPEN;
	if (is_answer && oldest == s->tried)
		return trial_ended(s, now_ms);
	return s->tried ? SUSPECT_OPEN : quiet_end(s);
}

static int64_t ready_ms(const struct suspect *s)
{
	int64_t lived_ms = s->is_visit ? 0 : s->up_ms + SUSPECT_LIVED_MS;

	return lived_ms > s->not_before_ms ? lived_ms : s->not_before_ms;
}

/* An answer that is awaited comes as an event. */
static bool is_waiting(const struct suspect *s)
{
	return !s->is_up || s->tried || !(s->is_answered || s->is_visit);
}

enum suspect_turn suspect_turn(const struct suspect *s, int64_t now_ms)
{
	if (s->stage == SUSPECT_NONE)
		return SUSPECT_TURN_ALL;
	if (is_waiting(s) || now_ms < ready_ms(s))
		return SUSPECT_TURN_WAIT;
	return s->stage == SUSPECT_CONTROL ? SUSPECT_TURN_OTHER : SUSPECT_TURN_ONE;
}

unsigned suspect_n_skipped(const struct suspect *s)
{
	return s->n_others;
}

void suspect_no_other(struct suspect *s, int64_t now_ms)
{
	start(s, SUSPECT_LAST, now_ms + SUSPECT_TRY_MS);
}

bool suspect_other(struct suspect *s)
{
	if (s->stage != SUSPECT_LAST || s->tried || s->n_others + 1 >= SUSPECT_DIFFERENT)
		return false;
	start(s, SUSPECT_CONTROL, 0);
	return true;
}

int64_t suspect_due_ms(const struct suspect *s, int64_t now_ms)
{
	int64_t ms = ready_ms(s);

	return s->stage == SUSPECT_NONE || is_waiting(s) || ms <= now_ms ? INT64_MAX : ms;
}
