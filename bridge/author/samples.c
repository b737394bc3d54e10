#include "author/samples.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "message/kind.h"
#include "message/message.h"
#include "message/side.h"
#include "message/wire_json.h"

#define MOST_LEVELS  16
#define CASES_OF_ROW 3

struct row_guess {
	char *template;
	enum flow flow;
	enum kind kind;
	char *name_key, *params_key; /* of a command's payload; NULL: it has none */
	bool has_id_key;	     /* in the payload */
	bool is_json;		     /* each of its payloads is an object */
};

struct samples {
	struct sample {
		struct message message;
		enum flow flow;
		size_t row;
	} * items;
	size_t n;
	int device_level; /* -1: none is */
	struct row_guess *rows;
	size_t n_rows;
};

/* --- topics ---------------------------------------------------------------------------------- */

/* The level of a topic; its len is -1 if there is none. */
static const char *level_of(const char *topic, int i, int *len)
{
	for (; i > 0 && topic; i--) {
		topic = strchr(topic, '/');
		topic = topic ? topic + 1 : NULL;
	}
	*len = topic ? (int)strcspn(topic, "/") : -1;
	return topic;
}

static bool has_digit(const char *text, int n)
{
	for (int i = 0; i < n; i++)
		if (isdigit((unsigned char)text[i]))
			return true;
	return false;
}

/* A number, or what is as long as a UUID and looks like one. */
static bool is_id(const char *text, int n)
{
	int hex = 0, digits = 0;

	for (int i = 0; i < n; i++) {
		hex += isxdigit((unsigned char)text[i]) || text[i] == '-';
		digits += isdigit((unsigned char)text[i]) != 0;
	}
	return n > 0 && (digits == n || (n == 36 && hex == n));
}

/* The topic with the device's level and ids filled in by their names; caller frees. */
static char *template_of(const char *topic, int device_level)
{
	struct buf out = { 0 };
	const char *text;
	int len;

	for (int i = 0; i < MOST_LEVELS && (text = level_of(topic, i, &len)) != NULL; i++) {
		if (i)
			buf_putc(&out, '/');
		if (i == device_level)
			buf_puts(&out, "{device}");
		else if (is_id(text, len) && !strstr(buf_str(&out), "{id}"))
			buf_puts(&out, "{id}");
		else
			buf_append(&out, text, (size_t)len);
	}
	return out.data ? buf_take(&out) : mem_strdup("");
}

/* How many templates there are if this level is the device's; *digits: how many of its values have one. */
static size_t count_templates(const struct samples *s, int level, size_t *digits)
{
	char **seen = NULL;
	size_t n = 0;
	int len;

	*digits = 0;
	for (size_t i = 0; i < s->n; i++) {
		char *t = template_of(s->items[i].message.topic, level);
		const char *text = level_of(s->items[i].message.topic, level, &len);
		size_t k = 0;

		*digits += text && has_digit(text, len) && !is_id(text, len);
		while (k < n && strcmp(seen[k], t) != 0)
			k++;
		if (k < n) {
			free(t);
			continue;
		}
		seen = mem_grow(seen, n, sizeof *seen);
		seen[n++] = t;
	}
	for (size_t k = 0; k < n; k++)
		free(seen[k]);
	free(seen);
	return n;
}

/* That with the most digits in it, as names of devices have; of several that which makes the fewest templates. */
static int find_device_level(const struct samples *s)
{
	size_t digits, most = 0, fewest = count_templates(s, -1, &digits);
	int found = -1, len;

	for (int level = 0; level < MOST_LEVELS; level++) {
		size_t n = count_templates(s, level, &digits);
		bool is_everywhere = true;

		for (size_t i = 0; is_everywhere && i < s->n; i++)
			is_everywhere = level_of(s->items[i].message.topic, level, &len) != NULL;
		if (!is_everywhere)
			break;
		if (digits > most || (digits == most && n < fewest)) {
			found = level;
			fewest = n;
			most = digits;
		}
	}
	return found;
}

/* --- kinds ----------------------------------------------------------------------------------- */

