/* fleet.c -- the table in memory.  A row is due while something of it is to be written that no message may write. */
#include "fleet/fleet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fleet/fleet_inside.h"
#include "state/change.h"
#include "state/machine.h"

#define SEEN_MS	 3600000 /* last seen is written so often at most */
#define DELAY_MS 10000	 /* then more of them are written together */

const char *const fleet_state_names[FLEET_STATES] = { "known", "asking", "ready", "refused",
						      "lost" };
const char *const fleet_step_names[FLEET_STEPS] = { "none", "offered", "issued", "logged-in",
						    "greeted" };
const char *const fleet_mode_names[FLEET_MODES] = { "", "off", "mirror", "live", "retired" };
const char *const fleet_origin_names[FLEET_ORIGINS] = { "seen", "handshake", "import",
							"configuration" };

int fleet_word(const char *const *names, int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	return -1;
}

struct fleet *fleet_new(void)
{
	struct fleet *t = mem_zalloc(sizeof *t);

	TAILQ_INIT(&t->due);
	TAILQ_INIT(&t->draining);
	return t;
}

void fleet_wipe_vars(struct vars *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].is_secret)
			explicit_bzero(v->items[i].value, strlen(v->items[i].value));
	vars_fini(v);
}

static void end_device(void *value)
{
	struct fleet_device *d = value;

	for (int s = 0; s < SIDES; s++)
		fleet_wipe_vars(&d->vars[s]);
	vars_fini(&d->greet);
	free(d->name);
	free(d->group);
	free(d->kind);
	free(d->sessions);
	free(d->reason);
	free(d->fixed_by);
	free(d);
}

void fleet_free(struct fleet *t)
{
	if (!t)
		return;
	map_fini(&t->by_name, end_device);
	free(t);
}

/* --- looking ------------------------------------------------------------------------------- */

void fleet_act_for(struct fleet *t, const char *who, int64_t now_ms)
{
	t->who = who;
	t->now_ms = now_ms;
}

void fleet_set_link_mode(struct fleet *t, enum fleet_mode mode)
{
	t->link_mode = mode;
}

size_t fleet_count(const struct fleet *t)
{
	return t->by_name.n;
}

