#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"

static bool is_uuid(const char *s, char version)
{
	for (size_t i = 0; i < CRYPTO_UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]) || s[i] == '\0')
			return false;
	}
	return s[CRYPTO_UUID_CHARS] == '\0' && s[14] == version && strchr("89ab", s[19]);
}

Test(crypto, token_has_letters_and_digits_and_comes_once)
{
	char tokens[50][CRYPTO_TOKEN_CHARS + 1];

	for (size_t i = 0; i < 50; i++) {
		crypto_token(tokens[i]);
		cr_expect_eq(strlen(tokens[i]), 32);
		cr_expect_eq(strspn(tokens[i],
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789"),
			     32);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(tokens[k], tokens[i]);
	}
}

Test(crypto, random_bytes_differ)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	crypto_random(a, sizeof a);
	crypto_random(b, sizeof b);
	crypto_random(NULL, 0);
	cr_expect(memcmp(a, b, sizeof a) != 0);
}

Test(crypto, random_uuids_are_version_4_and_differ)
{
	char a[CRYPTO_UUID_CHARS + 1], b[CRYPTO_UUID_CHARS + 1];

	crypto_uuid_random(a);
	crypto_uuid_random(b);
	cr_expect(is_uuid(a, '4'), "%s", a);
	cr_expect(is_uuid(b, '4'), "%s", b);
	cr_expect_str_neq(a, b);
}

Test(crypto, a_name_has_the_same_uuid_for_ever)
{
	char a[CRYPTO_UUID_CHARS + 1], b[CRYPTO_UUID_CHARS + 1];

	crypto_uuid_of("pump-7/device", a);
	crypto_uuid_of("pump-8/device", b);
	cr_expect(is_uuid(a, '5'), "%s", a);
	cr_expect_str_neq(a, b);
	/* from Python: uuid.uuid5(UUID("9f1c2b7e-53d4-4a0f-8e66-c1a70be2d915"), ...) */
	cr_expect_str_eq(a, "14b28f91-8140-590a-8734-12875bd1c955");
	crypto_uuid_of("", b);
	cr_expect_str_eq(b, "7e2d3191-bbb6-5754-a3ac-6b2c761f8657");
}

Test(crypto, hash_is_sha256_of_length_and_bytes_of_each_piece)
{
	/* from Python: hashlib.sha256((3).to_bytes(8) + b"abc" + (0).to_bytes(8)) */
	static const char want[] =
		"f5a934b5ab96157b46905e4dec48ff8175fe8926c36ec293b98c8fbd0886171b";
	const struct crypto_piece pieces[] = { { "abc", 3 }, { NULL, 0 } };
	uint8_t h[CRYPTO_HASH_BYTES];
	char text[2 * CRYPTO_HASH_BYTES + 1];

	crypto_hash(pieces, 2, h);
	for (size_t i = 0; i < sizeof h; i++)
		snprintf(text + 2 * i, 3, "%02x", h[i]);
	cr_expect_str_eq(text, want);
}

Test(crypto, hash_knows_where_a_piece_ends)
{
	const struct crypto_piece ab_c[] = { { "ab", 2 }, { "c", 1 } };
	const struct crypto_piece a_bc[] = { { "a", 1 }, { "bc", 2 } };
	uint8_t one[CRYPTO_HASH_BYTES], other[CRYPTO_HASH_BYTES];

	crypto_hash(ab_c, 2, one);
	crypto_hash(a_bc, 2, other);
	cr_expect(memcmp(one, other, sizeof one) != 0);
}

Test(crypto, texts_are_equal_only_if_they_are)
{
	cr_expect(crypto_text_equal("", ""));
	cr_expect(crypto_text_equal("s3cret", "s3cret"));
	cr_expect_not(crypto_text_equal("s3cret", "s3creT"));
	cr_expect_not(crypto_text_equal("s3cret", "s3cret "));
	cr_expect_not(crypto_text_equal("s3cret", ""));
}

Test(crypto, base64_goes_both_ways)
{
	static const struct {
		const char *plain, *coded;
	} rows[] = {
		/* RFC 4648, section 10 */
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd\xfb\xff", "//79+/8=" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = { 0 };

		buf_puts(&b, ">");
		crypto_base64_encode(&b, rows[i].plain, strlen(rows[i].plain));
		cr_expect_str_eq(buf_str(&b) + 1, rows[i].coded);
		buf_reset(&b);
		buf_puts(&b, "<");
		cr_expect(crypto_base64_decode(&b, rows[i].coded, strlen(rows[i].coded)));
		cr_expect_eq(b.len, 1 + strlen(rows[i].plain));
		cr_expect_str_eq(buf_str(&b) + 1, rows[i].plain);
		buf_fini(&b);
	}
}

