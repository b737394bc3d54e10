/* provision_issued.c -- what was issued under which name, by what the north lets in, and whose a link of one device is. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "handshake/provision_inside.h"
#include "message/state_json.h"

void provision_free_issued(void *value)
{
	struct issued *is = value;

	free(is->name);
	free(is->device);
	free_secret_text(is->proof);
	free_secret_text(is->reply);
	free(is);
}

/* Whose the link is. */

void provision_set_owner(struct provisions *t, const char *name, bool is_proved,
			 struct changes *out)
{
	char *copy = mem_strdup(name);

	free(t->owner);
	t->owner = copy;
	t->is_proved = is_proved;
	t->knows_owner = true;
	provision_put_owner(t, out);
}

/* The one that waits to log in has been refused: it is the next one's turn. */
static bool has_lost_its_turn(const struct provisions *t)
{
	const struct issued *is = t->owner ? map_get_str(&t->issued, t->owner) : NULL;

	return !t->is_proved && is && is->is_refused;
}

/* May a handshake of this name be made? */
bool provision_may_ask(const struct provisions *t, const struct provision_terms *terms,
		       const char *name)
{
	if (!terms->is_single)
		return true;
	if (terms->name)
		return strcmp(name, terms->name) == 0;
	return !t->owner || strcmp(name, t->owner) == 0 || has_lost_its_turn(t);
}

/* The latest that was issued: to this device, or (NULL) to any. */
static struct issued *latest(const struct provisions *t, const char *device)
{
	struct issued *is, *found = NULL;
	struct map_pos pos = { 0 };

	while ((is = map_next(&t->issued, &pos)) != NULL)
		if ((!device || strcmp(is->device, device) == 0) &&
		    (!found || found->number < is->number))
			found = is;
	return found;
}

/* By what the link logs in; NULL: by nothing yet. */
static struct issued *in_use(const struct provisions *t, const struct provision_terms *terms)
{
	const char *name = terms->name ? terms->name : t->owner;
	struct issued *is;

	if (!terms->is_single)
		return map_get_str(&t->by_device, terms->device);
	is = name ? map_get_str(&t->issued, name) : NULL;
	return is || t->knows_owner ? is : latest(t, NULL);
}

/* Rows of before links belonged to names: the link goes on as it was. */
void provision_adopt(struct provisions *t, const struct provision_terms *terms, struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (!terms->is_single || t->knows_owner || !is)
		return;
	if (terms->name && strcmp(is->name, terms->name) != 0) {
		/* The north was asked under the configured name even then. */
		provision_drop_issued_row(is, out);
		map_remove_str(&t->issued, is->name);
		free(is->name);
		is->name = mem_strdup(terms->name);
		map_set_str(&t->issued, is->name, is);
		provision_put_issued(is, out);
	}
	provision_set_owner(t, is->name, true, out);
}

const char *provisions_owner(const struct provisions *t, const struct provision_terms *terms,
			     bool *is_proved)
{
	*is_proved = terms->name || t->is_proved;
	if (!terms->is_single)
		return NULL;
	return terms->name ? terms->name : t->owner;
}

/* Credentials. */

/* The reply as it is kept and given to the device: `body` with what the north left out. */
char *provision_complete_reply(struct jslice body, const char *device_id)
{
	bool no_id, no_type;
	struct buf b = { 0 };
	struct jfield f;
	struct jslice v;
	size_t pos = 0;

	no_id = !has(body, "device_id", &v);
	no_type = !has(body, "credentials_type", &v) && has(body, "token", &v);
	while (jtext_next_field(body, &pos, &f)) {
		if ((no_id && jtext_string_is(f.key, "device_id")) ||
		    (no_type && jtext_string_is(f.key, "credentials_type")))
			continue; /* null */
		buf_putc(&b, b.len ? ',' : '{');
		buf_append(&b, f.key.text, f.key.len);
		buf_putc(&b, ':');
		buf_append(&b, f.value.text, f.value.len);
	}
	if (no_id && device_id) {
		buf_puts(&b, ",\"device_id\":"); /* never the first: there is a status */
		state_json_put_text(&b, device_id);
	}
	if (no_type)
		buf_puts(&b, ",\"credentials_type\":\"ACCESS_TOKEN\"");
	buf_putc(&b, '}');
	return buf_take(&b);
}

void provision_add_issued(struct provisions *t, struct issued *is)
{
	struct issued *before = map_set_str(&t->issued, is->name, is);
	struct issued *other;

	if (before && map_get_str(&t->by_device, before->device) == before)
		map_remove_str(&t->by_device, before->device);
	if (before)
		provision_free_issued(before);
	other = map_get_str(&t->by_device, is->device);
	if (!other || other->number < is->number)
		map_set_str(&t->by_device, is->device, is);
}

const struct issued *provision_issue(struct provisions *t, const struct asker *a,
				     struct jslice body, struct changes *out)
{
	struct issued *is = mem_zalloc(sizeof *is);

	is->name = mem_strdup(a->name);
	is->device = mem_strdup(a->request.device);
	is->number = a->number;
	is->proof = mem_strdup(a->proof);
	is->reply = provision_complete_reply(body, a->south_device_id);
	provision_add_issued(t, is);
	provision_put_issued(is, out);
	return is;
}

void provisions_refused(struct provisions *t, const struct provision_terms *terms,
			struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (!is || is->is_refused)
		return;
	is->is_refused = true;
	provision_put_issued(is, out);
}

const char *provisions_accepted(struct provisions *t, const struct provision_terms *terms,
				struct changes *out)
{
	struct issued *is = in_use(t, terms);

	if (is && is->is_refused) {
		is->is_refused = false;
		provision_put_issued(is, out);
	}
	if (!is || !terms->is_single ||
	    (t->is_proved && t->owner && strcmp(t->owner, is->name) == 0))
		return NULL;
	provision_set_owner(t, is->name, true, out);
	return t->owner;
}

static void drop_issued(struct provisions *t, struct issued *is, struct changes *out)
{
	struct issued *next;

	provision_drop_issued_row(is, out);
	map_remove_str(&t->issued, is->name);
	if (map_get_str(&t->by_device, is->device) == is) {
		map_remove_str(&t->by_device, is->device);
		next = latest(t, is->device);
		if (next)
			map_set_str(&t->by_device, next->device, next);
	}
	if (t->owner && strcmp(t->owner, is->name) == 0)
		provision_set_owner(t, NULL, false, out);
	provision_free_issued(is);
}

void provision_drop_issued_to(struct provisions *t, const char *device, struct changes *out)
{
	struct issued *is;

	while ((is = latest(t, device)) != NULL)
		drop_issued(t, is, out);
}

struct jslice provisions_credentials(const struct provisions *t,
				     const struct provision_terms *terms)
{
	const struct issued *is = in_use(t, terms);

	return is ? text_of(is->reply) : (struct jslice){ NULL, 0 };
}

bool provisions_forget_name(struct provisions *t, const struct provision_terms *terms,
			    const char *name, struct changes *out)
{
	struct issued *is;
	bool was_its, was_asked;

	provision_adopt(t, terms, out);
	was_asked = provision_forget_asked(t, name, NULL, out);
	is = map_get_str(&t->issued, name);
	was_its = t->owner && strcmp(t->owner, name) == 0;
	if (is)
		drop_issued(t, is, out);
	else if (was_its)
		provision_set_owner(t, NULL, false, out);
	return is || was_its || was_asked;
}

bool provisions_is_issued(const struct provisions *t, const char *device)
{
	return map_get_str(&t->by_device, device);
}
