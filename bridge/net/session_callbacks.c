/* session_callbacks.c -- what libmosquitto says of a connection: its callbacks collect, session.c
 * concludes when the library is off the stack. */
#include <stdlib.h>
#include <string.h>

#include <mqtt_protocol.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/assert_guard.h"
#include "net/session_inside.h"

#define KEEP_BYTES ((size_t)64 << 10) /* of what the largest message took */

/* Each one begins and ends like this.  NULL: nobody's any more. */
static struct session *enter(void *ctx)
{
	assert_guard_suspend();
	return ((struct attempt *)ctx)->owner;
}

static void leave(void)
{
	assert_guard_resume();
}

static void on_connack(struct mosquitto *m, void *ctx, int code, int flags,
		       const mosquitto_property *properties)
{
	struct session *s = enter(ctx);
	uint8_t has_ids = 1; /* unless it says no */
	uint16_t keepalive_s;

	(void)m;
	if (s) {
		s->login.room = UINT16_MAX;
		s->login.max_qos = 2;
		mosquitto_property_read_byte(properties, MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE,
					     &has_ids, false);
		s->login.has_ids = s->conf.mqtt == 5 && has_ids;
		mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &s->login.max_qos,
					     false);
		mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &s->login.room,
					      false);
		if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE,
						  &keepalive_s, false))
			attempt_set_keepalive(s->attempt, keepalive_s);
		s->login.has_connack = true;
		s->login.connack_code = code;
		s->login.is_present = flags & 1;
	}
	leave();
}

static void take_suback(struct session *s, int mid, int granted)
{
	for (size_t i = 0; i < s->conf.n_filters; i++) {
		if (s->sub_mids[i] != mid)
			continue;
		s->sub_mids[i] = 0;
		s->granted[i] = granted;
		s->login.n_answered++;
		return;
	}
}

static void on_suback(struct mosquitto *m, void *ctx, int mid, int n, const int *granted)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s && n > 0) {
		session_forget_last(s);
		take_suback(s, mid, granted[0]);
	}
	leave();
}

void session_unsubscribed(struct session *s, size_t old)
{
	if (s->unsub_mids[old] == UNSUBSCRIBED)
		return;
	s->unsub_mids[old] = UNSUBSCRIBED;
	if (s->ops.on_unsubscribed)
		s->ops.on_unsubscribed(s->ctx, old);
}

static void on_unsuback(struct mosquitto *m, void *ctx, int mid)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s)
		session_forget_last(s);
	for (size_t i = 0; s && i < s->conf.n_old; i++)
		if (s->unsub_mids[i] == mid)
			session_unsubscribed(s, i);
	leave();
}

static void on_disconnect(struct mosquitto *m, void *ctx, int code,
			  const mosquitto_property *properties)
{
	(void)m;
	(void)properties;
	((struct attempt *)ctx)->disconnect_code = code;
}

/* Why in our words, and then in the server's own. */
static void take_refusal(struct session *s, int mid, int code)
{
	const char *words = attempt_code_words(s->conf.mqtt, code),
		   *said = sieve_puback_reason(&s->attempt->sieve, mid);
	struct buf reason = { 0 };
	char *told = said ? session_tellable(s, said) : NULL;

	buf_puts(&reason, words);
	if (told)
		buf_printf(&reason, "; the server says: %s", told);
	s->ops.on_acked(s->ctx, mid, code, buf_str(&reason));
	free(told);
	buf_fini(&reason);
}

static void take_puback(struct session *s, int mid, int code)
{
	s->n_unacked--;
	s->has_progress = true;
	if (s->is_held)
		s->deadline_ms = clock_mono_ms() + VISIT_MS;
	if (code < 0x80)
		s->ops.on_acked(s->ctx, mid, code, "");
	else
		take_refusal(s, mid, code);
}

static void on_puback(struct mosquitto *m, void *ctx, int mid, int code,
		      const mosquitto_property *properties)
{
	struct session *s = enter(ctx);

	(void)m;
	(void)properties;
	if (s && s->phase == UP)
		take_puback(s, mid, code);
	leave();
}

