/* log.c -- each event is one write to stderr, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

static const char *const level_names[] = { "error", "warning", "info", "debug" };

bool log_is_debugging;

/* Subjects of log_limited, a small ring: when it is full the oldest is forgotten, which costs a
 * repeated line and nothing else. */
#define SUBJECTS 256
#define LIMIT_MS 60000
static struct subject {
	char *name;
	const char *event;
	int64_t logged_ms;
	unsigned long suppressed;
} subjects[SUBJECTS];
static size_t next_subject;

static enum log_level least = LOG_DEBUG;
static enum log_format format = LOG_TEXT;
static bool has_journal;

/* Of events; the first is that of all. */
#define AREAS 32
#define OFF   (-1)
static struct area {
	char *name; /* "" */
	int least;
} areas[AREAS];
static size_t n_areas;

/* What was written last: a ring. */
static char tail[LOG_TAIL_BYTES];
static size_t tail_end;
static bool tail_is_full;

void log_format(enum log_format f)
{
	format = f;
}

void log_find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	has_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		      fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* --- levels --------------------------------------------------------------------------------- */

static bool level_of(const char *word, size_t n, int *level)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strlen(level_names[i]) == n && memcmp(level_names[i], word, n) == 0) {
			*level = i;
			return true;
		}
	*level = OFF;
	return n == 3 && memcmp(word, "off", n) == 0;
}

static void forget_areas(struct area *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
}

/* The areas of a list; false: it is none. */
static bool read_areas(const char *list, struct area *found, size_t *count)
{
	size_t n = 0, len;
	bool ok = true;

	for (; ok && *list; list += len + (list[len] == ',')) {
		const char *equals;

		while (*list == ' ')
			list++;
		len = strcspn(list, ",");
		equals = memchr(list, '=', len);
		ok = n < AREAS && equals != list;
		if (!ok)
			break;
		found[n].name =
			equals ? mem_strndup(list, (size_t)(equals - list)) : mem_strdup("");
		ok = level_of(equals ? equals + 1 : list,
			      equals ? len - (size_t)(equals + 1 - list) : len, &found[n].least);
		n++;
	}
	if (!ok)
		forget_areas(found, n);
	*count = n;
	return ok;
}

bool log_are_levels(const char *list)
{
	struct area found[AREAS];
	size_t n;

	if (!read_areas(list, found, &n))
		return false;
	forget_areas(found, n);
	return true;
}

bool log_levels(const char *list)
{
	struct area found[AREAS];
	size_t n;

	if (!read_areas(list, found, &n))
		return false;
	forget_areas(areas, n_areas);
	memcpy(areas, found, n * sizeof *found);
	n_areas = n;
	log_is_debugging = false;
	for (size_t i = 0; i < n; i++)
		log_is_debugging |= areas[i].least == LOG_DEBUG;
	return true;
}

static bool is_wanted(enum log_level level, const char *event)
{
	size_t longest = 0;
	int most = LOG_INFO;

	for (size_t i = 0; i < n_areas; i++) {
		size_t n = strlen(areas[i].name);

		if (n < longest || strncmp(event, areas[i].name, n) != 0 ||
		    (n && event[n] && event[n] != '-'))
			continue;
		longest = n;
		most = areas[i].least;
	}
	return level <= least && (int)level <= most;
}

/* --- lines ---------------------------------------------------------------------------------- */

static void remember(const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		tail[tail_end++] = line[i];
		tail_is_full = tail_is_full || tail_end == sizeof tail;
		tail_end %= sizeof tail;
	}
}

void log_put_tail(struct buf *out)
{
	const char *begin;
	size_t before = out->len;

	if (tail_is_full)
		buf_append(out, tail + tail_end, sizeof tail - tail_end);
	buf_append(out, tail, tail_end);
	begin = tail_is_full ? memchr(out->data + before, '\n', out->len - before) : NULL;
	if (begin) { /* of the oldest only the end is there */
		size_t n = (size_t)(begin + 1 - out->data) - before;

		memmove(out->data + before, out->data + before + n, out->len - before - n);
		buf_cut(out, out->len - n);
	}
}

/* Is it spelled as JSON spells numbers? */
static bool is_number(const char *text, size_t n)
{
	size_t digits = strspn(text, "-") > 0;
	size_t whole = strspn(text + digits, "0123456789");

	return whole > 0 && digits + whole == n && digits + whole < 17 &&
	       (text[digits] != '0' || whole == 1);
}

/* key=value key="a text" ..., as log_value() makes it, as members of an object. */
static void put_members(struct buf *line, const char *text)
{
	while (*text) {
		size_t key = strcspn(text, "= "), n;
		const char *value = text + key + 1;

		if (text[key] != '=') { /* a word by itself */
			buf_printf(line, ",\"%.*s\":true", (int)key, text);
			text += key + (text[key] == ' ');
			continue;
		}
		buf_printf(line, ",\"%.*s\":", (int)key, text);
		if (*value == '"') {
			for (n = 1; value[n] && value[n] != '"'; n++)
				n += value[n] == '\\' && value[n + 1];
			n += value[n] == '"';
			buf_append(line, value, n);
		} else {
			n = strcspn(value, " ");
			if (is_number(value, n))
				buf_append(line, value, n);
			else
				buf_printf(line, "\"%.*s\"", (int)n, value);
		}
		text = value + n + (value[n] == ' ');
	}
}

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
	static const int priorities[] = {
		[LOG_ERROR] = 3, [LOG_WARNING] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7
	};
	static struct buf line, values;
	size_t prefix;

	if (!is_wanted(level, event))
		return;
	buf_reset(&line);
	buf_reset(&values);
	if (fmt)
		buf_vprintf(&values, fmt, ap);
	if (suppressed)
		buf_printf(&values, "%ssuppressed=%lu", fmt ? " " : "", suppressed);
	if (has_journal)
		buf_printf(&line, "<%d>", priorities[level]);
	prefix = line.len;
	if (format == LOG_JSON) {
		buf_puts(&line, "{\"time\":\"");
		put_time(&line);
		buf_printf(&line, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level],
			   event);
		put_members(&line, buf_str(&values));
		buf_puts(&line, "}\n");
	} else {
		if (!has_journal) {
			put_time(&line);
			buf_putc(&line, ' ');
		}
		buf_printf(&line, "%s %s%s%s\n", level_names[level], event, values.len ? " " : "",
			   buf_str(&values));
	}
	fwrite(line.data, 1, line.len, stderr);
	remember(line.data + prefix, line.len - prefix);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(level, event, 0, fmt, ap);
	va_end(ap);
}

static struct subject *subject_of(const char *name, const char *event)
{
	struct subject *s;

	for (size_t i = 0; i < SUBJECTS; i++)
		if (subjects[i].name && strcmp(subjects[i].name, name) == 0 &&
		    strcmp(subjects[i].event, event) == 0)
			return &subjects[i];
	s = &subjects[next_subject++ % SUBJECTS];
	free(s->name);
	*s = (struct subject){ .name = mem_strdup(name), .event = event, .logged_ms = -1 };
	return s;
}

void log_limited(enum log_level level, int64_t now_ms, const char *subject, const char *event,
		 const char *fmt, ...)
{
	struct subject *s = subject_of(subject, event);
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
