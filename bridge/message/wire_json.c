#include "message/wire_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/jtext.h"

static void put_text(struct buf *out, const char *key, const char *s, size_t n)
{
	buf_printf(out, ",\"%s\":", key);
	jtext_put_string(out, s, n);
}

/* Line breaks of strict JSON stand between its tokens, never in a string: one line says the same. */
static void drop_line_breaks(struct buf *text, size_t from)
{
	size_t to = from;

	for (size_t i = from; i < text->len; i++)
		if (text->data[i] != '\n' && text->data[i] != '\r')
			text->data[to++] = text->data[i];
	text->len = to;
}

static void put_payload(struct buf *out, const struct message *m)
{
	const char *p = m->payload ? m->payload : "";
	size_t before = out->len;

	buf_puts(out, ",\"payload\":");
	if (jtext_read(p, m->payload_len, false, out, NULL)) {
		drop_line_breaks(out, before);
		return;
	}
	out->len = before;
	if (jtext_is_utf8(p, m->payload_len)) {
		put_text(out, "payload_text", p, m->payload_len);
		return;
	}
	buf_puts(out, ",\"payload_base64\":\"");
	crypto_base64_encode(out, p, m->payload_len);
	buf_putc(out, '"');
}

/* It may be any bytes, and mostly is a text. */
static void put_correlation(struct buf *out, const struct message *m)
{
	if (!m->correlation_len)
		return;
	if (jtext_is_utf8(m->correlation, m->correlation_len)) {
		put_text(out, "correlation", m->correlation, m->correlation_len);
		return;
	}
	buf_puts(out, ",\"correlation_base64\":\"");
	crypto_base64_encode(out, m->correlation, m->correlation_len);
	buf_putc(out, '"');
}

void wire_json_put(struct buf *out, enum side side, const struct message *m)
{
	buf_printf(out, "{\"side\":\"%s\"", side_name(side));
	put_text(out, "topic", m->topic, strlen(m->topic));
	buf_printf(out, ",\"qos\":%d,\"retain\":%s", m->qos, m->retain ? "true" : "false");
	put_payload(out, m);
	for (size_t i = 0; i < m->properties.n; i++) {
		const struct var *p = &m->properties.items[i];

		buf_puts(out, i ? "," : ",\"properties\":{");
		jtext_put_string(out, p->name, strlen(p->name));
		buf_putc(out, ':');
		jtext_put_string(out, p->value, strlen(p->value));
	}
	if (m->properties.n)
		buf_putc(out, '}');
	if (m->response_topic)
		put_text(out, "response_topic", m->response_topic, strlen(m->response_topic));
	put_correlation(out, m);
	buf_putc(out, '}');
}

/* The text of a key, caller frees: false (ERR_INVALID) if it is there and no string; *out NULL if it
 * is not. */
static bool take_string(struct jslice object, const char *key, char **out, size_t *len,
			struct err *e)
{
	struct buf text = { 0 };
	struct jslice v;

	*out = NULL;
	if (!jtext_field(object, key, &v) || jtext_type_of(v) == JTEXT_NULL)
		return true;
	if (!jtext_string_decode(v, &text)) {
		err_set(e, ERR_INVALID, "%s: no string", key);
		return false;
	}
	*len = text.len;
	*out = buf_take(&text);
	return true;
}

/* Likewise, for what cannot have a NUL in it. */
static bool take_name(struct jslice object, const char *key, char **out, struct err *e)
{
	size_t len = 0;

	if (!take_string(object, key, out, &len, e))
		return false;
	if (!*out || strlen(*out) == len)
		return true;
	err_set(e, ERR_INVALID, "%s: has a NUL character", key);
	return false;
}

/* Likewise, for bytes that are spelled in base64. */
static bool take_base64(struct jslice object, const char *key, char **out, size_t *len,
			struct err *e)
{
	struct buf bytes = { 0 };
	char *text = NULL;
	size_t n = 0;
	bool ok;