static const struct {
	const char *word;
	enum flow flow;
	enum kind kind;
} words[] = {
	{ "attr", FLOW_UP, KIND_ATTRIBUTES },	   { "info", FLOW_UP, KIND_ATTRIBUTES },
	{ "event", FLOW_UP, KIND_EVENT },	   { "alarm", FLOW_UP, KIND_ALARM },
	{ "alert", FLOW_UP, KIND_ALARM },	   { "online", FLOW_UP, KIND_PRESENCE },
	{ "reply", FLOW_UP, KIND_COMMAND_REPLY },  { "response", FLOW_UP, KIND_COMMAND_REPLY },
	{ "result", FLOW_UP, KIND_COMMAND_REPLY }, { "config", FLOW_DOWN, KIND_CONFIG },
	{ "setting", FLOW_DOWN, KIND_CONFIG },	   { "desired", FLOW_DOWN, KIND_CONFIG },
	{ "command", FLOW_DOWN, KIND_COMMAND },	   { "cmd", FLOW_DOWN, KIND_COMMAND },
};

/* Where nobody has said it: the first word that is in the topic does. */
static enum flow guess_flow(const char *topic)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasestr(topic, words[i].word))
			return words[i].flow;
	return FLOW_UP;
}

static bool has_key(const struct message *m, const char *key, struct jslice *v)
{
	return jtext_field((struct jslice){ m->payload ? m->payload : "", m->payload_len }, key, v);
}

static char *key_among(const struct message *m, const char *const *keys)
{
	struct jslice v;

	for (; *keys; keys++)
		if (has_key(m, *keys, &v))
			return mem_strdup(*keys);
	return NULL;
}

static bool has_id(const struct row_guess *row)
{
	return row->has_id_key || strstr(row->template, "{id}");
}

/* What comes up with an id, where something goes down with one, is its answer. */
static bool is_asked_for(const struct samples *s)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (s->rows[i].flow == FLOW_DOWN && has_id(&s->rows[i]))
			return true;
	return false;
}

static enum kind guess_kind(const struct samples *s, const struct row_guess *row,
			    const struct message *m)
{
	struct jslice v;

	if (!row->is_json)
		return row->flow == FLOW_UP ? KIND_RAW : KIND_COMMAND;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (words[i].flow != row->flow || !strcasestr(row->template, words[i].word))
			continue;
		if (words[i].kind == KIND_COMMAND_REPLY && !has_id(row))
			return KIND_EVENT; /* nobody could tell what it answers */
		if ((words[i].kind == KIND_ALARM && !has_key(m, "active", &v)) ||
		    (words[i].kind == KIND_PRESENCE && !has_key(m, "online", &v)))
			return KIND_EVENT;
		return words[i].kind;
	}
	if (row->flow == FLOW_DOWN)
		return KIND_COMMAND;
	return has_id(row) && is_asked_for(s) ? KIND_COMMAND_REPLY : KIND_TELEMETRY;
}

static bool is_object(const struct message *m)
{
	struct buf strict = { 0 };
	bool ok = m->payload && jtext_read(m->payload, m->payload_len, false, &strict, NULL) &&
		  jtext_type_of((struct jslice){ strict.data, strict.len }) == JTEXT_OBJECT;

	buf_fini(&strict);
	return ok;
}

static void add_row(struct samples *s, struct sample *sample)
{
	static const char *const names[] = { "method", "name",	 "cmd", "command",
					     "do",     "action", NULL };
	static const char *const params[] = { "params", "args",	 "arguments", "with",
					      "data",	"value", NULL };
	struct row_guess row = { .template = template_of(sample->message.topic, s->device_level),
				 .flow = sample->flow,
				 .is_json = is_object(&sample->message) };
	struct jslice v;

	for (size_t i = 0; i < s->n_rows; i++)
		if (strcmp(s->rows[i].template, row.template) == 0 && s->rows[i].flow == row.flow) {
			s->rows[i].is_json = s->rows[i].is_json && row.is_json;
			sample->row = i;
			free(row.template);
			return;
		}
	if (row.is_json) {
		row.name_key = key_among(&sample->message, names);
		row.params_key = key_among(&sample->message, params);
		row.has_id_key = has_key(&sample->message, "id", &v);
	}
	sample->row = s->n_rows;
	s->rows = mem_grow(s->rows, s->n_rows, sizeof *s->rows);
	s->rows[s->n_rows++] = row;
}

