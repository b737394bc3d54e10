/* Functions that are done without jq, and what is taken for one. */
#include "fuzz.h"
#include "jq/mapping_inside.h"

static const char source[] = "module {dialect: \"simple\", messages: ["
			     "{kind: \"telemetry\", topic: \"a\", read: \"f\"}, {kind: "
			     "\"attributes\", topic: \"b\", read: \"g\"},"
			     "{kind: \"event\", topic: \"c\", read: \"h\"}, {kind: \"raw\", topic: "
			     "\"d\", read: \"i\"}]};\n"
			     "def f: .body;\n"
			     "def g: {a: .body.a, \"b\": [.body.b.c], c: {d: 1.5, e: \"x\"}};\n"
			     "def h: .body | {a, b, c: (.a | .b)};\n"
			     "def i: .body.a.b.c?;\n";
#define FUNCTIONS 4

static struct mapping *simple, *jq;

/* libjq knows its stack by its end alone. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libjq";
}

static struct mapping *load(const struct mapping_path *path)
{
	struct report report = { 0 };
	struct mapping *m = mapping_load(path, "simple", &report);

	if (!m)
		abort();
	report_fini(&report);
	return m;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char *none[] = { NULL };
	char dir[] = "/tmp/calque-fuzz-XXXXXX", file[sizeof dir + sizeof "/simple.jq"];
	struct mapping_path path = { 0 };
	FILE *f;

	(void)argc;
	(void)argv;
	environ = none;
	if (!mkdtemp(dir))
		abort();
	snprintf(file, sizeof file, "%s/simple.jq", dir);
	f = fopen(file, "w");
	if (!f || fputs(source, f) < 0 || fclose(f) != 0)
		abort();
	mapping_path_add(&path, dir);
	simple = load(&path);
	jq = load(&path);
	mapping_only_jq(jq);
	mapping_path_fini(&path);
	unlink(file);
	rmdir(dir);
	return 0;
}

/* Of a source that need not compile. */
static void read_source(const char *text, size_t n)
{
	struct function names[] = { { .name = (char[]){ "f" } }, { .name = (char[]){ "g" } } };
	struct mapping_symbols functions = { .items = names, .n = 2 };
	struct mapping_simple *s = mapping_simple_read(text, n, &functions, n % 2);
	struct buf out = { 0 };

	for (int fn = 0; fn < 2; fn++)
		mapping_simple_call(s, fn, &(struct mapping_input){ 0 }, &out);
	buf_fini(&out);
	mapping_simple_free(s);
}

static bool add(void *ctx, struct jslice output)
{
	buf_append(ctx, output.text, output.len);
	return true;
}

/* What comes out is what jq would write, once jq has written its numbers. */
static void compare(int fn, const char *text, size_t n)
{
	struct mapping_input in = { 0 };
	struct buf body = { 0 }, given = { 0 }, expected = { 0 }, written = { 0 };
	struct err e = { 0 }, e_jq = { 0 };

	if (jtext_take(text, n, false, &body, NULL)) {
		in.fields[SEEN_BODY] =
			(struct mapping_field){ FIELD_JSON, .json = { body.data, body.len } };
		mapping_call(simple, fn, &in, add, &given, &e);
		mapping_call(jq, fn, &in, add, &expected, &e_jq);
		assert(e.code == e_jq.code && strcmp(e.text, e_jq.text) == 0);
		assert((given.len == 0) == (expected.len == 0));
		if (given.len) {
			jv value = mapping_json_read(given.data, given.len);

			mapping_json_put(&written, value, &e);
			jv_free(value);
			assert(strcmp(buf_str(&written), expected.data) == 0);
		}
	}
	buf_fini(&body);
	buf_fini(&given);
	buf_fini(&expected);
	buf_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	read_source((const char *)data, n);
	compare(data[0] % FUNCTIONS, (const char *)data + 1, n - 1);
	return 0;
}
