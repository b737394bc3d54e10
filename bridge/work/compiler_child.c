/* compiler_child.c -- what is compiled stays, for the workers that are forked from here.  Whatever goes wrong ends the
 * process, and whoever asked says what it was asked. */
#include "work/compiler_child.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pack.h"
#include "jq/mapping.h"
#include "plan/plan.h"
#include "state/change.h"
#include "state/devices.h"
#include "work/channel.h"
#include "work/compiler.h"
#include "work/nursery.h"
#include "work/sandbox.h"
#include "work/worker_begin.h"
#include "work/worker_child.h"

/* What took more than this to load gets no programs of its own: whoever wants a process from here waits as long. */
#define OWN_MAX_MS    250
#define OWN_MAX_BYTES (COMPILER_MEMORY_BYTES / 4) /* what the process has taken so far */

struct child {
	int fd;
	pid_t bridge;
	struct mapping **mappings; /* by number */
	bool *is_slow;		   /* to load */
	size_t n_mappings;
	struct buf answer;
};

static void need(bool ok)
{
	if (!ok)
		_exit(2);
}

static void send_answer(struct child *c)
{
	need(channel_send(c->fd, &c->answer, NULL, 0));
}

/* --- mappings ------------------------------------------------------------------------------ */

static void put_lines(struct buf *out, const struct report *r)
{
	pack_u32(out, (uint32_t)r->n_lines);
	for (size_t i = 0; i < r->n_lines; i++) {
		pack_u8(out, r->lines[i].is_warning);
		pack_text(out, r->lines[i].text);
	}
}

static int64_t used_ms(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0
		       ? t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000
		       : 0;
}

static void add_mapping(struct child *c, struct mapping *m, bool is_slow)
{
	mapping_set_number(m, (uint32_t)c->n_mappings);
	c->mappings = mem_grow(c->mappings, c->n_mappings, sizeof *c->mappings);
	c->is_slow = mem_grow(c->is_slow, c->n_mappings, sizeof *c->is_slow);
	c->is_slow[c->n_mappings] = is_slow;
	c->mappings[c->n_mappings++] = m;
}

static void load(struct child *c, struct unpack *u)
{
	int64_t before_ms = used_ms();
	struct mapping_path path = { 0 };
	struct report report = { 0 };
	struct mapping *m;
	char *name;

	for (uint32_t n = unpack_u32(u); n > 0 && !u->is_bad; n--) {
		char *dir = unpack_text(u);

		need(dir);
		mapping_path_add(&path, dir);
		free(dir);
	}
	name = unpack_text(u);
	report.wants_hints = unpack_u8(u) != 0;
	need(name && !u->is_bad);
	m = mapping_load(&path, name, &report);
	put_lines(&c->answer, &report);
	pack_u8(&c->answer, m != NULL);
	if (m) {
		add_mapping(c, m, used_ms() - before_ms > OWN_MAX_MS);
		mapping_put(&c->answer, m);
	}
	send_answer(c);
	report_fini(&report);
	mapping_path_fini(&path);
	free(name);
}

static bool has_room(void)
{
	struct rusage used;

	return getrusage(RUSAGE_SELF, &used) == 0 &&
	       (uint64_t)used.ru_maxrss * 1024 < OWN_MAX_BYTES;
}

/* The numbers are a worker's, and may be any. */
static void compile_own(struct child *c, struct unpack *u)
{
	uint32_t number = unpack_u32(u), fn = unpack_u32(u);

	pack_u8(&c->answer, number < c->n_mappings && fn <= INT32_MAX && !c->is_slow[number] &&
				    has_room() &&
				    mapping_compile_own(c->mappings[number], (int)fn));
	send_answer(c);
}

/* --- plans --------------------------------------------------------------------------------- */

static struct mapping *get_mapping(struct child *c, struct unpack *u)
{
	uint32_t number = unpack_u32(u);

	need(!u->is_bad && number < c->n_mappings);
	return c->mappings[number];
}

static struct vars *get_vars(struct unpack *u)
{
	struct vars *vars = mem_zalloc(sizeof *vars);

