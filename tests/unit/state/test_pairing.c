#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/pairing.h"

static struct pairings *table;
static struct changes changed; /* of all steps since the start */

static void set_up(void)
{
	table = pairings_new();
}

static void tear_down(void)
{
	pairings_free(table);
	changes_fini(&changed);
}

TestSuite(pairing, .init = set_up, .fini = tear_down);

/* What the store would hold after `changed`. */
static bool is_last_word(size_t i)
{
	for (size_t k = i + 1; k < changed.n; k++)
		if (strcmp(changed.items[k].key, changed.items[i].key) == 0)
			return false;
	return changed.items[i].value != NULL;
}

static void restart(void)
{
	pairings_free(table);
	table = pairings_new();
	for (size_t i = 0; i < changed.n; i++) {
		struct err e = { 0 };

		cr_expect_str_eq(changed.items[i].machine, "pairing");
		if (is_last_word(i))
			cr_assert(pairings_restore(table, changed.items[i].key,
						   changed.items[i].value, &e),
				  "%s", e.text);
	}
}

static struct canonical command(const char *device, const char *id)
{
	return (struct canonical){ .kind = KIND_COMMAND,
				   .device = (char *)device,
				   .id = (char *)id,
				   .body = (char *)"{\"name\":\"n\",\"params\":1.50}",
				   .body_len = 26 };
}

/* A command from the north; its far id, borrowed. */
static const char *ask(const char *device, const char *near_id, enum id_type type,
		       int64_t deadline_ms)
{
	struct canonical p = command(device, near_id);

	return pairings_open(table, &p, NORTH, type, NULL, deadline_ms, &changed)->far_id;
}

static const struct pairing *find(const char *device, const char *far_id)
{
	return pairings_find(table, device, KIND_COMMAND, NORTH, far_id);
}

static void expect_near(const struct pairing *p, const char *near_id)
{
	cr_assert_not_null(p, "for near id %s", near_id);
	cr_expect_str_eq(p->request.id, near_id);
}

Test(pairing, the_whole_request_is_kept)
{
	struct canonical p = command("d", "\"near\"");
	const struct pairing *open;

	p.ts = (char *)"17";
	open = pairings_open(table, &p, NORTH, ID_INTEGER, "reply/here", 99, &changed);
	cr_expect_eq(open->request.kind, KIND_COMMAND);
	cr_expect_str_eq(open->request.device, "d");
	cr_expect_str_eq(open->request.id, "\"near\"");
	cr_expect_str_eq(open->request.ts, "17");
	cr_expect_str_eq(open->request.body, "{\"name\":\"n\",\"params\":1.50}");
	cr_expect_str_eq(open->reply_topic, "reply/here");
	cr_expect_eq(open->caller, NORTH);
	cr_expect_eq(open->deadline_ms, 99);
	cr_expect_neq(open->request.body, p.body);
}

Test(pairing, integers_start_at_one_for_each_device_and_grow)
{
	cr_expect_str_eq(ask("a", "7", ID_INTEGER, 10), "1");
	cr_expect_str_eq(ask("a", "8", ID_INTEGER, 10), "2");
	cr_expect_str_eq(ask("b", "7", ID_INTEGER, 10), "1");
	pairings_close(table, find("a", "2"), &changed);
	cr_expect_str_eq(ask("a", "9", ID_INTEGER, 10), "3");
}

Test(pairing, uuids_and_strings_are_json_strings_of_a_uuid)
{
	static const enum id_type types[] = { ID_UUID, ID_STRING };

	for (size_t i = 0; i < 2; i++) {
		char *first = mem_strdup(ask("a", "7", types[i], 10));
		const char *second = ask("a", "8", types[i], 10);

		cr_expect_eq(strlen(first), 38);
		cr_expect_eq(first[0], '"');
		cr_expect_eq(first[37], '"');
		cr_expect_str_neq(first, second);
		expect_near(find("a", first), "7");
		expect_near(find("a", second), "8");
		free(first);
	}
}

