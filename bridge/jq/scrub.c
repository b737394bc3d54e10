#include "jq/scrub.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

struct scrub {
	struct map words;  /* the values say nothing */
	struct buf learnt; /* each once, with a blank behind */
};

/* The words of the messages that libjq 1.6 to 1.8 make (execute.c, builtin.c, jv_aux.c, jv_parse.c). */
static const char jq_words[] =
	"Cannot cannot check whether has key delete element elements of array arrays field "
	"fields object objects from index indices over iterate update at use as with and is "
	"are be not an in for to by on or no the must may can have null boolean string "
	"strings number numbers Object Objects keys value values valid invalid Invalid "
	"format modifier added subtracted multiplied divided because divisor zero sorted "
	"grouped compared parsed matched match it regex offset flags date does csv row tsv "
	"escaped shell base64 decoded only their containment checked contained Comparison "
	"Equality merge too deep large long String Path Paths path paths expression result "
	"near attempt access through specified Out bounds negative integer integers Range "
	"numeric Start start end End slice Repeat parsing line column literal Unexpected "
	"unexpected extra JSON text term Unfinished abandoned EOF Exceeds exceeds depth "
	"limit nested Expected another pair separator between control characters codepoint "
	"codepoints implode explode input inputs broken down time requires break label error "
	"function Function arguments name unknown type splits test capture join range split "
	"strptime strftime mktime gmtime tonumber tostring tojson fromjson todate fromdate "
	"ltrimstr rtrimstr flatten length min max sort group unique contains inside "
	"startswith endswith getpath setpath delpaths out undefined divide non";

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '\'' || (unsigned char)c >= 0x80;
}

/* Numbers, and single letters out of a source, tell too much of a payload. */
static bool may_learn(const char *word, size_t len)
{
	return len >= 2 && !(word[0] >= '0' && word[0] <= '9');
}

static bool is_known(const struct scrub *s, const char *word, size_t len)
{
	return map_get(&s->words, word, len) != NULL;
}

static void learn(struct scrub *s, const char *word, size_t len)
{
	if (map_set(&s->words, word, len, s))
		return;
	buf_append(&s->learnt, word, len);
	buf_putc(&s->learnt, ' ');
}

static size_t word_length(const char *p, const char *end)
{
	const char *q = p;

	while (q < end && is_word(*q))
		q++;
	return (size_t)(q - p);
}

void scrub_learn(struct scrub *s, const char *text, size_t len)
{
	const char *end = text + len;

	for (const char *p = text; p < end;) {
		size_t n = word_length(p, end);

		if (may_learn(p, n))
			learn(s, p, n);
		p += n ? n : 1;
	}
}

const char *scrub_learnt(const struct scrub *s)
{
	return buf_str(&s->learnt);
}

bool scrub_knows(const struct scrub *s, const char *word)
{
	return is_known(s, word, strlen(word));
}

struct scrub *scrub_new(void)
{
	struct scrub *s = mem_zalloc(sizeof *s);

	scrub_learn(s, jq_words, strlen(jq_words));
	buf_reset(&s->learnt);
	map_set_str(&s->words, "a", s); /* an article too */
	return s;
}

void scrub_free(struct scrub *s)
{
	if (!s)
		return;
	map_fini(&s->words, NULL);
	buf_fini(&s->learnt);
	free(s);
}

static void cut(struct buf *out, size_t start)
{
	bool is_cut = out->len >= start + 3 && memcmp(out->data + out->len - 3, "...", 3) == 0;

	if (!is_cut)
		buf_puts(out, "...");
}

/* Not within a character of UTF-8. */
static void shorten(struct buf *out, size_t len)
{
	while (len && ((unsigned char)out->data[len] & 0xc0) == 0x80)
		len--;
	out->len = len;
	out->data[len] = '\0';
}

/* The end of what an opening quote or parenthesis holds: behind its closing one, or the end of all
 * (jq cuts long values, and with them the closing quote). */
static const char *group_end(const char *p, const char *end)
{
	bool is_quoted = *p == '(' && end - p > 1 && p[1] == '"';
	char close = *p == '(' ? ')' : *p;

	for (const char *q = p + 1; q < end; q++)
		if (*q == close && (!is_quoted || q[-1] == '"' || q[-1] == '.'))
			return q + 1;
	return end;
}

static void put_group(const struct scrub *s, const char *p, const char *end, struct buf *out)
{
	size_t inside = (size_t)(end - p) >= 2 ? (size_t)(end - p) - 2 : 0;
	bool is_name = *p == '"' && inside && word_length(p + 1, end) == inside &&
		       is_known(s, p + 1, inside);

	if (is_name)
		buf_append(out, p, inside + 2);
	else
		buf_puts(out, *p == '(' ? "(...)" : "\"...\"");
}

void scrub_text(const struct scrub *s, const char *text, size_t len, struct buf *out)
{
	const char *p = text, *end = text + len;
	size_t start = out->len;

	while (p < end && out->len - start < SCRUB_MAX_CHARS) {
		size_t n = word_length(p, end);

		if (*p == '(' || *p == '"') {
			const char *behind = group_end(p, end);

			put_group(s, p, behind, out);
			p = behind;
			continue;
		}
		if (n && is_known(s, p, n))
			buf_append(out, p, n);
		else if (!n && *p && strchr(" ,.:;", *p))
			buf_putc(out, *p);
		else
			cut(out, start);
		p += n ? n : 1;
	}
	if (out->len - start > SCRUB_MAX_CHARS)
		shorten(out, start + SCRUB_MAX_CHARS);
	if (p < end)
		cut(out, start);
}
