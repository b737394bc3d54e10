/* tls.h -- one verifying SSL_CTX per endpoint, shared by all sessions with it.  Loop thread only.
 *
 * The peer's certificate must chain to the CA and carry the host's name.  TLS 1.2 at least. */
#ifndef BRIDGE_TLS_H
#define BRIDGE_TLS_H

#include <stdint.h>

#include <openssl/ssl.h>

struct err;

struct tls_conf {
	const char *ca;		 /* PEM file or directory; NULL: the system's */
	const char *cert, *key;	 /* PEM files of a client certificate; NULL: none */
	const char *server_name; /* the name the certificate must carry; NULL: the url's host */
};

/* The context for `host` (a name or an IP address): one that is in use, if that was made of the same files as they
 * are now, else a new one.  NULL sets *e with the file and OpenSSL's reason.  A world-readable key file is
 * ERR_INVALID.  Caller ends it with tls_release(). */
SSL_CTX *tls_context(const struct tls_conf *conf, const char *host, struct err *e);
/* When its client certificate expires, epoch seconds; 0: it has none. */
int64_t tls_expires_s(const SSL_CTX *tls);
/* When the certificate expires that the peer showed, epoch seconds; 0: it has shown none. */
int64_t tls_peer_expires_s(const SSL *ssl);
void tls_release(SSL_CTX *tls); /* NULL is allowed */

/* Why OpenSSL refused a peer's certificate in this thread since the last call, in its words; NULL:
 * it refused none.  (Whoever drives the handshake may free its SSL before it can be asked.) */
const char *tls_take_refusal(void);

#endif