Test(pairing, what_the_bridge_asks_itself_is_open_until_it_asks_again)
{
	struct canonical p = { .kind = KIND_LIMITS_REQUEST,
			       .device = (char *)"d",
			       .body = (char *)"{}",
			       .body_len = 2 };
	const struct pairing *asked = pairings_ask(table, &p, ID_INTEGER, INT64_MAX, &changed);

	cr_expect(asked->is_own);
	cr_expect_str_eq(asked->far_id, "1");
	cr_expect_eq(pairings_find(table, "d", KIND_LIMITS_REQUEST, SOUTH, "1"), asked);
	cr_expect_eq(pairings_next_deadline(table), INT64_MAX);
	cr_expect_str_eq(ask("d", "7", ID_INTEGER, 10), "2");
	asked = pairings_ask(table, &p, ID_INTEGER, INT64_MAX, &changed);
	cr_expect_str_eq(asked->far_id, "3");
	cr_expect_null(pairings_find(table, "d", KIND_LIMITS_REQUEST, SOUTH, "1"));
	cr_expect_not_null(find("d", "2"), "others go on");
	restart();
	cr_expect_null(pairings_find(table, "d", KIND_LIMITS_REQUEST, SOUTH, "3"));
	cr_expect_str_eq(pairings_ask(table, &p, ID_INTEGER, INT64_MAX, &changed)->far_id, "3");
}

Test(pairing, a_chunk_of_firmware_keeps_its_id_and_may_be_asked_for_again)
{
	struct canonical p = command("d", "\"fw/1/0\"");
	const struct pairing *first, *again;

	p.kind = KIND_FIRMWARE_CHUNK_REQUEST;
	first = pairings_open(table, &p, SOUTH, ID_STRING, NULL, 10, &changed);
	cr_expect_str_eq(first->far_id, "\"fw/1/0\"");
	again = pairings_open(table, &p, SOUTH, ID_STRING, NULL, 99, &changed);
	cr_expect_eq(again, first);
	cr_expect_eq(again->deadline_ms, 99);
	pairings_close(table, again, &changed);
	cr_expect_null(pairings_find(table, "d", KIND_FIRMWARE_CHUNK_REQUEST, SOUTH, "\"fw/1/0\""));
}

Test(pairing, reply_finds_its_request_whatever_the_type_of_the_id)
{
	static const char *const same[] = { "1", "\"1\"", "\"\\u0031\"" };
	static const char *const others[] = { "2", "\"\"", "1.0", "\"1 \"", "\"1\\u0000\"", "-1" };

	ask("a", "\"x\"", ID_INTEGER, 10);
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		expect_near(find("a", same[i]), "\"x\"");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		cr_expect_null(find("a", others[i]), "%s", others[i]);
}

Test(pairing, device_kind_and_caller_must_fit)
{
	static const char *const ids[] = { "1", NULL };

	ask("a", "7", ID_INTEGER, 10);
	for (size_t i = 0; i < 2; i++) {
		cr_expect_not_null(pairings_find(table, "a", KIND_COMMAND, NORTH, ids[i]));
		cr_expect_null(pairings_find(table, "b", KIND_COMMAND, NORTH, ids[i]));
		cr_expect_null(pairings_find(table, "a", KIND_COMMAND, SOUTH, ids[i]));
		cr_expect_null(pairings_find(table, "a", KIND_REQUEST, NORTH, ids[i]));
	}
}

Test(pairing, equal_near_ids_are_paired_in_order_where_there_are_no_far_ids)
{
	struct canonical p = command("a", "7");

	for (int i = 0; i < 3; i++) {
		char topic[8];

		snprintf(topic, sizeof topic, "t%d", i);
		pairings_open(table, &p, NORTH, ID_UUID, topic, 100 - i, &changed);
	}
	ask("b", "7", ID_UUID, 1);
	for (int i = 0; i < 3; i++) {
		const struct pairing *open = find("a", NULL);

		cr_assert_not_null(open);
		cr_expect_eq(open->reply_topic[1], '0' + i);
		pairings_close(table, open, &changed);
	}
	cr_expect_null(find("a", NULL));
}

Test(pairing, request_that_wants_no_reply_has_no_near_id)
{
	ask("a", NULL, ID_INTEGER, 10);
	restart();
	cr_assert_not_null(find("a", "1"));
	cr_expect_null(find("a", "1")->request.id);
}

