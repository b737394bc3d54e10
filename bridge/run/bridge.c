#include "run/bridge_inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/service.h"
#include "conf/conf.h"
#include "conf/environment.h"
#include "net/control_server.h"
#include "net/descriptors.h"
#include "live/generation.h"
#include "port/port.h"
#include "run/descriptors_check.h"
#include "delivery/endpoint.h"
#include "delivery/roster.h"
#include "live/suspects.h"
#include "store/commit.h"
#include "store/db.h"
#include "store/deadletter_live.h"
#include "store/state.h"
#include "work/nursery.h"
#include "work/worker.h"

#define BUSY_MS	     2000 /* for the state */
#define BUSY_WAIT_US 50000
#define DRAIN_MS     5000 /* at the end: how long what is in hand may take */

/* --- the turn of the loop ------------------------------------------------------------------ */

void bridge_fail(struct bridge *b, const struct err *e)
{
	log_event(LOG_ERROR, "state-failed", "reason=%s", log_value(e->text));
	b->has_failed = true;
	loop_stop(b->parts.loop);
}

void bridge_on_workers_gone(void *ctx)
{
	struct bridge *b = ctx;

	log_event(LOG_ERROR, "workers-gone", "reason=%s",
		  log_value("the last has ended, and there are no new ones"));
	b->is_without_workers = true;
	loop_stop(b->parts.loop);
}

/* What came from it goes on. */
static void on_nursery(void *ctx, bool readable, bool writable)
{
	struct bridge *b = ctx;

	(void)readable;
	(void)writable;
	loop_watch(b->parts.loop, &b->nursery, b->nursery.fd, false, false);
	log_event(LOG_WARNING, "nursery-lost", "consequence=%s",
		  log_value("no other configuration can be loaded until calque is started anew"));
}

static void watch_nursery(struct bridge *b)
{
	b->nursery = (struct loop_watch){ .on_ready = on_nursery, .ctx = b };
	if (nursery_fd() >= 0)
		loop_watch(b->parts.loop, &b->nursery, nursery_fd(), true, false);
}

/* Wakes the loop; the answer is heard before it sleeps. */
static void on_committed(void *ctx, bool readable, bool writable)
{
	(void)ctx;
	(void)readable;
	(void)writable;
}

static bool start_commits(struct bridge *b, struct err *e)
{
	if (!commits_start(b->commits, e))
		return false;
	b->committed = (struct loop_watch){ .on_ready = on_committed, .ctx = b };
	loop_watch(b->parts.loop, &b->committed, commits_fd(b->commits), true, false);
	return true;
}

/* The timer only wakes the loop; what is due is found before it sleeps. */
static void on_deadline(void *ctx)
{
	struct bridge *b = ctx;

	b->deadline_ms =
		INT64_MAX; /* to be set again, should the clock say that it is not due yet */
}

static void set_deadline(struct bridge *b, int64_t now_ms)
{
	int64_t earliest = storage_deadline(&b->storage);

	if (roster_deadline(b->parts.roster) < earliest)
		earliest = roster_deadline(b->parts.roster);
	if (b->reopen_ms < earliest)
		earliest = b->reopen_ms;
	if (service_deadline(b->service) < earliest)
		earliest = service_deadline(b->service);
	if (suspects_is_due(b->parts.suspects, b->generation))
		earliest = now_ms;
	if (earliest == b->deadline_ms)
		return;
	b->deadline_ms = earliest;
	if (earliest == INT64_MAX)
		loop_timer_stop(&b->deadline);
	else
		loop_timer_set(b->parts.loop, &b->deadline,
			       earliest > now_ms ? (uint64_t)(earliest - now_ms) + 1 : 1,
			       on_deadline, b);
}

/* Under load there is always something on its way: what came after the signal is not waited for. */
static bool is_drained(const struct bridge *b)
{
	bool is_idle = generation_is_idle(b->generation);

	for (size_t i = 0; i < b->n_links; i++)
		if (!live_link_has_settled(b->links[i]) &&
		    !(is_idle && live_link_is_drained(b->links[i])))
			return false;
	return true;
}

/* What requests change is part of the commit of the turn.  It is not written again if that is undone; what
 * else the turn brought is.  So they may not spoil it, either.  Have they changed, or maybe seen, what
 * is not durable yet? */
