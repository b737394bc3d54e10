#include "gate/row.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "message/vars.h"
#include "plan/plan.h"

#define HASH_DIGITS ((size_t)2 * CRYPTO_HASH_BYTES)

struct making {
	const uint8_t *key;
	const char *kind, *name;
	struct buf *out;
};

static void put(const struct making *m, const char *form, const char *a, const char *b,
		const char *c)
{
	const char *const texts[] = { form, a, b, c };
	uint8_t mac[CRYPTO_HASH_BYTES];

	crypto_hmac(m->key, texts, 4, mac);
	buf_printf(m->out, "%s %s ", form, m->kind);
	for (size_t i = 0; i < sizeof mac; i++)
		buf_printf(m->out, "%02x", mac[i]);
	buf_printf(m->out, " %s\n", m->name);
}

/* As tools print it ("AB:CD…"), as small digits.  False: it is no hash. */
static bool read_hash(const char *text, char out[HASH_DIGITS + 1])
{
	size_t n = 0;

	for (; *text; text++) {
		bool is_digit = *text >= '0' && *text <= '9',
		     is_small = *text >= 'a' && *text <= 'f';

		if (*text == ':')
			continue;
		if (n == HASH_DIGITS || !(is_digit || is_small || (*text >= 'A' && *text <= 'F')))
			return false;
		out[n++] = is_digit || is_small ? *text : (char)(*text - 'A' + 'a');
	}
	out[n] = '\0';
	return n == HASH_DIGITS;
}

/* Its own, else that of the handshake, of which no certificate comes; "": there is none.  Caller frees. */
static char *value_of(const struct gate_login *by, const char *name)
{
	const char *own = by->own ? vars_get(by->own, name) : NULL;
	struct buf text = { 0 };
	struct jslice v;

	if (own)
		return mem_strdup(own);
	if (by->issued.len && jtext_field(by->issued, name, &v) && jtext_string_decode(v, &text))
		return buf_take(&text);
	buf_fini(&text);
	return mem_strdup("");
}

static void put_usual(const struct making *m, const struct plan *plan,
		      const struct conf_session *conf, const char *device,
		      const struct gate_login *by)
{
	struct conf_session bare = *conf;
	struct session_login login;

	bare.username = bare.password = bare.client_id = NULL; /* those are calque's own */
	bare.tls.cert = NULL;
	login_make(&login, &(struct login_terms){ .plan = plan,
						  .conf = &bare,
						  .side = SOUTH,
						  .device = device,
						  .own = by->own,
						  .credentials = by->issued,
						  .instance = "" });
	if (!login.is_missing && login.password)
		put(m, "password", login.password, "", "");
	else if (!login.is_missing && login.username)
		put(m, "token", login.username, "", "");
	login_fini(&login);
}

void gate_put_rows(const struct plan *plan, const struct conf_session *conf,
		   const uint8_t key[CRYPTO_KEY_BYTES], const char *device, const char *name,
		   const struct gate_login *by, struct buf *out)
{
	const struct making m = { key, by->is_gateway ? "gateway" : "device", name, out };
	char *certificate = value_of(by, "certificate"), *id = value_of(by, "client_id"),
	     *user = value_of(by, "username"), *password = value_of(by, "password");
	char hash[HASH_DIGITS + 1];

	if (read_hash(certificate, hash))
		put(&m, "certificate", hash, "", "");
	if (*user && (*password || *id))
		put(&m, "basic", id, user, password);
	else if (*id && !*user && !*password && by->own && vars_get(by->own, "client_id"))
		put(&m, "basic", id, "", "");
	else
		put_usual(&m, plan, conf, device, by);
	mem_free_secret(certificate, strlen(certificate));
	mem_free_secret(id, strlen(id));
	mem_free_secret(user, strlen(user));
	mem_free_secret(password, strlen(password));
}

/* What the front door takes for no name, '%' and a '@' in front, which is one who provisions. */
static bool is_written(unsigned char c, bool is_first)
{
	return c < ' ' || c == 0x7f || strchr("/+#%", c) || (is_first && c == '@');
}

void gate_put_name(const char *device, struct buf *out)
{
	for (const char *p = device; *p; p++)
		if (is_written((unsigned char)*p, p == device))
			buf_printf(out, "%%%02X", (unsigned char)*p);
		else
			buf_putc(out, *p);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool gate_read_name(const char *name, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (name[i] != '%') {
			buf_putc(out, name[i]);
			continue;
		}
		if (i + 2 >= n || digit(name[i + 1]) < 0 || digit(name[i + 2]) < 0)
			return false;
		buf_putc(out, (char)(digit(name[i + 1]) << 4 | digit(name[i + 2])));
		i += 2;
	}
	return n > 0;
}
