/* door_tables.c -- the tables: what bridges say, and the copy on disk.
 *
 * A snapshot is built beside the table that holds, and takes its place when it is complete.  Who was let in by a row
 * that is no longer there is disconnected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "frontdoor/door.h"

#define MAX_FILE   ((size_t)256 << 20)
#define FIRST_LINE "calque-frontdoor 1\n"

struct table *door_table_of(const struct door *d, const char *owner)
{
	for (size_t i = 0; i < d->n_tables; i++)
		if (strcmp(d->tables[i]->owner, owner) == 0)
			return d->tables[i];
	return NULL;
}

bool door_tables_have(const struct door *d, const char *name)
{
	for (size_t i = 0; i < d->n_tables; i++)
		if (table_has(d->tables[i], name))
			return true;
	return false;
}

bool door_tables_let_provision(const struct door *d, const char *topic)
{
	for (size_t i = 0; i < d->n_tables; i++)
		if (topic ? table_lets_provision(d->tables[i], topic) : d->tables[i]->n_provision)
			return true;
	return false;
}

/* End the sessions of this device that no row lets in any more. */
static void check_sessions(void *ctx, const char *name)
{
	struct door *d = ctx;
	struct door_session *next;

	for (struct door_session *s = sessions_named(&d->sessions, name); s; s = next) {
		const struct table *t = s->owner ? door_table_of(d, s->owner) : NULL;
		const struct row *row = t ? table_find(t, s->mac) : NULL;

		next = s->next;
		if (s->who == WHO_DEVICE && !(row && strcmp(row->name, name) == 0))
			door_kick(d, s, "its credential is no longer in the table");
	}
}

static void check_all(struct door *d)
{
	struct map_pos pos = { 0 };
	struct buf names = { 0 };

	for (const struct door_session *s; (s = map_next(&d->sessions.by_name, &pos));)
		buf_append(&names, s->name, strlen(s->name) + 1);
	for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1)
		check_sessions(d, names.data + at);
	buf_fini(&names);
}

static struct table *add_table(struct door *d, struct table *t)
{
	d->tables = mem_grow(d->tables, d->n_tables, sizeof(struct table *));
	return d->tables[d->n_tables++] = t;
}

static bool begin(struct door *d, const char *owner, const char *text, size_t n)
{
	struct err e = { 0 };
	struct table *t = table_new(owner, text, n, &e), *now = door_table_of(d, owner);

	if (!t) {
		mosquitto_log_printf(MOSQ_LOG_WARNING, "frontdoor: a table of %s: %s", owner,
				     e.text);
		return false;
	}
	if (!now)
		now = add_table(d, table_empty(owner));
	table_free(now->incoming);
	now->incoming = t;
	return true;
}

static bool end(struct door *d, const char *owner)
{
	struct table *t;

	for (size_t i = 0; i < d->n_tables; i++) {
		if (strcmp(d->tables[i]->owner, owner) != 0 || !(t = d->tables[i]->incoming))
			continue;
		d->tables[i]->incoming = NULL;
		table_free(d->tables[i]);
		d->tables[i] = t;
		d->is_dirty = true;
		mosquitto_log_printf(MOSQ_LOG_INFO, "frontdoor: table of %s: serial %llu, %zu rows",
				     owner, (unsigned long long)t->serial, t->n_rows);
		check_all(d);
		return true;
	}
	return false;
}

static bool change(struct door *d, const char *owner, const char *topic, const char *text, size_t n)
{
	struct table *now = door_table_of(d, owner),
		     *t = now && now->incoming ? now->incoming : now;
	void (*touched)(void *, const char *) = t == now ? check_sessions : NULL;
	struct err e = { 0 };

	if (!t)
		return false;
	if (strcmp(topic, "remove") == 0) {
		table_remove(t, text, n, touched, d);
		d->is_dirty = d->is_dirty || t == now;
		return true;
	}
	if (strcmp(topic, "set") != 0)
		return false;
	if (table_set(t, text, n, touched, d, &e)) {
		d->is_dirty = d->is_dirty || t == now;
		return true;
	}
	mosquitto_log_printf(MOSQ_LOG_WARNING, "frontdoor: a table of %s: %s", owner, e.text);
	return false;
}

bool door_on_table(struct door *d, const struct door_session *bridge, const char *topic,
		   const void *payload, size_t n)
{
	char *owner = mem_strdup(bridge->id);
	bool ok;

	if (strcmp(topic, "begin") == 0)
		ok = begin(d, owner, payload, n);
	else if (strcmp(topic, "end") == 0)
		ok = end(d, owner);
	else
		ok = change(d, owner, topic, payload, n);
	free(owner);
	return ok;
}

/* The copy on disk */

bool door_read_tables(struct door *d, struct err *e)
{
	struct buf text = { 0 };
	const char *path = d->options.table;
	size_t pos = sizeof FIRST_LINE - 1;
	bool ok = false;

	if (!path || access(path, F_OK) != 0)
		return true;
	if (!buf_append_file(&text, path, MAX_FILE, e))
		goto out;
	if (text.len < pos || memcmp(text.data, FIRST_LINE, pos) != 0) {
		err_set(e, ERR_CORRUPT, "%s: is not a table of this version", path);
		goto out;
	}
	while (pos < text.len) {
		struct table *t = table_read(text.data, text.len, &pos, e);

		if (!t) {
			err_prefix(e, "%s", path);
			goto out;
		}
		add_table(d, t);
	}
	ok = true;
out:
	buf_fini(&text);
	return ok;
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

void door_write_tables(struct door *d)
{
	struct buf text = { 0 };
	char *new = mem_printf("%s.new", d->options.table);
	struct err e = { 0 };
	int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = false;

	buf_puts(&text, FIRST_LINE);
	for (size_t i = 0; i < d->n_tables; i++)
		table_put(d->tables[i], &text);
	if (fd < 0 || fchmod(fd, 0600) != 0 || !write_all(fd, text.data, text.len) ||
	    fsync(fd) != 0 || rename(new, d->options.table) != 0)
		err_errno(&e, "%s", d->options.table);
	else
		ok = true;
	if (fd >= 0)
		close(fd);
	if (!ok) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "frontdoor: the table is not kept: %s", e.text);
		unlink(new);
	}
	d->is_dirty = !ok;
	d->written_ms = d->now_ms;
	free(new);
	buf_fini(&text);
}
