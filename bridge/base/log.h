/* log.h -- one event, one line on stderr: time, level, a fixed event word, then key=value; or a JSON object with the
 * same.
 *
 * Never a payload, a secret, or jq's text of a parse error (it quotes the payload).  Values with
 * blanks or quotes are written as JSON strings by log_value().  Loop thread only. */
#ifndef BRIDGE_LOG_H
#define BRIDGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

/* LOG_DEBUG is of what goes on in the life of one message, and written only where log_levels() asks for it. */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* log_event(LOG_INFO, "session-up", "link=%s side=%s", ...); fmt may be NULL */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, at most once per event, `subject` and minute; the next such line tells how many were left out
 * (`suppressed=N`).  `event` is static. */
void log_limited(enum log_level level, int64_t now_ms, const char *subject, const char *event,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

enum log_format { LOG_TEXT, LOG_JSON };

/* How lines are written.  Where stderr is the journal's (sd-daemon(3): JOURNAL_STREAM names it), each begins with the
 * level as that wants it, and a text has no time of its own. */
void log_format(enum log_format format);
/* To be asked for at the start, while the environment is there. */
void log_find_journal(void);

/* Which events are written: "LEVEL" of all, "AREA=LEVEL" of those whose word is AREA or begins with it and a hyphen,
 * by commas: "warning,session=info,dead-letter=error".  The longest area counts.  A level is error, warning, info,
 * debug or off.  False: it is no such list, and nothing has changed. */
bool log_levels(const char *list);
bool log_are_levels(const char *list); /* would it be one? */
/* Does any area want LOG_DEBUG?  For those who would have to gather what they say. */
extern bool log_is_debugging;

#define LOG_TAIL_BYTES (64u << 10)
/* Append the last lines that were written, so many bytes at most. */
void log_put_tail(struct buf *out);

/* Write no line that matters less than this, whatever the levels are; at first that leaves out none. */
void log_least(enum log_level level);

/* `text` fit for a value: as it is, or as a JSON string where it is empty or has blanks, quotes, = or
 * what a terminal would obey (buf_character()); NULL is "-".  Borrowed; good until the fourth call after this one. */
const char *log_value(const char *text);

#endif
