/* presence.c -- a device is in one list at most, by what time will bring for it: those that are online in the order in
 * which they were heard last, those that leave in the order in which they said so.  Each has one delay, the same for
 * all of its list: so the first of it is the next, and no walk over all is needed. */
#include "state/presence.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"

#define MACHINE "presence"
#define DAY_MS	INT64_C(86400000)
#define MAX_DAY (INT64_C(1) << 32)

TAILQ_HEAD(states, state);
struct state {
	char *device;
	enum known online, alarm;
	int64_t seen;	  /* the last day; 0: never */
	bool is_new;	  /* that is to be written */
	bool is_silent;	  /* it is offline because it was not heard of */
	int64_t heard_ms; /* last; 0: not in this run, or nobody counts it */
	int64_t since_ms; /* of `heard`, `leaving`: when it was heard last, said that it leaves */
	struct states *list; /* `heard`, `leaving` or `back`; NULL: none of these */
	TAILQ_ENTRY(state) entry, timed;
};

struct presences {
	struct map states; /* device -> struct state */
	struct states news;
	struct states heard, leaving; /* the earliest first */
	struct states back;	      /* to be set online */
	int64_t silence_ms, delay_ms; /* 0: none */
	int64_t listens_ms;	      /* since when; INT64_MAX: nobody is heard */
};

static const char *const known_text[] = {
	[KNOWN_NOT] = "null",
	[KNOWN_FALSE] = "false",
	[KNOWN_TRUE] = "true",
};

struct presences *presences_new(void)
{
	struct presences *t = mem_zalloc(sizeof *t);

	TAILQ_INIT(&t->news);
	TAILQ_INIT(&t->heard);
	TAILQ_INIT(&t->leaving);
	TAILQ_INIT(&t->back);
	return t;
}

static void free_state(void *value)
{
	struct state *s = value;

	if (s)
		free(s->device);
	free(s);
}

void presences_free(struct presences *t)
{
	if (!t)
		return;
	map_fini(&t->states, free_state);
	free(t);
}

static struct state *state_of(struct presences *t, const char *device)
{
	struct state *s = map_get_str(&t->states, device);

	if (!s) {
		s = mem_zalloc(sizeof *s);
		s->device = mem_strdup(device);
		map_set_str(&t->states, device, s);
	}
	return s;
}

static void put(struct buf *out, enum known online, enum known alarm)
{
	buf_printf(out, "{\"online\":%s,\"alarm\":%s}", known_text[online], known_text[alarm]);
}

static void put_row(const struct presences *t, const struct state *s, struct changes *out)
{
	struct buf row = { 0 };

	put(&row, s->online, s->alarm);
	row.len--;
	if (s->seen)
		buf_printf(&row, ",\"seen\":%" PRId64, s->seen);
	if (s->list == &t->leaving)
		buf_puts(&row, ",\"leaves\":true");
	if (s->is_silent)
		buf_puts(&row, ",\"silent\":true");
	buf_putc(&row, '}');
	changes_put(out, MACHINE, s->device, buf_str(&row), false);
	buf_fini(&row);
}

/* --- who comes and goes --------------------------------------------------------------------- */

static void leave_list(struct state *s)
{
	if (s->list)
		TAILQ_REMOVE(s->list, s, timed);
	s->list = NULL;
}

static void join_list(struct state *s, struct states *list)
{
	leave_list(s);
	s->list = list;
	TAILQ_INSERT_TAIL(list, s, timed);
}

/* Behind the others, though a message may have been on its way for longer than theirs. */
static void join_timed(struct state *s, struct states *list, int64_t since_ms)
{
	const struct state *last;

	leave_list(s);
	last = TAILQ_LAST(list, states);
	s->since_ms = last && last->since_ms > since_ms ? last->since_ms : since_ms;
	join_list(s, list);
}

void presences_set_delays(struct presences *t, int64_t silence_ms, int64_t delay_ms)
{
	t->silence_ms = silence_ms;
	t->delay_ms = delay_ms;
}

void presences_listen(struct presences *t, bool is_heard, int64_t now_ms)
{
	if (!is_heard)
		t->listens_ms = INT64_MAX;
	else if (t->listens_ms == INT64_MAX)
		t->listens_ms = now_ms;
}

