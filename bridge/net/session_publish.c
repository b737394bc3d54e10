/* session_publish.c -- a message handed to the library, with its properties. */
#include <limits.h>

#include <mqtt_protocol.h>

#include "base/err.h"
#include "net/session_inside.h"

#define MQTT_MAX_TEXT 65535

static bool property_failed(int rc, const char *what, struct err *e)
{
	if (rc == MOSQ_ERR_SUCCESS)
		return false;
	err_set(e, ERR_INVALID, "%s: %s", what, mosquitto_strerror(rc));
	return true;
}

/* The properties of a PUBLISH.  False sets *e: one that MQTT cannot carry. */
static bool write_properties(const struct message *m, mosquitto_property **list, struct err *e)
{
	for (size_t i = 0; i < m->properties.n; i++)
		if (property_failed(
			    mosquitto_property_add_string_pair(list, MQTT_PROP_USER_PROPERTY,
							       m->properties.items[i].name,
							       m->properties.items[i].value),
			    "property", e))
			return false;
	if (m->response_topic &&
	    (property_failed(mosquitto_pub_topic_check(m->response_topic), "response topic", e) ||
	     property_failed(mosquitto_property_add_string(list, MQTT_PROP_RESPONSE_TOPIC,
							   m->response_topic),
			     "response topic", e)))
		return false;
	if (m->expiry_s &&
	    property_failed(mosquitto_property_add_int32(list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
							 m->expiry_s),
			    "message expiry", e))
		return false;
	if (m->correlation_len > MQTT_MAX_TEXT) {
		err_set(e, ERR_INVALID, "correlation data: longer than %d bytes", MQTT_MAX_TEXT);
		return false;
	}
	return m->correlation_len == 0 ||
	       !property_failed(mosquitto_property_add_binary(list, MQTT_PROP_CORRELATION_DATA,
							      m->correlation,
							      (uint16_t)m->correlation_len),
				"correlation data", e);
}

static enum err_code publish_error(int rc)
{
	switch (rc) {
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return ERR_LIMIT;
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
	case MOSQ_ERR_DUPLICATE_PROPERTY:
	case MOSQ_ERR_PROTOCOL:
	case MOSQ_ERR_QOS_NOT_SUPPORTED:
	case MOSQ_ERR_RETAIN_NOT_SUPPORTED:
		return ERR_INVALID;
	default:
		return ERR_NET;
	}
}

static int publish(struct session *s, const struct message *m, int *mid,
		   const mosquitto_property *properties)
{
	struct mosquitto *handle = s->attempt->m;
	struct gather *outer = gather_begin(&s->attempt->gather);
	int len = (int)m->payload_len, rc;
	int qos = m->qos < s->login.max_qos ? m->qos : s->login.max_qos;

	if (s->conf.mqtt == 5)
		rc = mosquitto_publish_v5(handle, mid, m->topic, len, m->payload, qos, m->retain,
					  properties);
	else
		rc = mosquitto_publish(handle, mid, m->topic, len, m->payload, qos, m->retain);
	gather_end(&s->attempt->gather, outer);
	return rc;
}

bool session_publish(struct session *s, const struct message *m, int *mid, struct err *e)
{
	mosquitto_property *properties = NULL;
	bool ok = false;
	int rc;

	/* Offline, the library would answer NO_CONN and queue the message all the same. */
	if (!session_takes(s) || attempt_socket(s->attempt) < 0) {
		err_set(e, ERR_NET, "the session is not up");
		return false;
	}
	if (s->is_held && s->n_unacked >= s->login.room) { /* the library would keep it for later */
		err_set(e, ERR_NET, "this visit takes no more");
		return false;
	}
	if (s->conf.packet_bytes && message_packet_bytes(m, s->conf.mqtt) > s->conf.packet_bytes) {
		err_set(e, ERR_LIMIT, "%zu bytes as a packet, and the platform takes %zu",
			message_packet_bytes(m, s->conf.mqtt), s->conf.packet_bytes);
		return false;
	}
	if (m->payload_len > INT_MAX) {
		err_set(e, ERR_LIMIT, "payload of %zu bytes", m->payload_len);
		return false;
	}
	if (s->conf.mqtt == 5 && !write_properties(m, &properties, e))
		goto out;
	rc = publish(s, m, mid, properties);
	if (rc != MOSQ_ERR_SUCCESS) {
		err_set(e, publish_error(rc), "publish: %s", mosquitto_strerror(rc));
		s->is_broken = publish_error(rc) == ERR_NET;
		goto out;
	}
	s->n_unacked++;
	attempt_published(s->attempt);
	ok = true;
out:
	mosquitto_property_free_all(&properties);
	return ok;
}
