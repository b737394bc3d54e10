#include "cli/ask.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "conf/conf.h"
#include "net/control_client.h"
#include "control/control_request.h"
#include "store/db.h"
#include "store/deadletter_live.h"

/* A bridge that starts or ends has the lock and no socket; so has another verb. */
#define TRY_MS	    5000
#define TRY_WAIT_US 100000

struct question {
	const char *verb;
	const struct conf *conf;
	const struct buf *request;
	const struct ask_ops *ops;
	const struct ask_end *end; /* NULL: all is wanted */
	void *ctx;
	bool is_quiet; /* why not is told to nobody */
	bool is_over;
	int status;
};

static void fail(struct question *q, int status, const char *text)
{
	if (!q->is_quiet) {
		fprintf(stderr, "calque %s: ", q->verb);
		cli_print_line(stderr, text, strlen(text));
	}
	q->is_over = true;
	q->status = status;
}

static int status_of(const struct err *e)
{
	bool is_storage = e->code == ERR_IO || e->code == ERR_FULL || e->code == ERR_CORRUPT;

	return is_storage ? EXIT_STORAGE : EXIT_FAILED;
}

static void take_line(struct question *q, const char *line, size_t n)
{
	struct jslice answer = { line, n }, v;
	char *text;

	if (jtext_field(answer, "item", &v)) {
		q->ops->item(q->ctx, v);
		q->is_over = q->end && q->end->is_enough(q->ctx);
	} else if (jtext_field(answer, "done", &v)) {
		q->ops->done(q->ctx, v);
		q->is_over = true;
	} else {
		text = ask_text(answer, "error");
		fail(q, (int)ask_number(answer, "status"), text);
		free(text);
	}
}

/* --- a bridge that runs -------------------------------------------------------------------- */

static void ask_bridge(struct question *q, struct control_client *d)
{
	struct buf line = { 0 };
	struct err e = { 0 };
	bool ok = control_client_send(d, q->request->data, q->request->len, &e);

	if (q->end)
		control_client_stop_on(d, q->end->stop);
	while (ok && !q->is_over) {
		ok = control_client_receive(d, &line, &e);
		if (ok)
			take_line(q, line.data, line.len);
	}
	if (!ok && e.code == ERR_BUSY) /* as it was wanted */
		q->is_over = true;
	else if (!ok)
		fail(q, EXIT_FAILED, e.text);
	buf_fini(&line);
}

/* --- a state without a bridge -------------------------------------------------------------- */

static void take_lines(struct question *q, const struct buf *out)
{
	const char *at = buf_str(out), *end;

	for (; !q->is_over && (end = strchr(at, '\n')); at = end + 1)
		take_line(q, at, (size_t)(end - at));
}

static void ask_parts(struct question *q, const struct control_request_parts *parts)
{
	struct request *r = control_request_new(parts, q->request->data, q->request->len);
	struct buf out = { 0 };
	struct err e = { 0 };
	bool is_more = true;

	while (is_more && !q->is_over) {
		buf_reset(&out);
		is_more = control_request_more(r, &out);
		if (deadletter_live_write(parts->letters, 1, clock_now_ms(), &e) &&
		    db_commit(parts->db, &e))
			take_lines(q, &out);
		else
			fail(q, EXIT_STORAGE, e.text);
	}
	buf_fini(&out);
	control_request_free(r);
}

static void ask_state(struct question *q, struct db *db)
{
	struct control_request_parts parts = { .conf = q->conf, .db = db };
	struct err e = { 0 };

	parts.letters = deadletter_live_new(db, &e);
	if (parts.letters)
		ask_parts(q, &parts);
	else
		fail(q, status_of(&e), e.text);
	deadletter_live_free(parts.letters);
}

/* Opening a state would make one. */
static bool has_state(const char *dir, struct err *e)
{
	char *path = mem_printf("%s/calque.db", dir);
	bool ok = access(path, F_OK) == 0;

	if (!ok)
		err_errno(e, "no bridge runs or ran in %s", dir);
	free(path);
	return ok;
}

