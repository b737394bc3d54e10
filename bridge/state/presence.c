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

struct state {
	char *device;
	enum known online, alarm;
	int64_t seen; /* the last day; 0: never */
	bool is_new;  /* that is to be written */
	TAILQ_ENTRY(state) entry;
};
TAILQ_HEAD(states, state);

struct presences {
	struct map states; /* device -> struct state */
	struct states news;
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

static void put_row(const struct state *s, struct changes *out)
{
	struct buf row = { 0 };

	put(&row, s->online, s->alarm);
	if (s->seen) {
		row.len--;
		buf_printf(&row, ",\"seen\":%" PRId64 "}", s->seen);
	}
	changes_put(out, MACHINE, s->device, buf_str(&row), false);
	buf_fini(&row);
}

/* Set `*what`, one of the two of `s`; returns what it was. */
static enum known set(struct state *s, enum known *what, bool value, struct changes *out)
{
	enum known before = *what;

	*what = value ? KNOWN_TRUE : KNOWN_FALSE;
	if (*what != before)
		put_row(s, out);
	return before;
}

bool presences_set_online(struct presences *t, const char *device, bool online, struct changes *out)
{
	struct state *s = state_of(t, device);

	return set(s, &s->online, online, out) != s->online;
}

bool presences_set_alarm(struct presences *t, const char *device, bool active, struct changes *out)
{
	struct state *s = state_of(t, device);
	enum known before = set(s, &s->alarm, active, out);

	return before == KNOWN_NOT ? active : before != s->alarm;
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
	put_row(s, out);
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
	ok = true;
out:
	if (!ok)
		err_set(e, ERR_CORRUPT, "presence of '%s' is no presence", key);
	buf_fini(&text);
	return ok;
}

static int64_t next_deadline(const void *m)
{
	return presences_next_seen(m) ? 0 : INT64_MAX;
}

MACHINE_FUNCTIONS(presences)

const struct machine presence_machine = { .name = MACHINE,
					  .next_deadline = next_deadline,
					  MACHINE_FIELDS };
