/* live_link_command.c -- the operator's program that registers devices (provision.command), at work for some.
 *
 * It starts when the state says so on the disk, and never before: after a crash it is known for which devices it may
 * have done its work.  What it says ends here: its answer goes to the link, its complaint, without any secret that is
 * known, to the log.  Callbacks only collect; what has ended is looked at with the next tick. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/conf_command.h"
#include "delivery/roster.h"
#include "live/live_link_inside.h"
#include "state/change.h"
#include "work/subprocess.h"

#define TIMEOUT_MS 30000
/* What its exit status means; 75 is what mail programs say for "try later". */
#define EXIT_REFUSED 1
#define EXIT_AGAIN   75

struct command {
	TAILQ_ENTRY(command) entry;
	struct live_link *live;
	char *device;
	char *question;
	size_t question_len;
	uint64_t commit; /* for which it waits; 0: not known yet */
	struct subprocess *process;
	bool has_ended, was_started;
	struct subprocess_end end; /* its texts are ours */
};

static const struct subprocess_ops *programs(const struct live_link *live)
{
	return live->parts->programs ? live->parts->programs : &subprocess_ops;
}

void live_link_run_command(void *ctx, const char *device, struct jslice question)
{
	struct live_link *live = ctx;
	struct command *c = mem_zalloc(sizeof *c);

	c->live = live;
	c->device = mem_strdup(device);
	c->question = mem_strndup(question.text, question.len);
	c->question_len = question.len;
	TAILQ_INSERT_TAIL(&live->commands, c, entry);
	roster_wake(live->turn);
}

static void free_command(struct command *c)
{
	TAILQ_REMOVE(&c->live->commands, c, entry);
	free(c->device);
	mem_free_secret(c->question, c->question_len);
	mem_free_secret((char *)c->end.out.text, c->end.out.len);
	free((char *)c->end.complaint);
	free(c);
}

static void end(struct command *c, const struct subprocess_end *end)
{
	c->process = NULL;
	c->has_ended = true;
	c->end = *end;
	c->end.out.text = mem_strndup(end->out.text, end->out.len);
	c->end.complaint = mem_strdup(end->complaint);
	roster_wake(c->live->turn);
}

static void on_end(void *ctx, const struct subprocess_end *e)
{
	end(ctx, e);
}

static void start(struct command *c)
{
	const struct live_link *live = c->live;
	char *const *argv = live->conf->side[NORTH].provision.command.argv;
	const struct subprocess_spec spec = { .argv = (const char *const *)argv,
					      .input = c->question,
					      .input_len = c->question_len,
					      .timeout_ms = TIMEOUT_MS,
					      .on_end = on_end,
					      .ctx = c };
	struct err e = { 0 };

	c->was_started = conf_command_check(argv[0], &e) &&
			 (c->process = programs(live)->start(live->parts->loop, &spec, &e)) != NULL;
	if (!c->was_started)
		end(c, &(struct subprocess_end){ .out = { "", 0 }, .complaint = e.text });
}

void live_link_flush_commands(struct live_link *live, uint64_t commit)
{
	struct command *c;

	TAILQ_FOREACH (c, &live->commands, entry)
		if (!c->commit)
			c->commit = commit;
}

void live_link_let_out_commands(struct live_link *live, uint64_t durable)
{
	struct command *c;

	TAILQ_FOREACH (c, &live->commands, entry)
		if (!c->process && !c->has_ended && c->commit && c->commit <= durable)
			start(c);
}

/* --- its end --------------------------------------------------------------------------------- */

/* What it said, of which nothing may be told that is a secret: of its answer, of the device, of the link. */
static char *tellable(const struct command *c, const char *text)
{
	struct vars answer = { 0 };
	const struct vars *own = link_own_vars(c->live->link, NORTH, c->device);
	struct buf strict = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;
	char *without, *told, *all;

	if (jtext_take(c->end.out.text, c->end.out.len, false, &strict, NULL))
		while (jtext_next_field((struct jslice){ strict.data, strict.len }, &pos, &f)) {
			buf_reset(&value);
			if (jtext_string_decode(f.value, &value) && value.len)
				vars_add(&answer, "", buf_str(&value));
		}
	for (size_t i = 0; i < answer.n; i++)
		answer.items[i].is_secret = true;
	without = vars_hide(&answer, text);
	told = own ? vars_hide(own, without) : mem_strdup(without);
	all = live_link_tellable(c->live, told);
	vars_fini(&answer);
	mem_free_secret(strict.data, strict.len);
	mem_free_secret(value.data, value.len);
	free(without);
	free(told);
	return all;
}

