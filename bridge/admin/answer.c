#include "admin/answer.h"

#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"
#include "admin/sample.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "control/control_request.h"

/* --- a text -------------------------------------------------------------------------------- */

struct text_answer {
	struct answer answer;
	struct buf text;
};

static bool more_text(struct answer *a, struct buf *out)
{
	struct text_answer *t = (struct text_answer *)a;

	buf_append(out, t->text.data, t->text.len);
	return false;
}

static void end_text(struct answer *a)
{
	struct text_answer *t = (struct text_answer *)a;

	buf_fini(&t->text);
	free(t);
}

struct answer *answer_text(const char *text, size_t n)
{
	struct text_answer *t = mem_zalloc(sizeof *t);

	t->answer = (struct answer){ more_text, end_text };
	buf_append(&t->text, text, n);
	return &t->answer;
}

/* --- metrics ------------------------------------------------------------------------------- */

struct metrics_answer {
	struct answer answer;
	struct metrics *metrics;
};

static bool more_metrics(struct answer *a, struct buf *out)
{
	size_t before = out->len;
	bool is_more;

	do
		is_more = metrics_more(((struct metrics_answer *)a)->metrics, out);
	while (is_more && out->len == before);
	return is_more;
}

static void end_metrics(struct answer *a)
{
	metrics_free(((struct metrics_answer *)a)->metrics);
	free(a);
}

struct answer *answer_metrics(const struct control_request_parts *parts)
{
	struct metrics_answer *m = mem_zalloc(sizeof *m);

	m->answer = (struct answer){ more_metrics, end_metrics };
	m->metrics = metrics_new(sample_new(parts));
	return &m->answer;
}

/* --- a request of the control socket ------------------------------------------------------- */

struct request_answer {
	struct answer answer;
	struct request *request;
	/* Of the status: */
	struct buf lines;
	bool is_bare, is_begun, is_ready;
};

static bool more_request(struct answer *a, struct buf *out)
{
	return control_request_more(((struct request_answer *)a)->request, out);
}

static void end_request(struct answer *a)
{
	struct request_answer *r = (struct request_answer *)a;

	control_request_free(r->request);
	buf_fini(&r->lines);
	free(r);
}

static struct request_answer *begin_request(const struct control_request_parts *parts,
					    const char *line, size_t n,
					    bool (*more)(struct answer *a, struct buf *out))
{
	struct request_answer *r = mem_zalloc(sizeof *r);

	r->answer = (struct answer){ more, end_request };
	r->request = control_request_new(parts, line, n);
	return r;
}

struct answer *answer_request(const struct control_request_parts *parts, const char *line, size_t n)
{
	return &begin_request(parts, line, n, more_request)->answer;
}

bool answer_is_json(const char *content_type)
{
	static const char json[] = "application/json";

	return content_type && strncmp(content_type, json, sizeof json - 1) == 0;
}

/* A table of what may be asked with `do`; NULL: there is no such thing in it. */
static const struct {
	const char *request, *todo;
} askable[] = {
	{ "aside", NULL },	    { "status", NULL },
	{ "deadletters", "list" },  { "deadletters", "show" },
	{ "deadletters", "retry" }, { "deadletters", "drop" },
	{ "devices", "list" },	    { "tap", NULL },
};

static bool is_askable(struct jslice asked)
{
	struct jslice request, todo;
	bool has_todo = jtext_field(asked, "do", &todo);

	if (!jtext_field(asked, "request", &request))
		return false;
	for (size_t i = 0; i < sizeof askable / sizeof askable[0]; i++)
		if (jtext_string_is(request, askable[i].request) &&
		    (!askable[i].todo || (has_todo && jtext_string_is(todo, askable[i].todo))))
			return true;
	return false;
}

bool answer_may_be_asked(const char *line, size_t n)
{
	struct buf text = { 0 };
	struct err e = { 0 };
	bool may = jtext_read(line, n, false, &text, &e) &&
		   is_askable((struct jslice){ text.data, text.len });

	buf_fini(&text);
	return may;
}

/* --- the status ---------------------------------------------------------------------------- */

/* Whoever sees these sees a device, or a topic. */
static bool may_name(struct jfield f)
{
	static const char *const keys[] = { "belongs_to", "promised_to", "why", "degraded" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (jtext_string_is(f.key, keys[i]))
			return true;
	return false;
}

static void put_bare(struct jslice v, struct buf *out)
{
	struct jfield f;
	struct jslice one;
	size_t pos = 0, begun = out->len + 1;

	switch (jtext_type_of(v)) {
	case JTEXT_OBJECT:
		buf_putc(out, '{');
		while (jtext_next_field(v, &pos, &f)) {
			if (may_name(f))
				continue;
			buf_puts(out, out->len > begun ? "," : "");
			buf_append(out, f.key.text, f.key.len);
			buf_putc(out, ':');
			put_bare(f.value, out);
		}
		buf_putc(out, '}');
		return;
	case JTEXT_ARRAY:
		buf_putc(out, '[');
		while (jtext_next_element(v, &pos, &one)) {
			buf_puts(out, out->len > begun ? "," : "");
			put_bare(one, out);
		}
		buf_putc(out, ']');
		return;
	default:
		buf_append(out, v.text, v.len);
	}
}

static void put_line(struct request_answer *r, struct jslice line, struct buf *out)
{
	struct jslice of;

	if (jtext_field(line, "item", &of)) {
		buf_puts(out, r->is_begun ? "," : "{\"links\":[");
		r->is_begun = true;
		if (r->is_bare)
			put_bare(of, out);
		else
			buf_append(out, of.text, of.len);
	} else if (jtext_field(line, "done", &of)) {
		buf_printf(out, "%s],\"ready\":%s,", r->is_begun ? "" : "{\"links\":[",
			   r->is_ready ? "true" : "false");
		buf_append(out, of.text + 1, of.len - 1);
		buf_putc(out, '\n');
	} else {
		buf_append(out, line.text, line.len);
	}
}

static bool more_status(struct answer *a, struct buf *out)
{
	struct request_answer *r = (struct request_answer *)a;
	bool is_more = control_request_more(r->request, &r->lines);
	char *line = r->lines.data, *end;

	while (line && (end = memchr(line, '\n', r->lines.len - (size_t)(line - r->lines.data)))) {
		put_line(r, (struct jslice){ line, (size_t)(end - line) }, out);
		line = end + 1;
	}
	buf_reset(&r->lines); /* they are whole */
	return is_more;
}

struct answer *answer_status(const struct control_request_parts *parts, bool is_bare)
{
	static const char line[] = "{\"request\":\"status\"}";
	struct request_answer *r = begin_request(parts, line, sizeof line - 1, more_status);
	struct sample *s = sample_new(parts);

	r->is_bare = is_bare;
	r->is_ready = sample_is_up(s);
	sample_free(s);
	return &r->answer;
}
