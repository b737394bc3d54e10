/* provision_inside.h -- what the files of the machine of handshakes share: provision.c (what happens to it),
 * provision_talk.c (the sessions), provision_asked.c (what a question offers), provision_issued.c (what was issued, and whose the link is) and
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

/* Somebody who waits for an answer.  All with the same name and proof as one whose question is open have joined it. */
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
	bool is_beside; /* when it was put last, another one was open */
	bool is_sent;	/* it left, as far as an earlier run could say; not kept */
	char *reply;	/* what a SUCCESS would say: the credentials that the device has then */
};
TAILQ_HEAD(askeds, asked);

/* A try to log in with what was asked for. */
enum provision_trial { TRIAL_NONE, TRIAL_OUT, TRIAL_LET_IN, TRIAL_REFUSED };

/* A session of handshakes, and the question that is open on it. */
struct talk {
	uint64_t session;    /* its number, or that of the last one in its place */
	bool is_open;	     /* there may be one */
	bool was_lost;	     /* its connection was, with a question that may come twice */
	struct asker *asker; /* whose question is open; NULL: none is.  Of that: */
	int64_t deadline_ms;
	bool is_repeated;	/* an earlier one like it may have arrived */
	bool is_sent, was_sent; /* it was handed to its session; so was an earlier one like it */
	bool is_told;		/* it says what the device will log in with */
	bool is_beside;		/* another one was open meanwhile */
	enum provision_trial trial;
	char *failure; /* the answer that led to the trial */
};

/* What the far end has shown of its answers: provision_talk.c */
enum provision_trust {
	TRUST_NONE,
	TRUST_TOKEN, /* it gives the token that is offered.  What is asked next goes over another session ... */
	TRUST_LISTENS, /* ... was answered there, and the first one has not heard it yet */
	TRUST_ALL,     /* nor will: each session hears the answers to its own questions */
	TRUST_NEVER    /* something was heard by who did not ask */
};

struct provisions {
	struct askers queue; /* what is in hand, known names by number, the others by number */
	size_t n_queue;
	struct talk **talks; /* by their places */
	size_t n_talks;
	uint64_t n_sessions; /* since the start */
	enum provision_trust trust;
	int64_t quiet_ms; /* until then nothing is asked; 0: it may be */
	bool is_hearing; /* provisions_hear(); the first talk's question is an earlier run's then */
	struct askeds asked;
	size_t n_asked;
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

struct provision_action *provision_add_action(struct provision_actions *acts,
					      enum provision_act act);
/* Are their questions the same, so that they get one answer? */
bool provision_is_same(const struct asker *a, const struct asker *b);

/* --- provision_talk.c */

struct talk *provision_talk(const struct provisions *t, uint64_t session); /* NULL: it has ended */
struct talk *provision_first_talk(struct provisions *t); /* of the first place, open or not */
struct talk *provision_talk_of(const struct provisions *t, const struct asker *a); /* or NULL */
size_t provision_n_open(const struct provisions *t);				   /* questions */
/* Who waits and has not joined one whose question is open; and where his may be put now.  NULL: nobody, nowhere. */
struct asker *provision_next_asker(const struct provisions *t);
struct talk *provision_talk_for(struct provisions *t, const struct provision_terms *terms,
				const struct asker *a);
/* It is put there. */
void provision_open_talk(struct provisions *t, struct talk *talk, struct asker *a);
void provision_end_talk(
	struct talk *talk); /* the question is open no more; the session is as it was */
void provision_close_talk(struct provisions *t, struct talk *talk, struct provision_actions *acts);
void provision_close_idle(struct provisions *t, struct provision_actions *acts);
/* What it had heard comes of another session from now on: it is used for a trial. */
void provision_renew_talk(struct provisions *t, struct talk *talk);
void provision_free_talks(struct provisions *t);
/* An answer came over `talk` and is taken for that to its question. */
void provision_trust(struct provisions *t, const struct talk *talk, bool has_its_token);
/* One came that is to no question there. */
void provision_distrust(struct provisions *t, struct provision_actions *acts);

/* --- provision_asked.c */

void provision_free_asked(struct asked *a);
/* The question that was put for who asks so; NULL: none that offers something. */
struct asked *provision_find_asked(const struct provisions *t, const struct asker *a);
void provision_drop_asked(struct provisions *t, struct asked *q,
			  struct changes *out); /* NULL: none */
/* Does the question of `a` say a token, or would it? */
bool provision_offers_token(const struct provisions *t, const struct provision_terms *terms,
			    const struct asker *a);
/* Is the token of this answer the one that was offered with `q`?  NULL: with none. */
bool provision_has_its_token(const struct asked *q, struct jslice body);
/* Is it one that was offered to, or issued under, another name than that of `a`? */
bool provision_is_anothers(const struct provisions *t, const struct asker *a, struct jslice body);
/* Who waits and was offered it; NULL: nobody. */
struct asker *provision_asker_of(const struct provisions *t, struct jslice body);
/* Before it leaves: what the device will log in with.  NULL: nothing that is known. */
struct asked *provision_note_question(struct provisions *t, const struct provision_terms *terms,
				      const struct asker *a, bool is_beside, struct changes *out);
void provision_note_beside(struct asked *q, bool is_beside, struct changes *out);
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