static void read_properties(struct message *m, const mosquitto_property *list)
{
	const mosquitto_property *p = list;
	char *name = NULL, *value = NULL;
	void *data = NULL;
	uint16_t len = 0;
	bool is_next = false;

	while ((p = mosquitto_property_read_string_pair(p, MQTT_PROP_USER_PROPERTY, &name, &value,
							is_next))) {
		vars_add(&m->properties, name, value);
		free(name);
		free(value);
		is_next = true;
	}
	mosquitto_property_read_string(list, MQTT_PROP_RESPONSE_TOPIC, &m->response_topic, false);
	if (mosquitto_property_read_binary(list, MQTT_PROP_CORRELATION_DATA, &data, &len, false)) {
		m->correlation = data;
		m->correlation_len = len;
	}
}

/* A topic that is none in MQTT, in bytes that can be shown. */
static void put_topic(struct buf *out, const char *topic, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (topic[i] > ' ' && topic[i] < 0x7f && topic[i] != '\\')
			buf_putc(out, topic[i]);
		else
			buf_printf(out, "\\x%02X", (unsigned char)topic[i]);
}

/* What the sieve left of a message. */
static void refuse(struct session *s, const struct mosquitto_message *from,
		   const struct sieve_note *note)
{
	static const char *const words[] = {
		[SIEVE_BAD_TOPIC] =
			"the topic is no text that MQTT allows (no UTF-8, empty, or with "
			"characters such as U+0000 or U+FFFE)",
		[SIEVE_BAD_TEXT] = "a property is no text that MQTT allows",
	};
	bool is_too_large = note->cause == SIEVE_TOO_LARGE;
	struct message m = { .qos = from->qos, .retain = from->retain, .is_cut = true };
	struct buf topic = { 0 }, reason = { 0 };

	if (!s->ops.on_refused)
		return;
	if (is_too_large)
		buf_printf(&reason, "a packet of %zu bytes, and max_packet is %zu",
			   note->packet_len, s->attempt->sieve.max_packet);
	else
		buf_puts(&reason, words[note->cause]);
	if (note->cause == SIEVE_BAD_TOPIC)
		put_topic(&topic, note->topic, note->topic_len);
	else
		buf_append(&topic, note->topic, note->topic_len);
	m.topic = topic.data ? topic.data : "";
	message_set_payload(&m, note->head, note->head_len);
	s->ops.on_refused(s->ctx, &m, is_too_large, buf_str(&reason));
	free(m.payload);
	buf_fini(&topic);
	buf_fini(&reason);
}

/* --- copies -------------------------------------------------------------------------------- */

/* MQTT lets a broker hand a message on once for each subscription that it matches.  Our own filters do not overlap, but
 * the broker may keep some that are not ours any more, or not yet given up.  Towards MQTT 3.1.1 mosquitto makes one
 * of them; towards 5 each comes, one right after the other, and names its subscription.  A message that equals the last
 * one is a copy if it came by another subscription: of two messages that are equal, the second one comes by the same.
 * Subscriptions without a name, as 3.1.1 leaves them, are one here: what only they bring is no copy. */

uint32_t session_filter_id(const char *filter)
{
	uint32_t hash = 2166136261; /* FNV-1a */

	for (; *filter; filter++)
		hash = (hash ^ (unsigned char)*filter) * 16777619;
	return 1 + hash % 268435455; /* what MQTT has room for */
}

void session_forget_last(struct session *s)
{
	s->last.n_ids = 0;
}

static size_t read_ids(const mosquitto_property *list, uint32_t ids[COPY_IDS])
{
	const mosquitto_property *p = list;
	size_t n = 0;

	while (n < COPY_IDS && (p = mosquitto_property_read_varint(
					p, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, &ids[n], n > 0)))
		n++;
	if (n == 0)
		ids[n++] = 0;
	return n;
}

