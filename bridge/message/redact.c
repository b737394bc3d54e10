#include "message/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "message/vars.h"

static const struct {
	const char *word;
	bool is_in_bodies; /* there, too, and not of properties only */
} words[] = {
	{ "auth", false },	 { "authorization", true }, { "credential", true },
	{ "key", false },	 { "accesskey", true },	    { "access_key", true },
	{ "apikey", true },	 { "api_key", true },	    { "privatekey", true },
	{ "private_key", true }, { "passphrase", true },    { "password", true },
	{ "passwd", true },	 { "secret", true },	    { "token", true },
};

static bool names_secret(const char *name, bool is_in_body)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if ((words[i].is_in_bodies || !is_in_body) && strcasestr(name, words[i].word))
			return true;
	return false;
}

bool redact_names_secret(const char *name)
{
	return names_secret(name, false);
}

char *redact_text(const char *text, const struct vars *const *secrets, size_t n)
{
	char *copy = mem_strdup(text);

	for (size_t i = 0; copy && i < n; i++) {
		char *told = vars_hide(secrets[i], copy);

		free(copy);
		copy = told;
	}
	return copy;
}

static void put_string(struct buf *out, struct jslice string, const struct vars *const *secrets,
		       size_t n)
{
	struct buf text = { 0 };
	char *told;

	jtext_string_decode(string, &text);
	if (strlen(buf_str(&text)) == text.len) { /* else it has a NUL in it, as no secret has */
		told = redact_text(buf_str(&text), secrets, n);
		if (strcmp(told, buf_str(&text)) == 0)
			buf_append(out, string.text, string.len); /* spelled as it came */
		else
			jtext_put_string(out, told, strlen(told));
		free(told);
	} else {
		buf_append(out, string.text, string.len);
	}
	buf_fini(&text);
}

static void put_field(struct buf *out, const struct jfield *f, const struct vars *const *secrets,
		      size_t n)
{
	struct buf name = { 0 };
	bool is_secret;

	jtext_string_decode(f->key, &name);
	is_secret = names_secret(buf_str(&name), true) && jtext_type_of(f->value) != JTEXT_NULL;
	buf_fini(&name);
	put_string(out, f->key, secrets, n);
	buf_putc(out, ':');
	if (is_secret)
		buf_puts(out, "\"" REDACT_HIDDEN "\"");
	else
		redact_json(out, f->value, secrets, n);
}

void redact_json(struct buf *out, struct jslice v, const struct vars *const *secrets, size_t n)
{
	const char *before = "";
	struct jslice element;
	struct jfield field;
	size_t pos = 0;

	switch (jtext_type_of(v)) {
	case JTEXT_STRING:
		put_string(out, v, secrets, n);
		break;
	case JTEXT_ARRAY:
		buf_putc(out, '[');
		for (; jtext_next_element(v, &pos, &element); before = ",") {
			buf_puts(out, before);
			redact_json(out, element, secrets, n);
		}
		buf_putc(out, ']');
		break;
	case JTEXT_OBJECT:
		buf_putc(out, '{');
		for (; jtext_next_field(v, &pos, &field); before = ",") {
			buf_puts(out, before);
			put_field(out, &field, secrets, n);
		}
		buf_putc(out, '}');
		break;
	default:
		buf_append(out, v.text, v.len);
	}
}
