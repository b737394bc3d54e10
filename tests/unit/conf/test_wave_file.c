#include "conf/wave_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "fleet/wave_list.h"

static char dir[] = "/tmp/calque-waves-XXXXXX";
static char *path, *names;
static struct report report;
static struct wave_list list;

static void write_file(const char *at, const char *text)
{
	FILE *f = fopen(at, "w");

	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
	path = mem_printf("%s/waves.conf", dir);
	names = mem_printf("%s/names", dir);
	write_file(names, "pump-1\npump-2\n");
}

static void tear_down(void)
{
	unlink(path);
	unlink(names);
	rmdir(dir);
	free(path);
	free(names);
	report_fini(&report);
	wave_list_fini(&list);
}

TestSuite(wave_file, .init = set_up, .fini = tear_down);

static bool reads(const char *text)
{
	write_file(path, text);
	return wave_file_read(path, &list, &report);
}

Test(wave_file, says_all_that_a_wave_is)
{
	int64_t at;
	struct buf json = { 0 };

	cr_assert(reads("waves = (\n"
			"  { name = \"canary\"; match = { list = \"names\"; percent = 12.5; }; "
			"mode = \"mirror\"; },\n"
			"  { name = \"rest\"; match = { name = \"pump-*\"; group = \"hall\"; state "
			"= \"ready\"; };\n"
			"    mode = \"live\"; not_before = \"2026-12-01T06:00:00+01:00\";\n"
			"    not_after = \"2026-12-01T12:00:00Z\"; soak = 90; max_failures = 2;\n"
			"    max_dead_letters = 5; on_limit = \"rollback\"; provision = true; push "
			"= \"diff\"; },\n"
			"  { name = \"two\"; match = { list = ( \"x\", \"y\" ); percent = 50; }; "
			"mode = \"off\"; } );\n"),
		  "%s", report.n_lines ? report.lines[0].text : "");
	cr_assert_eq(list.n, 3);
	cr_expect_str_eq(list.file, path);
	cr_expect_eq(list.items[0].soak_ms, WAVE_SOAK_MS, "what does not say stands for a while");
	cr_expect_eq(list.items[0].max_failures, 0);
	cr_expect_not(list.items[0].rolls_back);
	cr_assert_eq(list.items[0].choice.n, 2);
	cr_expect_str_eq(list.items[0].choice.list[1].name, "pump-2");
	cr_expect_str_eq(list.items[0].choice.percent, "12.5");
	cr_assert(clock_read("2026-12-01T05:00:00Z", &at));
	cr_expect_eq(list.items[1].not_before_ms, at);
	cr_expect_eq(list.items[1].not_after_ms, at + 7 * 3600000);
	wave_put(&list.items[1], &json);
	cr_expect(
		strstr(buf_str(&json),
		       "\"soak\":90000,\"max_failures\":2,\"max_dead_letters\":5,\"rollback\":true,"
		       "\"provision\":true,\"push\":true,\"match\":{\"name\":\"pump-*\","
		       "\"state\":\"ready\",\"group\":\"hall\"}}"),
		"%s", buf_str(&json));
	buf_fini(&json);
	cr_expect_eq(list.items[2].choice.n, 2);
}

#define WAVE(more)                                                                                 \
	"waves = ( { name = \"a\"; match = { all = true; }; mode = \"live\"; " more " } );"

