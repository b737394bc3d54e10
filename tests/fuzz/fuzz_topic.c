/* Topics, filters and templates: three lines, two templates and a topic. */
#include "fuzz.h"
#include "message/topic.h"
#include "message/vars.h"

static const char *look_up(void *ctx, const char *name)
{
	return vars_get(ctx, name);
}

static void match(const struct topic_template *t, const char *topic)
{
	struct buf filter = { 0 }, made = { 0 };
	struct vars captures = { 0 };
	struct err e = { 0 };

	if (topic_template_match(t, topic, &captures) && topic_name_is_valid(topic)) {
		topic_template_filter(t, &filter);
		assert(topic[0] == '$' || topic_filter_covers(buf_str(&filter), topic));
		if (topic_template_expand(t, look_up, &captures, &made, &e))
			assert(strcmp(buf_str(&made), topic) == 0);
	}
	vars_fini(&captures);
	buf_fini(&filter);
	buf_fini(&made);
}

static void compare(const struct topic_template *a, const struct topic_template *b)
{
	static const enum topic_relation mirrored[] = {
		[TOPIC_DISJOINT] = TOPIC_DISJOINT,
		[TOPIC_SAME] = TOPIC_SAME,
		[TOPIC_MORE_SPECIFIC] = TOPIC_LESS_SPECIFIC,
		[TOPIC_LESS_SPECIFIC] = TOPIC_MORE_SPECIFIC,
		[TOPIC_AMBIGUOUS] = TOPIC_AMBIGUOUS,
	};
	struct buf fa = { 0 }, fb = { 0 };
	enum topic_relation is = topic_template_compare(a, b);

	assert(topic_template_compare(b, a) == mirrored[is]);
	topic_template_filter(a, &fa);
	topic_template_filter(b, &fb);
	assert(topic_filter_overlaps(buf_str(&fa), buf_str(&fb)) ==
	       topic_filter_overlaps(buf_str(&fb), buf_str(&fa)));
	if (topic_filter_covers(buf_str(&fa), buf_str(&fb)))
		assert(topic_filter_overlaps(buf_str(&fa), buf_str(&fb)));
	buf_fini(&fa);
	buf_fini(&fb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { (const char *)data, n };
	char *first = take_line(&in), *second = take_line(&in), *topic = take_line(&in);
	struct topic_template a, b;
	struct buf text = { 0 };
	struct vars none = { 0 };
	struct err e = { 0 };

	if (topic_template_parse(&a, first, &e)) {
		topic_template_text(&a, &text);
		assert(strcmp(buf_str(&text), first) == 0);
		match(&a, topic);
		if (topic_template_parse(&b, second, &e)) {
			compare(&a, &b);
			topic_template_fini(&b);
		}
		topic_template_fini(&a);
	}
	topic_filter_covers(first, second);
	topic_filter_overlaps(first, second);
	topic_level_is_valid(first);
	buf_reset(&text);
	text_template_expand(first, look_up, &none, &text, &e);
	buf_fini(&text);
	free(first);
	free(second);
	free(topic);
	return 0;
}
