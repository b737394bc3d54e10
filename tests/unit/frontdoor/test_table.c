#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "frontdoor/table.h"

#define KEY  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEAD "serial 7\nkey " KEY "\npacket_bytes 65536\njson lenient v1/#\nprovision /provision\n"

static struct table *table(void)
{
	struct err e = { 0 };
	struct table *t = table_new("b/calque/x", HEAD, strlen(HEAD), &e);

	cr_assert(t, "%s", e.text);
	return t;
}

static void put_row(struct buf *out, const struct table *t, const char *name, const char *token)
{
	uint8_t mac[TABLE_MAC_BYTES];

	table_mac(t, FORM_TOKEN, token, "", "", mac);
	buf_puts(out, "token device ");
	for (size_t i = 0; i < sizeof mac; i++)
		buf_printf(out, "%02x", mac[i]);
	buf_printf(out, " %s\n", name);
}

static const char *who(const struct table *t, const char *token)
{
	uint8_t mac[TABLE_MAC_BYTES];
	const struct row *row;

	table_mac(t, FORM_TOKEN, token, "", "", mac);
	row = table_find(t, mac);
	return row ? row->name : "nobody";
}

static void set(struct table *t, const struct buf *rows)
{
	struct err e = { 0 };

	cr_assert(table_set(t, rows->data, rows->len, NULL, NULL, &e), "%s", e.text);
}

/* HMAC-SHA256 of "token\0abc\0\0" under bytes 0 to 31, by Python's hmac. */
Test(table, an_hmac_is_what_others_make_of_it)
{
	static const char expected[] =
		"e692e1118b2368e107e712b95253f7d3832247d1c5d16d1be78bb4535d2be573";
	struct table *t = table();
	uint8_t mac[TABLE_MAC_BYTES];
	char hex[65];

	table_mac(t, FORM_TOKEN, "abc", "", "", mac);
	for (size_t i = 0; i < sizeof mac; i++)
		sprintf(hex + 2 * i, "%02x", mac[i]);
	cr_expect_str_eq(hex, expected);
	table_free(t);
}

Test(table, rows_come_and_go_by_device)
{
	struct table *t = table();
	struct buf rows = { 0 };

	put_row(&rows, t, "pump 1", "one");
	put_row(&rows, t, "pump 1", "other");
	put_row(&rows, t, "pump 2", "two");
	set(t, &rows);
	cr_expect_str_eq(who(t, "one"), "pump 1");
	cr_expect_str_eq(who(t, "other"), "pump 1");
	cr_expect_str_eq(who(t, "two"), "pump 2");
	cr_expect_str_eq(who(t, "three"), "nobody");
	cr_expect_eq(t->n_rows, 3);
	buf_reset(&rows);
	put_row(&rows, t, "pump 1", "new");
	set(t, &rows);
	cr_expect_str_eq(who(t, "one"), "nobody");
	cr_expect_str_eq(who(t, "new"), "pump 1");
	cr_expect_str_eq(who(t, "two"), "pump 2");
	table_remove(t, "pump 2\nnobody", 13, NULL, NULL);
	cr_expect_str_eq(who(t, "two"), "nobody");
	cr_expect_not(table_has(t, "pump 2"));
	cr_expect(table_has(t, "pump 1"));
	cr_expect_eq(t->n_rows, 1);
	buf_fini(&rows);
	table_free(t);
}

Test(table, what_is_not_understood_changes_nothing)
{
	static const char *const bad[] = {
		"token device 00 a",	    "token other " KEY " a",
		"word device " KEY " a",    "token device " KEY " ",
		"token device " KEY " a/b", "token device " KEY " @7",
		("token device " KEY),	    "",
	};
	struct table *t = table();
	struct buf rows = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		buf_reset(&rows);
		put_row(&rows, t, "pump", "one");
		buf_puts(&rows, bad[i]);
		buf_putc(&rows, '\n');
		cr_expect_not(table_set(t, rows.data, rows.len, NULL, NULL, &e), "'%s'", bad[i]);
		cr_expect_eq(t->n_rows, 0);
	}
	buf_fini(&rows);
	table_free(t);
}

Test(table, a_head_must_have_a_key)
{
	static const char *const bad[] = { "",
					   "serial 7\n",
					   "key 00\n",
					   "serial x\nkey " KEY "\n",
					   "key " KEY "\nword\n",
					   "key " KEY "\njson loose a\n",
					   "key " KEY "0\n" };
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_expect_null(table_new("b/x", bad[i], strlen(bad[i]), &e), "'%s'", bad[i]);
}

Test(table, it_says_what_is_json_and_who_may_ask_for_a_credential)
{
	struct table *t = table();

	cr_expect(table_json_rule(t, "v1/devices/me/telemetry")->is_lenient);
	cr_expect_null(table_json_rule(t, "v2/fw/request/1/chunk/0"));
	cr_expect(table_lets_provision(t, "/provision"));
	cr_expect_not(table_lets_provision(t, "v1/devices/me/telemetry"));
	table_free(t);
}

Test(table, several_are_written_and_read_back)
{
	struct table *a = table(), *b = table_new("b/other", "key " KEY, 68, NULL), *empty;
	struct buf text = { 0 }, again = { 0 }, rows = { 0 };
	struct err e = { 0 };
	struct table *read[2];
	size_t pos = 0;

	empty = table_empty("b/none");
	put_row(&rows, a, "Bơm số 7", "one");
	set(a, &rows);
	table_put(a, &text);
	table_put(empty, &text);
	table_put(b, &text);
	for (int i = 0; i < 2; i++) {
		read[i] = table_read(text.data, text.len, &pos, &e);
		cr_assert(read[i], "%s", e.text);
		table_put(read[i], &again);
	}
	cr_expect_eq(pos >= text.len, true);
	cr_expect_str_eq(again.data, text.data);
	cr_expect_str_eq(who(read[0], "one"), "Bơm số 7");
	cr_expect_eq(read[0]->serial, 7);
	cr_expect_eq(read[0]->packet_bytes, 65536);
	cr_expect_str_eq(read[1]->owner, "b/other");
	for (int i = 0; i < 2; i++)
		table_free(read[i]);
	pos = 0;
	cr_expect_null(table_read("serial 7\n", 9, &pos, &e));
	table_free(a);
	table_free(b);
	table_free(empty);
	buf_fini(&text);
	buf_fini(&again);
	buf_fini(&rows);
}
