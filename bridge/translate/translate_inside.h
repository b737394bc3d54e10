/* translate_inside.h -- what the files of translate share: translate.c (results, jobs, dispatch),
 * translate_through.c, translate_wide.c, translate_read.c, translate_write.c, translate_address.c, and job_codec.c,
 * which makes results anew.  Nobody else includes it. */
#ifndef BRIDGE_TRANSLATE_INSIDE_H
#define BRIDGE_TRANSLATE_INSIDE_H

#include "base/buf.h"
#include "translate/translate.h"

/* --- translate.c */

struct item *results_add(struct results *r, enum item_type type);
/* Take back the items from `n` on: what a function put out before it failed counts for nothing. */
void results_cut(struct results *r, size_t n);
void item_fini(struct item *item);

static inline struct jslice translate_slice(const struct buf *b)
{
	return (struct jslice){ buf_str(b), b->len };
}
struct mapping_input;

/* Let a function see the keys of a plain message; borrowed. */
void translate_see_canonical(struct mapping_input *in, const struct canonical *p);
/* And the request that it answers, kept in *text; NULL: none. */
void translate_see_request(struct mapping_input *in, const struct canonical *request,
			   struct buf *text);
/* The id by the text captured for it (NULL: none), like translate_topic_id(). */
char *translate_captured_id(const struct reader *r, const char *text);
/* Would a function change a number of this text by merely passing it on? */
bool translate_would_change(struct jslice text);

/* What becomes of a message whose function failed, by the error of mapping_call(). */
enum outcome translate_call_outcome(struct results *out, const struct err *e);

/* A function made what is no plain message, as *e says: if it has a key too many, that is named there, as far
 * as it may be. */
void translate_name_key(const struct mapping *m, struct jslice made, struct err *e);

/* --- translate_address.c */

/* What the row (of this mapping) was to write is refused. */
void translate_refuse_row(struct results *out, const struct mapping *m, const struct row *row,
			  enum outcome reason, const char *text);
/* The side to which the job's message of this kind goes. */
enum side translate_target(const struct job *job, enum kind kind);

/* --- translate_through.c */

/* Gets a message that has passed; takes it. */
typedef void translate_passed(void *ctx, struct canonical *p);
/* Take `p` through the through files, in the direction of its kind.  What is refused on the way goes to
 * `out`. */
void translate_through(const struct plan *plan, struct canonical *p, struct results *out,
		       translate_passed *passed, void *ctx);

/* --- translate_wide.c */

#define TRANSLATE_LEFT_OUT "keys whose numbers would become others in %s are left out"

/* Append `text` (JSON) with other numbers in the place of those that jq would change: such that it keeps, and
 * smaller ones than these (or larger ones: is_high).  False: there are too many, or some are too large for that. */
bool translate_stand_in(struct jslice text, bool is_high, struct buf *out);
enum common {
	COMMON_ALL,
	COMMON_PART,  /* some keys differ, and are taken out of `a` */
	COMMON_LABEL, /* kind, device, id and time */
	COMMON_NOTHING
};
/* What do these have in common, which a function made of one message with a smaller and a larger number in it?  What
 * differs depends on that number. */
enum common translate_common(struct canonical *a, const struct canonical *b);
/* Take the keys whose numbers jq would change out of the body, where its kind has such keys.  False: nothing would
 * be left, or something else would change; then the body means nothing any more. */
bool translate_leave_out(struct canonical *p);

/* --- translate_read.c, translate_write.c */

void translate_read(const struct job *job, struct results *out);
/* Is a plain message of this kind, which this row read as the job's device's, written at once, since the bridge's own
 * logic has nothing to say to it? */
bool translate_is_direct(const struct job *job, const struct row *row, enum kind kind);
/* Are its plain messages of this kind about the device that topic and session say, and no other? */
bool translate_names_device(const struct job *job, enum kind kind);
/* A name that is written into a payload, or that the session says, may be any; one for a topic must be a level
 * of it. */
bool translate_can_be_named(const struct plan *plan, const struct canonical *p);
void translate_write(const struct job *job, struct results *out);
/* The same, less what the messages are (item->plain): the caller sets it. */
void translate_write_rows(const struct job *job, struct results *out);

#endif