/* When the first of the list is gone, INT64_MAX: none of it is. */
static int64_t gone_ms(const struct presences *t, const struct states *list, int64_t delay_ms)
{
	const struct state *s = TAILQ_FIRST(list);

	if (!s || t->listens_ms == INT64_MAX)
		return INT64_MAX;
	return (s->since_ms > t->listens_ms ? s->since_ms : t->listens_ms) + delay_ms;
}

const char *presences_next_gone(const struct presences *t, int64_t now_ms)
{
	if (gone_ms(t, &t->leaving, t->delay_ms) <= now_ms)
		return TAILQ_FIRST(&t->leaving)->device;
	if (gone_ms(t, &t->heard, t->silence_ms) <= now_ms)
		return TAILQ_FIRST(&t->heard)->device;
	return NULL;
}

const char *presences_next_back(const struct presences *t)
{
	const struct state *s = TAILQ_FIRST(&t->back);

	return s ? s->device : NULL;
}

void presences_hear(struct presences *t, const char *device, int64_t at_ms)
{
	struct state *s;

	if (!t->silence_ms)
		return;
	s = state_of(t, device);
	s->heard_ms = at_ms;
	if (s->list == &t->heard)
		join_timed(s, &t->heard, at_ms);
	else if (!s->list && (s->online == KNOWN_NOT || s->is_silent))
		join_list(s, &t->back);
}

bool presences_leave(struct presences *t, const char *device, int64_t now_ms, struct changes *out)
{
	struct state *s = state_of(t, device);

	if (!t->delay_ms || s->online != KNOWN_TRUE)
		return false;
	if (s->list == &t->leaving)
		return true;
	join_timed(s, &t->leaving, now_ms);
	put_row(t, s, out);
	return true;
}

bool presences_is_away(const struct presences *t, const char *device)
{
	const struct state *s = map_get_str(&t->states, device);

	return s && s->online == KNOWN_FALSE;
}

/* True if that is news. */
static bool set_online(struct presences *t, struct state *s, enum known is, bool is_silent,
		       struct changes *out)
{
	bool is_news = s->online != is,
	     is_change = is_news || s->list == &t->leaving || s->is_silent != is_silent;

	s->online = is;
	s->is_silent = is_silent;
	if (is == KNOWN_TRUE && t->silence_ms)
		join_timed(s, &t->heard, s->heard_ms);
	else
		leave_list(s);
	if (is_change)
		put_row(t, s, out);
	return is_news;
}

bool presences_set_online(struct presences *t, const char *device, bool online, struct changes *out)
{
	return set_online(t, state_of(t, device), online ? KNOWN_TRUE : KNOWN_FALSE, false, out);
}

void presences_set_gone(struct presences *t, const char *device, struct changes *out)
{
	struct state *s = state_of(t, device);

	set_online(t, s, KNOWN_FALSE, s->list == &t->heard, out);
}

bool presences_set_alarm(struct presences *t, const char *device, bool active, struct changes *out)
{
	struct state *s = state_of(t, device);
	enum known is = active ? KNOWN_TRUE : KNOWN_FALSE, before = s->alarm;

	s->alarm = is;
	if (before != is)
		put_row(t, s, out);
	return before == KNOWN_NOT ? active : before != is;
}

void presences_put_state(const struct presences *t, const char *device, struct buf *out)
{
	const struct state *s = map_get_str(&t->states, device);

	if (s && (s->online != KNOWN_NOT || s->alarm != KNOWN_NOT))
		put(out, s->online, s->alarm == KNOWN_TRUE ? KNOWN_TRUE : KNOWN_FALSE);
}

void presences_see(struct presences *t, const char *device, int64_t at_ms)
{
	struct state *s = state_of(t, device);
	int64_t day = at_ms / DAY_MS;

	if (day <= s->seen)
		return;
	s->seen = day;
	if (!s->is_new)
		TAILQ_INSERT_TAIL(&t->news, s, entry);
	s->is_new = true;
}

const char *presences_next_seen(const struct presences *t)
{
	const struct state *s = TAILQ_FIRST(&t->news);

	return s ? s->device : NULL;
}

