/* door_message.c -- what is published: a device's goes up, a bridge's down or into a table.
 *
 * What was handed over goes on under DOOR_TAKEN: shorter than any topic that gets here, so it is written in
 * place.  (Who frees a topic that was replaced changed with mosquitto 2.0.15.)  Answers of the broker:
 * MOSQ_ERR_ACL_DENIED acknowledges and drops, MOSQ_ERR_UNKNOWN ends the connection without an acknowledgement, so that
 * a device sends it again. */
#include <string.h>

#include "frontdoor/door.h"
#include "frontdoor/payload.h"
#include "frontdoor/topics.h"

/* How many bytes a PUBLISH of QoS 1 without properties is, in MQTT's remaining length. */
#define PUBLISH_BYTES(topic, n) (2 + strlen(topic) + 2 + (n))

bool door_publish(const char *id, const char *topic, const void *payload, size_t n, int qos)
{
	void *copy = n ? mosquitto_malloc(n) : NULL;

	if (n) {
		if (!copy)
			return false;
		memcpy(copy, payload, n);
	}
	/* mosquitto_broker_publish_copy() spoils the broker's account of its memory. */
	if (mosquitto_broker_publish(id, topic, (int)n, copy, qos, false, NULL) == MOSQ_ERR_SUCCESS)
		return true;
	mosquitto_free(copy);
	return false;
}

static int settle(struct mosquitto_evt_message *ev, const char *as)
{
	memcpy(ev->topic, as, strlen(as) + 1); /* not longer: the caller has looked */
	ev->retain = false;
	return MOSQ_ERR_SUCCESS;
}

/* Is a bridge here that wants what this session says? */
static bool has_bridge(const struct door *d, const struct door_session *s)
{
	for (size_t i = 0; i < d->n_tables; i++)
		if (sessions_with_id(&d->sessions, d->tables[i]->owner) &&
		    (s->who == WHO_PROVISIONER || table_has(d->tables[i], s->name)))
			return true;
	return false;
}

static bool is_valid(struct door *d, const struct door_session *s,
		     const struct mosquitto_evt_message *ev)
{
	for (size_t i = 0; i < d->n_tables; i++) {
		const struct table *t = d->tables[i];
		const struct rule *json;

		if (s->who == WHO_DEVICE && !table_has(t, s->name))
			continue;
		if (t->packet_bytes && PUBLISH_BYTES(ev->topic, ev->payloadlen) > t->packet_bytes)
			return false;
		json = table_json_rule(t, ev->topic);
		if (json &&
		    !payload_is_json(ev->payload, ev->payloadlen, json->is_lenient, &d->scratch))
			return false;
	}
	return true;
}

static int from_device(struct door *d, struct door_session *s, struct mosquitto_evt_message *ev)
{
	const struct door_options *o = &d->options;

	if (!bucket_take(&s->bucket, o->rate, o->burst, d->now_ms)) {
		d->counts.over_rate++;
		return ev->qos ? MOSQ_ERR_UNKNOWN : MOSQ_ERR_ACL_DENIED;
	}
	if (ev->topic[0] == '$' || strlen(ev->topic) > DOOR_MAX_TOPIC)
		return MOSQ_ERR_ACL_DENIED;
	if (s->who == WHO_PROVISIONER && !door_tables_let_provision(d, ev->topic))
		return MOSQ_ERR_ACL_DENIED;
	if (o->closes_on_invalid && !is_valid(d, s, ev)) {
		d->counts.invalid++;
		return MOSQ_ERR_UNKNOWN;
	}
	if (o->closes_when_away && !has_bridge(d, s)) {
		d->counts.away++;
		return MOSQ_ERR_UNKNOWN;
	}
	topics_join(&d->topic, DOOR_UP, s->name, ev->topic);
	if (!door_publish(NULL, d->topic.data, ev->payload, ev->payloadlen, ev->qos ? 1 : 0))
		return MOSQ_ERR_UNKNOWN;
	return settle(ev, DOOR_TAKEN);
}

static bool may_reach(const struct door *d, const struct door_session *bridge, const char *name)
{
	const struct table *t = door_table_of(d, bridge->id);

	return t && (name[0] == '@' ? t->n_provision > 0 : table_has(t, name));
}

static int to_device(struct door *d, const struct door_session *bridge,
		     struct mosquitto_evt_message *ev)
{
	const char *topic;
	bool is_handed_over = false;

	if (!topics_split(ev->topic, DOOR_DOWN, &d->name, &topic) || !topic || !*topic ||
	    !may_reach(d, bridge, d->name.data))
		return MOSQ_ERR_ACL_DENIED;
	for (struct door_session *s = sessions_named(&d->sessions, d->name.data); s; s = s->next) {
		int qos = session_qos(s, topic);

		if (!door_publish(s->id, topic, ev->payload, ev->payloadlen,
				  qos < ev->qos ? qos : ev->qos))
			continue;
		is_handed_over = true;
		if (s->who == WHO_PROVISIONER)
			s->end_ms = d->now_ms + d->options.provision_answered_ms;
	}
	return settle(ev, is_handed_over ? DOOR_TAKEN : DOOR_NOBODY);
}

int door_on_message(struct door *d, struct mosquitto_evt_message *ev)
{
	struct door_session *s = sessions_of(&d->sessions, ev->client);

	if (!s ||
	    s->who ==
		    WHO_OTHER) /* who may have come without a login: a bridge of the broker's own */
		return !d->options.allows_others || topics_is_ours(ev->topic) ? MOSQ_ERR_ACL_DENIED
									      : MOSQ_ERR_SUCCESS;
	if (s->who != WHO_BRIDGE)
		return from_device(d, s, ev);
	if (strncmp(ev->topic, DOOR_TABLE, sizeof DOOR_TABLE - 1) != 0)
		return to_device(d, s, ev);
	return door_on_table(d, s, ev->topic + sizeof DOOR_TABLE - 1, ev->payload, ev->payloadlen)
		       ? settle(ev, DOOR_TAKEN)
		       : MOSQ_ERR_ACL_DENIED;
}
