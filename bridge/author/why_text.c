#include "author/why_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/ask.h"

/* "  messages[2] telemetry TOPIC" */
static void put_row(struct buf *out, struct jslice row)
{
	char *kind = ask_text(row, "kind"), *topic = ask_text(row, "topic");
	struct jslice number;

	if (jtext_field(row, "row", &number))
		buf_printf(out, "  messages[%lld] %s", (long long)ask_number(row, "row"), kind);
	else
		buf_printf(out, "  %s", kind);
	if (*topic)
		buf_printf(out, " %s", topic);
	free(kind);
	free(topic);
}

static void put_captures(struct buf *out, struct jslice row)
{
	struct jslice captures;
	struct jfield f;
	size_t pos = 0;

	if (!jtext_field(row, "captures", &captures))
		return;
	while (jtext_next_field(captures, &pos, &f)) {
		buf_puts(out, ", ");
		jtext_string_decode(f.key, out);
		buf_putc(out, '=');
		jtext_string_decode(f.value, out);
	}
}

static void put_match(struct buf *out, struct jslice row)
{
	char *text = ask_text(row, "text");

	put_row(out, row);
	buf_printf(out, ": %s", *text ? text : "matches");
	put_captures(out, row);
	buf_putc(out, '\n');
	free(text);
}

static void put_reading(struct buf *out, struct jslice row)
{
	char *refused = ask_text(row, "refused"), *text = ask_text(row, "text");
	struct jslice list, message;
	bool is_nothing = !*refused;
	size_t pos = 0;

	put_row(out, row);
	buf_printf(out, ", %lld us\n", (long long)ask_number(row, "us"));
	if (jtext_field(row, "messages", &list))
		for (; jtext_next_element(list, &pos, &message); is_nothing = false)
			buf_printf(out, "    %.*s\n", (int)message.len, message.text);
	if (is_nothing)
		buf_puts(out, "    nothing\n");
	if (*refused)
		buf_printf(out, "    %s%s%s\n", refused, *text ? ": " : "", text);
	free(refused);
	free(text);
}

static void put_writer(struct buf *out, struct jslice row)
{
	put_row(out, row);
	buf_putc(out, '\n');
}

static void put_output(struct buf *out, struct jslice o)
{
	static const char *const shown[] = { "payload",	   "payload_text",   "payload_base64",
					     "properties", "response_topic", "correlation" };
	char *side = ask_text(o, "side"), *session = ask_text(o, "session");
	struct jslice v;

	put_row(out, o);
	buf_printf(out, ", to the %s%s%s%s, qos %lld, %lld bytes\n", side,
		   *session ? " (session " : "", session, *session ? ")" : "",
		   (long long)ask_number(o, "qos"), (long long)ask_number(o, "bytes"));
	for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
		if (jtext_field(o, shown[i], &v))
			buf_printf(out, "    %s %.*s\n", shown[i], (int)v.len, v.text);
	free(side);
	free(session);
}

static void put_change(struct buf *out, struct jslice change)
{
	char *part = ask_text(change, "part"), *key = ask_text(change, "key");
	struct jslice v = { "null", 4 };

	jtext_field(change, "value", &v);
	buf_printf(out, "  %s %s: %.*s\n", part, key, (int)v.len, v.text);
	free(part);
	free(key);
}

static void put_limits(struct buf *out, struct jslice why)
{
	struct jslice limits;
	struct jfield f;
	size_t pos = 0;

	if (!jtext_field(why, "limits", &limits))
		return;
	while (jtext_next_field(limits, &pos, &f)) {
		buf_puts(out, pos && out->data[out->len - 1] == '\n' ? "limits\n  " : ", ");
		jtext_string_decode(f.key, out);
		buf_printf(out, "=%.*s", (int)f.value.len, f.value.text);
	}
	if (out->data[out->len - 1] != '\n')
		buf_putc(out, '\n');
}

static const struct section {
	const char *key, *title;
	void (*put)(struct buf *out, struct jslice element);
} sections[] = {
	{ "rows", "rows", put_match },	       { "read", "read", put_reading },
	{ "through", "through", put_reading }, { "writers", "may be written by", put_writer },
	{ "outputs", "sent", put_output },     { "state", "remembered", put_change },
};

void why_text_put(struct buf *out, struct jslice why)
{
	static const char *const head[] = { "flow", "topic", "from", "to", "result", "text" };
	enum { FLOW, TOPIC, FROM, TO, RESULT, TEXT, HEAD };
	char *h[HEAD];

	for (size_t i = 0; i < HEAD; i++)
		h[i] = ask_text(why, head[i]);
	buf_printf(out, "%s %s, %lld bytes, from %s to %s\n", h[FLOW], h[TOPIC],
		   (long long)ask_number(why, "bytes"), h[FROM], h[TO]);
	for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
		const struct section *s = &sections[i];
		struct jslice list, element;
		size_t pos = 0;

		if (!jtext_field(why, s->key, &list))
			continue;
		for (bool is_first = true; jtext_next_element(list, &pos, &element);
		     is_first = false) {
			if (is_first)
				buf_printf(out, "%s\n", s->title);
			s->put(out, element);
		}
	}
	put_limits(out, why);
	buf_printf(out, "result: %s%s%s, %lld us\n", h[RESULT], *h[TEXT] ? ": " : "", h[TEXT],
		   (long long)ask_number(why, "us"));
	for (size_t i = 0; i < HEAD; i++)
		free(h[i]);
}
