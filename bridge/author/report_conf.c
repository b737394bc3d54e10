#include "author/report_conf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/environment.h"
#include "message/redact.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-0123456789*"

/* A scan of a file: which setting the next value is of, and whether it is one of `vars`. */
struct scan {
	struct buf *out;
	char name[80];
	int depth, vars_depth; /* of braces; 0: in no `vars` */
};

/* The end of a comment that begins here; `text` itself: none does. */
static const char *skip_comment(const char *text)
{
	const char *end;

	if (*text == '#' || strncmp(text, "//", 2) == 0)
		return text + strcspn(text, "\n");
	if (strncmp(text, "/*", 2) != 0)
		return text;
	end = strstr(text + 2, "*/");
	return end ? end + 2 : text + strlen(text);
}

/* Behind the string that begins here. */
static const char *skip_string(const char *text)
{
	for (text++; *text && *text != '"'; text++)
		if (*text == '\\' && text[1])
			text++;
	return *text ? text + 1 : text;
}

static bool is_reference(const char *value)
{
	return strncmp(value, "file:", 5) == 0 || strncmp(value, "env:", 4) == 0 ||
	       strncmp(value, "cred:", 5) == 0;
}

static bool is_secret(const struct scan *s)
{
	return s->vars_depth || redact_names_secret(s->name);
}

/* A text, without what is secret of a URL. */
static void put_shown(struct buf *out, const char *text, size_t n)
{
	const char *end = text + n, *behind = memmem(text, n, "://", 3), *host_end, *at;

	if (behind) {
		behind += 3;
		host_end = behind;
		while (host_end < end && !strchr("/?#\"", *host_end))
			host_end++;
		at = memrchr(behind, '@', (size_t)(host_end - behind));
		buf_append(out, text, (size_t)(behind - text));
		buf_puts(out, at ? REDACT_HIDDEN : "");
		text = at ? at : behind;
		at = memchr(host_end, '?', (size_t)(end - host_end));
		if (at) {
			buf_append(out, text, (size_t)(at + 1 - text));
			buf_puts(out, REDACT_HIDDEN);
			text = end[-1] == '"' ? end - 1 : end;
		}
	}
	buf_append(out, text, (size_t)(end - text));
}

static const char *put_string(struct scan *s, const char *text)
{
	const char *end = skip_string(text);

	if (is_secret(s) && !is_reference(text + 1))
		buf_puts(s->out, "\"" REDACT_HIDDEN "\"");
	else
		put_shown(s->out, text, (size_t)(end - text));
	return end;
}

/* A name, a number, or a sign. */
static const char *put_word(struct scan *s, const char *text)
{
	size_t n = strspn(text, NAME_CHARS);
	bool is_number = n && (isdigit((unsigned char)*text) || *text == '-');

	if (isalpha((unsigned char)*text))
		snprintf(s->name, sizeof s->name, "%.*s", (int)n, text);
	if (is_number && is_secret(s))
		buf_puts(s->out, REDACT_HIDDEN);
	else
		buf_append(s->out, text, n ? n : 1);
	if (*text == '{' && ++s->depth && !s->vars_depth && strcmp(s->name, "vars") == 0)
		s->vars_depth = s->depth;
	if (*text == '}' && s->depth-- == s->vars_depth)
		s->vars_depth = 0;
	return text + (n ? n : 1);
}

void report_conf_put_text(struct buf *out, const char *text)
{
	struct scan s = { .out = out };

	while (*text) {
		const char *end = skip_comment(text);

		if (end != text)
			text = end;
		else
			text = *text == '"' ? put_string(&s, text) : put_word(&s, text);
	}
}

/* --- the environment ------------------------------------------------------------------------- */

void report_conf_put_environment(struct buf *out)
{
	for (const char *v = NULL; (v = environment_next(v));) {
		size_t n = strcspn(v, "=");
		char *name = mem_strndup(v, n);

		if (strncmp(name, "CALQUE_", 7) == 0 && v[n] == '=') {
			buf_printf(out, "%s=", name);
			if ((strstr(name, "_VARS_") || redact_names_secret(name)) &&
			    !is_reference(v + n + 1))
				buf_puts(out, REDACT_HIDDEN);
			else
				put_shown(out, v + n + 1, strlen(v + n + 1));
			buf_putc(out, '\n');
		}
		free(name);
	}
}
