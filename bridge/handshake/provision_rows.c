/* provision_rows.c -- what is kept of handshakes: its rows, out and back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "handshake/provision_inside.h"
#include "message/state_json.h"

#define OPEN   "open/"	 /* before a number: a device that waits for its answer */
#define ISSUED "issued/" /* before a name: the answer that it got */
#define ASKED  "asked/"	 /* before the number of its asker: a question without an answer */
#define OWNER  "owner"	 /* whose a link of one device is */

static void fini_secret_buf(struct buf *b)
{
	mem_free_secret(b->data, b->len);
	*b = (struct buf){ 0 };
}

void provision_put_asker(const struct asker *a, struct changes *out)
{
	char *key = mem_printf(OPEN "%" PRIu64, a->number);
	struct buf row = { 0 };

	buf_puts(&row, "{\"request\":");
	canonical_put(&row, &a->request);
	buf_puts(&row, ",\"name\":");
	state_json_put_text(&row, a->name);
	buf_printf(&row, ",\"named\":%s,\"known\":%s%s,\"asker\":", a->is_named ? "true" : "false",
		   a->is_known ? "true" : "false", a->is_own ? ",\"own\":true" : "");
	state_json_put_text(&row, a->asker);
	buf_puts(&row, ",\"reply_topic\":");
	state_json_put_text(&row, a->reply_topic);
	buf_puts(&row, ",\"south_device_id\":");
	state_json_put_text(&row, a->south_device_id);
	buf_putc(&row, '}');
	changes_put(out, PROVISION_MACHINE, key, buf_str(&row), true);
	fini_secret_buf(&row);
	free(key);
}

void provision_put_issued(const struct issued *is, struct changes *out)
{
	char *key = mem_printf(ISSUED "%s", is->name);
	struct buf row = { 0 };

	buf_puts(&row, "{\"device\":");
	state_json_put_text(&row, is->device);
	buf_printf(&row, ",\"number\":%" PRIu64 ",\"refused\":%s,\"proof\":%s,\"reply\":%s}",
		   is->number, is->is_refused ? "true" : "false", is->proof, is->reply);
	changes_put(out, PROVISION_MACHINE, key, buf_str(&row), true);
	fini_secret_buf(&row);
	free(key);
}

void provision_put_asked(const struct asked *a, struct changes *out)
{
	char *key = mem_printf(ASKED "%" PRIu64, a->number);
	struct buf row = { 0 };

	buf_puts(&row, "{\"name\":");
	state_json_put_text(&row, a->name);
	buf_puts(&row, ",\"device\":");
	state_json_put_text(&row, a->device);
	buf_printf(&row, ",\"proof\":%s,\"chosen\":%s%s,\"reply\":%s}", a->proof,
		   a->is_chosen ? "true" : "false", a->is_beside ? ",\"beside\":true" : "",
		   a->reply);
	changes_put(out, PROVISION_MACHINE, key, buf_str(&row), true);
	fini_secret_buf(&row);
	free(key);
}

void provision_put_owner(const struct provisions *t, struct changes *out)
{
	struct buf row = { 0 };

	buf_puts(&row, "{\"name\":");
	state_json_put_text(&row, t->owner);
	buf_printf(&row, ",\"proved\":%s}", t->is_proved ? "true" : "false");
	changes_put(out, PROVISION_MACHINE, OWNER, buf_str(&row), true);
	fini_secret_buf(&row);
}

static void drop_row(const char *key, struct changes *out)
{
	changes_delete(out, PROVISION_MACHINE, key);
}

void provision_drop_asker_row(const struct asker *a, struct changes *out)
{
	char *key = mem_printf(OPEN "%" PRIu64, a->number);

	drop_row(key, out);
	free(key);
}

void provision_drop_asked_row(const struct asked *a, struct changes *out)
{
	char *key = mem_printf(ASKED "%" PRIu64, a->number);

	drop_row(key, out);
	free(key);
}

void provision_drop_issued_row(const struct issued *is, struct changes *out)
{
	char *key = mem_printf(ISSUED "%s", is->name);

	drop_row(key, out);
	free(key);
}

/* Restoring. */

static void raise_number(struct provisions *t, uint64_t number)
{
	if (number > t->last_number)
		t->last_number = number;
}

static bool insert_asker(struct provisions *t, struct asker *a)
{
	const struct asker *other;

	TAILQ_FOREACH (other, &t->queue, link)
		if (other->number == a->number)
			return false;
	provision_enqueue(t, a);
	raise_number(t, a->number);
	return true;
}

