/* calque in which each function that is called runs by the program of all functions, too, as it does before it has a
 * program of its own, and with the whole input, not only what it can see: what comes out must be the same, or the call
 * ends the process, which is a case that fails. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "jq/mapping_inside.h"

struct mapping *__real_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report);
struct mapping *__wrap_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report);
bool __real_mapping_call(struct mapping *m, int fn, const struct mapping_input *in,
			 bool (*on_output)(void *ctx, struct jslice output), void *ctx,
			 struct err *e);
bool __wrap_mapping_call(struct mapping *m, int fn, const struct mapping_input *in,
			 bool (*on_output)(void *ctx, struct jslice output), void *ctx,
			 struct err *e);

struct mapping *__wrap_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report)
{
	struct mapping *m = __real_mapping_load(p, name, report);

	for (size_t i = 0; m && i < m->functions.n; i++)
		if (!mapping_compile_own(m, (int)i))
			abort();
	if (m)
		mapping_only_jq(m); /* this is about jq */
	return m;
}

static bool note(void *ctx, struct jslice output)
{
	struct buf *all = ctx;

	buf_append(all, output.text, output.len);
	buf_putc(all, '\n');
	return true;
}

static void call(struct mapping *m, int fn, const struct mapping_input *in, struct buf *said)
{
	struct err e = { 0 };

	if (!__real_mapping_call(m, fn, in, note, said, &e))
		buf_printf(said, "%d %s", (int)e.code, e.text);
}

bool __wrap_mapping_call(struct mapping *m, int fn, const struct mapping_input *in,
			 bool (*on_output)(void *ctx, struct jslice output), void *ctx,
			 struct err *e)
{
	struct own own;
	struct buf alone = { 0 }, among_all = { 0 }, with_all = { 0 };

	if (!m->jq) /* the program is elsewhere */
		return __real_mapping_call(m, fn, in, on_output, ctx, e);
	own = m->own[fn];
	call(m, fn, in, &alone);
	m->own[fn].jq = NULL;
	call(m, fn, in, &among_all);
	m->own[fn].seen = UINT32_MAX;
	call(m, fn, in, &with_all);
	m->own[fn] = own;
	if (!own.jq || strcmp(buf_str(&alone), buf_str(&among_all)) != 0 ||
	    strcmp(buf_str(&alone), buf_str(&with_all)) != 0)
		abort();
	buf_fini(&alone);
	buf_fini(&among_all);
	buf_fini(&with_all);
	return __real_mapping_call(m, fn, in, on_output, ctx, e);
}