static bool run_requests(struct bridge *b)
{
	struct db *db = b->parts.db;
	unsigned long before = db_rollbacks(db);
	bool has_asked;

	if (b->asked_commit <= b->heard_commit)
		b->rollbacks = before;
	control_server_step(b->control);
	if (b->behind_door)
		b->door->step(b->behind_door);
	has_asked = db_is_writing(db) || db_rollbacks(db) != before;
	if (db_rollbacks(db) != before)
		db_commit(db, NULL); /* is false, and the next one begins anew */
	return has_asked;
}

static void hold_answers(struct bridge *b, bool has_asked, uint64_t commit)
{
	control_server_hold(b->control, has_asked ? commit : 0);
	if (b->behind_door)
		b->door->hold(b->behind_door, has_asked ? commit : 0);
	if (has_asked)
		b->asked_commit = commit;
}

static void let_answers_out(struct bridge *b)
{
	unsigned long rollbacks = db_rollbacks(b->parts.db);
	struct err e = { 0 };
	struct buf line = { 0 };

	if (b->asked_commit > b->heard_commit && rollbacks != b->rollbacks) {
		err_set(&e, ERR_FULL, "the disk is full: the last of what was asked is not done");
		control_request_put_error(&e, &line);
		control_server_revoke(b->control, b->heard_commit, line.data, line.len);
		if (b->behind_door)
			b->door->revoke(b->behind_door, b->heard_commit, line.data, line.len);
		b->rollbacks = rollbacks;
	}
	buf_fini(&line);
	b->heard_commit = storage_durable(&b->storage);
	control_server_flush(b->control, b->heard_commit);
	if (b->behind_door)
		b->door->flush(b->behind_door, b->heard_commit);
}

/* Open the links that are not yet; how many are, in all. */
static size_t open_links(struct bridge *b, int64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_links; i++)
		n += live_link_is_open(b->links[i]) || live_link_open(b->links[i]);
	b->reopen_ms = n < b->n_links ? now_ms + LIVE_LINK_RETRY_MS : INT64_MAX;
	return n;
}

static void reopen_links(struct bridge *b, int64_t now_ms)
{
	bool *was_open = mem_zalloc(b->n_links * sizeof *was_open);

	for (size_t i = 0; i < b->n_links; i++)
		was_open[i] = live_link_is_open(b->links[i]);
	open_links(b, now_ms);
	for (size_t i = 0; i < b->n_links; i++) {
		if (was_open[i] || !live_link_is_open(b->links[i]))
			continue;
		log_event(LOG_INFO, "link-opened", "link=%s", live_link_name(b->links[i]));
		live_link_start(b->links[i]);
	}
	free(was_open);
}

/* What waits to be worked on after a crash counts as held by every link. */
static void wake_up(struct bridge *b, int64_t now_ms)
{
	size_t held = suspects_bytes(b->parts.suspects);

	roster_wake_due(b->parts.roster, now_ms);
	for (size_t i = 0; held != b->suspect_bytes && i < b->n_links; i++)
		live_link_wake(b->links[i]);
	b->suspect_bytes = held;
}

/* --- the clock of the machine */

#define STEP_MS	 1000
#define DRIFT_MS 10

static void set_ahead(struct bridge *b, int64_t ahead_ms)
{
	b->ahead_ms = ahead_ms;
	for (size_t i = 0; i < b->n_links; i++)
		live_link_set_ahead(b->links[i], ahead_ms);
}

/* Somebody may set it; ages do not follow (base/clock.h), what messages say of the time does. */
static void look_at_clock(struct bridge *b)
{
	int64_t ahead_ms = clock_ahead_ms(), by_ms = ahead_ms - b->ahead_ms;

	if (llabs(by_ms) < DRIFT_MS)
		return;
	if (llabs(by_ms) >= STEP_MS)
		log_event(LOG_WARNING, "clock-stepped", "by_s=%+lld", (long long)by_ms / 1000);
	set_ahead(b, ahead_ms);
}

/* The loop turned, or nobody would say so. */
static void tell_service(struct bridge *b, int64_t now_ms)
{
	struct live_link_port look;
	size_t n = 0, n_up = 0;
	char status[100];

	if (now_ms < service_deadline(b->service))
		return;
	for (size_t i = 0; i < b->n_links; i++)
		for (const struct port *p = NULL; (p = live_link_next_port(b->links[i], p));) {
			live_link_look_at_port(p, &look);
			if (look.is_provisioning)
				continue;
			n++;
			n_up += look.carrier.phase && strcmp(look.carrier.phase, "up") == 0;
		}
	snprintf(status, sizeof status, "%s%zu link%s, %zu of %zu sessions up",
		 b->is_stopping ? "stopping: " : "", b->n_links, PLURAL(b->n_links), n_up, n);
	service_tell(b->service, status, now_ms);
}