	for (uint32_t n = unpack_u32(u); n > 0 && !u->is_bad; n--) {
		char *name = unpack_text(u), *value = unpack_text(u);
		bool is_secret = unpack_u8(u) != 0;

		need(name && value);
		vars_set(vars, name, value, is_secret);
		free(name);
		free(value);
	}
	return vars;
}

static void get_side(struct child *c, struct unpack *u, struct plan_spec *spec, enum side side)
{
	struct limits *l = &spec->limits[side];

	spec->where[side] = side_name(side);
	spec->mapping[side] = get_mapping(c, u);
	spec->vars[side] = get_vars(u);
	spec->listed[side] = get_vars(u);
	l->payload_bytes = (int64_t)unpack_u64(u);
	l->packet_bytes = (int64_t)unpack_u64(u);
	l->in_flight = (int64_t)unpack_u64(u);
	l->messages_per_second = (int64_t)unpack_u64(u);
}

/* Who tries a message by hand may see what it has to do with a mistake. */
static void show_payloads(const struct plan_spec *spec)
{
	for (int s = 0; s < SIDES; s++)
		mapping_show_payloads(spec->mapping[s]);
	for (size_t i = 0; i < spec->n_through; i++)
		mapping_show_payloads(spec->through[i].mapping);
}

/* What of it is allocated stays, like the plan. */
static struct plan *get_plan(struct child *c, struct unpack *u)
{
	enum kind *remap = mem_zalloc(KINDS * sizeof *remap);
	struct plan_spec spec = { .name = unpack_text(u) };
	struct report report = { 0 };

	for (int s = 0; s < SIDES; s++)
		get_side(c, u, &spec, (enum side)s);
	spec.n_through = unpack_u32(u);
	spec.through = mem_zalloc((spec.n_through + 1) * sizeof *spec.through);
	for (size_t i = 0; i < spec.n_through && !u->is_bad; i++) {
		spec.through[i].mapping = get_mapping(c, u);
		spec.through[i].vars = get_vars(u);
	}
	if (unpack_u8(u)) {
		for (int k = 0; k < KINDS; k++)
			remap[k] = (enum kind)unpack_u8(u);
		spec.remap = remap;
	}
	spec.mode = (enum fleet_mode)unpack_u8(u);
	spec.is_offline = unpack_u8(u) != 0;
	spec.has_front_door = unpack_u8(u) != 0;
	need(!u->is_bad);
	if (spec.is_offline)
		show_payloads(&spec);
	return plan_new(&spec, &report);
}

static void make_plan(struct child *c, struct unpack *u)
{
	struct plan *plan = get_plan(c, u);

	pack_u8(&c->answer, plan != NULL);
	pack_u64(&c->answer, (uint64_t)(uintptr_t)plan);
	send_answer(c);
}

/* --- workers ------------------------------------------------------------------------------- */

static void fork_worker(struct child *c, struct channel_message *m)
{
	pid_t pid;

	need(m->fds[0] >= 0 && m->fds[1] >= 0);
	pid = nursery_fork_sibling();
	if (pid == 0)
		worker_begin(m->fds[0], worker_progress_map(m->fds[1]), c->bridge);
	pack_u64(&c->answer, pid > 0 ? (uint64_t)pid : 0);
	send_answer(c);
}

static void serve(struct child *c, struct channel_message *m)
{
	struct unpack u = { .p = m->bytes.data, .left = m->bytes.len };

	buf_reset(&c->answer);
	switch (unpack_u8(&u)) {
	case COMPILER_LOAD:
		load(c, &u);
		break;
	case COMPILER_PLAN:
		make_plan(c, &u);
		break;
	case COMPILER_TELL:
		need(worker_take_device(&u));
		break;
	case COMPILER_FORK:
		fork_worker(c, m);
		break;
	case COMPILER_OWN:
		compile_own(c, &u);
		break;
	default:
		_exit(2);
	}
}

_Noreturn void compiler_child(int fd, pid_t bridge)
{
	struct child c = { .fd = fd, .bridge = bridge };
	struct channel_message m;

	nursery_settle("calque-compiler", bridge);
	need(sandbox_limit_memory(COMPILER_MEMORY_BYTES, NULL));
	while (channel_receive(fd, &m)) {
		serve(&c, &m);
		channel_message_fini(&m);
	}
	_exit(0);
}
