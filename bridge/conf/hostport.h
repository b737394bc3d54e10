/* hostport.h -- "HOST[:PORT]" and "[IPV6][:PORT]", as urls and addresses to listen on have them. */
#ifndef BRIDGE_HOSTPORT_H
#define BRIDGE_HOSTPORT_H

#include <stdbool.h>

/* Split `text`: *host is new (caller frees), without brackets; *port, 0..65535, stays where there is
 * none.  NULL, or what is wrong with it, and then *host is NULL.  That never quotes the text:
 * somebody may have put a password into it. */
const char *hostport_split(const char *text, char **host, int *port);
/* Is this an address of this machine alone?  "localhost" is. */
bool hostport_is_loopback(const char *host);

#endif
