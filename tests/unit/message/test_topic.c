#include "message/topic.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"
#include "message/vars.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct topic_template parse(const char *text)
{
	struct topic_template t;
	struct err e = { 0 };

	cr_assert(topic_template_parse(&t, text, &e), "%s: %s", text, e.text);
	return t;
}

static const char *lookup(void *ctx, const char *name)
{
	return vars_get(ctx, name);
}

Test(topic, templates_print_as_they_were_written)
{
	static const struct {
		const char *text, *filter;
	} cases[] = {
		{ "a", "a" },
		{ "factory/{device}/temp", "factory/+/temp" },
		{ "{a}", "+" },
		{ "{a...}", "#" },
		{ "open/{k}/{rest...}", "open/+/#" },
		{ "/provision/request", "/provision/request" },
		{ "a//{_x9}/", "a//+/" },
		{ "/", "/" },
		{ "$SYS/{a}", "$SYS/+" },
		{ "m\xc3\xbc/...", "m\xc3\xbc/..." },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template t = parse(cases[i].text);
		struct buf out = { 0 };

		topic_template_text(&t, &out);
		cr_expect_str_eq(buf_str(&out), cases[i].text);
		buf_reset(&out);
		topic_template_filter(&t, &out);
		cr_expect_str_eq(buf_str(&out), cases[i].filter, "%s", cases[i].text);
		buf_fini(&out);
		topic_template_fini(&t);
	}
}

Test(topic, bad_templates_are_refused_with_the_level)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "empty" },
		{ "a/+/b", "level 2: a wildcard; write {name} or {name...}" },
		{ "#", "level 1: a wildcard; write {name} or {name...}" },
		{ "a/b+", "level 2: a wildcard; write {name} or {name...}" },
		{ "a/x{b}", "level 2: a variable must be the whole level" },
		{ "a/{b}x", "level 2: a variable must be the whole level" },
		{ "a/{b}{c}", "level 2: a variable must be the whole level" },
		{ "{", "level 1: a variable must be the whole level" },
		{ "}", "level 1: a variable must be the whole level" },
		{ "a/{b/c}", "level 2: a variable must be the whole level" },
		{ "{}", "level 1: not a name of a variable" },
		{ "{...}", "level 1: not a name of a variable" },
		{ "{1a}", "level 1: not a name of a variable" },
		{ "{a-b}", "level 1: not a name of a variable" },
		{ "{a b}", "level 1: not a name of a variable" },
		{ "{a..}", "level 1: not a name of a variable" },
		{ "{a....}", "level 1: not a name of a variable" },
		{ "{a}/b/{a}", "level 3: the same variable again" },
		{ "{a}/{a...}", "level 2: the same variable again" },
		{ "a/{b...}/c", "level 2: {name...} must be the last level" },
		{ "a/{b...}/", "level 2: {name...} must be the last level" },
		{ "a/\xff", "not a topic that MQTT can carry" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template t;
		struct err e = { 0 };

		cr_expect_not(topic_template_parse(&t, cases[i].text, &e), "%s", cases[i].text);
		cr_expect_eq(e.code, ERR_INVALID);
		cr_expect_str_eq(e.text, cases[i].want, "%s", cases[i].text);
		cr_expect_eq(t.n_levels, 0);
		topic_template_fini(&t);
	}
}

