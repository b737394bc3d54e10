#include "message/mqtt_version.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

#define NEVER INT64_MIN

/* What all sessions with one server know of it. */
struct endpoint {
	SLIST_ENTRY(endpoint) entry;
	char *host;
	int port;
	unsigned n_users;
	int64_t old_since_ms; /* 3.1.1 got in; NEVER: it did not */
};
static SLIST_HEAD(, endpoint) endpoints = SLIST_HEAD_INITIALIZER(endpoints);

struct mqtt_version {
	struct endpoint *endpoint;
	int fixed, now;
	bool tries_old;	   /* the next attempt, once */
	int64_t began_ms;  /* the attempt at hand */
	int64_t silent_ms; /* when the last one without an answer ended */
	unsigned n_silent; /* so many of those in a row */
	unsigned n_malformed;
};

static struct endpoint *find_endpoint(const char *host, int port)
{
	struct endpoint *e;

	SLIST_FOREACH (e, &endpoints, entry)
		if (e->port == port && strcmp(e->host, host) == 0)
			return e;
	e = mem_zalloc(sizeof *e);
	*e = (struct endpoint){ .host = mem_strdup(host), .port = port, .old_since_ms = NEVER };
	SLIST_INSERT_HEAD(&endpoints, e, entry);
	return e;
}

struct mqtt_version *mqtt_version_new(const char *host, int port, int fixed)
{
	struct mqtt_version *v = mem_zalloc(sizeof *v);

	v->endpoint = find_endpoint(host, port);
	v->endpoint->n_users++;
	v->fixed = fixed;
	v->now = fixed ? fixed : 5;
	return v;
}

void mqtt_version_free(struct mqtt_version *v)
{
	struct endpoint *e = v ? v->endpoint : NULL;

	free(v);
	if (!e || --e->n_users > 0)
		return;
	SLIST_REMOVE(&endpoints, e, endpoint, entry);
	free(e->host);
	free(e);
}

static bool is_known_old(const struct endpoint *e, int64_t now_ms)
{
	return e->old_since_ms != NEVER && now_ms - e->old_since_ms < MQTT_VERSION_AGAIN_MS;
}

int mqtt_version_next(struct mqtt_version *v, int64_t now_ms)
{
	if (v->fixed)
		return v->fixed;
	v->now = v->tries_old || v->n_malformed >= MQTT_VERSION_MALFORMED ||
				 is_known_old(v->endpoint, now_ms)
			 ? 4
			 : 5;
	v->tries_old = false;
	v->began_ms = now_ms;
	return v->now;
}

void mqtt_version_refused(struct mqtt_version *v)
{
	v->tries_old = v->now == 5;
	v->n_silent = 0;
}

void mqtt_version_answered(struct mqtt_version *v)
{
	v->n_silent = 0;
}

void mqtt_version_silent(struct mqtt_version *v, int64_t now_ms)
{
	bool is_next = v->began_ms - v->silent_ms <= MQTT_VERSION_CLOSES_MS;

	if (v->now != 5)
		return;
	v->silent_ms = now_ms;
	v->n_silent++;
	if (v->n_silent >= MQTT_VERSION_SILENT || (v->n_silent > 1 && is_next))
		mqtt_version_refused(v);
}

void mqtt_version_logged_in(struct mqtt_version *v, int64_t now_ms)
{
	struct endpoint *e = v->endpoint;

	v->n_silent = 0;
	if (v->fixed || v->n_malformed >= MQTT_VERSION_MALFORMED)
		return;
	if (v->now == 5)
		e->old_since_ms = NEVER;
	else if (!is_known_old(e, now_ms))
		e->old_since_ms = now_ms;
}

bool mqtt_version_malformed(struct mqtt_version *v)
{
	return !v->fixed && ++v->n_malformed == MQTT_VERSION_MALFORMED;
}