static void leave_news(struct presences *t, struct state *s)
{
	if (s->is_new)
		TAILQ_REMOVE(&t->news, s, entry);
	s->is_new = false;
}

void presences_put_seen(struct presences *t, const char *device, struct changes *out)
{
	struct state *s = state_of(t, device);

	leave_news(t, s);
	put_row(t, s, out);
}

bool presences_is_known(const struct presences *t, const char *device)
{
	return map_get_str(&t->states, device) != NULL;
}

static bool is_there(const struct state *s, int64_t now_ms)
{
	return s->online == KNOWN_TRUE ||
	       (s->online == KNOWN_NOT && s->seen && s->seen * DAY_MS > now_ms - PRESENCE_SEEN_MS);
}

bool presences_is_there(const struct presences *t, const char *device, int64_t now_ms)
{
	const struct state *s = map_get_str(&t->states, device);

	return s && is_there(s, now_ms);
}

const char *presences_next_there(const struct presences *t, struct map_pos *pos, int64_t now_ms)
{
	const struct state *s;

	while ((s = map_next(&t->states, pos)) != NULL)
		if (is_there(s, now_ms))
			return s->device;
	return NULL;
}

void presences_forget(struct presences *t, const char *device, struct changes *out)
{
	struct state *s = map_remove_str(&t->states, device);

	if (s) {
		leave_news(t, s);
		leave_list(s);
		changes_delete(out, MACHINE, device);
	}
	free_state(s);
}

static bool read_known(struct jslice row, const char *name, enum known *out)
{
	static const enum known of_type[] = {
		[JTEXT_NULL] = KNOWN_NOT,
		[JTEXT_FALSE] = KNOWN_FALSE,
		[JTEXT_TRUE] = KNOWN_TRUE,
	};
	struct jslice v;
	enum jtext_type type;

	if (!jtext_field(row, name, &v))
		return false;
	type = jtext_type_of(v);
	if (type > JTEXT_TRUE)
		return false;
	*out = of_type[type];
	return true;
}

/* Rows have it where it is so. */
static bool is_marked(struct jslice row, const char *name)
{
	return jtext_is_true(row, name);
}

/* Rows of earlier versions have no such day. */
static bool read_day(struct jslice row, int64_t *out)
{
	struct jslice v;

	*out = 0;
	return !jtext_field(row, "seen", &v) ||
	       (jtext_integer(v, out) && *out >= 0 && *out <= MAX_DAY);
}

bool presences_restore(struct presences *t, const char *key, const char *value, struct err *e)
{
	struct state read, *s;
	struct buf text = { 0 };
	struct jslice row;
	bool ok = false;

	if (!jtext_read(value, strlen(value), false, &text, NULL))
		goto out;
	row = (struct jslice){ text.data, text.len };
	if (!read_known(row, "online", &read.online) || !read_known(row, "alarm", &read.alarm) ||
	    !read_day(row, &read.seen))
		goto out;
	s = state_of(t, key);
	s->online = read.online;
	s->alarm = read.alarm;
	s->seen = read.seen;
	s->is_silent = is_marked(row, "silent");
	if (s->is_silent && !t->silence_ms) { /* it was a goodbye, and is none any more */
		s->is_silent = false;
		s->online = KNOWN_NOT;
	}
	if (s->online == KNOWN_TRUE && is_marked(row, "leaves"))
		join_timed(s, &t->leaving, 0);
	else if (s->online == KNOWN_TRUE && t->silence_ms)
		join_timed(s, &t->heard, 0);
	ok = true;
out:
	if (!ok)
		err_set(e, ERR_CORRUPT, "presence of '%s' is no presence", key);
	buf_fini(&text);
	return ok;
}

static int64_t next_deadline(const void *m)
{
	const struct presences *t = m;
	int64_t leaves_ms = gone_ms(t, &t->leaving, t->delay_ms),
		silent_ms = gone_ms(t, &t->heard, t->silence_ms);

	if (presences_next_seen(t) || presences_next_back(t))
		return 0;
	return leaves_ms < silent_ms ? leaves_ms : silent_ms;
}

MACHINE_FUNCTIONS(presences)

const struct machine presence_machine = { .name = MACHINE,
					  .next_deadline = next_deadline,
					  MACHINE_FIELDS };
