/* address.h -- where the control socket of a state directory is. */
#ifndef BRIDGE_ADDRESS_H
#define BRIDGE_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_SOCKET "control.sock"

/* The address of DIR/control.sock.  A path that is too long for one (107 bytes) is spelled through
 * /proc/self/fd/N, which is good while `dir_fd`, the open directory, is. */
void address_of(const char *dir, int dir_fd, struct sockaddr_un *address);

#endif
