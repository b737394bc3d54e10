/* calque new: a skeleton for a new dialect, and the schema of its table.  calque init: a configuration to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/cli.h"
#include "cli/skeleton.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "conf/conf_skeleton.h"
#include "dialect/dialect.h"
#include "jq/mapping.h"
#include "work/compiler.h"

/* ERR_BUSY: the file is there already.  In every failure it is as before.  `mode`: who may read it. */
static bool write_new(const char *file, mode_t mode, const struct buf *text, struct err *e)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool ok;

	if (!f && errno == EEXIST) {
		err_set(e, ERR_BUSY, "%s is there already, and nothing is overwritten", file);
		return false;
	}
	if (!f) {
		err_errno(e, "%s", file);
		return false;
	}
	ok = fwrite(text->data, 1, text->len, f) == text->len;
	ok = fclose(f) == 0 && ok;
	if (!ok) {
		err_errno(e, "%s", file);
		unlink(file);
	}
	return ok;
}

/* Both or none. */
static bool write_both(const char *dir, const char *name, struct err *e)
{
	char *mapping = mem_printf("%s/%s.jq", dir, name);
	char *cases = mem_printf("%s/%s.cases.json", dir, name);
	struct buf text = { 0 }, case_text = { 0 };
	bool ok = false;

	skeleton_put_mapping(name, &text);
	skeleton_put_cases(name, &case_text);
	if (write_new(mapping, 0666, &text, e)) {
		ok = write_new(cases, 0666, &case_text, e);
		if (!ok)
			unlink(mapping);
	}
	if (ok)
		printf("wrote %s and %s; edit them, and try them at every save: calque test "
		       "--watch "
		       "%s\n",
		       mapping, cases, cases);
	buf_fini(&text);
	buf_fini(&case_text);
	free(mapping);
	free(cases);
	return ok;
}

/* A second file of a name would hide the first from whoever uses it, wire.jq from all. */
static bool is_name_free(const struct cli *cli, const char *name)
{
	struct build build;
	char *file;

	build_init(&build, &cli->mappings, NULL);
	file = mapping_path_find(&build.path, name);
	if (file)
		fprintf(stderr,
			"calque new: there is a mapping \"%s\" already, %s, and none is "
			"overwritten or hidden; take another name\n",
			name, file);
	free(file);
	build_fini(&build);
	return !file;
}

static int print_schema(void)
{
	char *schema = dialect_json_schema();

	puts(schema);
	free(schema);
	return EXIT_DONE;
}

int verb_new(struct cli *cli)
{
	const char *name = cli->argc ? cli->argv[0] : "", *mistake;
	struct err e = { 0 };

	if (cli->is_schema)
		return cli->argc ? options_misused("new", "--schema takes no dialect")
				 : print_schema();
	if (!cli->argc)
		return options_misused("new", "how is the dialect to be called?");
	if (cli->mappings.n > 1)
		return options_misused("new", "--mappings can be given once");
	mistake = skeleton_name_mistake(name);
	if (mistake)
		return options_misused("new", "\"%s\" cannot be the name of a dialect: %s", name,
				       mistake);
	if (!is_name_free(cli, name))
		return EXIT_FAILED;
	if (cli->samples)
		return verb_new_from(cli, cli->mappings.n ? cli->mappings.dirs[0] : ".");
	if (!write_both(cli->mappings.n ? cli->mappings.dirs[0] : ".", name, &e)) {
		fprintf(stderr, "calque new: %s\n", e.text);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/* --- init ---------------------------------------------------------------------------------- */

enum question { Q_NAME, Q_SOUTH, Q_SOUTH_URL, Q_NORTH, Q_NORTH_URL, QUESTIONS };

/* The next line of the standard input, for what was not given; NULL: there is none, or it is empty. */
static char *answer_to(enum question q)
{
	static const char *const questions[QUESTIONS] = {
		"Name of the link (say, of the device): ",
		"Dialect in the south, where the devices are (innoway, say): ",
		"Its broker (mqtt://HOST[:PORT], mqtts://HOST[:PORT]): ",
		"Dialect in the north, where their data goes (thingsboard, say): ",
		"Its broker: ",
	};
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	fputs(questions[q], stderr);
	n = getline(&line, &size, stdin);
	if (!isatty(STDIN_FILENO))
		fputs("\n", stderr);
	while (n > 0 && strchr(" \t\r\n", line[n - 1]))
		line[--n] = '\0';
	if (n > 0)
		return line;
	free(line);
	return NULL;
}

static bool ask_all(const struct cli *cli, char *answers[QUESTIONS])
{
	const char *given[QUESTIONS] = { cli->letters.link };

	for (int i = 0; i < cli->argc; i++)
		given[Q_SOUTH + i] = cli->argv[i];
	for (int q = 0; q < QUESTIONS; q++) {
		answers[q] = given[q] ? mem_strdup(given[q]) : answer_to((enum question)q);
		if (!answers[q]) {
			options_misused("init", "a configuration needs an answer to each");
			return false;
		}
	}
	return true;
}

/* What is wrong with an answer is found out as it will be later: in the file, which then goes again. */
static bool write_checked(const char *file, const struct buf *text, struct report *report)
{
	struct err e = { 0 };
	struct conf *conf;

	if (!write_new(file, 0640, text, &e)) {
		report_error(report, "%s", e.text);
		return false;
	}
	conf = conf_read(file, report);
	conf_free(conf);
	if (report->n_errors)
		unlink(file);
	return report->n_errors == 0;
}

static bool init(const struct cli *cli, const char *file, char *const answers[QUESTIONS],
		 struct build *build, struct report *report)
{
	const char *dialects[SIDES] = { answers[Q_SOUTH], answers[Q_NORTH] };
	const char *urls[SIDES] = { answers[Q_SOUTH_URL], answers[Q_NORTH_URL] };
	char *mappings = cli->mappings.n ? realpath(cli->mappings.dirs[0], NULL) : NULL;
	struct conf_skeleton s = { .file = file, .name = answers[Q_NAME], .mappings = mappings };
	struct buf text = { 0 };
	bool ok = true;

	for (int side = 0; side < SIDES; side++) {
		struct mapping *m = build_dialect(build, dialects[side], "calque init", report);

		ok &= m != NULL;
		s.side[side].dialect = m ? mapping_dialect(m) : NULL;
		s.side[side].url = urls[side];
		s.side[side].vars = &cli->vars[side];
	}
	if (ok) {
		conf_skeleton_put(&s, &text);
		ok = write_checked(file, &text, report);
	}
	free(mappings);
	buf_fini(&text);
	return ok;
}

int verb_init(struct cli *cli)
{
	const char *file = cli->has_conf ? cli->conf_path : CONF_DEFAULT_PATH;
	struct compiler *compiler = apart_begin("init");
	char *answers[QUESTIONS] = { 0 };
	struct report report = { 0 };
	struct build build;
	int status = EXIT_FAILED;

	if (!compiler)
		return EXIT_FAILED;
	if (!ask_all(cli, answers)) {
		status = EXIT_MISUSED;
	} else {
		build_init(&build, &cli->mappings, NULL);
		build.loader = compiler_loader(compiler);
		if (init(cli, file, answers, &build, &report)) {
			printf("wrote %s; put the right values into it, and then: calque check -c "
			       "%s\n",
			       file, file);
			status = EXIT_DONE;
		}
		build_fini(&build);
		cli_print_report(&report);
	}
	report_fini(&report);
	for (int q = 0; q < QUESTIONS; q++)
		free(answers[q]);
	compiler_free(compiler);
	return status;
}
