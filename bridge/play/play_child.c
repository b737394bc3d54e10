#include "play/play_child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pack.h"
#include "jq/jq_lex.h"
#include "jq/mapping_path.h"
#include "message/vars.h"
#include "play/drafts.h"
#include "play/play_inside.h"
#include "work/compiler.h"
#include "work/nursery.h"
#include "work/sandbox.h"

void play_child_put(struct buf *out, const char *drafts, const struct mapping_path *path,
		    const char *json, size_t n)
{
	pack_text(out, drafts);
	pack_u32(out, (uint32_t)path->n);
	for (size_t i = 0; i < path->n; i++)
		pack_text(out, path->dirs[i]);
	pack_bytes(out, json, n);
}

/* NULL: it has no such text.  Caller frees. */
char *play_text(struct jslice object, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(object, key, &v) && jtext_string_decode(v, &text) &&
	    !memchr(buf_str(&text), '\0', text.len))
		return text.len ? buf_take(&text) : (buf_fini(&text), mem_strdup(""));
	buf_fini(&text);
	return NULL;
}

void play_put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, "\"%s\": ", key);
	if (text && jtext_is_utf8(text, strlen(text)))
		jtext_put_string(out, text, strlen(text));
	else
		buf_puts(out, text ? "\"?\"" : "null");
}

/* --- what there is ------------------------------------------------------------------------------- */

#define MAX_FILE                                                                                   \
	((size_t)1 << 20) /* as jq/imports.h has it; more is not handed out of cases, either */

/* By the key that says so, without compiling it: a file with mistakes is listed as well. */
static const char *type_of(const struct buf *text)
{
	static const char *const types[] = { "dialect", "through" };
	const char *type = NULL;
	struct jq_source s;

	jq_source_read(&s, buf_str(text), text->len);
	for (size_t i = 0; !type && s.n && jq_token_is(&s.tokens[0], JQ_WORD, "module") && i < s.n;
	     i++)
		for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
			if (s.tokens[i].depth == 1 &&
			    (jq_token_is(&s.tokens[i], JQ_KEY, types[t]) ||
			     jq_token_is(&s.tokens[i], JQ_STRING, types[t])))
				type = types[t];
	jq_source_fini(&s);
	return type ? type : "library";
}

static void put_mapping(const struct mapping_path *path, const char *name, struct buf *out)
{
	char *file = mapping_path_find(path, name);
	struct buf text = { 0 };

	if (file && buf_append_file(&text, file, MAX_FILE, NULL)) {
		buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
		play_put_text(out, "name", name);
		buf_printf(out, ",\"type\":\"%s\"}", type_of(&text));
	}
	free(file);
	buf_fini(&text);
}

static bool list(struct play_child *c, struct jslice asked, struct buf *out, struct err *e)
{
	struct vars names = { 0 };

	(void)asked;
	(void)e;
	mapping_path_list(&c->path, &names);
	buf_puts(out, "{\"mappings\":[");
	for (size_t i = 0; i < names.n; i++)
		put_mapping(&c->path, names.items[i].name, out);
	buf_puts(out, "]}");
	vars_fini(&names);
	return true;
}

/* Of "DIR/NAME.jq". */
static void put_cases(const char *file, struct buf *out)
{
	char *cases = mem_printf("%.*s.cases.json", (int)(strlen(file) - strlen(".jq")), file);
	struct buf text = { 0 }, strict = { 0 };

	if (buf_append_file(&text, cases, MAX_FILE, NULL) &&
	    jtext_read(buf_str(&text), text.len, false, &strict, NULL) &&
	    jtext_type_of((struct jslice){ strict.data, strict.len }) == JTEXT_ARRAY)
		buf_append(out, strict.data, strict.len);
	else
		buf_puts(out, "[]");
	free(cases);
	buf_fini(&text);
	buf_fini(&strict);
}

/* Else what is edited would not be the file. */
static bool is_text(const struct buf *file, const char *name, struct err *e)
{
	if (jtext_is_utf8(buf_str(file), file->len) && !memchr(buf_str(file), '\0', file->len))
		return true;
	err_set(e, ERR_INVALID, "%s: it is no text in UTF-8", name);
	return false;
}

