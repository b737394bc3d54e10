#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

/* Standard error goes into a file, from the start of a test to its end. */
static FILE *file;
static int standard_error;

static void set_up(void)
{
	file = tmpfile();
	cr_assert_not_null(file);
	standard_error = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
}

static void tear_down(void)
{
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	fclose(file);
}

TestSuite(log, .init = set_up, .fini = tear_down);

/* What was logged since the last call, from behind the times on. */
static const char *logged(void)
{
	static char text[100000];
	static long pos;
	char line[5000];

	text[0] = '\0';
	fseek(file, pos, SEEK_SET);
	while (fgets(line, sizeof line, file))
		strcat(text, strchr(line, ' ') + 1);
	pos = ftell(file);
	return text;
}

Test(log, what_matters_less_is_left_out_if_so_told)
{
	log_least(LOG_WARNING);
	log_event(LOG_INFO, "one", NULL);
	log_event(LOG_WARNING, "two", NULL);
	log_event(LOG_ERROR, "three", NULL);
	cr_expect_str_eq(logged(), "warning two\nerror three\n");
}

Test(log, one_event_is_one_line_with_its_time)
{
	char line[200];
	regex_t r;

	log_event(LOG_INFO, "session-up", "link=%s side=%s", "a", "south");
	rewind(file);
	cr_assert_not_null(fgets(line, sizeof line, file));
	regcomp(&r,
		"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z info session-up link=a "
		"side=south\n$",
		REG_EXTENDED);
	cr_expect_eq(regexec(&r, line, 0, NULL, 0), 0, "%s", line);
	regfree(&r);
}

Test(log, a_subject_is_logged_once_a_minute)
{
	for (int i = 0; i < 5; i++)
		log_limited(LOG_WARNING, 1000 + i, "one", "event", "n=%d", i);
	log_limited(LOG_WARNING, 1000, "two", "event", NULL);
	cr_expect_str_eq(logged(), "warning event n=0\nwarning event\n");
	log_limited(LOG_WARNING, 60999, "one", "event", "n=%d", 5);
	cr_expect_str_eq(logged(), "");
	log_limited(LOG_WARNING, 61000, "one", "event", "n=%d", 6);
	cr_expect_str_eq(logged(), "warning event n=6 suppressed=5\n");
	log_limited(LOG_WARNING, 121000, "one", "event", NULL);
	cr_expect_str_eq(logged(), "warning event\n");
}

Test(log, one_event_does_not_silence_another_of_the_same_subject)
{
	log_limited(LOG_WARNING, 1000, "plant", "parked-full", NULL);
	log_limited(LOG_WARNING, 1001, "plant", "sessions-full", NULL);
	log_limited(LOG_WARNING, 1002, "plant", "parked-full", NULL);
	log_limited(LOG_WARNING, 61000, "plant", "parked-full", NULL);
	cr_expect_str_eq(logged(), "warning parked-full\nwarning sessions-full\n"
				   "warning parked-full suppressed=1\n");
}

Test(log, a_clock_that_is_set_back_silences_nothing)
{
	log_limited(LOG_WARNING, 10000000, "one", "event", NULL);
	log_limited(LOG_WARNING, 5000000, "one", "event", NULL);
	log_limited(LOG_WARNING, 5000001, "one", "event", NULL);
	cr_expect_str_eq(logged(), "warning event\nwarning event\n");
}

Test(log, any_number_of_subjects_is_borne)
{
	char name[20];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "subject-%d", i);
		log_limited(LOG_WARNING, 0, name, "e", NULL);
	}
	logged();
	log_limited(LOG_WARNING, 1, "subject-999", "e", NULL);
	cr_expect_str_eq(logged(), "");
}