/* Links that are awake, and only these: a turn costs what happens in it. */
static void before_sleep(void *ctx, int64_t now_ms)
{
	struct bridge *b = ctx;
	struct err e = { 0 };
	uint64_t commit, durable;
	bool has_asked;
	struct live_link *live, *next;

	if (b->has_failed || !bridge_heart_is_sure(b, now_ms))
		return;
	look_at_clock(b);
	if (now_ms >= b->reopen_ms)
		reopen_links(b, now_ms);
	wake_up(b, now_ms);
	if (b->is_to_reload)
		bridge_reload_unasked(b);
	FOREACH_AWAKE (live, &b->parts)
		live_link_tick(live, now_ms);
	has_asked = run_requests(b);
	suspects_run_jobs(b->parts.suspects, b->generation, now_ms);
	commit = storage_hand_over(&b->storage, now_ms, false);
	hold_answers(b, has_asked, commit);
	FOREACH_AWAKE (live, &b->parts)
		live_link_flush(live, commit, now_ms);
	if (!storage_hear(&b->storage, now_ms, false, &e)) {
		bridge_fail(b, &e);
		return; /* what was not acknowledged comes again */
	}
	durable = storage_durable(&b->storage);
	FOREACH_AWAKE (live, &b->parts)
		live_link_let_out(live, durable);
	FOREACH_AWAKE (live, &b->parts)
		live_link_press(live, now_ms);
	for (live = live_link_first_awake(&b->parts); live; live = next) {
		next = live_link_next_awake(live);
		live_link_rest(live, durable);
	}
	let_answers_out(b);
	if (b->next && !bridge_take_over(b, now_ms))
		return;
	storage_step(&b->storage, now_ms);
	tell_service(b, now_ms);
	set_deadline(b, now_ms);
	if (b->is_stopping && is_drained(b))
		loop_stop(b->parts.loop);
}

static void on_drained_too_long(void *ctx)
{
	struct bridge *b = ctx;

	log_event(LOG_WARNING, "stop-forced", "after_ms=%d", DRAIN_MS);
	loop_stop(b->parts.loop);
}

static void on_signal(void *ctx, int signum)
{
	struct bridge *b = ctx;

	log_event(LOG_INFO, "stopping", "signal=%s", signum == SIGTERM ? "SIGTERM" : "SIGINT");
	b->is_stopping = true;
	service_tell_stopping(b->service);
	b->reopen_ms = INT64_MAX; /* or what is due for ever would wake the loop all the time */
	for (size_t i = 0; i < b->n_links; i++)
		live_link_stop(b->links[i]);
	loop_timer_set(b->parts.loop, &b->drain, DRAIN_MS, on_drained_too_long, b);
}

/* Somebody has put something right, perhaps; or the terminal is gone, which is no reason to end. */
static void on_hangup(void *ctx, int signum)
{
	struct bridge *b = ctx;

	(void)signum;
	log_event(LOG_INFO, "hangup", NULL);
	b->is_to_reload = true;
	if (b->reopen_ms != INT64_MAX)
		b->reopen_ms = 0;
}

/* --- requests ------------------------------------------------------------------------------ */

static void *on_ask(void *ctx, const char *line, size_t n)
{
	struct bridge *b = ctx;

	return control_request_new(&b->asked, line, n);
}

static bool on_more(void *ctx, void *answer, struct buf *out)
{
	(void)ctx;
	return control_request_more(answer, out);
}

static void on_end(void *ctx, void *answer)
{
	(void)ctx;
	control_request_free(answer);
}

/* What comes behind a reload is asked of what has taken over. */
static bool goes_on(void *ctx)
{
	return !((struct bridge *)ctx)->next;
}

static const struct control_server_ops control_server_ops = {
	.ask = on_ask, .more = on_more, .end = on_end, .goes_on = goes_on
};

static bool listen_to_verbs(struct bridge *b, struct err *e)
{
	b->asked = (struct control_request_parts){
		.conf = b->conf,
		.db = b->parts.db,
		.letters = b->parts.letters,
		.links = b->links,
		.n_links = b->n_links,
		.journal = b->parts.journal,
		.is_running = true,
		.generation = b->generation,
		.mappings = b->mappings,
		.commits = b->commits,
		.storage = &b->storage,
		.started_ms = clock_mono_ms(),
		.reload = bridge_reload,
		.bridge = b,
	};
	b->control = control_server_new(b->parts.loop, b->conf->state, &control_server_ops, b, e);
	return b->control;
}