static void guess(struct samples *s)
{
	s->device_level = find_device_level(s);
	for (size_t i = 0; i < s->n; i++)
		add_row(s, &s->items[i]);
	for (size_t r = 0; r < s->n_rows; r++)
		for (size_t i = 0; i < s->n; i++)
			if (s->items[i].row == r) {
				s->rows[r].kind = guess_kind(s, &s->rows[r], &s->items[i].message);
				break;
			}
}

/* --- reading them ---------------------------------------------------------------------------- */

/* A text is what was sent, as tools that record messages write it (mosquitto_sub -F %j), and no string of JSON. */
static void take_text(struct jslice object, struct message *m)
{
	struct buf text = { 0 };
	struct jslice payload;

	if (jtext_field(object, "payload", &payload) && jtext_type_of(payload) == JTEXT_STRING &&
	    jtext_string_decode(payload, &text))
		message_set_payload(m, text.data, text.len);
	buf_fini(&text);
}

static bool add_line(struct samples *s, const char *line, size_t len, struct err *e)
{
	struct buf strict = { 0 };
	struct sample sample = { 0 };
	struct jslice object, flow;
	bool ok;

	ok = jtext_read(line, len, false, &strict, e);
	object = (struct jslice){ buf_str(&strict), strict.len };
	ok = ok && wire_json_take(object, &sample.message, e);
	if (ok)
		take_text(object, &sample.message);
	if (ok && jtext_field(object, "flow", &flow))
		ok = wire_json_flow(object, &sample.flow, e);
	else if (ok)
		sample.flow = guess_flow(sample.message.topic);
	if (ok && sample.message.topic[strcspn(sample.message.topic, "{}+#")]) {
		err_set(e, ERR_INVALID, "topic: none that is published on has { } + #");
		ok = false;
	}
	if (ok) {
		s->items = mem_grow(s->items, s->n, sizeof *s->items);
		s->items[s->n++] = sample;
	} else {
		message_fini(&sample.message);
	}
	buf_fini(&strict);
	return ok;
}

struct samples *samples_new(const char *text, struct err *e)
{
	struct samples *s = mem_zalloc(sizeof *s);
	size_t number = 1, len;
	bool ok = true;

	for (; ok && *text; text += len + (text[len] == '\n'), number++) {
		len = strcspn(text, "\n");
		if (strspn(text, " \t\r") < len && !(ok = add_line(s, text, len, e)))
			err_prefix(e, "line %zu", number);
	}
	if (ok && !s->n) {
		err_set(e, ERR_INVALID, "there is no message in it");
		ok = false;
	}
	if (ok) {
		guess(s);
		return s;
	}
	samples_free(s);
	return NULL;
}

void samples_free(struct samples *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		message_fini(&s->items[i].message);
	for (size_t i = 0; i < s->n_rows; i++) {
		free(s->rows[i].template);
		free(s->rows[i].name_key);
		free(s->rows[i].params_key);
	}
	free(s->items);
	free(s->rows);
	free(s);
}

/* --- writing --------------------------------------------------------------------------------- */

static bool needs_functions(const struct row_guess *row)
{
	return row->kind == KIND_EVENT || row->kind == KIND_COMMAND ||
	       row->kind == KIND_COMMAND_REPLY || row->kind == KIND_CONFIG || row->kind == KIND_RAW;
}

static void put_row(struct buf *out, const struct row_guess *row, size_t number, bool is_last)
{
	buf_printf(out, "    { kind: \"%s\", topic: ", kind_name(row->kind));
	jtext_put_string(out, row->template, strlen(row->template));
	if (!row->is_json)
		buf_puts(out, ", format: \"bytes\"");
	if (needs_functions(row))
		buf_printf(out, ", read: \"read_%zu\", write: \"write_%zu\"", number, number);
	buf_printf(out, " }%s\n", is_last ? "" : ",");
}

/* The last level that is no place for a name. */
static void put_word(struct buf *out, const char *template)
{
	const char *word = "message", *text;
	int len, n = 7;

	for (int i = 0; (text = level_of(template, i, &len)) != NULL; i++)
		if (*text != '{' && len > 0) {
			word = text;
			n = len;
		}
	jtext_put_string(out, word, (size_t)n);
}

