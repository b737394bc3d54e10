#include "live/generation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/refs.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "jq/mapping.h"
#include "net/tls.h"
#include "plan/plan.h"
#include "state/change.h"
#include "state/devices.h"
#include "translate/executor.h"
#include "work/compiler.h"
#include "work/worker.h"

/* The mappings of an earlier generation, while plans that were adopted from it point to them. */
struct heirloom {
	struct build build;
	struct heirloom *next;
};

struct generation {
	struct conf *conf;
	struct compiler *compiler;
	struct build build;  /* of the mappings that plans point into */
	struct plan **plans; /* one per link */
	struct workers *workers;
	struct executor *executor;
	struct refs users;
	char **files; /* what was in the files of each link: lines as of conf_link_put_values() */
	struct heirloom *heirlooms;
};

/* What a session needs and reading the configuration cannot tell: certificates and keys that OpenSSL takes. */
static void check_tls(const struct conf_session *c, enum side side, struct report *report)
{
	const struct tls_conf tls = { c->tls.ca, c->tls.cert, c->tls.key, c->tls.server_name };
	struct err e = { 0 };
	SSL_CTX *context;
	char *place;

	if (!c->is_tls || c->lacks_tls_file)
		return;
	context = tls_context(&tls, c->host, &e);
	place = conf_place(c->file, c->line, side_name(side));
	if (!context)
		report_lack(report, "%s.tls: %s", place, e.text);
	free(place);
	tls_release(context);
}

/* --- what was in files --------------------------------------------------------------------- */

#define MAX_FILE_BYTES (1u << 20)

static void put_line(struct buf *out, enum side side, const char *key,
		     const struct crypto_piece *piece)
{
	uint8_t hash[CRYPTO_HASH_BYTES];

	crypto_hash(piece, 1, hash);
	buf_printf(out, "%s.%s(file) ", side_name(side), key);
	for (size_t i = 0; i < sizeof hash; i++)
		buf_printf(out, "%02x", hash[i]);
	buf_putc(out, '\n');
}

/* Of a directory, or of none, there is nothing. */
static void put_file(struct buf *out, enum side side, const char *key, const char *path)
{
	char *content = path ? mem_alloc(MAX_FILE_BYTES) : NULL;
	FILE *f = path ? fopen(path, "re") : NULL;
	struct crypto_piece piece = { content, f ? fread(content, 1, MAX_FILE_BYTES, f) : 0 };

	put_line(out, side, key, &piece);
	if (f)
		fclose(f);
	if (content)
		explicit_bzero(content, piece.n);
	free(content);
}

static void put_mapping(struct buf *out, enum side side, const char *key, const struct mapping *m)
{
	struct crypto_piece piece = { mapping_sum(m), MAPPING_SUM_BYTES };

	put_line(out, side, key, &piece);
}

static char *read_files(const struct conf_link *c, const struct plan *p)
{
	struct buf out = { 0 };

	for (int s = 0; s < SIDES; s++) {
		const struct conf_tls *tls = &c->side[s].tls;

		put_mapping(&out, (enum side)s, "dialect", p->side[s].mapping);
		put_file(&out, (enum side)s, "tls.ca", tls->ca);
		put_file(&out, (enum side)s, "tls.cert", tls->cert);
		put_file(&out, (enum side)s, "tls.key", tls->key);
	}
	for (size_t i = 0; i < p->n_through; i++)
		put_mapping(&out, SOUTH, "through", p->through[i].mapping);
	return buf_take(&out);
}

struct generation *generation_read(const char *conf_path, const struct mapping_path *mappings,
				   struct compiler *compiler, struct report *report)
{
	struct generation *g = mem_zalloc(sizeof *g);
	bool is_whole;

	g->compiler = compiler;
	g->conf = conf_read(conf_path, report);
	is_whole = report->n_errors == 0;
	build_init(&g->build, mappings, g->conf);
	g->build.loader = compiler ? compiler_loader(compiler) : NULL;
	if (g->conf)
		g->plans = build_plans(&g->build, g->conf, is_whole, report);
	if (!g->conf || report->n_errors > 0) {
		generation_free(g);
		return NULL;
	}
	g->files = mem_zalloc((g->conf->n_links + 1) * sizeof *g->files);
	for (size_t i = 0; i < g->conf->n_links; i++) {
		g->plans[i]->users = &g->users;
		g->files[i] = read_files(&g->conf->links[i], g->plans[i]);
		for (int s = 0; s < SIDES; s++)
			check_tls(&g->conf->links[i].side[s], (enum side)s, report);
	}
	return g;
}

/* --- secrets ------------------------------------------------------------------------------- */

static void replace(char **field, const char *value)
{
	if (*field)
		mem_free_secret(*field, strlen(*field));
	*field = mem_strdup(value);
}

