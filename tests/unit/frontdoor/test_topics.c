#include <criterion/criterion.h>

#include "base/buf.h"
#include "frontdoor/topics.h"

Test(topics, a_topic_comes_back_byte_for_byte)
{
	static const char *const given[] = { "v1/devices/me/telemetry", "/provision/request", "//",
					     "a" };
	struct buf topic = { 0 }, device = { 0 };

	for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
		const char *rest = NULL;

		topics_join(&topic, DOOR_UP, "pump 7", given[i]);
		cr_expect(topics_split(topic.data, DOOR_UP, &device, &rest));
		cr_expect_str_eq(device.data, "pump 7");
		cr_expect_str_eq(rest, given[i]);
		cr_expect_not(topics_split(topic.data, DOOR_DOWN, &device, &rest));
	}
	buf_fini(&topic);
	buf_fini(&device);
}

Test(topics, what_names_no_device_is_not_split)
{
	struct buf device = { 0 };
	const char *rest = "";

	cr_expect_not(topics_split("$frontdoor/up/", DOOR_UP, &device, &rest));
	cr_expect_not(topics_split("$frontdoor/up//x", DOOR_UP, &device, &rest));
	cr_expect(topics_split("$frontdoor/up/a", DOOR_UP, &device, &rest));
	cr_expect_null(rest);
	buf_fini(&device);
}

Test(topics, names_are_levels)
{
	char longest[DOOR_MAX_NAME + 2];

	cr_expect(topics_name_is_valid("Bơm số 7"));
	cr_expect_not(topics_name_is_valid(""));
	cr_expect_not(topics_name_is_valid("a/b"));
	cr_expect_not(topics_name_is_valid("a+"));
	cr_expect_not(topics_name_is_valid("#"));
	cr_expect_not(topics_name_is_valid("@8"));
	cr_expect_not(topics_name_is_valid("a\nb"));
	cr_expect_not(topics_name_is_valid("a\xff"));
	memset(longest, 'x', sizeof longest);
	longest[DOOR_MAX_NAME + 1] = '\0';
	cr_expect_not(topics_name_is_valid(longest));
	longest[DOOR_MAX_NAME] = '\0';
	cr_expect(topics_name_is_valid(longest));
}

Test(topics, filters_match_as_mqtt_says)
{
	static const struct {
		const char *filter, *topic;
		bool is_match;
	} cases[] = {
		{ "a/+/c", "a/b/c", true },
		{ "a/+/c", "a/b/x/c", false },
		{ "a/#", "a", true },
		{ "a/#", "a/b/c", true },
		{ "a/#", "ab", false },
		{ "+/+", "/a", true },
		{ "+", "a/b", false },
		{ "#", "$frontdoor/up", false },
		{ "+/x", "$frontdoor/x", false },
		{ "$frontdoor/#", "$frontdoor/up/a", true },
		{ "a", "a/b", false },
		{ "a/b", "a", false },
		{ "", "a", false },
		{ "a/", "a/", true },
		{ "v2/fw/response/+", "v2/fw/response/1/chunk/0", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(topics_match(cases[i].filter, cases[i].topic), cases[i].is_match,
			     "filter '%s', topic '%s'", cases[i].filter, cases[i].topic);
}

Test(topics, what_is_the_front_doors_own)
{
	cr_expect(topics_is_ours("$frontdoor/#"));
	cr_expect(topics_is_ours("$share/x/$frontdoor/up/#"));
	cr_expect(topics_is_ours("$"));
	cr_expect(topics_is_ours("$/#"));
	cr_expect(topics_is_ours("$0"));
	cr_expect_not(topics_is_ours("$SYS/#"));
	cr_expect_not(topics_is_ours("$share/x/a"));
	cr_expect_not(topics_is_ours("#"));
}
