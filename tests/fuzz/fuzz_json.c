/* JSON, strict and lenient, and messages as JSON. */
#include "fuzz.h"
#include "message/message.h"
#include "message/side.h"
#include "message/wire_json.h"

static bool is_nothing(void *ctx, struct jslice number)
{
	(void)ctx;
	return number.len > 0;
}

static void walk(struct jslice v)
{
	struct buf text = { 0 };
	struct jslice element;
	struct jfield f;
	size_t pos = 0;
	int64_t n;

	switch (jtext_type_of(v)) {
	case JTEXT_OBJECT:
		while (jtext_next_field(v, &pos, &f)) {
			assert(jtext_string_decode(f.key, &text) || text.len == 0);
			walk(f.value);
		}
		break;
	case JTEXT_ARRAY:
		while (jtext_next_element(v, &pos, &element))
			walk(element);
		break;
	case JTEXT_STRING:
		jtext_string_decode(v, &text);
		break;
	default:
		jtext_integer(v, &n);
	}
	buf_fini(&text);
}

/* What was read is JSON, and all that holds of that. */
static void check(struct buf *read)
{
	struct jslice all = { read->data, read->len };
	struct buf again = { 0 }, written = { 0 };
	struct err e = { 0 };
	json_object *tree;

	assert(jtext_read(read->data, read->len, false, &again, &e));
	assert(again.len == read->len && memcmp(again.data, read->data, read->len) == 0);
	assert(jtext_each_lost_number(all, is_nothing, NULL));
	assert(jtext_keeps_numbers(all, all));
	walk(all);
	tree = jtext_tree(read->data, read->len, &e);
	if (tree) {
		jtext_tree_put(&written, tree);
		buf_reset(&again);
		assert(jtext_read(written.data, written.len, false, &again, &e));
	}
	json_object_put(tree);
	buf_fini(&written);
	buf_fini(&again);
}

static void take_message(struct buf *read)
{
	struct jslice all = { read->data, read->len };
	struct buf line = { 0 };
	struct err e = { 0 };
	struct message m;

	if (jtext_type_of(all) != JTEXT_OBJECT)
		return;
	if (wire_json_take(all, &m, &e)) {
		wire_json_put(&line, NORTH, &m);
		message_fini(&m);
	}
	buf_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf strict = { 0 }, lenient = { 0 };
	const char *text = (const char *)data;
	struct err e = { 0 };
	bool is_strict = jtext_read(text, n, false, &strict, &e);
	bool is_lenient = jtext_read(text, n, true, &lenient, &e);

	assert(is_lenient || !is_strict);
	if (is_lenient)
		check(&lenient);
	if (is_strict)
		take_message(&strict);
	buf_fini(&strict);
	buf_fini(&lenient);
	return 0;
}
