#include "app/wire_json.h"

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

static void put_payload(struct buf *out, const struct message *m)
{
	const char *p = m->payload ? m->payload : "";
	size_t before = out->len;

	buf_puts(out, ",\"payload\":");
	if (jtext_read(p, m->payload_len, false, out, NULL))
		return;
	out->len = before;
	if (jtext_is_utf8(p, m->payload_len)) {
		put_text(out, "payload_text", p, m->payload_len);
		return;
	}
	buf_puts(out, ",\"payload_base64\":\"");
	crypto_base64_encode(out, p, m->payload_len);
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
	if (m->correlation_len)
		put_text(out, "correlation", m->correlation, m->correlation_len);
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

static bool take_payload(struct jslice object, struct message *m, struct err *e)
{
	struct jslice json;
	struct buf bytes = { 0 };
	char *text = NULL;
	size_t len = 0;
	bool ok = true;

	if (jtext_field(object, "payload", &json)) {
		message_set_payload(m, json.text, json.len);
		return true;
	}
	if (!take_string(object, "payload_text", &text, &len, e))
		return false;
	if (text) {
		message_set_payload(m, text, len);
	} else if (!take_string(object, "payload_base64", &text, &len, e)) {
		ok = false;
	} else if (text) {
		ok = crypto_base64_decode(&bytes, text, len);
		if (ok)
			message_set_payload(m, bytes.data, bytes.len);
		else
			err_set(e, ERR_INVALID, "payload_base64: no base64");
	}
	free(text);
	buf_fini(&bytes);
	return ok;
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
	struct jslice retain;
	size_t len = 0;

	*m = (struct message){ .qos = 1 };
	if (jtext_type_of(object) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "no object");
		return false;
	}
	if (jtext_field(object, "retain", &retain))
		m->retain = jtext_type_of(retain) == JTEXT_TRUE;
	if (!take_string(object, "topic", &m->topic, &len, e) ||
	    !take_string(object, "response_topic", &m->response_topic, &len, e) ||
	    !take_string(object, "correlation", &m->correlation, &m->correlation_len, e) ||
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
