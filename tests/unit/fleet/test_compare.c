#include "fleet/compare.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"

static struct compares *t;
static struct changes changes;

static void set_up(void)
{
	t = compares_new();
}

static void tear_down(void)
{
	compares_free(t);
	changes_fini(&changes);
}

TestSuite(compare, .init = set_up, .fini = tear_down);

static struct jslice slice(const char *s)
{
	return (struct jslice){ s, s ? strlen(s) : 0 };
}

/* A message of "d" with one value, received at `at_ms` and settled at `now_ms`. */
static void see(enum kind kind, const char *name, const char *value, const char *why, int64_t at_ms,
		int64_t now_ms)
{
	struct compare_device *d = compares_settle(t, "d", now_ms);

	compare_see(d,
		    &(struct compare_seen){ .kind = kind,
					    .name = slice(name),
					    .value = slice(value),
					    .received_ms = at_ms,
					    .why = why },
		    now_ms);
}

static const struct compare_key *key(size_t i)
{
	const struct compare_device *d = compares_find(t, "d");

	cr_assert(d && i < d->n_keys);
	return &d->keys[i];
}

Test(compare, what_was_read_is_what_was_acknowledged_and_what_was_dropped)
{
	see(KIND_TELEMETRY, "a", "1", NULL, 1000, 1250);
	see(KIND_TELEMETRY, "a", "2", "too-large", 2000, 2010);
	see(KIND_TELEMETRY, "a", "3", NULL, 3000, 3100);
	cr_expect_eq(key(0)->acked, 2);
	cr_expect_eq(key(0)->dropped, 1);
	cr_expect_eq(key(0)->dropped_ms, 2010);
	cr_expect_str_eq(key(0)->why, "too-large");
	cr_expect_eq(key(0)->lag_ms, 100);
	cr_expect_eq(key(0)->most_lag_ms, 250);
	cr_expect_str_eq(buf_str(&key(0)->read.text), "3");
	see(KIND_TELEMETRY, "a", "4", "mapping", 4000, 4000);
	cr_expect_str_eq(buf_str(&key(0)->read.text), "4");
	cr_expect_str_eq(buf_str(&key(0)->ack.text), "3");
	cr_expect_eq(compares_find(t, "d")->messages, 4);
	cr_expect_eq(compares_find(t, "d")->since_ms, 1250);
	cr_expect_eq(compares_find(t, "d")->last_ms, 4000);
}

Test(compare, a_name_is_another_key_in_another_kind)
{
	see(KIND_TELEMETRY, "a", "1", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "a", "1", NULL, 1, 1);
	cr_expect_eq(compares_find(t, "d")->n_keys, 2);
}

Test(compare, of_a_long_value_and_of_a_secret_only_the_hash_is_kept)
{
	struct compare_device *d = compares_settle(t, "d", 1);
	char longest[COMPARE_VALUE_MAX + 2];

	memset(longest, '7', sizeof longest - 1);
	longest[COMPARE_VALUE_MAX + 1] = '\0';
	see(KIND_TELEMETRY, "long", longest, NULL, 1, 1);
	longest[COMPARE_VALUE_MAX] = '\0';
	see(KIND_TELEMETRY, "kept", longest, NULL, 1, 1);
	compare_see(d,
		    &(struct compare_seen){ .kind = KIND_ATTRIBUTES,
					    .name = slice("pin"),
					    .value = slice("\"1234\""),
					    .is_secret = true },
		    1);
	cr_expect_eq(key(0)->read.text.len, 0);
	cr_expect_neq(key(0)->read.hash, 0);
	cr_expect_eq(key(1)->read.text.len, COMPARE_VALUE_MAX);
	cr_expect_eq(key(2)->read.text.len, 0);
	cr_expect_eq(key(2)->read.hash, compare_hash(&key(2)->ack));
}

Test(compare, more_keys_than_are_kept_are_only_counted)
{
	for (int i = 0; i < COMPARE_KEYS_MAX + 3; i++) {
		char *name = mem_printf("k%d", i);

		see(KIND_TELEMETRY, name, "1", NULL, 1, 1);
		free(name);
	}
	see(KIND_TELEMETRY, "k7", "2", NULL, 1, 1);
	cr_expect_eq(compares_find(t, "d")->n_keys, COMPARE_KEYS_MAX);
	cr_expect_eq(compares_find(t, "d")->left_out, 3);
	cr_expect_eq(key(7)->acked, 2);
}