static bool is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* The new value of a variable that the platform's login is made of; topics are made of others, once. */
static bool renew_variable(struct conf_session *c, struct plan *plan, enum side side,
			   const struct secret *s, const char *value, struct err *e)
{
	struct plan_side *ps = &plan->side[side];

	if (is_same(vars_get(&c->vars, s->variable), value))
		return true;
	/* There was none: what was made of it is made of nothing, filters that hear nobody, say. */
	if (s->wrong && plan_is_made_of(plan, side, s->variable)) {
		err_set(e, ERR_INVALID,
			"%s: was not there at the start, and topics have it in them: calque has to "
			"be "
			"started anew",
			s->place);
		return false;
	}
	if (!dialect_is_credential(ps->dialect, s->variable)) {
		err_set(e, ERR_INVALID, "%s: there is another value now, for the next start",
			s->place);
		return !s->wrong; /* there was none: it cannot do without */
	}
	vars_set(&c->vars, s->variable, value, true);
	vars_set(&ps->vars, s->variable, value, true);
	c->n_renewed++;
	return true;
}

static bool renew(struct conf_session *c, struct plan *plan, enum side side, const struct secret *s,
		  struct err *e)
{
	char *value = s->path ? secret_read(s->path, e) : NULL;
	bool ok = value;

	if (!s->path) {
		err_set(e, ERR_NOT_FOUND, "%s: %s", s->place, s->wrong);
	} else if (!value) {
		err_prefix(e, "%s", s->place);
	} else if (s->variable) {
		ok = renew_variable(c, plan, side, s, value, e);
	} else if (!is_same(*s->field, value)) {
		replace(s->field, value);
		c->n_renewed++;
	}
	if (value)
		mem_free_secret(value, strlen(value));
	return ok;
}

bool generation_renew(struct generation *g, size_t link, enum side side, struct err *e)
{
	struct conf_link *l = &g->conf->links[link];
	struct conf_session *c = &l->side[side];
	struct plan *plan = g->plans[link];
	unsigned before = c->n_renewed;
	bool ok = true;

	for (size_t i = 0; i < l->secrets.n; i++)
		if (l->secrets.items[i].wrong) {
			err_set(e, ERR_NOT_FOUND, "%s: was not there at the start: %s",
				l->secrets.items[i].place, l->secrets.items[i].wrong);
			return false;
		}
	for (size_t i = 0; i < c->secrets.n; i++) {
		struct err why = { 0 };

		if (renew(c, plan, side, &c->secrets.items[i], &why))
			continue;
		*e = why;
		ok = false;
	}
	if (side == NORTH && c->n_renewed != before) {
		replace(&plan->provision_key, c->provision.key);
		replace(&plan->provision_secret, c->provision.secret);
		replace(&plan->provision_name, c->provision.name);
	}
	return ok;
}

static void free_heirlooms(struct generation *g)
{
	struct heirloom *h;

	while ((h = g->heirlooms) != NULL) {
		g->heirlooms = h->next;
		build_fini(&h->build);
		free(h);
	}
}

void generation_free(struct generation *g)
{
	if (!g)
		return;
	assert(g->users.n == 0);
	generation_end_workers(g);
	executor_free(g->executor);
	if (g->conf)
		build_plans_free(g->plans, g->conf->n_links);
	for (size_t i = 0; g->conf && g->files && i < g->conf->n_links; i++)
		free(g->files[i]);
	free(g->files);
	free_heirlooms(g);
	build_fini(&g->build);
	compiler_free(g->compiler);
	conf_free(g->conf);
	free(g);
}

bool generation_make_executor(struct generation *g, struct loop *loop, void (*gone)(void *ctx),
			      void *ctx, struct err *e)
{
	if (loop && !(g->workers = workers_new(loop, (unsigned)g->conf->workers, e)))
		return false;
	if (loop && g->compiler)
		workers_fork_from(g->workers, g->compiler, gone, ctx);
	g->executor = executor_new(g->workers ? workers_pool(g->workers) : NULL);
	return true;
}

/* The compiler made its plans before the state of earlier runs was restored. */
static void tell_devices(struct generation *g, const struct plan *p)
{
	struct changes rows = { 0 };

	devices_put_rows(p->devices, &rows);
	for (size_t i = 0; i < rows.n; i++)
		compiler_tell(g->compiler, p, rows.items[i].key, rows.items[i].value);
	changes_fini(&rows);
}

bool generation_start_workers(struct generation *g, struct err *e)
{
	for (size_t i = 0; g->compiler && i < g->conf->n_links; i++)
		tell_devices(g, g->plans[i]);
	return workers_start(g->workers, e);
}