static bool open_door(struct bridge *b, struct err *e)
{
	b->behind_door = b->door->open(b->parts.loop, &b->asked, e);
	return e->code == ERR_NONE;
}

/* --- starting and ending ------------------------------------------------------------------- */

/* A verb that asks a bridge which does not run has the state for a moment. */
static struct db *open_state(const struct conf *conf, struct err *e)
{
	int64_t begin_ms = clock_mono_ms();
	struct db *db;

	while (!(db = db_open(conf->state, conf->state_key, e)) && e->code == ERR_BUSY &&
	       clock_mono_ms() - begin_ms < BUSY_MS) {
		usleep(BUSY_WAIT_US);
		*e = (struct err){ 0 };
	}
	return db;
}

/* What the links share; on failure, bridge_free() ends what is there. */
static bool make_parts(struct bridge *b, struct err *e)
{
	struct live_link_parts *parts = &b->parts;

	parts->roster = roster_new();
	parts->endpoints = endpoints_new();
	bridge_bound_journal(b);
	if (!(parts->db = open_state(b->conf, e)) ||
	    !db_set_sync(parts->db, b->conf->journal.is_sync, e) ||
	    !reload_take_names(parts->db, b->conf, e) || !db_commit(parts->db, e) ||
	    !(b->commits = commits_new(parts->db, 0)) ||
	    !(parts->suspects = suspects_new(parts->db, b->conf->state, clock_now_ms(), e)) ||
	    !(parts->journal = journal_live_new(parts->db, e)) ||
	    !(parts->letters = deadletter_live_new(parts->db, e)) || !(parts->loop = loop_new(e)) ||
	    !generation_make_executor(b->generation, parts->loop, bridge_on_workers_gone, b, e))
		return false;
	parts->port = &port_mqtt_ops;
	parts->port_ctx = parts->loop;
	return true;
}

static bool make_links(struct bridge *b, struct err *e)
{
	b->links = mem_zalloc(b->conf->n_links * sizeof *b->links);
	for (; b->n_links < b->conf->n_links; b->n_links++) {
		size_t i = b->n_links;

		b->links[i] = live_link_new(&b->parts, b->generation, i, e);
		if (!b->links[i])
			return false;
	}
	return true;
}

static bool hear_signals(struct bridge *b, struct err *e)
{
	return loop_on_signal(b->parts.loop, SIGTERM, on_signal, b, e) &&
	       loop_on_signal(b->parts.loop, SIGINT, on_signal, b, e) &&
	       loop_on_signal(b->parts.loop, SIGHUP, on_hangup, b, e);
}

/* The machine was started anew, and says a time that cannot be. */
static void void_commands(struct bridge *b)
{
	log_event(
		LOG_WARNING, "clock-unknown", "reason=%s",
		log_value(
			"the clock is behind the last run, or was not set: what waits is as old as "
			"it was then, and commands of before are expired"));
	for (size_t i = 0; i < b->n_links; i++)
		live_link_void_commands(b->links[i]);
}

struct bridge *bridge_new(struct generation *g, const struct mapping_path *mappings,
			  const struct bridge_door *door, struct err *e)
{
	struct bridge *b = mem_zalloc(sizeof *b);

	b->generation = g;
	b->door = door;
	b->mappings = mappings;
	b->conf = generation_conf(g);
	b->deadline_ms = INT64_MAX;
	descriptors_raise();
	b->service = service_new(environment_get("NOTIFY_SOCKET"), environment_get("WATCHDOG_USEC"),
				 environment_get("WATCHDOG_PID"));
	if (!make_parts(b, e) || !make_links(b, e))
		goto fail;
	bridge_watch_generation(b, g);
	set_ahead(b, clock_ahead_ms());
	if (!db_knows_time(b->parts.db))
		void_commands(b);
	b->storage = (struct storage){
		.db = b->parts.db,
		.commits = b->commits,
		.journal = b->parts.journal,
		.letters = b->parts.letters,
		.parts = &b->parts,
		.links = b->links,
		.n_links = b->n_links,
		.max_bytes = (uint64_t)b->conf->journal.max_bytes,
	};
	if (open_links(b, loop_now_ms(b->parts.loop)) == 0) {
		err_set(e, ERR_INVALID, "no link can be opened");
		goto fail;
	}
	if (start_commits(b, e) && generation_start_workers(g, e) && bridge_list_devices(b, e) &&
	    hear_signals(b, e) && listen_to_verbs(b, e) && open_door(b, e))
		return b;
fail:
	bridge_free(b);
	return NULL;
}

