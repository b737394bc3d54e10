/* provision_inside.h -- what the files of the machine of handshakes share: provision.c (what happens to it),
 * provision_asked.c (what a question offers), provision_issued.c (what was issued, and whose the link is) and
 * provision_rows.c (what is kept).  Nobody else includes it. */
#ifndef BRIDGE_PROVISION_INSIDE_H
#define BRIDGE_PROVISION_INSIDE_H

#include <string.h>
#include <sys/queue.h>

#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "handshake/provision.h"

#define PROVISION_MACHINE "provision"

/* Somebody who waits for an answer.  The handshake in hand is that of the first in the queue; all
 * with the same name and proof have joined it. */
struct asker {
	TAILQ_ENTRY(asker) link;
	uint64_t number; /* grows by 1 */
	char *name, *proof;
	bool is_named; /* see provisions_request() */
	bool is_own;   /* likewise */
	bool is_known; /* the name was issued credentials before it asked */
	char *asker;
	struct canonical request;
	char *reply_topic;
	char *south_device_id;
};
TAILQ_HEAD(askers, asker);

struct issued {
	char *name, *device;
	uint64_t number; /* of the asker: of two for one device, the later one counts */
	bool is_refused; /* the north refused a login with it since */
	char *proof;	 /* what a request must say to get this answer again */
	char *reply;	 /* body of the provision_reply */
};

/* A question that was put and has no answer yet, maybe since an earlier run. */
struct asked {
	TAILQ_ENTRY(asked) link;
	uint64_t number; /* of its asker */
	char *name, *proof, *device;
	bool is_chosen; /* the token in it is the bridge's */
	bool is_sent;	/* it left, as far as an earlier run could say; not kept */
	char *reply;	/* what a SUCCESS would say: the credentials that the device has then */
};
TAILQ_HEAD(askeds, asked);

/* A try to log in with what was asked for. */
enum provision_trial { TRIAL_NONE, TRIAL_OUT, TRIAL_LET_IN, TRIAL_REFUSED };

struct provisions {
	struct askers queue; /* what is in hand, known names by number, the others by number */
	size_t n_queue;
	bool is_asking;		/* the first of the queue was asked: the question in hand */
	bool is_hearing;	/* ... by an earlier run: provisions_hear() */
	int64_t deadline_ms;	/* of that */
	bool is_repeated;	/* an earlier one like it may have arrived */
	bool is_sent, was_sent; /* it was handed to its session; so was an earlier one like it */
	bool is_told;		/* it says what the device will log in with */
	enum provision_trial trial;
	char *failure; /* the answer that led to the trial */
	bool is_lost; /* the handshake that ends may have made a device that nobody can log in as */
	struct askeds asked;
	size_t n_asked;
	bool is_open;	      /* the provisioning session may be open */
	struct map issued;    /* name -> struct issued */
	struct map by_device; /* device -> struct issued, borrowed */
	uint64_t last_number;
	bool knows_owner; /* there is a row that says so; else the rows are older, or there are none */
	char *owner;	  /* whose a link of one device is; NULL: nobody's */
	bool is_proved; /* the owner has logged in */
};

static inline struct jslice text_of(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

/* A field that says something. */
static inline bool has(struct jslice object, const char *key, struct jslice *v)
{
	return jtext_field(object, key, v) && jtext_type_of(*v) != JTEXT_NULL;
}

static inline bool says(struct jslice body, const char *key)
{
	struct jslice v;

	return jtext_field(body, key, &v) && jtext_type_of(v) == JTEXT_STRING &&
	       !jtext_string_is(v, "");
}

static inline void free_secret_text(char *s)
{
	if (s)
		mem_free_secret(s, strlen(s));
}

/* --- provision.c */

void provision_fini_canonical(struct canonical *p); /* its body is a secret */
/* Copies; end it with provision_free_asker(). */
struct asker *provision_new_asker(const struct provision_question *q, const char *name,
				  uint64_t number);
void provision_enqueue(struct provisions *t, struct asker *a); /* taken */
/* The device_name of a request, or NULL.  Caller frees. */
char *provision_said_name(const struct canonical *request);
void provision_free_asker(struct asker *a);

/* --- provision_asked.c */

void provision_free_asked(struct asked *a);
/* The question that was put for who asks so; NULL: none that offers something. */
struct asked *provision_find_asked(const struct provisions *t, const struct asker *a);
void provision_drop_asked(struct provisions *t, struct asked *q,
			  struct changes *out); /* NULL: none */
/* Before it leaves: what the device will log in with.  NULL: nothing that is known. */
struct asked *provision_note_question(struct provisions *t, const struct provision_terms *terms,
				      const struct asker *a, struct changes *out);
/* The request of `a` as it is put, with the token that was chosen for it. */
void provision_word_question(struct canonical *question, const struct asker *a,
			     const struct asked *q);
/* What was asked under this name, or for this device (the other is NULL), and not answered.  False: nothing. */
bool provision_forget_asked(struct provisions *t, const char *name, const char *device,
			    struct changes *out);

/* --- provision_issued.c */

void provision_free_issued(void *value);
/* Take it into the tables, in place of what was issued under its name before. */
void provision_add_issued(struct provisions *t, struct issued *is);
/* The same of what `body` brings to who asked. */
const struct issued *provision_issue(struct provisions *t, const struct asker *a,
				     struct jslice body, struct changes *out);
void provision_drop_issued_to(struct provisions *t, const char *device, struct changes *out);
/* The reply as it is kept and given to the device: `body` with what the north left out.  Caller frees. */
char *provision_complete_reply(struct jslice body, const char *device_id);
/* May a handshake of this name be made? */
bool provision_may_ask(const struct provisions *t, const struct provision_terms *terms,
		       const char *name);
void provision_set_owner(struct provisions *t, const char *name, bool is_proved,
			 struct changes *out);
/* Rows of before links belonged to names: the link goes on as it was. */
void provision_adopt(struct provisions *t, const struct provision_terms *terms,
		     struct changes *out);

/* --- provision_rows.c */

void provision_put_asker(const struct asker *a, struct changes *out);
void provision_drop_asker_row(const struct asker *a, struct changes *out);
void provision_put_issued(const struct issued *is, struct changes *out);
void provision_drop_issued_row(const struct issued *is, struct changes *out);
void provision_put_asked(const struct asked *a, struct changes *out);
void provision_drop_asked_row(const struct asked *a, struct changes *out);
void provision_put_owner(const struct provisions *t, struct changes *out);

#endif
