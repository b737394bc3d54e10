/* answer.h -- what is said to one request over HTTP, piece by piece. */
#ifndef BRIDGE_ANSWER_H
#define BRIDGE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct control_request_parts;

/* The first member of each. */
struct answer {
	/* As in http/http_server.h. */
	bool (*more)(struct answer *a, struct buf *out);
	void (*end)(struct answer *a); /* frees it */
};

/* This text (copied). */
struct answer *answer_text(const char *text, size_t n);
struct answer *answer_metrics(const struct control_request_parts *parts);
/* As `calque status --json`; `is_bare`: without what may name a device or a topic. */
struct answer *answer_status(const struct control_request_parts *parts, bool is_bare);
/* What the bridge says to this request of the control socket (control/control_request.h), a line each. */
struct answer *answer_request(const struct control_request_parts *parts, const char *line,
			      size_t n);
/* Is this the type of a body in JSON?  (NULL: there is none.)  A page of somebody else's could not send it unasked. */
bool answer_is_json(const char *content_type);
/* May that be asked from here?  Not what hands out credentials. */
bool answer_may_be_asked(const char *line, size_t n);

#endif
