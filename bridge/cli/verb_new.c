/* calque new: a skeleton for a new dialect, and the schema of its table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/skeleton.h"
#include "conf/build.h"
#include "dialect/dialect.h"

/* ERR_BUSY: the file is there already.  In every failure it is as before. */
static bool write_new(const char *file, const struct buf *text, struct err *e)
{
	FILE *f = fopen(file, "wxe");
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
	if (write_new(mapping, &text, e)) {
		ok = write_new(cases, &case_text, e);
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
	if (!write_both(cli->mappings.n ? cli->mappings.dirs[0] : ".", name, &e)) {
		fprintf(stderr, "calque new: %s\n", e.text);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}
