#include <criterion/criterion.h>

#include <string.h>

#include "base/buf.h"
#include "frontdoor/payload.h"

static bool is_json(const char *text, bool lenient)
{
	struct buf scratch = { 0 };
	bool is = payload_is_json(text, strlen(text), lenient, &scratch);

	buf_fini(&scratch);
	return is;
}

Test(payload, strict_and_lenient)
{
	cr_expect(is_json("{\"a\": [1, \"]]\\\"\"]}", false));
	cr_expect(is_json("7", false));
	cr_expect_not(is_json("", false));
	cr_expect_not(is_json("{a: 1}", false));
	cr_expect(is_json("{a: 1}", true));
	cr_expect_not(is_json("{a: 1} x", true));
	cr_expect_not(is_json("\"\xff\"", false));
}

Test(payload, it_is_nested_so_deep_and_no_deeper)
{
	char deep[2 * (PAYLOAD_MAX_DEPTH + 1) + 1] = "";

	memset(deep, '[', PAYLOAD_MAX_DEPTH);
	memset(deep + PAYLOAD_MAX_DEPTH, ']', PAYLOAD_MAX_DEPTH);
	cr_expect(is_json(deep, false));
	memset(deep, '[', PAYLOAD_MAX_DEPTH + 1);
	memset(deep + PAYLOAD_MAX_DEPTH + 1, ']', PAYLOAD_MAX_DEPTH + 1);
	cr_expect_not(is_json(deep, false));
	cr_expect(is_json(
		"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
		false));
}