Test(topic, known_variables_become_literals)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
		{ "a/{b}/{x}/c", "a/bee/{x}/c" },
		{ "{b}", "bee" },
		{ "{rest...}", "r/s" },
		{ "a/{rest...}", "a/r/s" },
		{ "a/{b...}", "a/bee" },
		{ "a/{x...}", "a/{x...}" },
		{ "literal", "literal" },
		{ "a/{rest}", NULL },
		{ "a/{empty}", NULL },
		{ "a/{empty...}", NULL },
		{ "a/{hole...}", NULL },
		{ "a/{plus}", NULL },
		{ "a/{plus...}", NULL },
		{ "a/{hash...}", NULL },
	};
	struct vars known = { 0 };

	vars_add(&known, "b", "bee");
	vars_add(&known, "rest", "r/s");
	vars_add(&known, "empty", "");
	vars_add(&known, "hole", "a//b");
	vars_add(&known, "plus", "+");
	vars_add(&known, "hash", "a/#");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template t = parse(cases[i].text), bound;
		struct buf out = { 0 };
		struct err e = { 0 };
		bool ok = topic_template_bind(&bound, &t, &known, &e);

		topic_template_text(&bound, &out);
		cr_expect_eq(ok, cases[i].want != NULL, "%s", cases[i].text);
		cr_expect_str_eq(buf_str(&out), cases[i].want ? cases[i].want : "");
		cr_expect_eq(e.code, ok ? ERR_NONE : ERR_INVALID);
		buf_fini(&out);
		topic_template_fini(&bound);
		topic_template_fini(&t);
	}
	vars_fini(&known);
}

Test(topic, templates_match_and_capture)
{
	static const struct {
		const char *text, *topic, *want; /* captures; NULL: no match */
	} cases[] = {
		{ "factory/{d}/temp", "factory/l1/temp", "d=l1 " },
		{ "{a}/{b}", "x/y", "a=x b=y " },
		{ "a/{r...}", "a/b/c/d", "r=b/c/d " },
		{ "a/{r...}", "a/b", "r=b " },
		{ "{a}/{r...}", "x//z/", "a=x r=/z/ " },
		{ "/p/{a}", "/p/q", "a=q " },
		{ "$SYS/{a}", "$SYS/up", "a=up " },
		{ "a/b", "a/b", "" },
		{ "a/{b}", "a/", "b= " }, /* MQTT 4.7.1.3: an empty level is a level */
		{ "{a}", "", "a= " },
		{ "a/{r...}", "a", NULL }, /* one level at least */
		{ "a/{b}", "a", NULL },
		{ "a/{b}", "a/b/c", NULL },
		{ "a/b", "a/b/", NULL },
		{ "a/b", "a/bc", NULL },
		{ "a/bc", "a/b", NULL },
		{ "a/b", "/a/b", NULL },
		{ "A", "a", NULL },
		{ "{a}", "$SYS", NULL }, /* MQTT 4.7.2 */
		{ "{a...}", "$SYS/up", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template t = parse(cases[i].text);
		struct vars captures = { 0 };
		struct buf got = { 0 };
		bool ok = topic_template_match(&t, cases[i].topic, &captures);

		for (size_t k = 0; k < captures.n; k++)
			buf_printf(&got, "%s=%s ", captures.items[k].name, captures.items[k].value);
		cr_expect_eq(ok, cases[i].want != NULL, "'%s' '%s'", cases[i].text, cases[i].topic);
		cr_expect_eq(ok, topic_template_match(&t, cases[i].topic, NULL));
		cr_expect_str_eq(buf_str(&got), cases[i].want ? cases[i].want : "");
		buf_fini(&got);
		vars_fini(&captures);
		topic_template_fini(&t);
	}
}

static void expect_captured(const char *template, const char *topic, const char *name,
			    const char *wanted)
{
	struct topic_template t;
	char *found;

	cr_assert(topic_template_parse(&t, template, NULL));
	found = topic_template_capture(&t, topic, name);
	if (wanted)
		cr_expect_str_eq(found, wanted, "%s in %s", name, topic);
	else
		cr_expect_null(found, "%s in %s", name, topic);
	free(found);
	topic_template_fini(&t);
}

Test(topic, one_variable_can_be_captured)
{
	expect_captured("a/{device}/{rest...}", "a/d/x/y", "device", "d");
	expect_captured("a/{device}/{rest...}", "a/d/x/y", "rest", "x/y");
	expect_captured("a/{device}/{rest...}", "a//x", "device", "");
	expect_captured("a/{device}/{rest...}", "a/d/x", "id", NULL);
	expect_captured("a/{device}/{rest...}", "b/d/x", "device", NULL);
	expect_captured("a/{device}", "ab/d", "device", NULL);
	expect_captured("{device}", "$d", "device", NULL);
}

Test(topic, templates_expand_from_a_lookup)
{
	static const struct {
		const char *text;
		enum err_code code;
		const char *want; /* the topic, or the text of the error */
	} cases[] = {
		{ "a/{b}/c", ERR_NONE, "a/bee/c" },
		{ "{b}/{rest...}", ERR_NONE, "bee/r/s" },
		{ "/{b}", ERR_NONE, "/bee" },
		{ "$x/{b}", ERR_NONE, "$x/bee" },
		{ "a/{dollar}", ERR_NONE, "a/$SYS" },
		{ "a/{unknown}/{empty}", ERR_NOT_FOUND, "unknown" },
		{ "a/{rest}", ERR_INVALID, "the value of {rest} cannot be a topic level" },
		{ "{empty}", ERR_INVALID, "the value of {empty} cannot be a topic level" },
		{ "{empty...}", ERR_INVALID, "the value of {empty} cannot be a topic level" },
		{ "a/{wild}", ERR_INVALID, "the value of {wild} cannot be a topic level" },
		{ "a/{wild...}", ERR_INVALID, "the value of {wild} cannot be a topic level" },
		{ "a/{edge...}", ERR_INVALID, "the value of {edge} cannot be a topic level" },
		{ "a/{bad}", ERR_INVALID, "the value of {bad} cannot be a topic level" },
		{ "{dollar}/a", ERR_INVALID, "the value of {dollar} cannot be a topic level" },
	};
	struct vars known = { 0 };

	vars_add(&known, "b", "bee");
	vars_add(&known, "rest", "r/s");
	vars_add(&known, "empty", "");
	vars_add(&known, "wild", "a+");
	vars_add(&known, "edge", "a/");
	vars_add(&known, "bad", "\xff");
	vars_add(&known, "dollar", "$SYS");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template t = parse(cases[i].text);
		struct buf out = { 0 };
		struct err e = { 0 };
		bool ok;

		buf_puts(&out, "before ");
		ok = topic_template_expand(&t, lookup, &known, &out, &e);
		cr_expect_eq(ok, cases[i].code == ERR_NONE, "%s", cases[i].text);
		cr_expect_eq(e.code, cases[i].code, "%s", cases[i].text);
		cr_expect_str_eq(ok ? buf_str(&out) + 7 : e.text, cases[i].want);
		if (!ok)
			cr_expect_str_eq(buf_str(&out), "before ");
		buf_fini(&out);
		topic_template_fini(&t);
	}
	vars_fini(&known);
}

