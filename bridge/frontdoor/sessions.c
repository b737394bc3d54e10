#include "frontdoor/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "frontdoor/topics.h"

#define MAX_FILTERS 100 /* of a session: of further ones only the QoS is not known */

struct door_session *sessions_of(const struct sessions *s, const void *client)
{
	return map_get(&s->by_client, &client, sizeof client);
}

struct door_session *sessions_with_id(const struct sessions *s, const char *id)
{
	return map_get_str(&s->by_id, id);
}

struct door_session *sessions_named(const struct sessions *s, const char *name)
{
	return map_get_str(&s->by_name, name);
}

struct door_session *sessions_add(struct sessions *s, const void *client, enum who who,
				  const char *id, const char *name)
{
	struct door_session *one = sessions_of(s, client);

	if (one)
		sessions_remove(s, one);
	one = mem_zalloc(sizeof *one);
	one->client = client;
	one->who = who;
	one->id = mem_strdup(id);
	one->name = mem_strdup(name);
	map_set(&s->by_client, &client, sizeof client, one);
	map_set_str(&s->by_id, id, one);
	if (name)
		one->next = map_set_str(&s->by_name, name, one);
	s->n[who]++;
	return one;
}

static void free_session(void *session)
{
	struct door_session *s = session;

	for (struct noted_filter *f = s->filters, *next; f; f = next) {
		next = f->next;
		free(f);
	}
	free(s->id);
	free(s->name);
	free(s->owner);
	free(s->address);
	buf_fini(&s->list);
	free(s);
}

static void unname(struct sessions *s, struct door_session *one)
{
	struct door_session *first = sessions_named(s, one->name);

	if (first == one) {
		if (one->next)
			map_set_str(&s->by_name, one->name, one->next);
		else
			map_remove_str(&s->by_name, one->name);
		return;
	}
	while (first->next != one)
		first = first->next;
	first->next = one->next;
}

void sessions_remove(struct sessions *s, struct door_session *one)
{
	map_remove(&s->by_client, &one->client, sizeof one->client);
	if (sessions_with_id(s, one->id) == one)
		map_remove_str(&s->by_id, one->id);
	if (one->name)
		unname(s, one);
	s->n[one->who]--;
	free_session(one);
}

void sessions_fini(struct sessions *s)
{
	map_fini(&s->by_id, NULL);
	map_fini(&s->by_name, NULL);
	map_fini(&s->by_client, free_session);
}

void session_forget_filter(struct door_session *s, const char *filter)
{
	for (struct noted_filter **f = &s->filters; *f; f = &(*f)->next)
		if (strcmp((*f)->filter, filter) == 0) {
			struct noted_filter *gone = *f;

			*f = gone->next;
			free(gone);
			return;
		}
}

void session_note_filter(struct door_session *s, const char *filter, int qos)
{
	struct noted_filter **end = &s->filters, *f;
	size_t n = 0, len;

	session_forget_filter(s, filter);
	for (; *end; end = &(*end)->next)
		n++;
	if (n >= MAX_FILTERS)
		return;
	len = strlen(filter) + 1;
	f = mem_zalloc(sizeof *f + len);
	memcpy(f->filter, filter, len);
	f->qos = (uint8_t)qos;
	*end = f;
}

int session_qos(const struct door_session *s, const char *topic)
{
	for (const struct noted_filter *f = s->filters; f; f = f->next)
		if (topics_match(f->filter, topic))
			return f->qos;
	return 1;
}