static enum link_command_how how_of(const struct command *c)
{
	if (!c->was_started)
		return LINK_COMMAND_NOT_STARTED;
	if (c->end.how != SUBPROCESS_EXITED)
		return LINK_COMMAND_UNKNOWN;
	switch (c->end.status) {
	case 0:
		return LINK_COMMAND_DONE;
	case EXIT_REFUSED:
		return LINK_COMMAND_REFUSED;
	case EXIT_AGAIN:
		return LINK_COMMAND_AGAIN;
	default:
		return LINK_COMMAND_UNKNOWN;
	}
}

/* For people.  Caller frees. */
static char *why_of(const struct command *c, const char *said)
{
	const char *colon = *said ? ": " : "";

	switch (c->end.how) {
	case SUBPROCESS_TOO_LATE:
		return mem_printf("the command took more than %d s%s%s", TIMEOUT_MS / 1000, colon,
				  said);
	case SUBPROCESS_TOO_MUCH:
		return mem_printf("the command said more than %d bytes", SUBPROCESS_MOST);
	case SUBPROCESS_KILLED:
		return mem_printf("the command was killed by signal %d%s%s", c->end.status, colon,
				  said);
	case SUBPROCESS_EXITED:
		break;
	}
	if (how_of(c) == LINK_COMMAND_UNKNOWN)
		return mem_printf("the command ended with status %d%s%s", c->end.status, colon,
				  said);
	return mem_strdup(said);
}

static void tell(const struct command *c, enum link_command_how how, const char *why)
{
	static const char *const words[] = { "done", "refused", "again", "unknown", "not-started" };
	bool is_well = how == LINK_COMMAND_DONE;

	if (!is_well || *why)
		log_event(is_well ? LOG_INFO : LOG_WARNING, "command-ended",
			  "link=%s device=%s end=%s said=%s", c->live->plan->name,
			  log_value(c->device), words[how], log_value(why));
}

static void give_back(struct command *c, int64_t now_ms, bool is_stopping)
{
	struct live_link *live = c->live;
	enum link_command_how how = how_of(c);
	char *said = tellable(c, c->end.complaint ? c->end.complaint : "");
	char *why = why_of(c, said);
	struct changes changes = { 0 };

	if (!is_stopping)
		tell(c, how, why);
	link_command_ended(
		live->link, c->device,
		&(struct link_command_end){
			.how = how, .out = c->end.out, .why = why, .is_stopping = is_stopping },
		now_ms, &changes);
	if (changes.n)
		live_link_fleet_changed(live, &changes);
	changes_fini(&changes);
	free(said);
	free(why);
	free_command(c);
}

void live_link_tick_commands(struct live_link *live, int64_t now_ms)
{
	struct command *c, *next;

	for (c = TAILQ_FIRST(&live->commands); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->has_ended)
			give_back(c, now_ms, false);
	}
}

int64_t live_link_next_of_commands(const struct live_link *live)
{
	const struct command *c;

	TAILQ_FOREACH (c, &live->commands, entry)
		if (c->has_ended)
			return 0;
	return INT64_MAX;
}

void live_link_stop_commands(struct live_link *live)
{
	struct command *c, *next;

	link_provision_halt(live->link);
	for (c = TAILQ_FIRST(&live->commands); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (!c->process && !c->has_ended)
			give_back(c, live->now_ms, true);
	}
}

void live_link_end_commands(struct live_link *live)
{
	struct command *c;

	while ((c = TAILQ_FIRST(&live->commands)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		if (c->process)
			programs(live)->kill(c->process);
		free_command(c);
	}
}
