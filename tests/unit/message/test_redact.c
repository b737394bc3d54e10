#include "message/redact.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "message/vars.h"

static void expect(const char *text, const char *wanted)
{
	struct vars south = { 0 }, north = { 0 };
	const struct vars *const secrets[] = { &south, &north };
	struct buf out = { 0 };

	vars_set(&south, "token", "A1_TEST", true);
	vars_set(&south, "region", "north-west", false);
	vars_set(&north, "access_key", "say \"please\"", true);
	redact_json(&out, (struct jslice){ text, strlen(text) }, secrets, 2);
	cr_expect_str_eq(buf_str(&out), wanted);
	buf_fini(&out);
	vars_fini(&south);
	vars_fini(&north);
}

Test(redact, a_key_that_sounds_like_a_secret_hides_its_value)
{
	expect("{\"t\": 1.50, \"userPassword\": \"x\", \"a\": [{\"apiToken\": {\"v\": 1}}]}",
	       "{\"t\":1.50,\"userPassword\":\"***\",\"a\":[{\"apiToken\":\"***\"}]}");
	expect("{\"client_secret\":null}", "{\"client_secret\":null}");
}

Test(redact, what_requests_say_of_keys_is_no_secret)
{
	expect("{\"sharedKeys\":\"fw\",\"key\":\"temp\",\"author\":\"me\"}",
	       "{\"sharedKeys\":\"fw\",\"key\":\"temp\",\"author\":\"me\"}");
	cr_expect(redact_names_secret("X-Key"), "of a property it may be");
	cr_expect_not(redact_names_secret("region"));
}

Test(redact, a_credential_is_found_in_any_text)
{
	expect("[\"is A1_TEST?\",{\"A1_TEST\":2},\"north-west\"]",
	       "[\"is ***?\",{\"***\":2},\"north-west\"]");
	expect("{\"x\":\"say \\\"please\\\" now\"}", "{\"x\":\"*** now\"}");
}

Test(redact, all_else_stays_as_it_is_spelled)
{
	expect("{\"a\":1e3,\"b\":\"\\u00e9\",\"c\":[],\"d\":{},\"e\":[true,null]}",
	       "{\"a\":1e3,\"b\":\"\\u00e9\",\"c\":[],\"d\":{},\"e\":[true,null]}");
}