static bool open_file(struct play_child *c, struct jslice asked, struct buf *out, struct err *e)
{
	char *name = play_text(asked, "name"), *file = NULL;
	struct buf text = { 0 };
	bool ok = false;

	if (name)
		file = mapping_path_find(&c->path, name);
	if (!file) {
		err_set(e, ERR_NOT_FOUND, "there is no mapping \"%s\"", name ? name : "");
	} else if (buf_append_file(&text, file, MAX_FILE, e) && is_text(&text, name, e)) {
		buf_putc(out, '{');
		play_put_text(out, "name", name);
		buf_putc(out, ',');
		play_put_text(out, "text", buf_str(&text));
		buf_puts(out, ",\"cases\":");
		put_cases(file, out);
		buf_putc(out, '}');
		ok = true;
	}
	free(name);
	free(file);
	buf_fini(&text);
	return ok;
}

/* --- one request ----------------------------------------------------------------------------------- */

static const struct {
	const char *todo;
	/* Append the answer; false sets *e. */
	bool (*f)(struct play_child *c, struct jslice asked, struct buf *out, struct err *e);
} todos[] = { { "list", list }, { "open", open_file }, { "try", play_try } };

static bool answer(struct play_child *c, const char *json, size_t n, struct buf *out, struct err *e)
{
	struct buf strict = { 0 };
	struct jslice asked, todo;
	bool ok = jtext_take(json, n, false, &strict, e), is_known = false;

	asked = (struct jslice){ strict.data, strict.len };
	for (size_t i = 0; ok && !is_known && i < sizeof todos / sizeof todos[0]; i++) {
		is_known = jtext_field(asked, "do", &todo) && jtext_string_is(todo, todos[i].todo);
		if (is_known)
			ok = todos[i].f(c, asked, out, e);
	}
	if (ok && !is_known)
		err_set(e, ERR_INVALID, "do: list, open or try");
	buf_fini(&strict);
	return ok && is_known;
}

static bool read_all(int in, struct buf *out)
{
	char piece[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(in, piece, sizeof piece, at)) > 0) {
		buf_append(out, piece, (size_t)n);
		at += n;
	}
	return n == 0;
}

static void write_all(int out, const struct buf *text)
{
	size_t done = 0;
	ssize_t n;

	while (done < text->len && ((n = write(out, text->data + done, text->len - done)) > 0 ||
				    (n < 0 && errno == EINTR)))
		done += n > 0 ? (size_t)n : 0;
}

void play_child(int in, int out)
{
	struct buf request = { 0 }, told = { 0 };
	struct play_child c = { 0 };
	struct err e = { 0 };
	struct unpack u;
	const char *json;
	size_t n;

	prctl(PR_SET_NAME, "calque-play");
	setpgid(0, 0); /* what it forks is killed with it, and found by its group */
	log_least(
		LOG_ERROR); /* what ends a mapping's process is told as what became of the message */
	if (!sandbox_limit_memory(COMPILER_MEMORY_BYTES, NULL) || !read_all(in, &request))
		return;
	u = (struct unpack){ .p = request.data, .left = request.len };
	c.drafts = unpack_text(&u);
	for (uint32_t dirs = unpack_u32(&u); dirs > 0 && !u.is_bad; dirs--) {
		char *dir = unpack_text(&u);

		mapping_path_add(&c.path, dir);
		free(dir);
	}
	json = unpack_bytes(&u, &n);
	if (json && c.drafts && !answer(&c, json, n, &told, &e)) {
		buf_reset(&told);
		buf_putc(&told, '{');
		play_put_text(&told, "error", e.text);
		buf_putc(&told, '}');
	}
	buf_putc(&told, '\n');
	write_all(out, &told);
	nursery_end();
	free(c.drafts);
	mapping_path_fini(&c.path);
	buf_fini(&request);
	buf_fini(&told);
}
