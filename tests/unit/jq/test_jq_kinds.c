#include <criterion/criterion.h>

#include <string.h>

#include "jq/jq_kinds.h"
#include "message/kind.h"

#define BIT(constant) (UINT64_C(1) << KIND_##constant)

static uint64_t named(const char *text)
{
	return jq_kinds_named(text, strlen(text));
}

Test(jq_kinds, functions_that_say_no_kind_give_that_of_their_row)
{
	cr_expect_eq(named("def f: { body: { type: \"event\" } };"), 0);
	cr_expect_eq(named("module { messages: [{ kind: \"event\" }] }; def f: .;"), 0);
	cr_expect_eq(named(""), 0);
}

Test(jq_kinds, where_a_kind_is_said_all_its_names_count)
{
	cr_expect_eq(named("module { a: { kind: \"alarm\" } }; def f: { kind: \"event\" };"),
		     BIT(EVENT));
	cr_expect_eq(named("def f: .kind = (if .x then \"raw\" else \"event\" end);"),
		     BIT(EVENT) | BIT(RAW));
	cr_expect_eq(named("def f: \"alarm\" as $kind | { $kind };"), BIT(ALARM));
	cr_expect_eq(named("def f: { \"kind\": \"event\" };"), BIT(EVENT));
}

Test(jq_kinds, what_is_only_compared_with_does_not_count)
{
	cr_expect_eq(named("def f: if .request.kind == \"alarm\" then . else empty end;"), 0);
}
