#include "plan/variables.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guess.h"
#include "jq/mapping.h"
#include "message/topic.h"
#include "message/vars.h"
#include "plan/plan.h"

static void note(struct vars *names, const char *name)
{
	vars_set(names, name, "", false);
}

static void note_text(struct vars *names, const char *text)
{
	struct buf name = { 0 };
	size_t pos = 0;

	while (text && text_template_next(text, &pos, &name)) {
		note(names, buf_str(&name));
		buf_reset(&name);
	}
	buf_fini(&name);
}

static void note_topic(struct vars *names, const struct topic_template *t)
{
	for (size_t i = 0; i < t->n_levels; i++)
		if (t->levels[i].type != LEVEL_LITERAL)
			note(names, t->levels[i].text);
}

static void note_login(struct vars *names, const struct login_template *login)
{
	note_text(names, login->username);
	note_text(names, login->password);
	note_text(names, login->client_id);
}

static void note_row(struct vars *names, const struct row *row)
{
	note_topic(names, &row->topic);
	for (size_t i = 0; i < row->n_also; i++) {
		note_topic(names, &row->also[i].topic);
		note_text(names, row->also[i].reply);
	}
	for (size_t i = 0; i < row->properties.n; i++)
		note_text(names, row->properties.items[i].value);
	note_text(names, row->response_topic);
	note_text(names, row->correlation);
}

/* What a dialect's table speaks of, and the bridge itself. */
static void note_dialect(struct vars *names, const struct dialect *d)
{
	note(names, "device");
	if (d->device == DEVICE_IN_PAYLOAD)
		note(names, "gateway");
	for (size_t i = 0; i < d->n_credentials; i++)
		note(names, d->credentials[i]);
	for (size_t i = 0; i < d->defaults.n; i++)
		note(names, d->defaults.items[i].name);
	note_login(names, &d->session);
	note_login(names, &d->application);
	note_login(names, &d->provisioning);
	for (size_t i = 0; i < d->n_rows; i++)
		note_row(names, &d->rows[i]);
}

/* `names`: what is used beside the functions of the mapping. */
static void check(const struct vars *set, const struct vars *names, const struct mapping *m,
		  const char *where, const char *user, struct report *report)
{
	for (size_t i = 0; i < set->n; i++) {
		const char *name = set->items[i].name;
		struct guess g = { .wrong = name };

		if (vars_find(names, name) || mapping_may_use(m, name))
			continue;
		for (size_t k = 0; k < names->n; k++)
			guess_try(&g, names->items[k].name);
		report_warning(report, "%s.vars.%s: nothing in %s uses it%s%s%s", where, name, user,
			       g.best ? "; did you mean \"" : "", g.best ? g.best : "",
			       g.best ? "\"?" : "");
	}
}

void variables_check(const struct plan *plan, char *const where[SIDES], struct report *report)
{
	for (int s = 0; s < SIDES; s++) {
		const struct plan_side *ps = &plan->side[s];
		struct vars names = { 0 };

		note_dialect(&names, ps->dialect);
		check(&ps->vars, &names, ps->mapping, where[s], ps->dialect->name, report);
		vars_fini(&names);
	}
}

/* Functions alone use them, so there is nothing to guess from. */
void variables_check_through(const struct mapping *m, const struct vars *set, const char *where,
			     const char *name, struct report *report)
{
	const struct vars none = { 0 };

	check(set, &none, m, where, name, report);
}
