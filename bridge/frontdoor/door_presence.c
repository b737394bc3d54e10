/* door_presence.c -- which devices are here.  Changes are told to all bridges; to one that has logged in, all who were
 * here then: @begin, each device, @end.  Who has gone meanwhile is left out, and was told of by itself. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "frontdoor/door.h"
#include "frontdoor/topics.h"

#define PER_TURN 500

static void tell(struct door *d, const char *to, const char *name, const char *what)
{
	buf_reset(&d->topic);
	buf_puts(&d->topic, DOOR_STATE);
	buf_puts(&d->topic, name);
	door_publish(to, d->topic.data, what, strlen(what), 1);
}

void door_tell_presence(struct door *d, const char *name, bool is_online)
{
	tell(d, NULL, name, is_online ? "online" : "offline");
}

void door_begin_list(struct door *d, struct door_session *bridge)
{
	struct map_pos pos = { 0 };

	buf_reset(&bridge->list);
	bridge->listed = 0;
	bridge->is_listing = true;
	for (const struct door_session *s; (s = map_next(&d->sessions.by_name, &pos));)
		if (s->who == WHO_DEVICE)
			buf_append(&bridge->list, s->name, strlen(s->name) + 1);
}

static void list_piece(struct door *d, struct door_session *b)
{
	if (b->listed == 0)
		tell(d, b->id, "@begin", "");
	for (int i = 0; i < PER_TURN && b->listed < b->list.len; i++) {
		const char *name = b->list.data + b->listed;

		b->listed += strlen(name) + 1;
		if (sessions_named(&d->sessions, name))
			tell(d, b->id, name, "online");
	}
	if (b->listed < b->list.len)
		return;
	tell(d, b->id, "@end", "");
	b->is_listing = false;
	buf_fini(&b->list);
}

void door_list(struct door *d)
{
	for (size_t i = 0; i < d->n_tables; i++) {
		struct door_session *b = sessions_with_id(&d->sessions, d->tables[i]->owner);

		if (b && b->is_listing)
			list_piece(d, b);
	}
}
