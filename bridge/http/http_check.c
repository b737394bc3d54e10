#include "http/http_check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "conf/hostport.h"

static bool is_address(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1;
}

bool http_host_is_known(const char *host, char *const *hosts, size_t n)
{
	char *name = NULL;
	int port;
	bool is_known;

	if (!host || hostport_split(host, &name, &port) != NULL)
		return false;
	is_known = is_address(name) || strcasecmp(name, "localhost") == 0;
	for (size_t i = 0; i < n && !is_known; i++)
		is_known = strcasecmp(name, hosts[i]) == 0;
	free(name);
	return is_known;
}

bool http_origin_is_own(const char *origin, const char *host)
{
	static const char *const schemes[] = { "http://", "https://" }; /* the second of a proxy */

	if (!origin)
		return true;
	for (size_t i = 0; host && i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(origin, schemes[i], n) == 0 && strcasecmp(origin + n, host) == 0)
			return true;
	}
	return false;
}

bool http_token_is(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer ";

	return authorization && token &&
	       strncasecmp(authorization, scheme, sizeof scheme - 1) == 0 &&
	       crypto_text_equal(authorization + sizeof scheme - 1, token);
}
