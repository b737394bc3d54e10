#include <criterion/criterion.h>

#include "conf/hostport.h"
#include "http/http_check.h"

Test(http_check, knows_addresses_and_its_own_names)
{
	char name[] = "bridge.example", *hosts[] = { name };
	static const struct {
		const char *host;
		bool is_known;
	} cases[] = {
		{ "127.0.0.1", true },
		{ "127.0.0.1:9464", true },
		{ "[::1]:9464", true },
		{ "localhost", true },
		{ "LOCALHOST:1", true },
		{ "bridge.example:80", true },
		{ "Bridge.Example", true },
		{ NULL, false },
		{ "", false },
		{ "evil.example", false },
		{ "xbridge.example", false },
		{ "bridge.example.evil.example", false },
		{ "127.0.0.1.evil.example", false },
		{ "127.0.0.1:x", false },
		{ "user@localhost", false },
		{ "localhost localhost", false },
		{ "0x7f.1", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(http_host_is_known(cases[i].host, hosts, 1), cases[i].is_known, "%s",
			     cases[i].host);
}

Test(http_check, an_origin_is_the_host_itself)
{
	cr_expect(http_origin_is_own(NULL, "localhost:1"));
	cr_expect(http_origin_is_own("http://localhost:1", "localhost:1"));
	cr_expect(http_origin_is_own("https://LOCALHOST:1", "localhost:1"));
	cr_expect_not(http_origin_is_own("http://localhost", "localhost:1"));
	cr_expect_not(http_origin_is_own("http://localhost:1.evil.example", "localhost:1"));
	cr_expect_not(http_origin_is_own("null", "localhost:1"));
	cr_expect_not(http_origin_is_own("", "localhost:1"));
	cr_expect_not(http_origin_is_own("http://x", NULL));
}

Test(http_check, only_the_whole_token_is_the_token)
{
	cr_expect(http_token_is("Bearer 0123456789abcdef", "0123456789abcdef"));
	cr_expect(http_token_is("bearer 0123456789abcdef", "0123456789abcdef"));
	cr_expect_not(http_token_is("Bearer 0123456789abcde", "0123456789abcdef"));
	cr_expect_not(http_token_is("Bearer 0123456789abcdefg", "0123456789abcdef"));
	cr_expect_not(http_token_is("Basic 0123456789abcdef", "0123456789abcdef"));
	cr_expect_not(http_token_is("Bearer ", "0123456789abcdef"));
	cr_expect_not(http_token_is(NULL, "0123456789abcdef"));
	cr_expect_not(http_token_is("Bearer x", NULL));
	cr_expect_not(http_token_is("Bearer ", NULL));
}

Test(http_check, knows_what_only_this_machine_reaches)
{
	cr_expect(hostport_is_loopback("127.0.0.1"));
	cr_expect(hostport_is_loopback("127.8.9.10"));
	cr_expect(hostport_is_loopback("::1"));
	cr_expect(hostport_is_loopback("localhost"));
	cr_expect_not(hostport_is_loopback("0.0.0.0"));
	cr_expect_not(hostport_is_loopback("::"));
	cr_expect_not(hostport_is_loopback("192.168.0.1"));
	cr_expect_not(hostport_is_loopback("bridge.example"));
}
