/* http_check.h -- may this request be answered?  Its host, its origin and its token.
 *
 * A page of somebody else's, in a browser on this machine, can make requests to any address: under a name that it has
 * pointed here (the host tells), or from its own (the origin does).  Pure. */
#ifndef BRIDGE_HTTP_CHECK_H
#define BRIDGE_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Is the header `Host` (NULL: there is none) an address, localhost, or one of `hosts`?  With any port or none. */
bool http_host_is_known(const char *host, char *const *hosts, size_t n);
/* Is the header `Origin` (NULL: there is none, it is no browser's doing) that of a page which came from `host`? */
bool http_origin_is_own(const char *origin, const char *host);
/* Is the header `Authorization` (NULL: there is none) "Bearer TOKEN"?  Takes as long whether it is the token or not.
 * Without a token (NULL) nothing is. */
bool http_token_is(const char *authorization, const char *token);
#endif
