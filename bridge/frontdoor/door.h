/* door.h -- the front door: what the parts of the plugin share.
 *
 * Devices of dialects whose topics name no device each get a view of the broker of their own; bridges see all of
 * them, under $frontdoor/ (topics.h).  All that the plugin remembers is in one struct, and all of it runs
 * in the broker's only thread, within its events.  A function on_...() is the answer to an event, as the
 * broker wants it. */
#ifndef BRIDGE_DOOR_H
#define BRIDGE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>

#include "base/buf.h"
#include "base/map.h"
#include "frontdoor/bridges.h"
#include "frontdoor/bucket.h"
#include "frontdoor/sessions.h"
#include "frontdoor/table.h"

struct err;

struct door_options {
	char *table, *bridge; /* files; NULL: not set */
	bool allows_others, closes_on_invalid, closes_when_away;
	double rate, burst;		/* messages of a device, per second */
	double login_rate, login_burst; /* failed logins of an address */
	size_t provision_max, provision_per_address;
	int64_t provision_idle_ms, provision_answered_ms;
};

/* What is counted, and told once a minute if there was any. */
struct door_counts {
	uint64_t refused, throttled, over_rate, invalid, away;
};

struct door {
	struct door_options options;
	struct bridges bridges;
	struct table **tables;
	size_t n_tables;
	struct sessions sessions;
	struct map addresses; /* of failed logins: struct bucket */
	struct door_counts counts;
	const struct mosquitto *connecting; /* logs in in this turn of the broker's loop */
	bool is_reloading;
	bool is_dirty; /* the tables are not what the file says */
	int64_t now_ms, told_ms, written_ms;
	uint64_t next_provisioner;
	struct buf topic, name, scratch;
};

/* --- door_login.c */
int door_on_login(struct door *d, struct mosquitto_evt_basic_auth *ev);
/* It is gone, or another one has taken its place: no longer live, and if it was the last of its device, that is
 * offline. */
void door_end_session(struct door *d, struct door_session *s);
/* Disconnect; the broker tells of it afterwards, or not: it is not live from now on. */
void door_kick(struct door *d, struct door_session *s, const char *why);
void door_sweep_addresses(struct door *d); /* forget those that have not failed for some time */

/* --- door_message.c */
int door_on_message(struct door *d, struct mosquitto_evt_message *ev);
/* Publish a copy: to one client (its id), or to all who have subscribed (NULL). */
bool door_publish(const char *id, const char *topic, const void *payload, size_t n, int qos);

/* --- door_acl.c */
int door_on_acl(struct door *d, struct mosquitto_evt_acl_check *ev);

/* --- door_tables.c */
/* What a bridge says on `topic`, less DOOR_TABLE.  False: it is not understood, and has changed nothing. */
bool door_on_table(struct door *d, const struct door_session *bridge, const char *topic,
		   const void *payload, size_t n);
struct table *door_table_of(const struct door *d, const char *owner); /* NULL: none */
bool door_tables_have(const struct door *d, const char *name);
bool door_tables_let_provision(const struct door *d, const char *topic); /* NULL: anything at all */
bool door_read_tables(struct door *d, struct err *e);			 /* no such file: none */
void door_write_tables(struct door *d);					 /* a failure is logged */

/* --- door_presence.c */
void door_tell_presence(struct door *d, const char *name, bool is_online);
/* Tell a bridge of all who are here, from its next turn on, a piece per turn. */
void door_begin_list(struct door *d, struct door_session *bridge);
void door_list(struct door *d);

#endif
