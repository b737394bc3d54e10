/* mapping_own.c -- programs of single functions, for those that are called often.
 *
 * The program of all is called with [number, input] and looks for the function by its number; one of these is the
 * function alone, compiled from the same files in the same way, so it is the same function: its module, what that
 * imports, places, messages. */
#include "jq/mapping_inside.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

/* A directory in which nobody can put a file: jq would look there first. */
#define NOWHERE "/proc/self"

void mapping_own_init(struct mapping *m)
{
	m->own = mem_zalloc((m->functions.n + 1) * sizeof *m->own);
	m->busy = mem_zalloc((m->functions.n + 1) * sizeof *m->busy);
}

void mapping_own_fini(struct mapping *m)
{
	struct recipe *r = &m->recipe;

	for (size_t i = 0; m->own && i < m->functions.n; i++)
		if (m->own[i].jq)
			jq_teardown(&m->own[i].jq);
	free(m->own);
	free(m->busy);
	free(r->imports);
	free(r->uses);
	free(r->home);
	jv_free(r->path);
	imports_files_fini(&r->files);
}

jq_state *mapping_own_program(struct mapping *m, int fn)
{
	struct own *own = &m->own[fn];

	if (!own->jq && ++own->calls == MAPPING_BUSY_CALLS)
		m->busy[m->n_busy++] = fn;
	return own->jq;
}

int mapping_next_busy(struct mapping *m)
{
	return m->n_told < m->n_busy ? m->busy[m->n_told++] : -1;
}

/* The definitions that it has to name stand where they are not reached. */
static jq_state *compile(const struct mapping *m, int fn)
{
	const struct recipe *r = &m->recipe;
	jq_state *jq = mapping_new_state(r->home, jv_copy(r->path), mapping_forget_message, NULL);
	struct buf program = { 0 };

	buf_printf(&program, "%sm::%s", r->imports, m->functions.items[fn].name);
	if (*r->uses)
		buf_printf(&program, ", (empty | %sempty)", r->uses);
	if (!jq_compile(jq, program.data))
		jq_teardown(&jq);
	buf_fini(&program);
	return jq;
}

bool mapping_compile_own(struct mapping *m, int fn)
{
	int here = -1;
	jq_state *jq = NULL;

	if (!m->own || fn < 0 || (size_t)fn >= m->functions.n || m->own[fn].jq)
		return false;
	here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (here >= 0 && chdir(NOWHERE) == 0) {
		jq = compile(m, fn);
		/* Looked at afterwards: what was compiled is what is there now, or was there before. */
		if (fchdir(here) != 0 || (jq && !imports_files_are_same(&m->recipe.files)))
			jq_teardown(&jq);
	}
	if (here >= 0)
		close(here);
	m->own[fn].jq = jq;
	return jq != NULL;
}
