#include "message/state_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

bool state_json_read(const char *value, struct buf *text, struct jslice *row)
{
	if (!jtext_read(value, strlen(value), false, text, NULL))
		return false;
	*row = (struct jslice){ text->data, text->len };
	return jtext_type_of(*row) == JTEXT_OBJECT;
}

bool state_json_integer(struct jslice row, const char *name, int64_t *out)
{
	struct jslice v;

	return jtext_field(row, name, &v) && jtext_type_of(v) == JTEXT_NUMBER &&
	       jtext_integer(v, out);
}

bool state_json_bool(struct jslice row, const char *name, bool *out)
{
	struct jslice v;
	enum jtext_type type;

	if (!jtext_field(row, name, &v))
		return false;
	type = jtext_type_of(v);
	if (type != JTEXT_TRUE && type != JTEXT_FALSE)
		return false;
	*out = type == JTEXT_TRUE;
	return true;
}

bool state_json_text(struct jslice row, const char *name, char **out)
{
	struct buf text = { 0 };
	struct jslice v;

	if (!jtext_field(row, name, &v))
		return false;
	if (jtext_type_of(v) == JTEXT_NULL) {
		*out = NULL;
		return true;
	}
	if (!jtext_string_decode(v, &text) || strlen(buf_str(&text)) != text.len) {
		buf_fini(&text);
		return false;
	}
	*out = buf_take(&text);
	return true;
}

void state_json_put_text(struct buf *out, const char *s)
{
	if (s)
		jtext_put_string(out, s, strlen(s));
	else
		buf_puts(out, "null");
}