Test(compare, a_row_is_written_once_a_minute_and_brings_all_back)
{
	struct compares *again = compares_new();
	const struct compare_key *k;
	struct err e = { 0 };

	cr_expect_eq(compares_next_deadline(t), INT64_MAX);
	see(KIND_TELEMETRY, "a\"b", "1.50", NULL, 1000, 1250);
	see(KIND_ATTRIBUTES, "o", "{\"x\":[1, 2]}", "mapping", 2000, 2000);
	see(KIND_NONE, "lost", NULL, "mapping or through", 3000, 3000);
	cr_expect_eq(compares_next_deadline(t), 1250 + COMPARE_WRITE_MS);
	cr_expect_null(compares_next_due(t, 1249 + COMPARE_WRITE_MS));
	cr_assert_str_eq(compares_next_due(t, 1250 + COMPARE_WRITE_MS), "d");
	compares_put_due(t, "d", &changes);
	cr_expect_null(compares_next_due(t, INT64_MAX));
	cr_assert_eq(changes.n, 1);
	cr_assert(compares_restore(again, changes.items[0].key, changes.items[0].value, &e), "%s",
		  e.text);
	cr_assert_eq(compares_find(again, "d")->n_keys, 3);
	cr_expect_eq(compares_find(again, "d")->messages, 3);
	k = compares_find(again, "d")->keys;
	cr_expect_str_eq(k[0].name, "a\"b");
	cr_expect_eq(k[0].lag_ms, 250);
	cr_expect_str_eq(buf_str(&k[0].ack.text), "1.50");
	cr_expect_eq(k[1].kind, KIND_ATTRIBUTES);
	cr_expect_str_eq(k[1].why, "mapping");
	cr_expect_not(k[1].ack.has);
	cr_expect_eq(k[2].kind, KIND_NONE);
	cr_expect_eq(k[2].dropped, 1);
	compares_free(again);
}

Test(compare, what_is_no_row_is_refused)
{
	struct err e = { 0 };

	cr_expect_not(compares_restore(t, "d", "{\"since_ms\":1}", &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_not(
		compares_restore(t, "d",
				 "{\"since_ms\":1,\"last_ms\":1,\"messages\":1,\"left_out\":0,"
				 "\"keys\":[{\"name\":\"a\"}]}",
				 &e));
	cr_expect_null(compares_find(t, "d"));
}

Test(compare, the_platform_has_a_value_another_or_none)
{
	struct buf names = { 0 };

	see(KIND_TELEMETRY, "t", "1", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "same", "21.0", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "spaced", "{\"a\": 1}", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "other", "\"x\"", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "none", "true", NULL, 1, 1);
	see(KIND_ATTRIBUTES, "dropped", "true", "mapping", 1, 1);
	cr_expect_eq(compare_put_attributes(compares_find(t, "d"), &names), 4);
	cr_expect_str_eq(buf_str(&names), "[\"same\",\"spaced\",\"other\",\"none\"]");
	compares_ask(t, "d", 5);
	cr_expect_eq(compares_find(t, "d")->answered_ms, 0);
	compares_answer(t, "d", slice("{\"same\":21,\"spaced\":{\"a\":1},\"other\":\"y\"}"), 6);
	cr_expect_eq(compares_find(t, "d")->answered_ms, 6);
	cr_expect_eq(key(0)->there, COMPARE_NOT_ASKED);
	cr_expect_eq(key(1)->there, COMPARE_SAME);
	cr_expect_eq(key(2)->there, COMPARE_SAME);
	cr_expect_eq(key(3)->there, COMPARE_DIFFERS);
	cr_expect_eq(key(4)->there, COMPARE_MISSING);
	cr_expect_eq(key(5)->there, COMPARE_NOT_ASKED);
	buf_fini(&names);
}

Test(compare, a_device_is_forgotten_with_its_row)
{
	see(KIND_TELEMETRY, "a", "1", NULL, 1, 1);
	compares_forget(t, "d", &changes);
	cr_expect_null(compares_find(t, "d"));
	cr_expect_eq(compares_next_deadline(t), INT64_MAX);
	cr_assert_eq(changes.n, 1);
	cr_expect_null(changes.items[0].value);
}