Test(wave_file, mistakes_have_their_lines)
{
	static const char *const wrong[][2] = {
		{ WAVE("not_before = \"2026-12-01T06:00:00\";"), "is no time with a zone" },
		{ WAVE("not_before = \"2026-12-01T06:00:00Z\"; not_after = "
		       "\"2026-12-01T06:59:00+01:00\";"),
		  "is before not_before" },
		{ WAVE("soak = -1;"), "soak" },
		{ WAVE("max_failure = 1;"), "max_failure" },
		{ WAVE("on_limit = \"halt\";"), "on_limit" },
		{ "waves = ( { name = \"a\"; match = { }; mode = \"live\"; } );", "which?" },
		{ "waves = ( { name = \"a\"; match = { all = true; }; mode = \"link\"; } );",
		  "mode" },
		{ "waves = ( { name = \"a\"; match = { percent = 101; }; mode = \"off\"; } );",
		  "is not from 0 to 100" },
		{ "waves = ( { name = \"a\"; match = { state = \"x\"; }; mode = \"off\"; } );",
		  "known, asking" },
		{ "waves = ( { name = \"a\"; match = { list = \"none\"; }; mode = \"off\"; } );",
		  "/none: " },
		{ "waves = ( { match = { all = true; }; mode = \"off\"; } );", "name" },
		{ "waves = ( );", "1 to 1000 waves" },
		{ "wave = ( );", "waves" },
		{ "waves = ( {", "waves.conf:1" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cr_expect_not(reads(wrong[i][0]), "%s", wrong[i][0]);
		cr_assert_gt(report.n_errors, 0);
		cr_expect(strstr(report.lines[0].text, wrong[i][1]), "%s: %s", wrong[i][0],
			  report.lines[0].text);
		cr_expect_eq(list.n, 0);
		report_fini(&report);
		report = (struct report){ 0 };
	}
}

Test(wave_file, two_of_one_name_are_a_mistake_as_they_would_be_one_when_a_run_goes_on)
{
	cr_expect_not(
		reads("waves = (\n { name = \"a\"; match = { all = true; }; mode = \"live\"; },\n"
		      " { name = \"a\"; match = { all = true; }; mode = \"off\"; } );"));
	cr_expect(strstr(report.lines[0].text, "waves.conf:3: name: another wave is called \"a\""),
		  "%s", report.lines[0].text);
}

/* {is}: what is wrong, or the same time in UTC. */
static const struct {
	const char *text, *is;
} times[] = {
	{ "2026-12-01 06:00 Europe/Berlin", "2026-12-01T05:00:00Z" },
	{ "2026-07-01T06:00:30 Europe/Berlin", "2026-07-01T04:00:30Z" },
	{ "2027-01-05 00:00 America/New_York", "2027-01-05T05:00:00Z" },
	{ "2026-12-01 06:00 UTC", "2026-12-01T06:00:00Z" },
	{ "2090-07-01 06:00 Europe/Berlin", "2090-07-01T04:00:00Z" },
	{ "2026-10-25 02:30 Europe/Berlin", "is there twice" },
	{ "2026-10-25 03:00 Europe/Berlin", "2026-10-25T02:00:00Z" },
	{ "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z" },
	{ "2026-03-29 02:30 Europe/Berlin", "is not there" },
	{ "2026-04-05 01:45 Australia/Lord_Howe", "is there twice" }, /* by half an hour */
	{ "2026-02-30 12:00 Europe/Berlin", "is not there" },
	{ "2026-12-01 06:00 Europe/Atlantis", "in a zone that is not known here" },
	{ "2026-12-01 06:00 ../../../etc/passwd", "is no time with a zone" },
	{ "2026-12-01 06:00 Europe/../../passwd", "in a zone that is not known here" },
	{ "2026-12-01 06:00 Europe", "in a zone that is not known here" },
	{ "2026-12-01 06:00", "is no time with a zone" },
	{ "2026-12-01 25:00 Europe/Berlin", "is no time with a zone" },
	{ "tomorrow", "is no time with a zone" },
};

Test(wave_file, has_times_of_a_place)
{
	if (access("/usr/share/zoneinfo/Australia/Lord_Howe", R_OK) != 0)
		cr_skip_test("no tzdata");
	setenv("TZ", "Asia/Tokyo", 1);
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		char *text = mem_printf("waves = ( { name = \"a\"; match = { all = true; }; mode = "
					"\"off\"; not_before = \"%s\"; } );\n",
					times[i].text);
		struct buf told = { 0 };

		if (reads(text))
			clock_put_utc(list.items[0].not_before_ms, &told);
		else
			buf_puts(&told, report.lines[0].text);
		cr_expect(strstr(buf_str(&told), times[i].is), "%s: %s", times[i].text,
			  buf_str(&told));
		buf_fini(&told);
		report_fini(&report);
		report = (struct report){ 0 };
		wave_list_fini(&list);
		free(text);
	}
	cr_expect_str_eq(getenv("TZ"), "Asia/Tokyo");
	unsetenv("TZ");
}