const struct fleet_device *fleet_find(const struct fleet *t, const char *device)
{
	return map_get_str(&t->by_name, device);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **fleet_names(const struct fleet *t, size_t *n)
{
	char **names = mem_zalloc((t->by_name.n + 1) * sizeof *names);
	const struct fleet_device *d;
	struct map_pos pos = { 0 };

	for (*n = 0; (d = map_next(&t->by_name, &pos)) != NULL; ++*n)
		names[*n] = mem_strdup(d->name);
	qsort(names, *n, sizeof *names, compare);
	return names;
}

const char *fleet_var(const struct fleet_device *d, enum side side, const char *name)
{
	return d ? vars_get(&d->vars[side], name) : NULL;
}

bool fleet_has_credentials(const struct fleet_device *d, enum side side)
{
	for (size_t i = 0; d && i < d->vars[side].n; i++)
		if (d->vars[side].items[i].is_secret)
			return true;
	return false;
}

enum fleet_mode fleet_mode_of(const struct fleet_device *d, enum fleet_mode link_mode)
{
	return d && d->mode != FLEET_DEFAULT ? d->mode : link_mode;
}

enum fleet_mode fleet_mode_at(const struct fleet_device *d, enum fleet_mode link_mode,
			      int64_t at_ms)
{
	if (d && at_ms < d->mode_ms)
		return d->before != FLEET_DEFAULT ? d->before : link_mode;
	return fleet_mode_of(d, link_mode);
}

bool fleet_mirrors(const struct fleet *t)
{
	return t->n_mirror > 0 || t->link_mode == FLEET_MIRROR;
}

unsigned fleet_passes(enum fleet_mode mode)
{
	static const unsigned passes[FLEET_MODES] = {
		[FLEET_DEFAULT] = FLEET_PASSES(FLOW_UP) | FLEET_PASSES(FLOW_DOWN),
		[FLEET_MIRROR] = FLEET_PASSES(FLOW_UP),
		[FLEET_LIVE] = FLEET_PASSES(FLOW_UP) | FLEET_PASSES(FLOW_DOWN),
	};

	return passes[mode];
}

bool fleet_is_among(struct fleet *t, const char *device, double percent, struct changes *out)
{
	const struct crypto_piece pieces[] = { { t->salt, CRYPTO_TOKEN_CHARS },
					       { device, strlen(device) } };
	uint8_t hash[CRYPTO_HASH_BYTES];
	char *row;
	double at = 0;

	if (!*t->salt) {
		crypto_token(t->salt);
		row = mem_printf("{\"salt\":\"%s\"}", t->salt);
		changes_put(out, FLEET_SALT_MACHINE, "salt", row, false);
		free(row);
	}
	crypto_hash(pieces, 2, hash);
	for (int i = 3; i >= 0; i--)
		at = (at + hash[i]) / 256;
	return at * 100 < percent;
}

bool fleet_is_kept(const struct fleet *t, const char *device)
{
	const struct fleet_device *d = fleet_find(t, device);

	return d && (d->origin != FLEET_SEEN || d->is_set);
}

/* --- rows that come and go ------------------------------------------------------------------- */

struct fleet_device *fleet_row(struct fleet *t, const char *device)
{
	struct fleet_device *d = map_get_str(&t->by_name, device);

	if (!d) {
		d = mem_zalloc(sizeof *d);
		d->name = mem_strdup(device);
		map_set_str(&t->by_name, device, d);
	}
	return d;
}

static void set_due(struct fleet *t, struct fleet_device *d, int64_t now_ms)
{
	if (d->is_due)
		return;
	d->is_due = true;
	d->due_ms = now_ms + DELAY_MS;
	TAILQ_INSERT_TAIL(&t->due, d, due);
}

static void unset_due(struct fleet *t, struct fleet_device *d)
{
	if (d->is_due)
		TAILQ_REMOVE(&t->due, d, due);
	d->is_due = false;
}

const struct fleet_device *fleet_name(struct fleet *t, const char *device, enum fleet_origin origin,
				      struct changes *out)
{
	bool is_new = !fleet_find(t, device);
	struct fleet_device *d = fleet_row(t, device);

	if (!is_new && d->origin >= origin)
		return d;
	if (!is_new && d->origin == FLEET_SEEN && !d->is_set && !d->mode_ms)
		d->mode = FLEET_DEFAULT; /* it was a stranger's, and nobody's word */
	d->origin = origin;
	fleet_put_row(d, out);
	if (is_new)
		changes_note(out, device, t->who, "added", fleet_origin_names[origin]);
	return d;
}

const struct fleet_device *fleet_see(struct fleet *t, const char *device, enum flow flow, bool adds,
				     enum fleet_mode mode, int64_t now_ms)
{
	struct fleet_device *d = map_get_str(&t->by_name, device);

	if (!d && !adds)
		return NULL;
	if (!d) {
		d = fleet_row(t, device);
		fleet_put_mode(t, d, mode);
		d->is_unwritten = true;
		set_due(t, d, now_ms);
	}
	d->seen_ms[flow] = now_ms;
	if (now_ms >= d->noted_ms[flow] + SEEN_MS || now_ms < d->noted_ms[flow])
		set_due(t, d, now_ms);
	return d;
}

const char *fleet_next_due(const struct fleet *t, int64_t now_ms)
{
	const struct fleet_device *d = TAILQ_FIRST(&t->due);

	return d && d->due_ms <= now_ms ? d->name : NULL;
}

void fleet_put_due(struct fleet *t, const char *device, struct changes *out)
{
	struct fleet_device *d = map_get_str(&t->by_name, device);

	assert(d && d->is_due);
	unset_due(t, d);
	if (d->is_unwritten)
		fleet_put_row(d, out);
	fleet_put_seen(d, out);
}

static void unset_draining(struct fleet *t, struct fleet_device *d)
{
	if (d->is_draining)
		TAILQ_REMOVE(&t->draining, d, draining);
	d->is_draining = false;
}

bool fleet_forget(struct fleet *t, const char *device, struct changes *out)
{
	struct fleet_device *d = map_remove_str(&t->by_name, device);

	if (!d)
		return false;
	unset_due(t, d);
	unset_draining(t, d);
	fleet_put_mode(t, d, FLEET_DEFAULT);
	changes_delete(out, FLEET_MACHINE, device);
	changes_delete(out, FLEET_SEEN_MACHINE, device);
	end_device(d);
	return true;
}

/* A side said that it is gone, or another one wants its place: who was named stays. */
static void forget_stranger(void *m, const char *device, struct changes *out)
{
	if (fleet_find(m, device) && !fleet_is_kept(m, device))
		fleet_forget(m, device, out);
}

/* --- what is set ----------------------------------------------------------------------------- */

static struct fleet_device *row_there(struct fleet *t, const char *device)
{
	struct fleet_device *d = map_get_str(&t->by_name, device);

	assert(d);
	return d;
}

/* That was set: its row is written, with what is told of it. */
static void note(const struct fleet *t, struct fleet_device *d, const char *what,
		 const char *answer, struct changes *out)
{
	d->is_set = true;
	fleet_put_row(d, out);
	changes_note(out, d->name, t->who, what, answer);
}

bool fleet_set_mode(struct fleet *t, const char *device, enum fleet_mode mode, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	if (d->mode == mode)
		return false;
	d->leaves = (d->leaves | fleet_passes(fleet_mode_of(d, t->link_mode))) &
		    ~fleet_passes(mode != FLEET_DEFAULT ? mode : t->link_mode);
	if (!d->leaves)
		unset_draining(t, d);
	d->before = d->mode;
	d->mode_ms = t->now_ms;
	fleet_put_mode(t, d, mode);
	note(t, d, "mode", mode ? fleet_mode_names[mode] : "the link's", out);
	return true;
}

void fleet_drain(struct fleet *t, const char *device, int64_t until_ms)
{
	struct fleet_device *d = row_there(t, device), *before;

	unset_draining(t, d);
	d->is_draining = true;
	d->drained_ms = until_ms;
	before = TAILQ_LAST(&t->draining, fleet_draining);
	while (before && before->drained_ms > until_ms)
		before = TAILQ_PREV(before, fleet_draining, draining);
	if (before)
		TAILQ_INSERT_AFTER(&t->draining, before, d, draining);
	else
		TAILQ_INSERT_HEAD(&t->draining, d, draining);
}

int64_t fleet_next_deadline(const struct fleet *t)
{
	const struct fleet_device *d = TAILQ_FIRST(&t->draining);

	return d ? d->drained_ms : INT64_MAX;
}

const char *fleet_next_drained(const struct fleet *t, int64_t now_ms)
{
	return fleet_next_deadline(t) <= now_ms ? TAILQ_FIRST(&t->draining)->name : NULL;
}

void fleet_end_drain(struct fleet *t, const char *device, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	unset_draining(t, d);
	d->leaves = 0;
	fleet_put_row(d, out);
}

static bool is_same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void set_text(char **at, const char *text)
{
	free(*at);
	*at = text && *text ? mem_strdup(text) : NULL;
}

bool fleet_set_state(struct fleet *t, const char *device, enum fleet_state state,
		     const char *reason, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);
	char *told;

	if (d->state == state && is_same(d->reason, reason))
		return false;
	d->state = state;
	set_text(&d->reason, reason);
	told = mem_printf("%s%s%s", fleet_state_names[state], d->reason ? ": " : "",
			  d->reason ? d->reason : "");
	note(t, d, "state", told, out);
	free(told);
	return true;
}

