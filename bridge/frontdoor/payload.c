#include "frontdoor/payload.h"

#include "base/buf.h"
#include "base/jtext.h"

/* How deep strict JSON is nested. */
static size_t depth(const char *text, size_t n)
{
	size_t now = 0, most = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++now > most)
				most = now;
		} else if ((c == '}' || c == ']') && now > 0) {
			now--;
		}
	}
	return most;
}

bool payload_is_json(const void *p, size_t n, bool lenient, struct buf *scratch)
{
	buf_reset_above(scratch, (size_t)1 << 16);
	return n > 0 && jtext_read(p, n, lenient, scratch, NULL) &&
	       depth(scratch->data, scratch->len) <= PAYLOAD_MAX_DEPTH;
}
