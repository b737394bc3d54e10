#include "state/presence.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"

#define MACHINE "presence"

struct state {
	char *device;
	enum known online, alarm;
};

struct presences {
	struct map states; /* device -> struct state */
};

static const char *const known_text[] = {
	[KNOWN_NOT] = "null",
	[KNOWN_FALSE] = "false",
	[KNOWN_TRUE] = "true",
};

struct presences *presences_new(void)
{
	return mem_zalloc(sizeof(struct presences));
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

/* Set `*what`, one of the two of `s`; returns what it was. */
static enum known set(const char *device, struct state *s, enum known *what, bool value,
		      struct changes *out)
{
	enum known before = *what;
	struct buf row = { 0 };

	*what = value ? KNOWN_TRUE : KNOWN_FALSE;
	if (*what != before) {
		put(&row, s->online, s->alarm);
		changes_put(out, MACHINE, device, buf_str(&row), false);
		buf_fini(&row);
	}
	return before;
}

bool presences_set_online(struct presences *t, const char *device, bool online, struct changes *out)
{
	struct state *s = state_of(t, device);

	return set(device, s, &s->online, online, out) != s->online;
}

bool presences_set_alarm(struct presences *t, const char *device, bool active, struct changes *out)
{
	struct state *s = state_of(t, device);
	enum known before = set(device, s, &s->alarm, active, out);

	return before == KNOWN_NOT ? active : before != s->alarm;
}

void presences_put_state(const struct presences *t, const char *device, struct buf *out)
{
	const struct state *s = map_get_str(&t->states, device);

	if (s)
		put(out, s->online, s->alarm == KNOWN_TRUE ? KNOWN_TRUE : KNOWN_FALSE);
}

bool presences_is_online(const struct presences *t, const char *device)
{
	const struct state *s = map_get_str(&t->states, device);

	return s && s->online == KNOWN_TRUE;
}

const char *presences_next_online(const struct presences *t, struct map_pos *pos)
{
	const struct state *s;

	while ((s = map_next(&t->states, pos)) != NULL)
		if (s->online == KNOWN_TRUE)
			return s->device;
	return NULL;
}

void presences_forget(struct presences *t, const char *device, struct changes *out)
{
	struct state *s = map_remove_str(&t->states, device);

	if (s)
		changes_delete(out, MACHINE, device);
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

bool presences_restore(struct presences *t, const char *key, const char *value, struct err *e)
{
	struct state read, *s;
	struct buf text = { 0 };
	bool ok = false;

	if (!jtext_read(value, strlen(value), false, &text, NULL))
		goto out;
	if (!read_known((struct jslice){ text.data, text.len }, "online", &read.online) ||
	    !read_known((struct jslice){ text.data, text.len }, "alarm", &read.alarm))
		goto out;
	s = state_of(t, key);
	s->online = read.online;
	s->alarm = read.alarm;
	ok = true;
out:
	if (!ok)
		err_set(e, ERR_CORRUPT, "presence of '%s' is no presence", key);
	buf_fini(&text);
	return ok;
}

MACHINE_FUNCTIONS(presences)

const struct machine presence_machine = { .name = MACHINE, MACHINE_FIELDS };
