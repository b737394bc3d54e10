/* What comes to a front door from outside: a device's topic and payload, a bridge's head, rows and filters, and the
 * file of tables.  Six lines, and the rest is rows. */
#include "fuzz.h"

#include "frontdoor/payload.h"
#include "frontdoor/table.h"
#include "frontdoor/topics.h"

static void check_topic(const char *name, const char *topic, const char *filter)
{
	struct buf joined = { 0 }, device = { 0 };
	const char *rest = NULL;

	if (topics_name_is_valid(name)) {
		topics_join(&joined, DOOR_UP, name, topic);
		assert(topics_split(joined.data, DOOR_UP, &device, &rest));
		assert(strcmp(device.data, name) == 0 && strcmp(rest ? rest : "", topic) == 0);
		assert(topics_match(joined.data, joined.data) || strpbrk(topic, "+#"));
		assert(!topics_match("#", joined.data));
	}
	if (topics_match(filter, topic) && topic[0] != '$')
		assert(topics_match("#", topic));
	topics_split(topic, DOOR_DOWN, &device, &rest);
	topics_is_ours(filter);
	buf_fini(&joined);
	buf_fini(&device);
}

static void count_touched(void *n, const char *name)
{
	assert(topics_name_is_valid(name));
	++*(size_t *)n;
}

/* A table is what it says of itself. */
static void check_copy(const struct table *t)
{
	struct buf text = { 0 }, again = { 0 };
	struct err e = { 0 };
	size_t pos = 0;
	struct table *copy;

	table_put(t, &text);
	copy = table_read(text.data, text.len, &pos, &e);
	assert(copy && pos >= text.len && copy->n_rows == t->n_rows);
	table_put(copy, &again);
	assert(again.len == text.len);
	table_free(copy);
	buf_fini(&text);
	buf_fini(&again);
}

static void check_table(const char *head, const char *removed, const char *rows, size_t n)
{
	struct err e = { 0 };
	struct table *t = table_new("b/x/y", head, strlen(head), &e);
	size_t touched = 0;

	if (!t) {
		static const char key[] =
			"key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

		t = table_new("b/x/y", key, strlen(key), NULL);
	}
	if (table_set(t, rows, n, count_touched, &touched, &e))
		assert(t->n_rows == touched);
	else
		assert(t->n_rows == 0);
	table_json_rule(t, removed);
	table_lets_provision(t, removed);
	check_copy(t);
	table_remove(t, removed, strlen(removed), NULL, NULL);
	table_remove(t, rows, n, NULL, NULL);
	table_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { (const char *)data, n };
	char *name = take_line(&in), *topic = take_line(&in), *filter = take_line(&in);
	char *head = take_line(&in), *removed = take_line(&in);
	struct buf scratch = { 0 };
	struct err e = { 0 };
	size_t pos = 0;

	for (char *p = head; *p; p++)
		if (*p == '\t')
			*p = '\n';
	check_topic(name, topic, filter);
	check_table(head, removed, in.p, in.left);
	payload_is_json(in.p, in.left, true, &scratch);
	if (payload_is_json(in.p, in.left, false, &scratch))
		assert(payload_is_json(in.p, in.left, true, &scratch));
	table_free(table_read((const char *)data, n, &pos, &e));
	buf_fini(&scratch);
	free(name);
	free(topic);
	free(filter);
	free(head);
	free(removed);
	return 0;
}
