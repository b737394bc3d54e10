#include "net/address.h"

#include <stdio.h>
#include <string.h>

void address_of(const char *dir, int dir_fd, struct sockaddr_un *address)
{
	size_t n = sizeof address->sun_path;

	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if ((size_t)snprintf(address->sun_path, n, "%s/" ADDRESS_SOCKET, dir) >= n)
		snprintf(address->sun_path, n, "/proc/self/fd/%d/" ADDRESS_SOCKET, dir_fd);
}
