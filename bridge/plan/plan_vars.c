/* plan_vars.c -- what variables and credentials are to one device of a link: plan.h. */
#include "plan/plan.h"

#include <string.h>

const struct var *plan_var(const struct plan *p, enum side side, const char *device,
			   const char *name)
{
	const struct fleet_device *d = *p->fleet && device ? fleet_find(*p->fleet, device) : NULL;
	const struct var *own = d ? vars_find(&d->vars[side], name) : NULL;

	return own ? own : vars_find(&p->side[side].vars, name);
}

const char *plan_lacks(const struct plan *p, const char *device, enum side *side)
{
	for (*side = SOUTH; *side < SIDES; ++*side) {
		const struct vars *owed = &p->side[*side].owed;

		for (size_t i = 0; i < owed->n; i++)
			if (!plan_var(p, *side, device, owed->items[i].name))
				return owed->items[i].name;
	}
	return NULL;
}

/* The name of the credential that a template consists of; NULL: it is more, or none. */
static const char *sole_credential(const struct dialect *d, const char *template)
{
	for (size_t i = 0; i < d->n_credentials; i++) {
		const char *name = d->credentials[i];
		size_t n = strlen(name);

		if (template[0] == '{' && strncmp(template + 1, name, n) == 0 &&
		    strcmp(template + 1 + n, "}") == 0)
			return name;
	}
	return NULL;
}

bool plan_is_filled_later(const struct plan *p, enum side side, const char *device,
			  const char *template)
{
	const struct plan_side *ps = &p->side[side];
	const char *name;

	if (!p->has_device_sessions || side != NORTH || ps->owed.n == 0)
		return false;
	name = sole_credential(ps->dialect, template);
	return name && vars_find(&ps->owed, name) && !plan_var(p, side, device, name);
}

bool plan_renew_credentials(const struct plan *p, enum side side, const char *device,
			    const struct vars *from, struct vars *to)
{
	const struct dialect *d = p->side[side].dialect;
	bool is_changed = false;

	for (size_t i = 0; from->n && i < d->n_rows; i++) {
		const struct vars *wanted = &d->rows[i].properties;

		for (size_t k = 0; k < wanted->n; k++) {
			const char *name = sole_credential(d, wanted->items[k].value);
			const struct var *v = name ? plan_var(p, side, device, name) : NULL;
			const char *old = v ? vars_get(from, wanted->items[k].name) : NULL;

			if (!old || strcmp(old, v->value) == 0)
				continue;
			if (!is_changed)
				vars_copy(to, from);
			is_changed = true;
			vars_set(to, wanted->items[k].name, v->value, true);
		}
	}
	return is_changed;
}

static bool has_variable(const char *text, const char *variable)
{
	return text && text_template_has(text, variable);
}

/* The one place from which it is taken anew is plan_renew_credentials(). */
static bool is_made_of(const struct plan_side *ps, const struct row *row, const char *variable)
{
	bool is = topic_template_has(&row->topic, variable) ||
		  has_variable(row->response_topic, variable) ||
		  has_variable(row->correlation, variable);

	for (size_t i = 0; i < row->n_also; i++)
		is = is || topic_template_has(&row->also[i].topic, variable) ||
		     has_variable(row->also[i].reply, variable);
	for (size_t i = 0; i < row->properties.n; i++) {
		const char *value = row->properties.items[i].value;

		is = is || (has_variable(value, variable) && !sole_credential(ps->dialect, value));
	}
	return is;
}

bool plan_is_made_of(const struct plan *p, enum side side, const char *variable)
{
	const struct plan_side *ps = &p->side[side];

	for (size_t i = 0; i < ps->dialect->n_rows; i++)
		if (is_made_of(ps, &ps->dialect->rows[i], variable))
			return true;
	return false;
}
