#include "conf/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/environment.h"

#define SECRET_MAX 65535 /* what an MQTT string holds */

bool secret_is_private(const char *path, unsigned mode, struct err *e)
{
	if (!(mode & S_IROTH))
		return true;
	err_set(e, ERR_INVALID,
		"%s is readable by everyone (chmod 600 %s; a secret of Kubernetes: defaultMode: "
		"0440 and "
		"securityContext.fsGroup; of Docker: mode: 0440)",
		path, path);
	return false;
}

/* One newline at the end belongs to the editor, not to the secret. */
static void drop_newline(struct buf *b)
{
	if (b->len && b->data[b->len - 1] == '\n')
		b->len--;
	if (b->len && b->data[b->len] == '\n' && b->data[b->len - 1] == '\r')
		b->len--;
	if (b->data)
		b->data[b->len] = '\0';
}

static char *take(const char *path, struct buf *b, struct err *e)
{
	drop_newline(b);
	if (b->len > SECRET_MAX)
		err_set(e, ERR_INVALID, "%s is longer than %d bytes", path, SECRET_MAX);
	else if (b->len && memchr(b->data, '\0', b->len))
		err_set(e, ERR_INVALID, "%s holds a NUL byte", path);
	else
		return mem_strdup(buf_str(b));
	return NULL;
}

static bool read_all(int fd, struct buf *b)
{
	ssize_t n;

	buf_reserve(b, SECRET_MAX + 3); /* at once: growing would leave copies behind */
	while (b->len < SECRET_MAX + 3 &&
	       (n = read(fd, b->data + b->len, SECRET_MAX + 3 - b->len)) != 0) {
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			b->len += (size_t)n;
	}
	return true;
}

char *secret_read(const char *path, struct err *e)
{
	/* O_NONBLOCK: the path may be that of a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct buf b = { 0 };
	char *value = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		err_errno(e, "%s", path);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "%s is no regular file", path);
	else if (secret_is_private(path, st.st_mode, e)) {
		if (read_all(fd, &b))
			value = take(path, &b, e);
		else
			err_errno(e, "%s", path);
	}
	if (fd >= 0)
		close(fd);
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_fini(&b);
	return value;
}

char *secret_credential_path(const char *name, struct err *e)
{
	const char *dir = environment_get("CREDENTIALS_DIRECTORY");

	if (!*name || strchr(name, '/') || *name == '.')
		err_set(e, ERR_INVALID, "cred:%s: the name of a credential is wanted, no path",
			name);
	else if (!dir)
		err_set(e, ERR_NOT_FOUND,
			"cred:%s: CREDENTIALS_DIRECTORY is not set (a service gets credentials by "
			"LoadCredential= in its unit)",
			name);
	else
		return mem_printf("%s/%s", dir, name);
	return NULL;
}

struct secret *secrets_add(struct secrets *s, const char *place, const char *path,
			   const char *wrong)
{
	s->items = mem_grow(s->items, s->n, sizeof *s->items);
	s->items[s->n] = (struct secret){ .place = mem_strdup(place),
					  .path = mem_strdup(path),
					  .wrong = mem_strdup(wrong) };
	return &s->items[s->n++];
}

void secrets_add_open(struct secrets *s, const char *place, const char *file, const char *variable)
{
	s->open = mem_grow(s->open, s->n_open, sizeof *s->open);
	s->open[s->n_open++] = (struct open_value){ .place = mem_strdup(place),
						    .file = mem_strdup(file),
						    .variable = mem_strdup(variable) };
}

void secrets_fini(struct secrets *s)
{
	for (size_t i = 0; i < s->n_open; i++) {
		free(s->open[i].place);
		free(s->open[i].file);
		free(s->open[i].variable);
	}
	free(s->open);
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].place);
		free(s->items[i].path);
		free(s->items[i].wrong);
		free(s->items[i].variable);
	}
	free(s->items);
	*s = (struct secrets){ 0 };
}