bool fleet_set_step(struct fleet *t, const char *device, enum fleet_step step, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	if (d->step == step)
		return false;
	d->step = step;
	note(t, d, "step", fleet_step_names[step], out);
	return true;
}

static bool set_field(const struct fleet *t, struct fleet_device *d, char **at, const char *what,
		      const char *text, struct changes *out)
{
	if (is_same(*at, text))
		return false;
	set_text(at, text);
	note(t, d, what, *at ? *at : "none", out);
	return true;
}

bool fleet_set_group(struct fleet *t, const char *device, const char *group, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	return set_field(t, d, &d->group, "group", group, out);
}

bool fleet_set_kind(struct fleet *t, const char *device, const char *kind, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	return set_field(t, d, &d->kind, "kind", kind, out);
}

bool fleet_set_sessions(struct fleet *t, const char *device, const char *sessions,
			struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	return set_field(t, d, &d->sessions, "sessions", sessions, out);
}

bool fleet_is_on_demand(const struct fleet_device *d, bool link_says)
{
	return d && d->sessions ? strcmp(d->sessions, FLEET_ON_DEMAND) == 0 : link_says;
}

static void drop_var(struct vars *v, const char *name)
{
	struct vars rest = { 0 };

	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->items[i].name, name) != 0)
			vars_set(&rest, v->items[i].name, v->items[i].value, v->items[i].is_secret);
	fleet_wipe_vars(v);
	*v = rest;
}