static void put_functions(struct buf *out, const struct row_guess *row, size_t number)
{
	const char *id = row->has_id_key ? "id, " : "";

	if (!needs_functions(row))
		return;
	buf_printf(out, "\n# %s\ndef read_%zu: ", row->template, number);
	if (row->kind == KIND_RAW) {
		buf_puts(out, "{body: {stream: ");
		put_word(out, row->template);
		buf_printf(out, ", base64: .payload}};\ndef write_%zu: .body.base64;\n", number);
	} else if (row->kind == KIND_CONFIG) {
		buf_printf(out, "{body: {changed: .payload}};\ndef write_%zu: .body.changed;\n",
			   number);
	} else if (row->kind == KIND_COMMAND_REPLY) {
		buf_printf(
			out,
			".payload | {%sbody: {status: \"done\", result: .}};\n"
			"def write_%zu: select(.body.status != \"in_progress\") | .body.result;\n",
			id, number);
	} else if (row->name_key && row->params_key) {
		buf_printf(out,
			   ".payload | {%sbody: {name: .%s, params: .%s}};\n"
			   "def write_%zu: {%s%s: .body.name, %s: .body.params};\n",
			   id, row->name_key, row->params_key, number, id, row->name_key,
			   row->params_key);
	} else {
		buf_printf(out, ".payload | {%sbody: {name: ", id);
		put_word(out, row->template);
		buf_printf(out, ", params: .}};\ndef write_%zu: .body.params;\n", number);
	}
}

void samples_put_mapping(const struct samples *s, const char *name, struct buf *out)
{
	buf_printf(out,
		   "# %s, out of %zu message%s.  What each row is, was guessed: look at the kinds "
		   "first.\n"
		   "module {\n  dialect: \"%s\", about: \"%s, in a line\", version: 1,\n  device: "
		   "\"%s\",\n"
		   "  messages: [\n",
		   name, s->n, PLURAL(s->n), name, name, s->device_level < 0 ? "none" : "topic");
	for (size_t i = 0; i < s->n_rows; i++)
		put_row(out, &s->rows[i], i, i + 1 == s->n_rows);
	buf_puts(out, "  ]\n};\n");
	for (size_t i = 0; i < s->n_rows; i++)
		put_functions(out, &s->rows[i], i);
}

static void put_case(struct buf *out, const struct samples *s, const struct sample *sample,
		     const char *name, size_t number)
{
	bool is_up = sample->flow == FLOW_UP;
	struct buf wire = { 0 };
	static const char usual[] = ",\"retain\":false";
	const char *device, *rest;
	int len = -1;

	device =
		s->device_level < 0 ? NULL : level_of(sample->message.topic, s->device_level, &len);
	buf_printf(out, "  { \"name\": \"%s %zu\", \"south\": \"%s\", \"north\": \"%s\",\n",
		   kind_name(s->rows[sample->row].kind), number, is_up ? name : "thingsboard",
		   is_up ? "thingsboard" : name);
	if (device && len > 0) {
		buf_printf(out, "    \"vars\": {\"%s.device\": ", is_up ? "south" : "north");
		jtext_put_string(out, device, (size_t)len);
		buf_puts(out, "},\n");
	}
	wire_json_put(&wire, is_up ? SOUTH : NORTH, &sample->message);
	buf_printf(out, "    \"flow\": \"%s\", \"topic\": ", flow_name(sample->flow));
	jtext_put_string(out, sample->message.topic, strlen(sample->message.topic));
	rest = strstr(wire.data, usual);
	buf_puts(out, rest ? rest + strlen(usual) : strstr(wire.data, ",\"retain\":"));
	buf_fini(&wire);
}

void samples_put_cases(const struct samples *s, const char *name, struct buf *out)
{
	size_t n = 0;

	buf_puts(out, "[");
	for (size_t r = 0; r < s->n_rows; r++) {
		size_t of_row = 0;

		for (size_t i = 0; i < s->n && of_row < CASES_OF_ROW; i++) {
			if (s->items[i].row != r)
				continue;
			of_row++;
			buf_puts(out, n++ ? ",\n\n" : "\n");
			put_case(out, s, &s->items[i], name, n);
		}
	}
	buf_puts(out, "\n]\n");
}