Test(pairing, closed_is_closed)
{
	ask("a", "7", ID_INTEGER, 10);
	pairings_close(table, find("a", "1"), &changed);
	cr_expect_null(find("a", "1"));
	cr_expect_null(find("a", NULL));
	cr_expect_null(pairings_expired(table, INT64_MAX));
	cr_expect_eq(pairings_next_deadline(table), INT64_MAX);
}

Test(pairing, deadlines_pass_the_earliest_first)
{
	static const int64_t deadlines[] = { 50, 20, 90, 20, 70, 10, 60, 30, 80, 40 };
	static const char *const order[] = { "6", "2", "4", "8", "10", "1", "7", "5", "9", "3" };

	for (size_t i = 0; i < 10; i++)
		ask("a", "7", ID_INTEGER, deadlines[i]);
	cr_expect_eq(pairings_next_deadline(table), 10);
	cr_expect_null(pairings_expired(table, 9));
	for (size_t i = 0; i < 10; i++) {
		const struct pairing *p = pairings_expired(table, 90);

		cr_assert_not_null(p);
		cr_expect_str_eq(p->far_id, order[i]);
		pairings_close(table, p, &changed);
	}
	cr_expect_null(pairings_expired(table, INT64_MAX));
}

Test(pairing, reply_that_is_not_final_extends)
{
	ask("a", "7", ID_INTEGER, 10);
	ask("a", "8", ID_INTEGER, 20);
	pairings_extend(table, find("a", "1"), 30, &changed);
	cr_expect_eq(pairings_next_deadline(table), 20);
	cr_expect_str_eq(pairings_expired(table, 25)->far_id, "2");
	restart();
	cr_expect_eq(find("a", "1")->deadline_ms, 30);
	cr_expect_eq(pairings_next_deadline(table), 20);
}

Test(pairing, many_open_pairings_stay_ordered)
{
	enum { N = 3000 };
	unsigned seed = 1;
	int64_t last = 0;
	size_t n = 0;

	for (int i = 0; i < N; i++) {
		struct changes none = { 0 };
		struct canonical p = command(i % 2 ? "a" : "b", "7");
		const struct pairing *oldest;

		seed = seed * 1103515245u + 12345u;
		pairings_open(table, &p, NORTH, ID_INTEGER, NULL, seed >> 16, &none);
		n++;
		oldest = i % 3 ? NULL : find("a", NULL);
		if (oldest) {
			pairings_close(table, oldest, &none);
			n--;
		}
		changes_fini(&none);
	}
	for (const struct pairing *p; (p = pairings_expired(table, INT64_MAX));) {
		struct changes none = { 0 };

		cr_assert_geq(p->deadline_ms, last);
		last = p->deadline_ms;
		pairings_close(table, p, &none);
		changes_fini(&none);
		n--;
	}
	cr_expect_eq(n, 0);
}

Test(pairing, restart_keeps_open_pairings_and_the_counter)
{
	struct canonical p = command("a/b \"c\"", "\"n\\u00e9\"");

	pairings_open(table, &p, NORTH, ID_INTEGER, "r/\"t\"", 77, &changed);
	pairings_open(table, &p, NORTH, ID_INTEGER, NULL, 66, &changed);
	pairings_open(table, &p, NORTH, ID_INTEGER, NULL, 55, &changed);
	pairings_close(table, find("a/b \"c\"", "3"), &changed);
	restart();
	expect_near(find("a/b \"c\"", "1"), "\"n\\u00e9\"");
	cr_expect_str_eq(find("a/b \"c\"", "1")->reply_topic, "r/\"t\"");
	cr_expect_str_eq(find("a/b \"c\"", "1")->request.body, "{\"name\":\"n\",\"params\":1.50}");
	cr_expect_null(find("a/b \"c\"", "2")->reply_topic);
	cr_expect_null(find("a/b \"c\"", "3"));
	cr_expect_str_eq(find("a/b \"c\"", NULL)->far_id, "1");
	cr_expect_eq(pairings_next_deadline(table), 66);
	cr_expect_str_eq(ask("a/b \"c\"", "1", ID_INTEGER, 1), "4");
}