static bool take_on_owner(const char *dir, struct err *e)
{
	const struct passwd *owner;
	struct stat st;
	bool ok;

	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return true;
	owner = getpwuid(st.st_uid);
	ok = (owner ? initgroups(owner->pw_name, owner->pw_gid) : setgroups(0, NULL)) == 0 &&
	     setgid(st.st_gid) == 0 && setuid(st.st_uid) == 0;
	if (!ok)
		err_errno(e, "become the owner of %s", dir);
	return ok;
}

bool ask_as_owner(const char *conf_path, struct err *e)
{
	struct report report = { 0 }; /* mistakes are told by who reads all of it */
	struct conf *conf = conf_read_state(conf_path, &report);
	bool ok = !conf || take_on_owner(conf->state, e);

	conf_free(conf);
	report_fini(&report);
	return ok;
}

/* --- both ---------------------------------------------------------------------------------- */

/* False: somebody else has it just now. */
static bool try_to_ask(struct question *q, struct err *e)
{
	const char *dir = q->conf->state;
	struct control_client *d = control_client_open(dir, e);
	struct db *db;

	if (d) {
		ask_bridge(q, d);
		control_client_close(d);
	} else if (e->code != ERR_NOT_FOUND || !has_state(dir, e)) {
		fail(q, EXIT_FAILED, e->text);
	} else if ((db = db_open(dir, q->conf->state_key, e)) != NULL) {
		ask_state(q, db);
		db_close(db);
	} else if (e->code == ERR_BUSY) {
		return false;
	} else {
		fail(q, status_of(e), e->text);
	}
	return true;
}

int ask(const char *verb, const char *conf_path, const struct buf *request,
	const struct ask_ops *ops, void *ctx)
{
	return ask_until(verb, conf_path, request, ops, NULL, ctx);
}

int ask_until(const char *verb, const char *conf_path, const struct buf *request,
	      const struct ask_ops *ops, const struct ask_end *end, void *ctx)
{
	struct report report = { 0 };
	struct conf *conf = conf_read_state(conf_path, &report);
	struct question q = { .verb = verb,
			      .conf = conf,
			      .request = request,
			      .ops = ops,
			      .end = end,
			      .ctx = ctx,
			      .status = EXIT_DONE };
	struct err e = { 0 };
	int64_t begin_ms = clock_mono_ms();

	cli_print_report(&report);
	if (conf && !take_on_owner(conf->state, &e))
		fail(&q, EXIT_FAILED, e.text);
	while (conf && !q.is_over && !try_to_ask(&q, &e)) {
		if (clock_mono_ms() - begin_ms >= TRY_MS) {
			fail(&q, EXIT_FAILED, e.text);
			break;
		}
		usleep(TRY_WAIT_US);
	}
	report_fini(&report);
	if (!conf)
		return EXIT_FAILED;
	conf_free(conf);
	return q.status;
}

bool ask_if_there(const char *conf_path, const struct buf *request, const struct ask_ops *ops,
		  void *ctx)
{
	struct report report = { 0 };
	struct conf *conf = conf_read_state(conf_path, &report);
	struct question q = { .verb = "",
			      .conf = conf,
			      .request = request,
			      .ops = ops,
			      .ctx = ctx,
			      .is_quiet = true,
			      .status = EXIT_DONE };
	struct err e = { 0 };
	bool ok = conf && take_on_owner(conf->state, &e) && try_to_ask(&q, &e) &&
		  q.status == EXIT_DONE;

	report_fini(&report);
	conf_free(conf);
	return ok;
}

void ask_put_text(struct buf *request, const char *key, const char *text)
{
	if (!text)
		return;
	buf_printf(request, ",\"%s\":", key);
	jtext_put_string(request, text, strlen(text));
}

/* --- answers ------------------------------------------------------------------------------- */

char *ask_text(struct jslice object, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(object, key, &v))
		jtext_string_decode(v, &text);
	return text.data ? buf_take(&text) : mem_strdup("");
}

char *ask_shown(struct jslice object, const char *key)
{
	char *text = ask_text(object, key);
	struct buf shown = { 0 };

	buf_put_shown(&shown, text, strlen(text), false);
	free(text);
	return shown.data ? buf_take(&shown) : mem_strdup("");
}

int64_t ask_number(struct jslice object, const char *key)
{
	struct jslice v;
	int64_t n = 0;

	return jtext_field(object, key, &v) && jtext_integer(v, &n) ? n : 0;
}