static bool has_piece(const struct buf *b, size_t *at, const void *p, size_t n)
{
	bool has = b->len - *at >= n && (n == 0 || memcmp(b->data + *at, p, n) == 0);

	*at += has ? n : 0;
	return has;
}

static bool is_equal(const struct last_message *last, const struct message *m)
{
	size_t at = 0;

	return m->qos <= last->qos && m->retain == last->is_retained &&
	       has_piece(&last->bytes, &at, m->topic, strlen(m->topic) + 1) &&
	       has_piece(&last->bytes, &at, m->correlation, m->correlation_len) &&
	       has_piece(&last->bytes, &at, m->payload, m->payload_len) && at == last->bytes.len;
}

static bool has_come_by(const struct last_message *last, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < last->n_ids; i++)
		for (size_t k = 0; k < n; k++)
			if (last->ids[i] == ids[k])
				return true;
	return false;
}

static void remember(struct last_message *last, const struct message *m)
{
	last->qos = m->qos;
	last->is_retained = m->retain;
	last->n_ids = 0;
	buf_reset_above(&last->bytes, KEEP_BYTES);
	buf_append(&last->bytes, m->topic, strlen(m->topic) + 1);
	buf_append(&last->bytes, m->correlation, m->correlation_len);
	buf_append(&last->bytes, m->payload, m->payload_len);
}

static bool is_copy(struct session *s, const mosquitto_property *properties)
{
	struct last_message *last = &s->last;
	uint32_t ids[COPY_IDS];
	size_t n = read_ids(properties, ids);
	bool is = last->n_ids > 0 && last->n_ids + n <= COPY_IDS && !has_come_by(last, ids, n) &&
		  is_equal(last, &s->in);

	if (!is)
		remember(last, &s->in);
	memcpy(last->ids + last->n_ids, ids, n * sizeof *ids);
	last->n_ids += n;
	return is;
}

static void take_copy(const struct session *s)
{
	log_limited(
		LOG_INFO, loop_now_ms(s->loop), s->conf.name, "copy",
		"%s reason=\"a message came once more by another subscription of this client id\"",
		s->conf.name);
}

static void take_message(struct session *s, const struct mosquitto_message *from,
			 const mosquitto_property *properties)
{
	struct message *in = &s->in;
	struct sieve_note note;

	s->attempt->n_bytes += (size_t)from->payloadlen;
	if (sieve_read_note(&s->attempt->sieve, from->payload, (size_t)from->payloadlen, &note)) {
		session_forget_last(s);
		refuse(s, from, &note);
		return;
	}
	*in = (struct message){ .topic = from->topic,
				.qos = from->qos,
				.retain = from->retain,
				.is_dup = sieve_was_dup(&s->attempt->sieve, from->mid) };
	if (from->payloadlen > 0) {
		buf_reset_above(&s->payload, KEEP_BYTES);
		buf_append(&s->payload, from->payload, (size_t)from->payloadlen);
		in->payload = s->payload.data;
		in->payload_len = s->payload.len;
	}
	if (properties)
		read_properties(in, properties);
	if (s->login.has_ids && is_copy(s, properties))
		take_copy(s);
	else
		s->ops.on_message(s->ctx, in);
	if (properties) {
		vars_fini(&in->properties);
		free(in->response_topic);
		free(in->correlation);
	}
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *from,
		       const mosquitto_property *properties)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s)
		s->attempt->has_heard = true;
	if (s && !s->is_held)
		take_message(s, from, properties);
	leave();
}

void session_set_callbacks(struct mosquitto *m)
{
	mosquitto_connect_v5_callback_set(m, on_connack);
	mosquitto_subscribe_callback_set(m, on_suback);
	mosquitto_unsubscribe_callback_set(m, on_unsuback);
	mosquitto_disconnect_v5_callback_set(m, on_disconnect);
	mosquitto_publish_v5_callback_set(m, on_puback);
	mosquitto_message_v5_callback_set(m, on_message);
}