Test(topic, a_topic_longer_than_mqtt_can_carry_is_not_made)
{
	struct topic_template t = parse("{a}/{b}");
	struct buf value = { 0 }, out = { 0 };
	struct vars known = { 0 };
	struct err e = { 0 };

	for (int i = 0; i < 40000; i++)
		buf_putc(&value, 'x');
	vars_add(&known, "a", value.data);
	vars_add(&known, "b", value.data);
	cr_expect_not(topic_template_expand(&t, lookup, &known, &out, &e));
	cr_expect_eq(e.code, ERR_INVALID);
	cr_expect_eq(out.len, 0);
	vars_fini(&known);
	buf_fini(&value);
	buf_fini(&out);
	topic_template_fini(&t);
}

Test(topic, templates_compare_level_by_level)
{
	static const struct {
		const char *a, *b;
		enum topic_relation want;
	} cases[] = {
		{ "a/b", "a/b", TOPIC_SAME },
		{ "a/{x}", "a/{y}", TOPIC_SAME },
		{ "a/{x...}", "a/{y...}", TOPIC_SAME },
		{ "a/b", "a/{x}", TOPIC_MORE_SPECIFIC },
		{ "a/{x}", "a/{x...}", TOPIC_MORE_SPECIFIC },
		{ "a/b", "{x...}", TOPIC_MORE_SPECIFIC },
		{ "a/b/{x...}", "a/{x...}", TOPIC_MORE_SPECIFIC },
		{ "a/{x}/c", "a/{x...}", TOPIC_MORE_SPECIFIC },
		{ "a/", "a/{x}", TOPIC_MORE_SPECIFIC },
		{ "/a", "{x}/a", TOPIC_MORE_SPECIFIC },
		{ "a/{x}/c", "a/b/{y}", TOPIC_AMBIGUOUS },
		{ "{x}/b", "a/{y}", TOPIC_AMBIGUOUS },
		{ "{x}/b/c", "a/{y...}", TOPIC_AMBIGUOUS },
		{ "{x}/{y...}", "{x...}", TOPIC_MORE_SPECIFIC },
		{ "a/b", "a/c", TOPIC_DISJOINT },
		{ "a", "a/b", TOPIC_DISJOINT },
		{ "a", "a/{x}", TOPIC_DISJOINT },
		{ "a", "a/{x...}", TOPIC_DISJOINT },
		{ "a/{x}", "a/{x}/c", TOPIC_DISJOINT },
		{ "a/{x}/c", "{y}/b/d", TOPIC_DISJOINT },
		{ "/a", "a", TOPIC_DISJOINT },
		{ "$SYS/a", "{x}/a", TOPIC_DISJOINT }, /* MQTT 4.7.2 */
		{ "$SYS/a", "{x...}", TOPIC_DISJOINT },
		{ "$SYS/a", "$SYS/{x}", TOPIC_MORE_SPECIFIC },
	};
	static const enum topic_relation turned[] = {
		[TOPIC_DISJOINT] = TOPIC_DISJOINT,
		[TOPIC_SAME] = TOPIC_SAME,
		[TOPIC_MORE_SPECIFIC] = TOPIC_LESS_SPECIFIC,
		[TOPIC_LESS_SPECIFIC] = TOPIC_MORE_SPECIFIC,
		[TOPIC_AMBIGUOUS] = TOPIC_AMBIGUOUS,
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct topic_template a = parse(cases[i].a), b = parse(cases[i].b);

		cr_expect_eq(topic_template_compare(&a, &b), cases[i].want, "'%s' '%s'", cases[i].a,
			     cases[i].b);
		cr_expect_eq(topic_template_compare(&b, &a), turned[cases[i].want], "'%s' '%s'",
			     cases[i].b, cases[i].a);
		topic_template_fini(&a);
		topic_template_fini(&b);
	}
}

