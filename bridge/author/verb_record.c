/* calque record: the messages of a link of a running bridge, as they pass, to a case file.
 *
 * At the end the file is tried, as `calque test` does: where the mappings make something else of a message by itself than the
 * bridge did (in which more happens than in a case), it is told, and the file has what they make of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/options.h"
#include "author/record.h"
#include "author/scratch.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/ask.h"
#include "cli/chosen_link.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "offline/cases.h"
#include "work/compiler.h"

#define DEFAULT_MS    60000
#define DEFAULT_BYTES (4 << 20)
#define MOST_WAITING  (8u << 20) /* of what the bridge tells before we have read it */
#define MOST_FILE     (256u << 20)

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signum)
{
	(void)signum;
	is_interrupted = 1;
}

struct recording {
	struct record_file *file;
	uint64_t most_bytes;
	int64_t n_dropped;
};

/* --- listening ------------------------------------------------------------------------------- */

static void take_item(void *ctx, struct jslice item)
{
	struct recording *rec = ctx;
	int64_t dropped = ask_number(item, "dropped");

	record_file_take(rec->file, item);
	if (jtext_is_true(item, "is_cut"))
		fputs("calque record: warning: the state is too long, and only its beginning is in "
		      "the "
		      "file: what needs more of it becomes something else there\n",
		      stderr);
	if (dropped > rec->n_dropped)
		rec->n_dropped = dropped;
}

static void take_done(void *ctx, struct jslice done)
{
	((struct recording *)ctx)->n_dropped = ask_number(done, "dropped");
}

static bool is_enough(void *ctx)
{
	const struct recording *rec = ctx;

	return record_file_bytes(rec->file) >= rec->most_bytes;
}

static int listen_to(struct recording *rec, const struct cli *cli)
{
	static const struct ask_ops ops = { take_item, take_done };
	static const struct ask_end end = { is_enough, &is_interrupted };
	const struct sigaction interrupt = { .sa_handler = on_interrupt };
	struct buf request = { 0 };
	int status;

	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &interrupt, NULL);
	buf_puts(&request, "{\"request\":\"tap\",\"by\":\"record\",\"state\":\"now\"");
	ask_put_text(&request, "link", cli->letters.link);
	buf_printf(&request, ",\"bytes\":%u,\"for_ms\":%lld}", MOST_WAITING,
		   (long long)(cli->listen.for_ms ? cli->listen.for_ms : DEFAULT_MS));
	status = ask_until("record", cli->conf_path, &request, &ops, &end, rec);
	buf_fini(&request);
	return status;
}

/* --- the file -------------------------------------------------------------------------------- */

/* What it expects is what the mappings make of it.  False: it could not be tried, which was told. */
static bool try_cases(struct cli *cli, const char *name, const char *link_name, const char *shown,
		      struct compiler *compiler)
{
	struct case_counts counts = { .accepts = true, .shown = shown, .word = "FAIL" };
	struct chosen_link chosen;
	struct build build;

	cli->letters.link = link_name;
	if (!chosen_link_read(&chosen, cli))
		return false;
	build_init(&build, &cli->mappings, chosen.conf);
	build.loader = compiler_loader(compiler);
	cases_run_file(&build, name, NULL, &counts);
	if (counts.accepted)
		fprintf(stderr, "calque record: by themselves the mappings make something else of "
				"some messages, see above: the file has that\n");
	build_fini(&build);
	chosen_link_fini(&chosen);
	report_fini(&counts.hints);
	return !counts.failed;
}

static bool write_out(int fd, const struct buf *text, struct err *e)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(e, "write");
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

/* Through a copy, since the file may be in a directory that is not the state's owner's. */
static int finish(struct cli *cli, const struct recording *rec, int fd, struct compiler *compiler)
{
	const char *output = cli->listen.output;
	struct buf text = { 0 };
	struct err e = { 0 };
	size_t n = record_file_put(rec->file, &text), left_out = record_file_left_out(rec->file);
	char *copy = scratch_write(&text, &e);
	bool ok = copy && try_cases(cli, copy, record_file_link(rec->file), output, compiler);

	if (copy) {
		buf_reset(&text);
		ok = buf_append_file(&text, copy, MOST_FILE, &e) && ok;
		unlink(copy);
		free(copy);
	}
	ok = e.code == ERR_NONE && write_out(fd, &text, &e) && ok;
	if (e.code != ERR_NONE)
		fprintf(stderr, "calque record: %s: %s\n", output, e.text);
	if (rec->n_dropped)
		fprintf(stderr, "calque record: %lld step%s lost, as too much came at once\n",
			(long long)rec->n_dropped, PLURAL(rec->n_dropped));
	if (left_out)
		fprintf(stderr,
			"calque record: %zu message%s without a place in a case: handshakes and "
			"greetings\n",
			left_out, PLURAL(left_out));
	printf("%s: %zu step%s\n", output, n, PLURAL(n));
	buf_fini(&text);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int record(struct cli *cli, int fd, struct compiler *compiler)
{
	struct recording rec = { .file = record_file_new(),
				 .most_bytes = cli->listen.bytes ? (uint64_t)cli->listen.bytes
								 : DEFAULT_BYTES };
	int status = listen_to(&rec, cli);

	if (status == EXIT_DONE && record_file_bytes(rec.file) == 0) {
		fprintf(stderr, "calque record: no message came\n");
		status = EXIT_FAILED;
	}
	if (status == EXIT_DONE)
		status = finish(cli, &rec, fd, compiler);
	else if (unlink(cli->listen.output) != 0)
		fprintf(stderr, "calque record: %s is left, empty: remove it\n",
			cli->listen.output); /* root made it, and is no longer root */
	record_file_free(rec.file);
	return status;
}

int verb_record(struct cli *cli)
{
	struct compiler *compiler;
	int fd, status = EXIT_FAILED;

	if (!cli->listen.output)
		return options_misused("record", "to which file? -o FILE");
	log_least(LOG_ERROR);
	cli->has_conf = true; /* be it the usual one */
	compiler = apart_begin("record");
	if (!compiler)
		return EXIT_FAILED;
	fd = open(cli->listen.output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		fprintf(stderr, "calque record: %s: %s\n", cli->listen.output, strerror(errno));
	else
		status = record(cli, fd, compiler);
	if (fd >= 0)
		close(fd);
	compiler_free(compiler);
	return status;
}
