#include "state/twin.h"

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"
#include "state/change.h"
#include "state/twin_inside.h"

static struct twins *table;
static struct changes changed;

static void set_up(void)
{
	table = twins_new();
	twins_set_awake(table, 2);
}

static void tear_down(void)
{
	twins_free(table);
	changes_fini(&changed);
}

TestSuite(twin_rest, .init = set_up, .fini = tear_down);

static void push(const char *device, const char *body)
{
	struct twin_said said = { .body = { body, strlen(body) }, .at_ms = 5000, .waits = true };
	enum twin_outcome outcome;
	struct buf text = { 0 };
	struct err e = { 0 };

	cr_assert(twins_push(table, device, &said, &changed, &outcome, &text, &e), "%s", e.text);
	buf_fini(&text);
}

static const struct twin *twin_of_device(const char *device)
{
	return map_get_str(&table->twins, device);
}

static void expect_document(const char *device, const char *wanted)
{
	struct buf text = { 0 };

	twins_document(table, device, &text);
	cr_expect_str_eq(buf_str(&text), wanted);
	buf_fini(&text);
}

Test(twin_rest, those_that_were_used_last_are_trees_and_all_others_one_text_each)
{
	push("a", "{\"changed\":{\"x\":1.50,\"y\":\"z\"}}");
	push("b", "{\"changed\":{\"x\":2}}");
	push("c", "{\"changed\":{\"x\":3}}");
	cr_expect(twins_holds(table, "c"));
	cr_expect_not_null(twin_of_device("a")->resting);
	cr_expect_null(twin_of_device("a")->doc);
	cr_expect_null(twin_of_device("a")->push->keys, "what is open rests as well");
	cr_expect_null(twin_of_device("c")->resting);
	expect_document("a", "{\"x\":1.50,\"y\":\"z\"}");
	cr_expect_null(twin_of_device("a")->resting);
	cr_expect(twins_holds(table, "c"));
	cr_expect_not_null(twin_of_device("b")->resting);
	twins_forget(table, "b", &changed);
	twins_forget(table, "a", &changed);
	cr_expect_not(twins_holds(table, "a"));
	cr_expect_not(twins_holds(table, "b"));
	cr_expect(twins_holds(table, "c"));
}

Test(twin_rest, what_is_not_saved_yet_stays_a_tree)
{
	push("a", "{\"changed\":{\"x\":1}}");
	twin_touch(twin_get(table, "a"), "x");
	push("b", "{\"changed\":{\"x\":2}}");
	push("c", "{\"changed\":{\"x\":3}}");
	push("d", "{\"changed\":{\"x\":4}}");
	cr_expect(twins_holds(table, "d"));
	cr_expect_null(twin_of_device("a")->resting);
	expect_document("b", "{\"x\":2}");
}
