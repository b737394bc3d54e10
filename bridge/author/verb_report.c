/* calque report: what somebody who is asked for help wants to know, as one text: versions, the configuration without its
 * secrets, how it is with the bridge, and the end of its log. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "message/redact.h"

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

/* The end of a comment that begins here; `text` itself: none does. */
static const char *skip_comment(const char *text)
{
	const char *end;

	if (*text == '#' || strncmp(text, "//", 2) == 0)
		return text + strcspn(text, "\n");
	if (strncmp(text, "/*", 2) != 0)
		return text;
	end = strstr(text + 2, "*/");
	return end ? end + 2 : text + strlen(text);
}

/* Behind the string that begins here. */
static const char *skip_string(const char *text)
{
	for (text++; *text && *text != '"'; text++)
		if (*text == '\\' && text[1])
			text++;
	return *text ? text + 1 : text;
}

static bool is_reference(const char *string)
{
	return strncmp(string, "\"file:", 6) == 0 || strncmp(string, "\"env:", 5) == 0 ||
	       strncmp(string, "\"cred:", 6) == 0;
}

/* Comments may say anything, so they are left out; so is each text of a setting that sounds like a secret, but for where it
 * is to be found. */
static void put_redacted(struct buf *out, const char *text)
{
	char name[80] = "";

	while (*text) {
		const char *end = skip_comment(text);
		size_t n;

		if (end != text) {
			text = end;
			continue;
		}
		if (*text == '"') {
			end = skip_string(text);
			if (redact_names_secret(name) && !is_reference(text))
				buf_puts(out, "\"" REDACT_HIDDEN "\"");
			else
				buf_append(out, text, (size_t)(end - text));
			text = end;
			continue;
		}
		n = strspn(text,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-0123456789*");
		if (isalpha((unsigned char)*text))
			snprintf(name, sizeof name, "%.*s", (int)n, text);
		else if (isdigit((unsigned char)*text) && redact_names_secret(name))
			buf_puts(out, REDACT_HIDDEN); /* in place of a number */
		if (!isdigit((unsigned char)*text) || !redact_names_secret(name))
			buf_append(out, text, n ? n : 1);
		text += n ? n : 1;
	}
}

static void put_configuration(struct buf *out, const char *path)
{
	struct buf text = { 0 };
	struct err e = { 0 };

	put_title(out, "configuration");
	buf_printf(out, "%s\n", path);
	if (buf_append_file(&text, path, MOST_CONF_BYTES, &e))
		put_redacted(out, buf_str(&text));
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

static void put_answer(struct buf *out, const struct cli *cli, const char *title,
		       const char *request, void (*item)(void *ctx, struct jslice item))
{
	struct ask_ops ops = { item, put_done };
	struct buf line = { 0 };

	put_title(out, title);
	buf_puts(&line, request);
	if (ask("report", cli->conf_path, &line, &ops, out) != EXIT_DONE)
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
	bool ok;

	if (fd < 0) {
		fprintf(stderr, "calque report: %s: %s\n", file, strerror(errno));
		return EXIT_FAILED;
	}
	put_versions(&out);
	put_configuration(&out, cli->conf_path);
	put_answer(&out, cli, "status", "{\"request\":\"status\"}", put_item);
	put_answer(&out, cli, "dead letters",
		   "{\"request\":\"deadletters\",\"do\":\"list\",\"limit\":100,\"payload\":false}",
		   put_item);
	put_answer(&out, cli, "log", "{\"request\":\"log\"}", put_line);
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
