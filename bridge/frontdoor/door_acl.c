/* door_acl.c -- who may read, write and subscribe what.
 *
 * A device is never given anything by a subscription: what is for it is published to it alone, and its filters only
 * say with which QoS.  (Reading is asked once more for what waited for a session while it was away, which is its
 * own: hence the time in which it logs in.)  Writing is asked of wills as well, of sessions that have ended: theirs
 * go nowhere.  Bridges are asked about while they are away, too, and after a restart of the broker by a pointer that
 * never logged in; so they are known by their ids, which nobody else can have. */
#include <string.h>

#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "frontdoor/door.h"
#include "frontdoor/topics.h"

/* Whose filters get what this device says: the bridges that have a row of it. */
static bool bridge_reads(struct door *d, const char *id, const char *topic)
{
	const struct table *t = door_table_of(d, id);
	const char *rest;

	if (!t || (!topics_split(topic, DOOR_UP, &d->name, &rest) &&
		   !topics_split(topic, DOOR_STATE, &d->name, &rest)))
		return false;
	if (d->name.data[0] == '@') /* no device's */
		return !rest || table_lets_provision(t, rest);
	return table_has(t, d->name.data);
}

static int bridge_acl(struct door *d, struct door_session *s, const char *id,
		      const struct mosquitto_evt_acl_check *ev)
{
	bool may = false;

	switch (ev->access) {
	case MOSQ_ACL_READ:
		may = bridge_reads(d, id, ev->topic);
		break;
	case MOSQ_ACL_WRITE:
		may = s && (strncmp(ev->topic, DOOR_DOWN, sizeof DOOR_DOWN - 1) == 0 ||
			    strncmp(ev->topic, DOOR_TABLE, sizeof DOOR_TABLE - 1) == 0);
		break;
	case MOSQ_ACL_SUBSCRIBE:
		may = s && (strncmp(ev->topic, "$frontdoor/", 11) == 0 ||
			    strcmp(ev->topic, DOOR_TAKEN) == 0);
		if (may && strncmp(ev->topic, DOOR_STATE, sizeof DOOR_STATE - 1) == 0)
			door_begin_list(d, s);
		break;
	default:
		may = true;
	}
	return may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

static int device_acl(struct door *d, struct door_session *s,
		      const struct mosquitto_evt_acl_check *ev)
{
	bool may = false;

	switch (ev->access) {
	case MOSQ_ACL_READ:
		may = ev->client == d->connecting && ev->topic[0] != '$';
		break;
	case MOSQ_ACL_WRITE:
		may = s->who == WHO_DEVICE || door_tables_let_provision(d, ev->topic);
		break;
	case MOSQ_ACL_SUBSCRIBE:
		may = ev->topic[0] != '$';
		if (may)
			session_note_filter(s, ev->topic, ev->qos);
		break;
	default:
		session_forget_filter(s, ev->topic);
		may = true;
	}
	return may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

int door_on_acl(struct door *d, struct mosquitto_evt_acl_check *ev)
{
	struct door_session *s = sessions_of(&d->sessions, ev->client);
	const char *id = s ? s->id : mosquitto_client_id(ev->client);

	if (!ev->topic)
		return MOSQ_ERR_ACL_DENIED;
	if (s ? s->who == WHO_BRIDGE : id && strncmp(id, "b/", 2) == 0)
		return bridge_acl(d, s, id, ev);
	if (s && s->who != WHO_OTHER)
		return device_acl(d, s, ev);
	if (!s && id && (strncmp(id, "d/", 2) == 0 || strncmp(id, "p/", 2) == 0))
		return MOSQ_ERR_ACL_DENIED; /* it has ended */
	if (!d->options.allows_others || topics_is_ours(ev->topic))
		return MOSQ_ERR_ACL_DENIED;
	return MOSQ_ERR_PLUGIN_DEFER;
}
