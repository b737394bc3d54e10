#include "bench/broker_tls.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/err.h"

#define DAY_S 86400

static bool add_names(X509 *cert)
{
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *host =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	bool ok =
		host && X509_add_ext(cert, host, -1) == 1 &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					   (const unsigned char *)"calque bench", -1, -1, 0) == 1 &&
		X509_set_issuer_name(cert, name) == 1;

	X509_EXTENSION_free(host);
	return ok;
}

/* One that signs itself, with `key`. */
static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	bool ok = cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
		  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
		  X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
		  X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S) &&
		  X509_set_pubkey(cert, key) == 1 && add_names(cert) &&
		  X509_sign(cert, key, EVP_sha256()) > 0;

	if (ok)
		return cert;
	X509_free(cert);
	return NULL;
}

static bool write_certificate(X509 *cert, const char *file, struct err *e)
{
	FILE *f = fopen(file, "wxe");
	bool ok = f && PEM_write_X509(f, cert) == 1;

	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		err_errno(e, "%s", file);
	return ok;
}

SSL_CTX *broker_tls_new(const char *file, struct err *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? make_certificate(key) : NULL;
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	bool ok = cert && tls && SSL_CTX_use_certificate(tls, cert) == 1 &&
		  SSL_CTX_use_PrivateKey(tls, key) == 1;

	if (!ok)
		err_set(e, ERR_CRYPTO, "a certificate: %s",
			ERR_reason_error_string(ERR_get_error()));
	ok = ok && write_certificate(cert, file, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	if (!ok) {
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	return tls;
}

SSL *broker_tls_accept(SSL_CTX *tls, int fd)
{
	SSL *ssl = SSL_new(tls);
	bool ok = ssl && SSL_set_fd(ssl, fd) == 1;

	assert(ok);
	SSL_set_accept_state(ssl);
	return ssl;
}

/* What OpenSSL says, as errno says it. */
static ssize_t result(SSL *tls, int n)
{
	int why = SSL_get_error(tls, n);

	if (n > 0)
		return n;
	ERR_clear_error();
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
	return -1;
}

ssize_t broker_tls_read(SSL *tls, char *into, size_t len)
{
	return result(tls, SSL_read(tls, into, (int)len));
}

ssize_t broker_tls_write(SSL *tls, const char *from, size_t len)
{
	return result(tls, SSL_write(tls, from, (int)len));
}