static bool restore_asker(struct provisions *t, const char *number, const char *value)
{
	struct canonical request = { .kind = KIND_NONE };
	char *name = NULL, *asker = NULL, *reply_topic = NULL, *south_device_id = NULL, *end;
	struct provision_question q = { .request = &request };
	uint64_t n = strtoull(number, &end, 10);
	struct buf text = { 0 };
	struct jslice row, v;
	struct asker *a;
	bool ok = false;

	if (*end || n == 0 || !state_json_read(value, &text, &row))
		goto out;
	if (!jtext_field(row, "request", &v) || !canonical_parse(&request, v, NULL) ||
	    request.kind != KIND_PROVISION || !request.device)
		goto out;
	if (!state_json_text(row, "reply_topic", &reply_topic) ||
	    !state_json_text(row, "south_device_id", &south_device_id))
		goto out;
	q.reply_topic = reply_topic;
	q.south_device_id = south_device_id;
	if (!state_json_text(row, "name", &name) || !name ||
	    !state_json_bool(row, "named", &q.is_named)) { /* a row of before that was noted */
		free(name);
		name = provision_said_name(&request);
		q.is_named = name;
	}
	/* Neither is in a row of before there were shares. */
	if (state_json_text(row, "asker", &asker))
		q.asker = asker;
	state_json_bool(row, "own", &q.is_own);
	a = provision_new_asker(&q, name ? name : request.device, n);
	state_json_bool(row, "known", &a->is_known);
	ok = insert_asker(t, a);
	if (!ok)
		provision_free_asker(a);
out:
	provision_fini_canonical(&request);
	free(name);
	free(asker);
	free(reply_topic);
	free(south_device_id);
	fini_secret_buf(&text);
	return ok;
}

static bool read_object(struct jslice row, const char *name, char **out)
{
	struct jslice v;

	if (!jtext_field(row, name, &v) || jtext_type_of(v) != JTEXT_OBJECT)
		return false;
	*out = mem_strndup(v.text, v.len);
	return true;
}

static bool restore_issued(struct provisions *t, const char *name, const char *value)
{
	struct issued *is = mem_zalloc(sizeof *is);
	struct buf text = { 0 };
	struct jslice row;
	int64_t number;
	bool ok = false;

	is->name = mem_strdup(name);
	if (!state_json_read(value, &text, &row) || !state_json_text(row, "device", &is->device) ||
	    !is->device)
		goto out;
	if (!state_json_integer(row, "number", &number) || number <= 0 ||
	    !state_json_bool(row, "refused", &is->is_refused) ||
	    !read_object(row, "proof", &is->proof) || !read_object(row, "reply", &is->reply))
		goto out;
	is->number = (uint64_t)number;
	raise_number(t, is->number);
	provision_add_issued(t, is);
	ok = true;
out:
	if (!ok)
		provision_free_issued(is);
	fini_secret_buf(&text);
	return ok;
}

static bool restore_asked(struct provisions *t, const char *number, const char *value)
{
	struct asked *a = mem_zalloc(sizeof *a);
	struct buf text = { 0 };
	struct jslice row;
	char *end;
	bool ok;

	a->number = strtoull(number, &end, 10);
	ok = !*end && a->number > 0 && state_json_read(value, &text, &row) &&
	     state_json_text(row, "name", &a->name) && a->name &&
	     state_json_text(row, "device", &a->device) && a->device &&
	     state_json_bool(row, "chosen", &a->is_chosen) &&
	     read_object(row, "proof", &a->proof) && read_object(row, "reply", &a->reply);
	if (ok) {
		/* Not in a row of before there were several. */
		state_json_bool(row, "beside", &a->is_beside);
		a->is_sent = true;
		raise_number(t, a->number);
		TAILQ_INSERT_TAIL(&t->asked, a, link);
		t->n_asked++;
	} else {
		provision_free_asked(a);
	}
	fini_secret_buf(&text);
	return ok;
}

static bool restore_owner(struct provisions *t, const char *value)
{
	struct buf text = { 0 };
	char *name = NULL;
	struct jslice row;
	bool is_proved = false;
	bool ok = state_json_read(value, &text, &row) && state_json_text(row, "name", &name) &&
		  state_json_bool(row, "proved", &is_proved);

	if (ok) {
		free(t->owner);
		t->owner = name;
		t->is_proved = is_proved;
		t->knows_owner = true;
	} else {
		free(name);
	}
	buf_fini(&text);
	return ok;
}

bool provisions_restore(struct provisions *t, const char *key, const char *value, struct err *e)
{
	bool ok = false;

	if (strncmp(key, OPEN, strlen(OPEN)) == 0)
		ok = restore_asker(t, key + strlen(OPEN), value);
	else if (strncmp(key, ISSUED, strlen(ISSUED)) == 0)
		ok = restore_issued(t, key + strlen(ISSUED), value);
	else if (strncmp(key, ASKED, strlen(ASKED)) == 0)
		ok = restore_asked(t, key + strlen(ASKED), value);
	else if (strcmp(key, OWNER) == 0)
		ok = restore_owner(t, value);
	if (!ok)
		err_set(e, ERR_CORRUPT, "provision '%s' is no handshake", key);
	return ok;
}
