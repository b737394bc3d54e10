/* calque report: what somebody who is asked for help wants to know, as one text: versions, the configuration without its
 * secrets, how it is with the bridge, and the end of its log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "author/report_conf.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "conf/conf.h"

#define DEFAULT_FILE	"calque-report.txt"
#define MOST_CONF_BYTES (4u << 20)

static void put_title(struct buf *out, const char *title)
{
	buf_printf(out, "%s--- %s ---\n", out->len ? "\n" : "", title);
}

/* --- versions ------------------------------------------------------------------------------- */

/* The libraries by the files that they are: "libjq.so.1.0.4". */
static void put_libraries(struct buf *out)
{
	struct buf maps = { 0 };
	char last[200] = "";
	char *at = NULL, *line;

	buf_append_file(&maps, "/proc/self/maps", 1u << 20, NULL);
	for (line = maps.data ? strtok_r(maps.data, "\n", &at) : NULL; line;
	     line = strtok_r(NULL, "\n", &at)) {
		const char *name = strrchr(line, '/');

		if (!name || !strstr(name, ".so") || strcmp(name, last) == 0)
			continue;
		snprintf(last, sizeof last, "%s", name);
		buf_printf(out, "%s\n", name + 1);
	}
	buf_fini(&maps);
}

static void put_versions(struct buf *out)
{
	struct utsname u;

	put_title(out, "versions");
	buf_puts(out, "calque " CALQUE_VERSION "\n");
	if (uname(&u) == 0)
		buf_printf(out, "%s %s %s\n", u.sysname, u.release, u.machine);
	put_libraries(out);
}

/* --- the configuration ---------------------------------------------------------------------- */

static void put_configuration(struct buf *out, const char *path)
{
	struct buf text = { 0 };
	struct err e = { 0 };

	put_title(out, "configuration");
	buf_printf(out, "%s\n", path);
	if (path == conf_environment)
		report_conf_put_environment(out);
	else if (buf_append_file(&text, path, MOST_CONF_BYTES, &e))
		report_conf_put_text(out, buf_str(&text));
	else
		buf_printf(out, "%s\n", e.text);
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_fini(&text);
}

/* --- the bridge ----------------------------------------------------------------------------- */

static void put_item(void *ctx, struct jslice item)
{
	struct buf *out = ctx;

	buf_append(out, item.text, item.len);
	buf_putc(out, '\n');
}

static void put_line(void *ctx, struct jslice item)
{
	char *line = ask_text(item, "line");

	buf_puts(ctx, line);
	buf_putc(ctx, '\n');
	free(line);
}

/* What there is to say of all of it. */
static void put_done(void *ctx, struct jslice done)
{
	if (done.len > 2)
		put_item(ctx, done);
}

static void put_answer(struct buf *out, const struct cli *cli, bool *is_there, const char *title,
		       const char *request, void (*item)(void *ctx, struct jslice item))
{
	struct ask_ops ops = { item, put_done };
	struct buf line = { 0 };

	put_title(out, title);
	buf_puts(&line, request);
	/* Where one cannot be had, none can, and that was told. */
	*is_there = *is_there && ask("report", cli->conf_path, &line, &ops, out) == EXIT_DONE;
	if (!*is_there)
		buf_puts(out, "not known\n");
	buf_fini(&line);
}

static bool write_private(int fd, const struct buf *text)
{
	FILE *f = fdopen(fd, "w");
	bool ok = f && fwrite(text->data, 1, text->len, f) == text->len;

	if (f)
		return fclose(f) == 0 && ok;
	close(fd);
	return false;
}

/* The file is opened first: who asks as root is somebody else then, who may not write here. */
int verb_report(struct cli *cli)
{
	const char *file = cli->argc ? cli->argv[0] : DEFAULT_FILE;
	struct buf out = { 0 }, shown = { 0 };
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok, is_there = true;

	if (fd < 0) {
		fprintf(stderr, "calque report: %s: %s\n", file, strerror(errno));
		return EXIT_FAILED;
	}
	put_versions(&out);
	put_configuration(&out, cli->conf_path);
	put_answer(&out, cli, &is_there, "status", "{\"request\":\"status\"}", put_item);
	put_answer(&out, cli, &is_there, "dead letters",
		   "{\"request\":\"deadletters\",\"do\":\"list\",\"limit\":100,\"payload\":false}",
		   put_item);
	put_answer(&out, cli, &is_there, "log", "{\"request\":\"log\"}", put_line);
	buf_put_shown(&shown, out.data, out.len, true);
	ok = write_private(fd, &shown);
	if (!ok)
		fprintf(stderr, "calque report: %s: %s\n", file, strerror(errno));
	else
		printf("wrote %s; look at it before you hand it on: names and topics are in it\n",
		       file);
	buf_fini(&out);
	buf_fini(&shown);
	return ok ? EXIT_DONE : EXIT_FAILED;
}