void generation_end_workers(struct generation *g)
{
	workers_free(g->workers);
	g->workers = NULL;
}

void generation_count_workers(const struct generation *g, struct workers_counters *out)
{
	*out = (struct workers_counters){ 0 };
	if (g->workers)
		workers_count(g->workers, out);
}

void generation_run(struct generation *g)
{
	executor_run(g->executor);
	if (g->workers)
		workers_flush(g->workers); /* they work while the disk does */
}

bool generation_is_idle(const struct generation *g)
{
	return executor_is_idle(g->executor);
}

/* --- one after the other ------------------------------------------------------------------- */

/* Lines of two texts stand for the same keys, but for files of `through` at the end. */
static void put_differences(const char *a, const char *b, struct buf *out)
{
	while (*a || *b) {
		size_t a_len = strcspn(a, "\n"), b_len = strcspn(b, "\n");
		const char *line = b_len ? b : a;

		if (a_len != b_len || memcmp(a, b, a_len) != 0) {
			buf_puts(out, out->len ? "," : "");
			buf_append(out, line, strcspn(line, " "));
		}
		a += a_len + (a[a_len] != '\0');
		b += b_len + (b[b_len] != '\0');
	}
}

void generation_put_difference(const struct generation *from, const struct generation *to,
			       struct buf *out)
{
	struct buf a = { 0 }, b = { 0 };

	conf_put_values(from->conf, &a);
	conf_put_values(to->conf, &b);
	put_differences(buf_str(&a), buf_str(&b), out);
	buf_fini(&a);
	buf_fini(&b);
}

void generation_put_link_difference(const struct generation *from, size_t i,
				    const struct generation *to, size_t j, struct buf *out)
{
	struct buf a = { 0 }, b = { 0 };

	conf_link_put_values(&from->conf->links[i], &a);
	conf_link_put_values(&to->conf->links[j], &b);
	put_differences(buf_str(&a), buf_str(&b), out);
	put_differences(from->files[i], to->files[j], out);
	buf_fini(&a);
	buf_fini(&b);
}

void generation_hand_over(struct generation *from, struct generation *to)
{
	generation_end_workers(from);
	executor_free(to->executor);
	to->executor = from->executor;
	from->executor = NULL;
	executor_set_pool(to->executor, to->workers ? workers_pool(to->workers) : NULL);
}

void generation_adopt(struct generation *from, size_t i, struct generation *to, size_t j)
{
	struct plan *plan = from->plans[i], *unused = to->plans[j];

	plan->there = unused->there;
	plan->users = &to->users;
	unused->users = &from->users;
	from->plans[i] = unused;
	to->plans[j] = plan;
	for (int s = 0; s < SIDES; s++)
		to->conf->links[j].side[s].n_renewed = from->conf->links[i].side[s].n_renewed;
}

static bool has(const struct build *b, const struct mapping *m)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].mapping == m)
			return true;
	return false;
}

static bool is_used(const struct generation *g, const struct build *b)
{
	for (size_t i = 0; i < g->conf->n_links; i++) {
		const struct plan *p = g->plans[i];

		if (has(b, p->side[SOUTH].mapping) || has(b, p->side[NORTH].mapping))
			return true;
		for (size_t k = 0; k < p->n_through; k++)
			if (has(b, p->through[k].mapping))
				return true;
	}
	return false;
}

void generation_end(struct generation *from, struct generation *to)
{
	struct heirloom *h = mem_zalloc(sizeof *h), **at = &to->heirlooms;

	to->users.n += from->users.n;
	from->users.n = 0;
	*h = (struct heirloom){ from->build, from->heirlooms };
	from->heirlooms = NULL;
	from->build = (struct build){ 0 };
	to->heirlooms = h;
	while ((h = *at) != NULL) {
		if (is_used(to, &h->build)) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		build_fini(&h->build);
		free(h);
	}
	generation_free(from);
}

void generation_tell_devices(struct generation *g, size_t link)
{
	const struct worker_pool *pool = g->workers ? workers_pool(g->workers) : NULL;
	const struct plan *p = g->plans[link];
	struct changes rows = { 0 };

	devices_put_rows(p->devices, &rows);
	for (size_t i = 0; pool && i < rows.n; i++)
		pool->tell(pool->ctx, p, rows.items[i].key, rows.items[i].value);
	changes_fini(&rows);
}

const struct conf *generation_conf(const struct generation *g)
{
	return g->conf;
}

const struct plan *generation_plan(const struct generation *g, size_t link)
{
	assert(link < g->conf->n_links);
	return g->plans[link];
}

struct executor *generation_executor(const struct generation *g)
{
	return g->executor;
}

size_t generation_users(const struct generation *g)
{
	return g->users.n;
}