/* Of a value nothing is told but that it was set. */
static bool set_value(const struct fleet *t, struct fleet_device *d, struct vars *v,
		      const char *column, const char *name, const char *value, bool is_secret,
		      struct changes *out)
{
	const struct var *before = vars_find(v, name);
	bool is_gone = !value || !*value;
	char *what;

	if (is_gone ? !before
		    : before && before->is_secret == is_secret && is_same(before->value, value))
		return false;
	if (before && before->is_secret)
		explicit_bzero(before->value, strlen(before->value));
	if (is_gone)
		drop_var(v, name);
	else
		vars_set(v, name, value, is_secret);
	what = mem_printf("%s.%s", column, name);
	note(t, d, what, is_gone ? "removed" : "set", out);
	free(what);
	return true;
}

bool fleet_set_var(struct fleet *t, const char *device, enum side side, const char *name,
		   const char *value, bool is_secret, struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	if (!set_value(t, d, &d->vars[side], side_name(side), name, value, is_secret, out))
		return false;
	d->n_vars_set++;
	return true;
}

bool fleet_set_greet(struct fleet *t, const char *device, const char *name, const char *value,
		     struct changes *out)
{
	struct fleet_device *d = row_there(t, device);

	return set_value(t, d, &d->greet, "greet", name, value, false, out);
}

void fleet_fix_mode(struct fleet *t, const char *device, const char *by, enum fleet_mode mode)
{
	struct fleet_device *d = row_there(t, device);

	set_text(&d->fixed_by, by);
	d->fixed_mode = mode;
}

void fleet_list(struct fleet *t, const char *device)
{
	row_there(t, device)->is_listed = true;
}

/* --- the machines ---------------------------------------------------------------------------- */

static void *machine_new(void)
{
	return fleet_new();
}

static void machine_free(void *m)
{
	fleet_free(m);
}

static int64_t machine_deadline(const void *m)
{
	return fleet_next_deadline(m);
}

static bool machine_restore(void *m, const char *key, const char *value, struct changes *out,
			    struct err *e)
{
	(void)out;
	return fleet_restore(m, key, value, e);
}

static bool seen_restore(void *m, const char *key, const char *value, struct changes *out,
			 struct err *e)
{
	(void)out;
	return fleet_restore_seen(m, key, value, e);
}

static bool salt_restore(void *m, const char *key, const char *value, struct changes *out,
			 struct err *e)
{
	(void)out;
	return fleet_restore_salt(m, key, value, e);
}

const struct machine fleet_salt_machine = { .name = FLEET_SALT_MACHINE,
					    .new = machine_new,
					    .free = machine_free,
					    .restore = salt_restore };
const struct machine fleet_machine = { .name = FLEET_MACHINE,
				       .new = machine_new,
				       .free = machine_free,
				       .restore = machine_restore,
				       .forget = forget_stranger,
				       .next_deadline = machine_deadline };
const struct machine fleet_seen_machine = { .name = FLEET_SEEN_MACHINE,
					    .new = machine_new,
					    .free = machine_free,
					    .restore = seen_restore };