static void tell_state_orphans(void *ctx, const char *link, size_t n)
{
	const struct bridge *b = ctx;

	for (size_t i = 0; i < b->conf->n_links; i++)
		if (strcmp(b->conf->links[i].name, link) == 0)
			return;
	log_event(LOG_WARNING, "state-orphans", "link=%s rows=%zu", link, n);
}

/* Go on with what earlier runs left, before anything new comes in.  What is of a link that is not
 * configured stays: it may come back. */
static bool resume(struct bridge *b)
{
	struct err e = { 0 };

	if (!state_count(b->parts.db, tell_state_orphans, b, &e) ||
	    !journal_live_resume(b->parts.journal, &bridge_journal_reader, &e)) {
		bridge_fail(b, &e);
		return false;
	}
	for (size_t i = 0; i < b->n_links; i++)
		live_link_resume(b->links[i]);
	return true;
}

/* What was read since the last commit: once it is durable, its acknowledgements leave, too. */
static bool finish(struct bridge *b)
{
	int64_t now_ms = loop_now_ms(b->parts.loop);
	struct err e = { 0 };
	uint64_t commit;

	for (size_t i = 0; i < b->n_links; i++)
		live_link_fleet_rest(b->links[i]);
	commit = storage_hand_over(&b->storage, now_ms, true);
	for (size_t i = 0; i < b->n_links; i++)
		live_link_acknowledge(b->links[i], commit);
	if (!storage_finish(&b->storage, now_ms, commit, &e)) {
		bridge_fail(b, &e);
		return false;
	}
	for (size_t i = 0; i < b->n_links; i++)
		live_link_let_out(b->links[i], commit);
	return true;
}

enum bridge_end bridge_run(struct bridge *b)
{
	bool ok;

	if (!bridge_heart_start(b, loop_now_ms(b->parts.loop)))
		return BRIDGE_STATE_FAILED;
	for (size_t i = 0; i < b->n_links; i++)
		if (live_link_is_open(b->links[i]))
			live_link_start(b->links[i]);
	if (!resume(b))
		return BRIDGE_STATE_FAILED;
	descriptors_tell(b->generation, b->links); /* of all devices, now that they are known */
	watch_nursery(b);
	storage_start(&b->storage, loop_now_ms(b->parts.loop));
	loop_before_sleep(b->parts.loop, before_sleep, b);
	log_event(LOG_INFO, "started", "links=%zu", b->n_links);
	loop_run(b->parts.loop);
	ok = !b->has_failed && finish(b);
	for (size_t i = 0; i < b->n_links; i++)
		live_link_log_counters(b->links[i]);
	if (b->nursery.is_active)
		loop_watch(b->parts.loop, &b->nursery, b->nursery.fd, false, false);
	return !ok		       ? BRIDGE_STATE_FAILED
	       : b->is_without_workers ? BRIDGE_WITHOUT_WORKERS
				       : BRIDGE_DONE;
}

/* What came with QoS 0 and waited in vain. */
static void bury_rest(struct bridge *b)
{
	struct err e = { 0 };

	if (b->parts.letters &&
	    !(deadletter_live_write(b->parts.letters, UINT64_MAX, clock_now_ms(), &e) &&
	      db_commit(b->parts.db, &e)))
		log_event(LOG_ERROR, "state-failed", "reason=%s", log_value(e.text));
}

void bridge_free(struct bridge *b)
{
	struct live_link_parts *parts = &b->parts;

	parts->is_closing = true;
	if (b->behind_door)
		b->door->close(b->behind_door);
	control_server_free(b->control);
	generation_end_workers(b->generation);
	suspects_free(parts->suspects);
	parts->suspects = NULL;
	for (size_t i = 0; i < b->n_links; i++)
		live_link_free(b->links[i]);
	roster_free(parts->roster);
	endpoints_free(parts->endpoints);
	if (!b->has_failed)
		bury_rest(b);
	reload_plan_fini(&b->plan);
	generation_free(b->next);
	generation_free(b->generation);
	if (parts->loop) {
		loop_timer_close(&b->deadline, NULL);
		loop_timer_close(&b->drain, NULL);
		bridge_watch_end(b);
		bridge_heart_end(b);
		loop_free(parts->loop);
	}
	commits_free(b->commits);
	deadletter_live_free(parts->letters);
	journal_live_free(parts->journal);
	db_close(parts->db);
	service_free(b->service);
	free(b->links);
	free(b);
}
