#include "conf/hostport.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define HOST_MAX_CHARS 253 /* RFC 1035 */

static bool is_host(const char *host, bool is_bracketed)
{
	struct in6_addr a;

	if (is_bracketed) {
		char address[INET6_ADDRSTRLEN + 1];
		size_t n = strcspn(host, "%"); /* a zone follows */

		if (n >= sizeof address)
			return false;
		memcpy(address, host, n);
		address[n] = '\0';
		return inet_pton(AF_INET6, address, &a) == 1;
	}
	for (const char *p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return false;
	return *host && strlen(host) <= HOST_MAX_CHARS;
}

static int port_of(const char *digits)
{
	size_t n = strspn(digits, "0123456789");

	if (n == 0 || n > 5 || digits[n] || atoi(digits) > 65535)
		return -1;
	return atoi(digits);
}

const char *hostport_split(const char *text, char **host, int *port)
{
	bool is_bracketed = text[0] == '[';
	const char *end = is_bracketed ? strchr(text, ']') : text + strcspn(text, ":");
	const char *wrong = NULL;

	*host = NULL;
	if (!end)
		return "the ] behind the IPv6 address is missing";
	*host = mem_strndup(text + is_bracketed, (size_t)(end - text) - is_bracketed);
	end += is_bracketed;
	if (!is_bracketed && *end && strchr(end + 1, ':'))
		wrong = "an IPv6 address stands in brackets: [::1]:1883";
	else if (!is_host(*host, is_bracketed))
		wrong = is_bracketed ? "no IPv6 address in the brackets" : "no host name in it";
	else if (*end && *end != ':')
		wrong = "only a port may follow the host";
	else if (*end && (*port = port_of(end + 1)) < 0)
		wrong = "the port is no number up to 65535";
	if (wrong) {
		free(*host);
		*host = NULL;
	}
	return wrong;
}

bool hostport_is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}
