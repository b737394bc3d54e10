#include "work/compiler.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pack.h"
#include "dialect/dialect.h"
#include "jq/mapping.h"
#include "plan/loader.h"
#include "plan/plan.h"
#include "work/channel.h"
#include "work/compiler_child.h"
#include "work/nursery.h"

#define LOOK_MS 20    /* how often it is looked at what it has used */
#define WALL_MS 60000 /* by the clock, whatever it does */

struct compiler {
	pid_t pid;
	int fd; /* -1: it was ended */
	struct buf ask;
	bool is_busy; /* its answer to COMPILER_OWN is still to come */
	size_t n_own;
	struct mapping_loader loader;
};

static bool begin(struct compiler *c, struct err *e)
{
	int ends[2];
	bool ok;

	c->fd = -1;
	c->is_busy = false;
	c->n_own = 0;
	if (!channel_open(ends, e))
		return false;
	ok = nursery_fork(ends[1], &c->pid, e);
	close(ends[1]);
	if (ok)
		c->fd = ends[0];
	else
		close(ends[0]);
	return ok;
}

/* Returns how it ended. */
static int end(struct compiler *c)
{
	int status = 0;

	if (c->fd < 0)
		return 0;
	close(c->fd);
	c->fd = -1;
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct compiler *compiler_new(struct err *e)
{
	struct compiler *c = mem_zalloc(sizeof *c);

	c->loader = (struct mapping_loader){ compiler_load, compiler_plan, compiler_forget, c };
	if (begin(c, e))
		return c;
	free(c);
	return NULL;
}

void compiler_free(struct compiler *c)
{
	if (!c)
		return;
	end(c);
	buf_fini(&c->ask);
	free(c);
}

void compiler_forget(struct compiler *c)
{
	struct err e = { 0 };

	end(c);
	begin(c, &e); /* if it cannot be had, that is told when it is asked */
}

const struct mapping_loader *compiler_loader(const struct compiler *c)
{
	return &c->loader;
}

int compiler_fd(const struct compiler *c)
{
	return c->fd;
}

bool compiler_is_lost(const struct compiler *c)
{
	struct pollfd fd = { .fd = c->fd };

	return c->fd < 0 || (poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR)));
}

/* --- asking -------------------------------------------------------------------------------- */

static struct buf *begin_ask(struct compiler *c, enum compiler_request request)
{
	buf_reset(&c->ask);
	pack_u8(&c->ask, request);
	return &c->ask;
}

static int64_t ms_of(clockid_t clock)
{
	struct timespec t;

	return clock_gettime(clock, &t) == 0 ? t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000 : 0;
}

/* Wait for its answer.  False: it takes too long. */
static bool await(const struct compiler *c)
{
	struct pollfd fd = { .fd = c->fd, .events = POLLIN };
	int64_t until_ms = ms_of(CLOCK_MONOTONIC) + WALL_MS, cpu_ms;
	clockid_t clock;

	if (clock_getcpuclockid(c->pid, &clock) != 0)
		return true; /* it has ended, which is seen when it is read */
	cpu_ms = ms_of(clock);
	while (poll(&fd, 1, LOOK_MS) <= 0)
		if (ms_of(CLOCK_MONOTONIC) > until_ms || ms_of(clock) - cpu_ms > COMPILER_MS)
			return false;
	return true;
}

static struct unpack answer_of(const struct channel_message *m)
{
	return (struct unpack){ .p = m->bytes.data, .left = m->bytes.len };
}

/* The answer that is still to come.  False: there is none. */
static bool take_own(struct compiler *c)
{
	struct channel_message m;
	struct unpack u;
	bool ok = channel_receive(c->fd, &m);

	if (ok) {
		u = answer_of(&m);
		c->is_busy = false;
		c->n_own += unpack_u8(&u) != 0;
	}
	channel_message_fini(&m);
	return ok;
}

/* The answer is in *m, which the caller ends.  False sets *e: there is none, and it was ended. */
static bool ask(struct compiler *c, const int *fds, size_t n_fds, struct channel_message *m,
		struct err *e)
{
	bool is_late = false;
	int status;

	*m = (struct channel_message){ .fds = { -1, -1 } };
	if (c->fd < 0) {
		err_set(e, ERR_IO, "the process that compiles mappings has ended");
		return false;
	}
	if (channel_send(c->fd, &c->ask, fds, n_fds) && !(is_late = !await(c)) &&
	    (!c->is_busy || (take_own(c) && !(is_late = !await(c)))) && channel_receive(c->fd, m))
		return true;
	status = end(c);
	if (is_late)
		err_set(e, ERR_LIMIT, "it took more than %d s", COMPILER_MS / 1000);
	else if (WIFSIGNALED(status))
		err_set(e, ERR_LIMIT, "jq ended by signal %d (%s)%s", WTERMSIG(status),
			sigabbrev_np(WTERMSIG(status)),
			WTERMSIG(status) == SIGABRT ? ", out of memory perhaps" : "");
	else
		err_set(e, ERR_LIMIT, "jq ended with status %d", WEXITSTATUS(status));
	return false;
}

/* --- mappings ------------------------------------------------------------------------------ */

static void take_lines(struct unpack *u, struct report *report)
{
	uint32_t n = unpack_u32(u);

	for (uint32_t i = 0; i < n && !u->is_bad; i++) {
		bool is_warning = unpack_u8(u) != 0;
		char *text = unpack_text(u);

		/* What several mappings import is told of once. */
		if (text && !report_has(report, text)) {
			if (is_warning)
				report_warning(report, "%s", text);
			else
				report_error(report, "%s", text);
		}
		free(text);
	}
}