	*out = NULL;
	if (!take_string(object, key, &text, &n, e))
		return false;
	ok = !text || crypto_base64_decode(&bytes, text, n);
	if (!ok)
		err_set(e, ERR_INVALID, "%s: no base64", key);
	else if (text) {
		*len = bytes.len;
		*out = buf_take(&bytes);
	}
	free(text);
	buf_fini(&bytes);
	return ok;
}

static bool take_payload(struct jslice object, struct message *m, struct err *e)
{
	struct jslice json;

	if (jtext_field(object, "payload", &json)) {
		message_set_payload(m, json.text, json.len);
		return true;
	}
	if (!take_string(object, "payload_text", &m->payload, &m->payload_len, e) ||
	    (!m->payload &&
	     !take_base64(object, "payload_base64", &m->payload, &m->payload_len, e)))
		return false;
	if (m->payload_len == 0)
		message_set_payload(m, NULL, 0);
	return true;
}

static bool take_correlation(struct jslice object, struct message *m, struct err *e)
{
	if (!take_string(object, "correlation", &m->correlation, &m->correlation_len, e))
		return false;
	return m->correlation ||
	       take_base64(object, "correlation_base64", &m->correlation, &m->correlation_len, e);
}

static bool is_text(struct jslice v, const char *text)
{
	return v.len == strlen(text) && memcmp(v.text, text, v.len) == 0;
}

/* As mosquitto_sub prints it, it is 0 or 1. */
static bool take_retain(struct jslice object, struct message *m, struct err *e)
{
	struct jslice retain;

	if (!jtext_field(object, "retain", &retain) || jtext_type_of(retain) == JTEXT_NULL)
		return true;
	m->retain = jtext_type_of(retain) == JTEXT_TRUE || is_text(retain, "1");
	if (m->retain || jtext_type_of(retain) == JTEXT_FALSE || is_text(retain, "0"))
		return true;
	err_set(e, ERR_INVALID, "retain: neither true nor false");
	return false;
}

static bool take_properties(struct jslice object, struct message *m, struct err *e)
{
	struct buf name = { 0 }, value = { 0 };
	struct jslice properties;
	struct jfield f;
	size_t pos = 0;

	if (!jtext_field(object, "properties", &properties) ||
	    jtext_type_of(properties) == JTEXT_NULL)
		return true;
	if (jtext_type_of(properties) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "properties: no object");
		return false;
	}
	while (jtext_next_field(properties, &pos, &f)) {
		buf_reset(&name);
		buf_reset(&value);
		jtext_string_decode(f.key, &name);
		if (!jtext_string_decode(f.value, &value))
			buf_append(&value, f.value.text, f.value.len);
		vars_add(&m->properties, buf_str(&name), buf_str(&value));
	}
	buf_fini(&name);
	buf_fini(&value);
	return true;
}

bool wire_json_take(struct jslice object, struct message *m, struct err *e)
{
	*m = (struct message){ .qos = 1 };
	if (jtext_type_of(object) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "no object");
		return false;
	}
	if (!take_name(object, "topic", &m->topic, e) ||
	    !take_name(object, "response_topic", &m->response_topic, e) ||
	    !take_correlation(object, m, e) || !take_retain(object, m, e) ||
	    !take_payload(object, m, e) || !take_properties(object, m, e)) {
		message_fini(m);
		return false;
	}
	if (m->topic)
		return true;
	err_set(e, ERR_INVALID, "topic: no string");
	message_fini(m);
	return false;
}

bool wire_json_flow(struct jslice object, enum flow *flow, struct err *e)
{
	struct jslice word;

	if (jtext_field(object, "flow", &word)) {
		*flow = jtext_string_is(word, "up") ? FLOW_UP : FLOW_DOWN;
		if (*flow == FLOW_UP || jtext_string_is(word, "down"))
			return true;
	}
	err_set(e, ERR_INVALID, "flow: \"up\" or \"down\" was expected");
	return false;
}