Test(crypto, base64_keeps_zero_bytes_and_large_values)
{
	const size_t n = (7u << 20) + 1;
	char *zeros = mem_zalloc(n);
	struct buf coded = { 0 }, plain = { 0 };

	crypto_base64_encode(&coded, zeros, n);
	cr_assert(crypto_base64_decode(&plain, coded.data, coded.len));
	cr_expect_eq(plain.len, n);
	cr_expect(memcmp(plain.data, zeros, n) == 0);
	coded.data[(4u << 20) + 2] = '=';
	cr_expect_not(crypto_base64_decode(&plain, coded.data, coded.len));
	cr_expect_eq(plain.len, n);
	free(zeros);
	buf_fini(&coded);
	buf_fini(&plain);
}

Test(crypto, base64_refuses_what_is_not_canonical)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{ "Zg", 2 },   /* no padding */
		{ "Zg=", 3 },  /* half of it */
		{ "Zh==", 4 }, /* bits behind the end */
		{ "Zm9=", 4 }, /* likewise */
		{ "Z===", 4 },	   { "====", 4 },  { "=Zg=", 4 },     { "Zg==Zg==", 8 },
		{ "Zm9v\n", 5 },   { "\nZm9", 4 }, { " Zm9vYg=", 8 }, { "Zm9v    ", 8 },
		{ "    Zm9v", 8 }, { "-_--", 4 },  { "Zm\0v", 4 },    { "Zm9*", 4 },
		{ "Zm9\xff", 4 },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf b = { 0 };

		buf_puts(&b, "before");
		cr_expect_not(crypto_base64_decode(&b, bad[i].text, bad[i].n), "'%s'", bad[i].text);
		cr_expect_str_eq(buf_str(&b), "before");
		buf_fini(&b);
	}
}

static const uint8_t key_a[CRYPTO_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t key_b[CRYPTO_KEY_BYTES] = { 1, 2, 4 };

Test(crypto, sealed_values_open_again)
{
	static const char *texts[] = { "", "x",
				       "a longer secret, of more than one block of the cipher" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buf sealed = { 0 }, again = { 0 }, plain = { 0 };
		struct err e = { 0 };
		size_t n = strlen(texts[i]);

		cr_assert(crypto_seal(key_a, "l/m/k", texts[i], n, &sealed, &e), "%s", e.text);
		cr_assert(crypto_seal(key_a, "l/m/k", texts[i], n, &again, &e), "%s", e.text);
		cr_expect_eq(sealed.len, 12 + n + 16);
		cr_expect(memcmp(sealed.data, again.data, sealed.len) != 0, "the nonce is new");
		buf_puts(&plain, ">");
		cr_assert(crypto_open(key_a, "l/m/k", sealed.data, sealed.len, &plain, &e), "%s",
			  e.text);
		cr_expect_str_eq(buf_str(&plain) + 1, texts[i]);
		buf_fini(&sealed);
		buf_fini(&again);
		buf_fini(&plain);
	}
}

static void expect_closed(const uint8_t *key, const char *context, const char *sealed, size_t n)
{
	struct buf plain = { 0 };
	struct err e = { 0 };

	buf_puts(&plain, "before");
	cr_expect_not(crypto_open(key, context, sealed, n, &plain, &e));
	cr_expect_eq(e.code, ERR_CORRUPT, "%s", e.text);
	cr_expect_str_eq(buf_str(&plain), "before");
	buf_fini(&plain);
}

Test(crypto, sealed_values_open_with_the_same_key_place_and_bytes_only)
{
	struct buf s = { 0 };
	struct err e = { 0 };

	cr_assert(crypto_seal(key_a, "l/m/k", "secret", 6, &s, &e), "%s", e.text);
	expect_closed(key_b, "l/m/k", s.data, s.len);
	expect_closed(key_a, "l/m/K", s.data, s.len);
	expect_closed(key_a, "", s.data, s.len);
	expect_closed(key_a, "l/m/k", NULL, 0);
	for (size_t i = 0; i < s.len; i++) {
		s.data[i] = (char)(s.data[i] ^ 1);
		expect_closed(key_a, "l/m/k", s.data, s.len);
		s.data[i] = (char)(s.data[i] ^ 1);
		expect_closed(key_a, "l/m/k", s.data, i); /* cut short */
	}
	buf_fini(&s);
}