Test(pairing, bad_rows_change_nothing)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{ "counter/a", "" },
		{ "counter/a", "x" },
		{ "counter/a", "-4" },
		{ "counter/a", "{}" },
		{ "command/a/1", "" },
		{ "command/a/1", "7" },
		{ "command/a/1", "{}" },
		{ "command/a/1",
		  "{\"request\":{\"kind\":\"command\",\"device\":\"a\",\"body\":{}}}" },
#define ROW(request, caller, id, topic, deadline)                                                  \
	"{\"request\":" request ",\"caller\":" caller ",\"far_id\":" id ",\"reply_topic\":" topic  \
	",\"deadline_ms\":" deadline "}"
#define GOOD "{\"kind\":\"command\",\"device\":\"a\",\"body\":{}}"
		{ "command/a/2", ROW(GOOD, "\"south\"", "1", "null", "5") },
		{ "command/b/1", ROW(GOOD, "\"south\"", "1", "null", "5") },
		{ "command/a/1", ROW(GOOD, "\"west\"", "1", "null", "5") },
		{ "command/a/1", ROW(GOOD, "\"south\"", "null", "null", "5") },
		{ "command/a/1", ROW(GOOD, "\"south\"", "1", "5", "5") },
		{ "command/a/1", ROW(GOOD, "\"south\"", "1", "null", "\"5\"") },
		{ "command/a/1",
		  ROW("{\"device\":\"a\",\"body\":{}}", "\"south\"", "1", "null", "5") },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(pairings_restore(table, rows[i].key, rows[i].value, &e), "row %zu",
			      i);
		cr_expect_eq(e.code, ERR_CORRUPT, "row %zu", i);
	}
	cr_expect_eq(pairings_next_deadline(table), INT64_MAX);
	cr_expect(pairings_restore(table, "command/a/1", ROW(GOOD, "\"south\"", "1", "null", "5"),
				   NULL));
	cr_expect_not(pairings_restore(table, "command/a/1",
				       ROW(GOOD, "\"south\"", "1", "null", "5"), NULL));
	cr_expect_str_eq(ask("a", "1", ID_INTEGER, 1), "2", "no id of an open one is given again");
}

static size_t rows(void)
{
	size_t n = 0;

	for (size_t i = 0; i < changed.n; i++)
		n += is_last_word(i);
	return n;
}

Test(pairing, of_a_device_that_is_forgotten_nothing_is_left)
{
	ask("a", "7", ID_INTEGER, 10);
	ask("a", "8", ID_UUID, 30);
	ask("b", "7", ID_INTEGER, 20);
	cr_expect_eq(rows(), 5, "two counters");
	pairings_forget(table, "a", &changed);
	cr_expect_null(find("a", "1"));
	expect_near(find("b", "1"), "7");
	cr_expect_eq(rows(), 2);
	cr_expect_eq(pairings_next_deadline(table), 20);
	pairings_forget(table, "a", &changed);
	pairings_forget(table, "stranger", &changed);
	cr_expect_eq(rows(), 2);
	restart();
	expect_near(find("b", "1"), "7");
	cr_expect_str_eq(ask("a", "9", ID_INTEGER, 10), "1");
}

Test(pairing, beyond_ten_thousand_devices_all_others_are_counted_together)
{
	char device[16];

	for (int i = 0; i < 10000; i++) {
		snprintf(device, sizeof device, "d%d", i);
		cr_expect_str_eq(ask(device, "7", ID_INTEGER, 10), "1");
	}
	cr_expect_str_eq(ask("a", "7", ID_INTEGER, 10), "1");
	cr_expect_str_eq(ask("b", "7", ID_INTEGER, 10), "2");
	cr_expect_str_eq(ask("d5", "8", ID_INTEGER, 10), "2");
	cr_expect_str_eq(changed.items[changed.n - 2].key, "counter/d5");
	cr_expect_not_null(find("b", "2"));
	cr_expect(pairings_has_open(table, "b"));
	cr_expect_not(pairings_has_open(table, "c"));
}
