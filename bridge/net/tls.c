/* tls.c -- why the context is ours and not the library's.
 *
 * libmosquitto can make one itself (mosquitto_tls_set), and then compares names itself: up to 2.0.22 it
 * takes a certificate for "localhost\0.elsewhere", and 2.0.11 one for "*.localhost".  With OpenSSL's own check
 * (set1_host, set1_ip_asc) both are refused, whatever the library; so are another host's, a
 * self-signed one, and one whose only name is its subject's (CN), which OpenSSL takes unless it is told not to.
 * Without a name OpenSSL accepts any host's, and without SSL_VERIFY_PEER, which is off by default, anybody's: both are
 * set here, and never left to a setting.  Pre-shared keys are not offered: 2.0.11 connects to any server with a
 * certificate then, without looking at it.
 *
 * One context serves all connects of all sessions with an endpoint: it holds the CA's certificates, 0.9 MB with
 * Debian's bundle.  The library takes a reference with each handle and gives it back with the handle (tried:
 * 2.0.11, 2.0.21), which is why nothing is freed in attempt.c. */
#include "net/tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* A context that somebody uses. */
struct shared {
	SLIST_ENTRY(shared) entry;
	SSL_CTX *tls;
	char *made_of;
	unsigned n_users;
};
static SLIST_HEAD(, shared) all_shared = SLIST_HEAD_INITIALIZER(all_shared);

/* Set *e to "WHAT: reason" from the first error in OpenSSL's queue (later ones only say who was
 * told), and empty the queue. */
static void set_error(struct err *e, const char *what, const char *file)
{
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);

	if (code == 0)
		reason = "unknown error";
	else if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	else if (!reason)
		reason = "OpenSSL failed";
	err_set(e, ERR_CRYPTO, "%s%s%s: %s", what, file ? " " : "", file ? file : "", reason);
	ERR_clear_error();
}

/* An encrypted key would make OpenSSL ask for the passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)ctx;
	return 0;
}

static bool load_ca(SSL_CTX *tls, const char *ca, struct err *e)
{
	struct stat st;
	int ok;

	if (!ca)
		ok = SSL_CTX_set_default_verify_paths(tls);
	else if (stat(ca, &st) == 0 && S_ISDIR(st.st_mode))
		ok = SSL_CTX_load_verify_dir(tls, ca);
	else
		ok = SSL_CTX_load_verify_file(tls, ca);
	if (ok != 1)
		set_error(e, "CA certificates", ca);
	return ok == 1;
}

static bool load_client(SSL_CTX *tls, const char *cert, const char *key, struct err *e)
{
	struct stat st;

	if (!cert && !key)
		return true;
	if (!cert || !key) {
		err_set(e, ERR_INVALID, "a client certificate needs both cert and key");
		return false;
	}
	if (stat(key, &st) == 0 && (st.st_mode & S_IROTH)) {
		err_set(e, ERR_INVALID, "key %s can be read by everyone", key);
		return false;
	}
	SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1) {
		set_error(e, "certificate", cert);
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
		set_error(e, "key", key);
		return false;
	}
	if (SSL_CTX_check_private_key(tls) != 1) {
		set_error(e, "the key does not belong to certificate", cert);
		return false;
	}
	return true;
}

/* Demand that the certificate carries `name`, a host name or an IP address. */
static bool set_name(SSL_CTX *tls, const char *name, struct err *e)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls);
	bool ok;

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	ok = *name && (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ||
		       X509_VERIFY_PARAM_set1_host(param, name, 0) == 1);
	if (!ok)
		err_set(e, ERR_INVALID, "not a name that a certificate can carry: %s", name);
	ERR_clear_error();
	return ok;
}

static _Thread_local const char *refusal;

static bool has_no_names(X509_STORE_CTX *store)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	return cert && X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) < 0;
}

static int on_verified(int ok, X509_STORE_CTX *store)
{
	int why = X509_STORE_CTX_get_error(store);

	if (ok)
		return ok;
	if ((why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH) &&
	    has_no_names(store))
		refusal = "it has no subjectAltName, and a common name (CN) is no host's";
	else
		refusal = X509_verify_cert_error_string(why);
	return ok;
}

const char *tls_take_refusal(void)
{
	const char *why = refusal;

	refusal = NULL;
	return why;
}

static SSL_CTX *make(const struct tls_conf *conf, const char *name, struct err *e)
{
	SSL_CTX *tls;

	ERR_clear_error();
	tls = SSL_CTX_new(TLS_client_method());
	if (!tls) {
		set_error(e, "TLS", NULL);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, on_verified);
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	if (load_ca(tls, conf->ca, e) && load_client(tls, conf->cert, conf->key, e) &&
	    set_name(tls, name, e))
		return tls;
	SSL_CTX_free(tls);
	return NULL;
}

/* Which file it is, as it is now. */
static void put_file(struct buf *out, const char *file)
{
	struct stat st = { 0 };

	if (!file)
		buf_puts(out, "\n-");
	else if (stat(file, &st) == 0)
		buf_printf(out, "\n%s %llu %llu %lld %lld %ld", file, (unsigned long long)st.st_dev,
			   (unsigned long long)st.st_ino, (long long)st.st_size,
			   (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	else
		buf_printf(out, "\n%s ?", file);
}

/* All that a context depends on, so that what has changed on the disk gets one of its own. */
static char *what_it_is_made_of(const struct tls_conf *conf, const char *name)
{
	const char *system = getenv(X509_get_default_cert_file_env());
	struct buf out = { 0 };

	buf_puts(&out, name);
	put_file(&out, conf->ca ? conf->ca : system ? system : X509_get_default_cert_file());
	put_file(&out, conf->cert);
	put_file(&out, conf->key);
	return buf_take(&out);
}

SSL_CTX *tls_context(const struct tls_conf *conf, const char *host, struct err *e)
{
	const char *name = conf->server_name ? conf->server_name : host;
	char *made_of = what_it_is_made_of(conf, name);
	struct shared *s;
	SSL_CTX *tls;

	SLIST_FOREACH (s, &all_shared, entry)
		if (strcmp(s->made_of, made_of) == 0)
			break;
	if (s || !(tls = make(conf, name, e))) {
		free(made_of);
		if (s)
			s->n_users++;
		return s ? s->tls : NULL;
	}
	s = mem_zalloc(sizeof *s);
	*s = (struct shared){ .tls = tls, .made_of = made_of, .n_users = 1 };
	SLIST_INSERT_HEAD(&all_shared, s, entry);
	return tls;
}

static int64_t expires_s(const X509 *certificate)
{
	struct tm tm;

	if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
		return 0;
	return timegm(&tm);
}

int64_t tls_expires_s(const SSL_CTX *tls)
{
	return expires_s(SSL_CTX_get0_certificate(tls));
}

int64_t tls_peer_expires_s(const SSL *ssl)
{
	return expires_s(SSL_get0_peer_certificate(ssl));
}

void tls_release(SSL_CTX *tls)
{
	struct shared *s;

	SLIST_FOREACH (s, &all_shared, entry)
		if (s->tls == tls)
			break;
	if (!s || --s->n_users > 0)
		return;
	SLIST_REMOVE(&all_shared, s, shared, entry);
	SSL_CTX_free(tls);
	free(s->made_of);
	free(s);
}
