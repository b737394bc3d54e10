/* broker_tls.h -- TLS for the broker that measures: a certificate for 127.0.0.1 which signs itself and lives as long
 * as the process, and a socket spoken over with it. */
#ifndef BRIDGE_BROKER_TLS_H
#define BRIDGE_BROKER_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct err;

/* A new key and its certificate; the latter is written to `file`, for clients.  SSL_CTX_free() ends it.  NULL sets
 * *e: ERR_IO, ERR_CRYPTO. */
SSL_CTX *broker_tls_new(const char *file, struct err *e);
/* The server's side of a connection that was accepted; the socket stays the caller's.  SSL_free() ends it. */
SSL *broker_tls_accept(SSL_CTX *tls, int fd);
/* As recv() and send(), of a socket that does not block; the handshake is done on the way. */
ssize_t broker_tls_read(SSL *tls, char *into, size_t len);
ssize_t broker_tls_write(SSL *tls, const char *from, size_t len);

#endif