Test(log, a_value_is_quoted_where_it_must_be)
{
	static const struct {
		const char *value, *wanted;
	} cases[] = {
		{ "plain/7-_.:{}", "plain/7-_.:{}" },
		{ "v\xc3\xa9lo", "v\xc3\xa9lo" },
		{ "", "\"\"" },
		{ "a b", "\"a b\"" },
		{ "a=b", "\"a=b\"" },
		{ "a\"b\\", "\"a\\\"b\\\\\"" },
		{ "a\nb", "\"a\\u000ab\"" },
		{ "a\x1b[31m", "\"a\\u001b[31m\"" }, /* not only where it comes first */
		{ "\x01", "\"\\u0001\"" },
		{ "a\x7f", "\"a\\u007f\"" },
		{ "\xc2\x9b"
		  "1m",
		  "\"\\u009b1m\"" },
		{ "\u202etxt.exe\u2066", "\"\\u202etxt.exe\\u2066\"" },
		{ "a\x9b", "\"a\\ufffd\"" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_str_eq(log_value(cases[i].value), cases[i].wanted);
	cr_expect_str_eq(log_value(NULL), "-");
}

Test(log, four_values_fit_one_line)
{
	const char *a = log_value("a a"), *b = log_value("b b"), *c = log_value("c c"),
		   *d = log_value("d d");

	cr_expect_str_eq(a, "\"a a\"");
	cr_expect_str_eq(b, "\"b b\"");
	cr_expect_str_eq(c, "\"c c\"");
	cr_expect_str_eq(d, "\"d d\"");
}

Test(log, json_says_the_same)
{
	char line[400];
	const char *rest;

	log_format(LOG_JSON);
	log_event(LOG_WARNING, "dead-letter", "link=%s n=%d id=%s free=-5 reason=%s device=%s", "a",
		  12, "007", log_value("say \"no\"\n to a\\b"), log_value(NULL));
	log_event(LOG_INFO, "stopped", NULL);
	rewind(file);
	cr_assert_not_null(fgets(line, sizeof line, file));
	cr_expect(strncmp(line, "{\"time\":\"", 9) == 0, "%s", line);
	rest = strstr(line, "\",\"level\"");
	cr_assert_not_null(rest);
	cr_expect_str_eq(
		rest, "\",\"level\":\"warning\",\"event\":\"dead-letter\",\"link\":\"a\",\"n\":12,"
		      "\"id\":\"007\",\"free\":-5,\"reason\":\"say \\\"no\\\"\\u000a to a\\\\b\","
		      "\"device\":\"-\"}\n");
	cr_assert_not_null(fgets(line, sizeof line, file));
	cr_expect_str_eq(strstr(line, "\"level\""), "\"level\":\"info\",\"event\":\"stopped\"}\n");
}

Test(log, the_journal_gets_levels_and_has_the_time_itself)
{
	char stream[60], line[100];
	struct stat st;

	cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_find_journal();
	log_event(LOG_ERROR, "one", "a=1");
	log_event(LOG_WARNING, "two", NULL);
	setenv("JOURNAL_STREAM", "1:1", 1); /* of another stream: that of who started us */
	log_find_journal();
	log_event(LOG_INFO, "three", NULL);
	rewind(file);
	cr_expect_str_eq(fgets(line, sizeof line, file), "<3>error one a=1\n");
	cr_expect_str_eq(fgets(line, sizeof line, file), "<4>warning two\n");
	cr_expect_eq(*fgets(line, sizeof line, file), '2');
}

Test(log, each_area_has_a_level)
{
	cr_expect(log_levels("warning, session=info,session-lost=off"));
	log_event(LOG_INFO, "link-up", NULL);
	log_event(LOG_WARNING, "link-down", NULL);
	log_event(LOG_INFO, "session", NULL);
	log_event(LOG_INFO, "session-up", NULL);
	log_event(LOG_INFO, "sessions-of-devices", NULL);
	log_event(LOG_ERROR, "session-lost", NULL);
	cr_expect_str_eq(logged(), "warning link-down\ninfo session\ninfo session-up\n");
	cr_expect_not(log_levels("loud"));
	cr_expect_not(log_levels("=info"));
	log_event(LOG_INFO, "still-off", NULL);
	cr_expect_str_eq(logged(), "");
	cr_expect(log_levels("info"));
	log_event(LOG_INFO, "on", NULL);
	cr_expect_str_eq(logged(), "info on\n");
}

Test(log, details_are_written_where_levels_say_so)
{
	log_event(LOG_DEBUG, "session-up", NULL);
	cr_expect_str_eq(logged(), "");
	cr_expect(log_levels("warning,session=debug"));
	log_event(LOG_DEBUG, "session-up", NULL);
	log_event(LOG_DEBUG, "limits-told", NULL);
	cr_expect_str_eq(logged(), "debug session-up\n");
	log_least(LOG_INFO);
	log_event(LOG_DEBUG, "session-up", NULL);
	cr_expect_str_eq(logged(), "");
}

Test(log, debug_is_written_only_where_it_is_asked_for)
{
	log_event(LOG_DEBUG, "message-made", "id=1");
	cr_expect_str_eq(logged(), "");
	cr_expect_not(log_is_debugging);
	cr_expect(log_levels("info,message=debug"));
	cr_expect(log_is_debugging);
	log_event(LOG_DEBUG, "message-made", "id=%d", 2);
	log_event(LOG_DEBUG, "session-up", NULL);
	log_event(LOG_INFO, "session-down", NULL);
	cr_expect_str_eq(logged(), "debug message-made id=2\ninfo session-down\n");
	cr_expect(log_levels("info"));
	cr_expect_not(log_is_debugging);
}

Test(log, the_last_lines_are_kept)
{
	struct buf out = { 0 };

	log_event(LOG_INFO, "first", NULL);
	log_put_tail(&out);
	cr_expect_str_eq(strchr(out.data, ' '), " info first\n");
	for (int i = 0; i < 3000; i++)
		log_event(LOG_INFO, "event", "n=%d", i);
	buf_reset(&out);
	buf_puts(&out, "before\n");
	log_put_tail(&out);
	cr_expect_leq(out.len, 7 + LOG_TAIL_BYTES);
	cr_expect_gt(out.len, LOG_TAIL_BYTES - 100);
	cr_expect_eq(strncmp(out.data, "before\n20", 9), 0, "%.60s", out.data);
	cr_expect_str_eq(strrchr(out.data, '='), "=2999\n");
	buf_fini(&out);
}
