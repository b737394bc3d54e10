/* log.c -- each event is one write to stderr, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

static const char *const level_names[] = { "error", "warning", "info" };

/* Subjects of log_limited, a small ring: when it is full the oldest is forgotten, which costs a
 * repeated line and nothing else. */
#define SUBJECTS 256
#define LIMIT_MS 60000
static struct subject {
	char *name;
	int64_t logged_ms;
	unsigned long suppressed;
} subjects[SUBJECTS];
static size_t next_subject;

static enum log_level least = LOG_INFO;

void log_least(enum log_level level)
{
	least = level;
}

static void put_time(struct buf *line)
{
	int64_t ms = clock_wall_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[40];

	gmtime_r(&s, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(line, "%s.%03dZ", text, (int)(ms % 1000));
}

static void write_line(enum log_level level, const char *event, unsigned long suppressed,
		       const char *fmt, va_list ap)
{
	static struct buf line;

	if (level > least)
		return;
	buf_reset(&line);
	put_time(&line);
	buf_printf(&line, " %s %s", level_names[level], event);
	if (fmt) {
		buf_putc(&line, ' ');
		buf_vprintf(&line, fmt, ap);
	}
	if (suppressed)
		buf_printf(&line, " suppressed=%lu", suppressed);
	buf_putc(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(level, event, 0, fmt, ap);
	va_end(ap);
}

static struct subject *subject_of(const char *name)
{
	struct subject *s;

	for (size_t i = 0; i < SUBJECTS; i++)
		if (subjects[i].name && strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	s = &subjects[next_subject++ % SUBJECTS];
	free(s->name);
	*s = (struct subject){ .name = mem_strdup(name), .logged_ms = -1 };
	return s;
}

void log_limited(enum log_level level, int64_t now_ms, const char *subject, const char *event,
		 const char *fmt, ...)
{
	struct subject *s = subject_of(subject);
	va_list ap;

	/* A clock that was set back must not silence a subject until it is where it was. */
	if (s->logged_ms >= 0 && now_ms >= s->logged_ms && now_ms - s->logged_ms < LIMIT_MS) {
		s->suppressed++;
		return;
	}
	va_start(ap, fmt);
	write_line(level, event, s->suppressed, fmt, ap);
	va_end(ap);
	s->logged_ms = now_ms;
	s->suppressed = 0;
}

static bool is_plain(const char *text, size_t n)
{
	bool is_obeyed;

	for (size_t i = 0; i < n;) {
		if (strchr(" \"\\=", text[i]))
			return false;
		i += buf_character(text + i, n - i, &is_obeyed);
		if (is_obeyed)
			return false;
	}
	return n > 0;
}

const char *log_value(const char *text)
{
	static struct buf ring[4];
	static size_t turn;
	struct buf *b = &ring[turn++ % 4];
	size_t n = text ? strlen(text) : 0;

	if (!text)
		return "-";
	if (is_plain(text, n))
		return text;
	buf_reset(b);
	buf_putc(b, '"');
	for (size_t i = 0, len; i < n; i += len) {
		len = strcspn(text + i, "\"\\");
		buf_put_shown(b, text + i, len, false);
		if (i + len < n)
			buf_printf(b, "\\%c", text[i + len++]);
	}
	buf_putc(b, '"');
	return b->data;
}
