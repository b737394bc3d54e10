#include "store/deadletter_live.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/db_inside.h"
#include "store/deadletter.h"

#define NOW 1700000000000

static char top[] = "/tmp/calque-deadletter-live-XXXXXX";
static struct db *db;
static struct deadletter_live *live;

static void set_up(void)
{
	struct err e = { 0 };

	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	live = deadletter_live_new(db, &e);
	cr_assert(live, "%s", e.text);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	deadletter_live_free(live);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(deadletter_live, .init = set_up, .fini = tear_down);

/* A message with this text is dead. */
static void bury(const char *text, size_t n_payload)
{
	struct deadletter l = {
		.link = "pump",
		.from = NORTH,
		.kind = "telemetry",
		.reason = "mapping-error",
		.text = (char *)text,
		.topic = "t",
		.received_ms = NOW - 5,
		.has_message = n_payload > 0,
	};
	char *payload = mem_zalloc(n_payload + 1);

	if (l.has_message) {
		l.message = (struct message){ .topic = mem_strdup("t"), .qos = 1 };
		message_set_payload(&l.message, payload, n_payload);
	}
	deadletter_live_bury(live, &l, NOW);
	message_fini(&l.message);
	free(payload);
}

static void write_as(uint64_t commit)
{
	struct err e = { 0 };

	cr_assert(deadletter_live_write(live, commit, NOW, &e), "%s", e.text);
}

/* The texts of all letters that are written. */
static void expect_stored_at(const char *wanted, int line)
{
	struct deadletters *stored = deadletter_live_stored(live);
	struct deadletter_filter any = { 0 };
	struct err e = { 0 };
	struct buf texts = { 0 };
	uint64_t *ids;
	size_t n;

	cr_assert(db_commit(db, &e), "%s", e.text);
	cr_assert(deadletters_find(stored, &any, &ids, &n, &e), "%s", e.text);
	for (size_t i = 0; i < n; i++) {
		struct deadletter l;

		cr_assert(deadletters_get(stored, ids[i], true, &l, &e), "%s", e.text);
		buf_printf(&texts, "%s%s ", l.text, l.has_message ? "+" : "");
		deadletter_fini(&l);
	}
	cr_expect_str_eq(buf_str(&texts), wanted, "line %d: '%s'", line, buf_str(&texts));
	buf_fini(&texts);
	free(ids);
}
#define expect_stored(wanted) expect_stored_at(wanted, __LINE__)

static void roll_back(void)
{
	cr_expect_not(db_break(db));
	cr_expect_not(db_commit(db, NULL));
	deadletter_live_undone(live);
}

Test(deadletter_live, is_written_once_with_or_without_its_message)
{
	cr_expect_not(deadletter_live_has_news(live));
	bury("a", 0);
	bury("b", 10);
	cr_expect(deadletter_live_has_news(live));
	write_as(1);
	cr_expect_not(deadletter_live_has_news(live));
	expect_stored("a b+ ");
	write_as(2);
	deadletter_live_durable(live, 2);
	expect_stored("a b+ ");
}

Test(deadletter_live, keeps_no_message_that_is_very_large)
{
	bury("a", DEADLETTER_MAX_MESSAGE + 1);
	write_as(1);
	expect_stored("a ");
}

Test(deadletter_live, that_was_undone_is_written_again_in_its_order_and_counted_once)
{
	struct deadletter_totals totals;

	bury("a", 1);
	write_as(1);
	deadletter_live_durable(live, 1);
	expect_stored("a+ ");
	bury("b", 1);
	write_as(2);
	bury("c", 1);
	write_as(3);
	bury("d", 1);
	roll_back();
	cr_expect(deadletter_live_has_news(live));
	expect_stored("a+ ");
	write_as(4);
	expect_stored("a+ b+ c+ d+ ");
	deadletter_live_durable(live, 4);
	deadletter_live_undone(live);
	write_as(5);
	expect_stored("a+ b+ c+ d+ ");
	cr_assert(deadletters_totals(deadletter_live_stored(live), &totals, NULL));
	cr_expect_eq(totals.count, 4);
	cr_expect_eq(deadletter_live_evicted(live), 0);
}

Test(deadletter_live, more_than_are_kept_are_counted_and_the_oldest_go)
{
	char text[12];

	for (int i = 0; i < DEADLETTER_MAX_COUNT + 3; i++) {
		snprintf(text, sizeof text, "%d", i);
		bury(text, 0);
	}
	cr_expect_eq(deadletter_live_evicted(live), 3);
	for (int i = 0; i < 3; i++)
		bury("large", DEADLETTER_MAX_MESSAGE);
	cr_expect_eq(deadletter_live_evicted(live), 6);
}

Test(deadletter_live, in_flight_ones_are_bounded_only_when_they_come_back)
{
	for (int i = 0; i < DEADLETTER_MAX_COUNT; i++)
		bury("x", 0);
	write_as(1);
	for (int i = 0; i < 3; i++)
		bury("y", 0);
	cr_expect_eq(deadletter_live_evicted(live), 0);
	roll_back();
	cr_expect_eq(deadletter_live_evicted(live), 3);
}