Test(topic, filters_match_names)
{
	static const struct {
		const char *filter, *topic;
		bool want;
	} cases[] = {
		{ "a/b", "a/b", true },
		{ "a/+/c", "a/b/c", true },
		{ "a/+/c", "a/b/x/c", false },
		{ "a/+", "a", false },
		{ "a/+", "a/", true },
		{ "a/#", "a", true }, /* MQTT 4.7.1.2: the parent too */
		{ "a/#", "a/b/c", true },
		{ "a/#", "ab", false },
		{ "#", "a/b", true },
		{ "#", "/", true },
		{ "+", "a", true },
		{ "+", "/a", false },
		{ "/+", "/a", true },
		{ "+/+", "/a", true }, /* an empty level is a level */
		{ "+/#", "a", true },
		{ "#", "$SYS/up", false }, /* MQTT 4.7.2 */
		{ "+/up", "$SYS/up", false },
		{ "$SYS/#", "$SYS/up", true },
		{ "$SYS/+", "$SYS/up", true },
		{ "a/$b", "a/$b", true },
		{ "a/+", "a/$b", true },
		{ "a", "A", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(topic_filter_covers(cases[i].filter, cases[i].topic), cases[i].want,
			     "'%s' '%s'", cases[i].filter, cases[i].topic);
}

Test(topic, filters_cover_filters)
{
	static const struct {
		const char *a, *b;
		bool want, overlaps;
	} cases[] = {
		{ "a/b", "a/b", true, true },	    { "a/+", "a/b", true, true },
		{ "a/b", "a/+", false, true },	    { "a/#", "a/+", true, true },
		{ "a/+", "a/#", false, true },	    { "a/#", "a", true, true },
		{ "a/#", "a/b/#", true, true },	    { "a/b/#", "a/#", false, true },
		{ "a/+/#", "a/#", false, true }, /* not the parent */
		{ "a/+/#", "a", false, false },	    { "a/+/#", "a/b", true, true },
		{ "#", "+/#", true, true },	    { "+/#", "#", true, true },
		{ "#", "#", true, true },	    { "+", "#", false, true },
		{ "a/+/c", "+/b/c", false, true },  { "a/+/c", "+/b/d", false, false },
		{ "a/+", "a/+/c", false, false },   { "a", "b", false, false },
		{ "a", "a/b", false, false },	    { "a", "a/#", false, true },
		{ "#", "$SYS/#", false, false },    { "+/a", "$SYS/a", false, false },
		{ "$SYS/#", "$SYS/a", true, true }, { "/a", "+/a", false, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *a = cases[i].a, *b = cases[i].b;

		cr_expect_eq(topic_filter_covers(a, b), cases[i].want, "'%s' '%s'", a, b);
		cr_expect_eq(topic_filter_overlaps(a, b), cases[i].overlaps, "'%s' '%s'", a, b);
		cr_expect_eq(topic_filter_overlaps(b, a), cases[i].overlaps, "'%s' '%s'", b, a);
	}
}

/* Number `n` as a text of up to three levels out of `words`; false if there are not so many. */
static bool nth_text(unsigned n, const char *const *words, unsigned n_words, char *out)
{
	unsigned levels = 1, count = n_words;

	for (; n >= count; levels++, count *= n_words)
		n -= count;
	*out = '\0';
	for (unsigned i = 0; i < levels; i++, n /= n_words) {
		if (i)
			strcat(out, "/");
		strcat(out, words[n % n_words]);
	}
	return levels <= 3;
}

static bool is_filter(const char *text)
{
	const char *hash = strchr(text, '#');

	return *text && (!hash || !hash[1]);
}

/* What two filters have to do with each other, asked of every topic of up to three levels. */
static void ask_topics(const char *a, const char *b, bool *covers, bool *overlaps)
{
	static const char *const words[] = { "a", "b", "$s", "" };
	char topic[16];

	*covers = true;
	*overlaps = false;
	for (unsigned n = 0; nth_text(n, words, COUNT(words), topic); n++) {
		bool in_a = topic_filter_covers(a, topic), in_b = topic_filter_covers(b, topic);

		*overlaps |= *topic && in_a && in_b;
		*covers &= !*topic || in_a || !in_b;
	}
}

Test(topic, covering_and_overlapping_agree_with_matching)
{
	static const char *const words[] = { "a", "$s", "+", "#" };
	char a[16], b[16];
	bool covers, overlaps;

	for (unsigned n = 0; nth_text(n, words, COUNT(words), a); n++)
		for (unsigned m = 0; nth_text(m, words, COUNT(words), b); m++) {
			if (!is_filter(a) || !is_filter(b))
				continue;
			ask_topics(a, b, &covers, &overlaps);
			cr_expect_eq(topic_filter_overlaps(a, b), overlaps, "'%s' '%s'", a, b);
			/* Topics of four levels and more are not asked: "+/+/+" seems to cover "#". */
			if (topic_filter_covers(a, b))
				cr_expect(covers, "'%s' '%s'", a, b);
			else if (strchr(a, '#') || !strchr(b, '#'))
				cr_expect_not(covers, "'%s' '%s'", a, b);
		}
}

Test(topic, names_are_checked)
{
	struct buf longest = { 0 };

	cr_expect(topic_name_is_valid("a/b"));
	cr_expect(topic_name_is_valid("/"));
	cr_expect(topic_name_is_valid("a//b/"));
	cr_expect(topic_name_is_valid("$SYS/\xe6\xb8\xa9 x"));
	cr_expect_not(topic_name_is_valid(""));
	cr_expect_not(topic_name_is_valid("a/+"));
	cr_expect_not(topic_name_is_valid("a#"));
	cr_expect_not(topic_name_is_valid("a/\xed\xa0\x80"));
	for (int i = 0; i < 65535; i++)
		buf_putc(&longest, 'a');
	cr_expect(topic_name_is_valid(longest.data));
	buf_putc(&longest, 'a');
	cr_expect_not(topic_name_is_valid(longest.data));
	buf_fini(&longest);
}

Test(topic, levels_are_checked)
{
	cr_expect(topic_level_is_valid("a b$"));
	cr_expect_not(topic_level_is_valid(""));
	cr_expect_not(topic_level_is_valid("a/b"));
	cr_expect_not(topic_level_is_valid("a+"));
	cr_expect_not(topic_level_is_valid("#"));
	cr_expect_not(topic_level_is_valid("\xc3"));
}

Test(topic, text_templates_are_filled_in)
{
	static const struct {
		const char *text;
		enum err_code code;
		const char *want;
	} cases[] = {
		{ "", ERR_NONE, "" },
		{ "plain", ERR_NONE, "plain" },
		{ "{b}", ERR_NONE, "bee" },
		{ "x{b}y{rest}{b}z", ERR_NONE, "xbeeyr/sbeez" },
		{ "{empty}", ERR_NONE, "" },
		{ "{\"a\":{1}} {} { b } {b", ERR_NONE, "{\"a\":{1}} {} { b } {b" },
		{ "{{b}}", ERR_NONE, "{bee}" },
		{ "{b...}", ERR_NONE, "{b...}" },
		{ "{b}{nobody}", ERR_NOT_FOUND, "nobody" },
	};
	struct vars known = { 0 };

	vars_add(&known, "b", "bee");
	vars_add(&known, "rest", "r/s");
	vars_add(&known, "empty", "");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };
		struct err e = { 0 };
		bool ok;

		buf_puts(&out, "before ");
		ok = text_template_expand(cases[i].text, lookup, &known, &out, &e);
		cr_expect_eq(e.code, cases[i].code, "%s", cases[i].text);
		cr_expect_str_eq(ok ? buf_str(&out) + 7 : e.text, cases[i].want);
		if (!ok)
			cr_expect_str_eq(buf_str(&out), "before ");
		buf_fini(&out);
	}
	vars_fini(&known);
}

Test(topic, wildcards_of_a_filter_are_levels_of_their_own)
{
	static const char *const valid[] = { "a", "+", "#", "a/+/b", "+/+/#", "/", "a//#" };
	static const char *const invalid[] = { "", "a+", "#/a", "a/b#", "a/#/c", "+a/#" };

	for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
		cr_expect(topic_filter_is_valid(valid[i]), "%s", valid[i]);
	for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
		cr_expect_not(topic_filter_is_valid(invalid[i]), "%s", invalid[i]);
}

Test(topic, variables_of_a_text_template_are_listed)
{
	struct buf name = { 0 };
	size_t pos = 0;

	while (text_template_next("{a}{ {b_1} {2} {c}x", &pos, &name))
		buf_putc(&name, ' ');
	cr_expect_str_eq(buf_str(&name), "a b_1 c ");
	buf_fini(&name);
}

Test(topic, has_the_variables_that_it_names)
{
	struct topic_template t;

	cr_assert(topic_template_parse(&t, "id/{device}/{rest...}", NULL));
	cr_expect(topic_template_has(&t, "device"));
	cr_expect(topic_template_has(&t, "rest"));
	cr_expect_not(topic_template_has(&t, "id"));
	topic_template_fini(&t);
	cr_expect(text_template_has("a-{x}{id}", "id"));
	cr_expect_not(text_template_has("id {ids} {i}", "id"));
}