/* The others are looked at all the same, by another process, which need not know those before. */
static void report_loss(struct compiler *c, const struct mapping_path *path, const char *name,
			const struct err *why, struct report *report)
{
	char *file = mapping_path_find(path, name);
	struct err e = { 0 };

	report_error(report,
		     "%s: jq cannot compile it: %s; a constant like \"x\" * 1e9 is made when it is "
		     "compiled",
		     file ? file : name, why->text);
	free(file);
	if (c->fd < 0)
		begin(c, &e);
}

struct mapping *compiler_load(struct compiler *c, const struct mapping_path *path, const char *name,
			      struct report *report)
{
	struct buf *out = begin_ask(c, COMPILER_LOAD);
	struct channel_message m;
	struct mapping *mapping = NULL;
	struct err e = { 0 };
	struct unpack u;

	pack_u32(out, (uint32_t)path->n);
	for (size_t i = 0; i < path->n; i++)
		pack_text(out, path->dirs[i]);
	pack_text(out, name);
	pack_u8(out, report->wants_hints);
	if (!ask(c, NULL, 0, &m, &e)) {
		report_loss(c, path, name, &e, report);
		return NULL;
	}
	u = answer_of(&m);
	take_lines(&u, report);
	if (unpack_u8(&u))
		mapping = mapping_get(&u);
	channel_message_fini(&m);
	return mapping;
}

/* --- plans --------------------------------------------------------------------------------- */

static void put_vars(struct buf *out, const struct vars *vars, const struct dialect *d)
{
	pack_u32(out, (uint32_t)vars->n);
	for (size_t i = 0; i < vars->n; i++) {
		const struct var *v = &vars->items[i];
		bool is_secret = v->is_secret || (d && dialect_is_credential(d, v->name));

		pack_text(out, v->name);
		pack_text(out, is_secret ? "***" : v->value);
		pack_u8(out, is_secret);
	}
}

static void put_side(struct buf *out, const struct plan_spec *spec, enum side side)
{
	const struct limits *l = &spec->limits[side];
	const struct vars none = { 0 };

	pack_u32(out, mapping_number(spec->mapping[side]));
	put_vars(out, spec->vars[side], mapping_dialect(spec->mapping[side]));
	put_vars(out, spec->listed[side] ? spec->listed[side] : &none, NULL);
	pack_u64(out, (uint64_t)l->payload_bytes);
	pack_u64(out, (uint64_t)l->packet_bytes);
	pack_u64(out, (uint64_t)l->in_flight);
	pack_u64(out, (uint64_t)l->messages_per_second);
}

static void put_spec(struct buf *out, const struct plan_spec *spec)
{
	pack_text(out, spec->name);
	for (int s = 0; s < SIDES; s++)
		put_side(out, spec, (enum side)s);
	pack_u32(out, (uint32_t)spec->n_through);
	for (size_t i = 0; i < spec->n_through; i++) {
		pack_u32(out, mapping_number(spec->through[i].mapping));
		put_vars(out, spec->through[i].vars, NULL);
	}
	pack_u8(out, spec->remap != NULL);
	for (int k = 0; spec->remap && k < KINDS; k++)
		pack_u8(out, spec->remap[k]);
	pack_u8(out, (uint8_t)spec->mode);
	pack_u8(out, spec->is_offline);
	pack_u8(out, spec->has_front_door);
}

bool compiler_plan(struct compiler *c, struct plan *plan, const struct plan_spec *spec,
		   struct err *e)
{
	struct channel_message m;
	struct unpack u;
	bool ok;

	put_spec(begin_ask(c, COMPILER_PLAN), spec);
	if (!ask(c, NULL, 0, &m, e)) {
		channel_message_fini(&m);
		return false;
	}
	u = answer_of(&m);
	ok = unpack_u8(&u) != 0;
	plan->there = ok ? unpack_u64(&u) : 0;
	channel_message_fini(&m);
	if (!ok)
		err_set(e, ERR_IO, "the plan cannot be made where mappings are compiled");
	return ok;
}

void compiler_tell(struct compiler *c, const struct plan *plan, const char *key, const char *value)
{
	struct buf *out = begin_ask(c, COMPILER_TELL);

	pack_u64(out, plan->there);
	pack_text(out, key);
	pack_text(out, value);
	if (c->fd >= 0)
		channel_send(c->fd, out, NULL, 0); /* when it is gone, there is nobody to tell */
}

/* --- programs of functions ----------------------------------------------------------------- */

bool compiler_want_own(struct compiler *c, uint32_t mapping, uint32_t fn)
{
	struct buf *out;

	if (c->is_busy || c->fd < 0)
		return false;
	out = begin_ask(c, COMPILER_OWN);
	pack_u32(out, mapping);
	pack_u32(out, fn);
	c->is_busy = channel_send(c->fd, out, NULL, 0);
	return c->is_busy;
}

bool compiler_is_busy(const struct compiler *c)
{
	return c->is_busy;
}

size_t compiler_n_own(const struct compiler *c)
{
	return c->n_own;
}

void compiler_hear(struct compiler *c)
{
	struct pollfd fd = { .fd = c->fd, .events = POLLIN };

	if (c->fd >= 0 && c->is_busy && poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN))
		take_own(c);
}

/* --- workers ------------------------------------------------------------------------------- */

pid_t compiler_fork(struct compiler *c, int fd, int progress, struct err *e)
{
	const int fds[] = { fd, progress };
	struct channel_message m;
	struct unpack u;
	pid_t pid = 0;

	begin_ask(c, COMPILER_FORK);
	if (ask(c, fds, 2, &m, e)) {
		u = answer_of(&m);
		pid = (pid_t)unpack_u64(&u);
		if (pid <= 0)
			err_set(e, ERR_IO, "fork: no process can be had");
	}
	channel_message_fini(&m);
	return pid > 0 ? pid : -1;
}
