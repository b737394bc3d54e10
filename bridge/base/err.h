/* err.h -- what went wrong, for callers (code) and for people (text).
 *
 * A function that can fail returns bool or a pointer and fills a struct err.  Callers branch on the
 * code; each layer may put its context in front of the text; whoever decides what happens next logs
 * it, once.  A `struct err *` parameter may be NULL. */
#ifndef BRIDGE_ERR_H
#define BRIDGE_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_code {
	ERR_NONE,
	ERR_INVALID,   /* the input is wrong: a file, a payload, an argument */
	ERR_NOT_FOUND, /* nothing of that name */
	ERR_LIMIT,     /* too big, too many, too late */
	ERR_INEXACT,   /* a number would become another one */
	ERR_IO,	       /* the system said no */
	ERR_FULL,      /* no space left on the disk */
	ERR_BUSY,      /* somebody else holds it */
	ERR_CORRUPT,   /* stored bytes are not what was written */
	ERR_CRYPTO,    /* OpenSSL said no */
	ERR_NET,       /* a peer or the network said no */
	ERR_ELSEWHERE  /* another process has to do it */
};

struct err {
	enum err_code code;
	char text[480];
};

void err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* ERR_IO with ": " and the text of errno behind. */
void err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "CONTEXT: " in front of the text. */
void err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A list of mistakes, so that one run reports them all.  Each is one line of text that starts with
 * its place.  What this machine lacks (a file, a variable of the environment) may be there later, so it
 * does not make a load fail; whoever loads decides what then.  Warnings do not, either.  Hints are warnings
 * for authors of mappings: others, who cannot act on them, do not get them. */
struct report {
	struct report_line {
		bool is_warning;
		char *text;
	} * lines;
	size_t n_lines;
	size_t n_errors;
	size_t n_lacks;
	bool wants_hints;
};

void report_error(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_lack(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_warning(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A warning if hints are wanted, and once: a library is read with each mapping that imports it. */
void report_hint(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool report_has(const struct report *r, const char *line);
/* The first line that is no warning, borrowed; NULL: there is none. */
const char *report_first_mistake(const struct report *r);
void report_fini(struct report *r);

#endif
