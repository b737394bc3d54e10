#include "store/history.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/db.h"
#include "store/state.h"

static char top[] = "/tmp/calque-history-XXXXXX";
static struct db *db;

static void set_up(void)
{
	struct err e = { 0 };

	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chmod(top, 0700), 0);
	db = db_open(top, NULL, &e);
	cr_assert(db, "%s", e.text);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(history, .init = set_up, .fini = tear_down);

static void add(const char *device, const char *note)
{
	struct err e = { 0 };

	cr_assert(history_add(db, "l", device, note, &e), "%s", e.text);
}

static void commit(void)
{
	struct err e = { 0 };

	cr_assert(db_commit(db, &e), "%s", e.text);
}

struct found {
	size_t n;
	int64_t repeats;
	char first[64], last[64];
};

static void on_entry(void *ctx, const struct history_entry *entry)
{
	struct found *f = ctx;

	if (f->n++ == 0)
		snprintf(f->first, sizeof f->first, "%s", entry->note);
	snprintf(f->last, sizeof f->last, "%s", entry->note);
	f->repeats = entry->n;
	cr_expect_gt(entry->first_ms, 0);
	cr_expect_geq(entry->last_ms, entry->first_ms);
}

static struct found find(const char *device)
{
	struct found f = { 0 };
	struct err e = { 0 };

	cr_assert(history_each(db, "l", device, on_entry, &f, &e), "%s", e.text);
	return f;
}

Test(history, what_repeats_is_counted)
{
	struct found f;

	add("pump", "a");
	add("fan", "a");
	add("pump", "b");
	add("pump", "b");
	add("pump", "b");
	commit();
	f = find("pump");
	cr_expect_eq(f.n, 2);
	cr_expect_eq(f.repeats, 3);
	cr_expect_str_eq(f.first, "a");
	cr_expect_eq(find("fan").n, 1);
	cr_expect_eq(find("nobody").n, 0);
}

Test(history, of_a_device_the_newest_hundred_are_kept)
{
	struct found f;
	char note[16];

	add("fan", "old");
	for (int i = 0; i < HISTORY_OF_DEVICE + 20; i++) {
		snprintf(note, sizeof note, "%d", i);
		add("pump", note);
	}
	commit();
	f = find("pump");
	cr_expect_eq(f.n, HISTORY_OF_DEVICE);
	cr_expect_str_eq(f.first, "20");
	cr_expect_str_eq(f.last, "119");
	cr_expect_eq(find("fan").n, 1, "another device's stay");
}

Test(history, in_all_the_oldest_go_first)
{
	struct err e = { 0 };
	char note[16];

	for (int i = 0; i < HISTORY_OF_DEVICE + 20; i++) {
		snprintf(note, sizeof note, "%d", i);
		add("pump", note); /* so that numbers and entries are not as many */
	}
	add("fan", "x");
	cr_assert(history_evict(db, 11, &e), "%s", e.text);
	commit();
	cr_expect_eq(find("pump").n, 10);
	cr_expect_eq(find("fan").n, 1);
	cr_assert(history_evict(db, 11, &e), "%s", e.text);
	cr_expect_eq(find("pump").n, 10, "there are not too many");
}

Test(history, notes_are_written_with_the_changes_that_they_are_about)
{
	struct changes c = { 0 };
	struct err e = { 0 };
	struct found f;

	changes_put(&c, "fleet", "pump", "{}", false);
	changes_note(&c, "pump", "ada", "mode", "live");
	cr_assert(state_apply(db, "l", &c, &e), "%s", e.text);
	commit();
	changes_delete(&c, "fleet", "pump");
	cr_assert(state_apply(db, "l", &c, &e), "%s", e.text);
	commit();
	changes_fini(&c);
	f = find("pump");
	cr_expect_eq(f.n, 1, "what was told stays when the device is forgotten");
	cr_expect_eq(f.repeats, 2);
	cr_expect_str_eq(f.first, "{\"who\":\"ada\",\"what\":\"mode\",\"answer\":\"live\"}");
}
