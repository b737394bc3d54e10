/* provision.h -- provisioning handshakes of one link: step(event) -> actions.
 *
 * The device asks on the south's main session; the north issues credentials on provisioning sessions that the bridge
 * opens, one question at a time on each.  Neither side correlates, so more than one only for what the bridge asks by
 * itself, offers a token for, and where answers can be told apart: provision_talk.c.  Credentials are stored before the
 * device is told.  Asked again for the same device_name: the same answer, no second handshake, unless the north has
 * refused the login since.  (Not so if the provision_key, provision_secret or device_key are others than then: a name
 * alone must not be enough to be given credentials, so that is a handshake of its own.)
 *
 * An answer may be lost after the north has made the device, and then it refuses the name for ever.  So what the
 * device will log in with is known before the question leaves: its own credentials if the request has some,
 * else a token that is chosen here.  If an earlier question for that name had no answer and the next one
 * gets FAILURE, a login with these shows whether the device is this one (PROVISION_TRY); the north's own
 * answer wins over them.
 *
 * A link of one device belongs to one name: the configured one, else the first that was issued credentials
 * and logged in with them (provisions_accepted).  Until it has, it is that name's turn: another comes
 * only if the north refuses that login.  All other names get FAILURE, and the north is not asked.
 * Machine name "provision"; its rows are secret.  Pure: no clock, no store. */
#ifndef BRIDGE_PROVISION_H
#define BRIDGE_PROVISION_H

#include <stdbool.h>
#include <stdint.h>

#include "message/canonical.h"

struct changes;
struct err;
struct machine;
struct provisions;

#define PROVISION_SESSIONS   64		/* at once, at most */
#define PROVISION_NO_SESSION UINT64_MAX /* of an answer that an earlier run received */

/* A session of handshakes has a number, and one that is opened in its place another.  Places are few. */
static inline unsigned provision_place(uint64_t session)
{
	return session % PROVISION_SESSIONS;
}

/* What a link says of its handshakes, with each event; borrowed. */
struct provision_terms {
	bool is_single;	    /* it is one device's, and belongs to one name ... */
	const char *name;   /* ... to this; NULL: not configured */
	const char *device; /* a link of many: by whose credentials it logs in (its name here) */
	bool chooses_token; /* where a request brings no credentials of its own */
	int64_t now_ms, timeout_ms; /* of a question, from when it is put */
	size_t sessions;	    /* so many at once, at most PROVISION_SESSIONS; 0: one */
};

struct provisions *provisions_new(void);
void provisions_free(struct provisions *t);

/* What to do after an event; several may be due.  Texts are owned by the action list. */
enum provision_act {
	PROVISION_ASK, /* send `message` (a provision) to the north over provisioning session `session` */
	PROVISION_ANSWER, /* send `message` (a provision_reply) to the south, in answer to `request` */
	PROVISION_LOGIN, /* the north's main session can (re)connect with `message`'s credentials */
	PROVISION_TRY,	 /* in place of `session`: does the north let in `message`'s credentials?
			* provisions_tried() wants to know */
	PROVISION_CLOSE, /* nothing more to ask for now: close the provisioning session.  Also after a
			   * time-out, maybe with an ASK behind it: that needs a new session, or the
			   * late reply would be taken for its answer */
	PROVISION_DISTRUST /* answers were heard by who had not asked: one session from now on */
};
struct provision_action {
	enum provision_act act;
	uint64_t session; /* of ASK, TRY, CLOSE */
	struct canonical message;
	struct canonical request; /* of ANSWER: what it answers */
	char *reply_topic;	  /* of ANSWER: NULL is the usual topic */
	const char *refusal; /* of ANSWER: why the north was not asked; NULL: it was.  Not owned */
	bool is_own;	     /* of ANSWER: nobody in the south asked, and nobody is told */
	/* Of ANSWER, no SUCCESS: the north may have made the device, and what it logs in with is not known. */
	bool is_lost;
};
struct provision_actions {
	struct provision_action *items;
	size_t n;
};
void provision_actions_fini(struct provision_actions *a);

/* The device asks; all copied. */
struct provision_question {
	const struct canonical *request; /* a provision message, device set */
	/* Does it say who asks, or its topic or session?  Without a device_name its device is its name, or (a
	 * link of one device) the configured one.  Two that do not say it are two devices: the second is
	 * refused, for it would be given what the first got. */
	bool is_named;
	const char *
		asker; /* whose topic or session it came on; NULL: that does not say, and its name has to do */
	const char *reply_topic;
	const char
		*south_device_id; /* what the reply says as device_id where the north gives none */
	bool is_own;		  /* the bridge asks for the device, by itself */
};
/* Names that were issued credentials before have their turn first, the others in the order asked.  At most 1000 may
 * wait, and 10 of an asker; beyond that the answer is FAILURE at once, but for a known name that finds others
 * waiting: the last of these gets it instead. */
void provisions_request(struct provisions *t, const struct provision_terms *terms,
			const struct provision_question *q, struct changes *out,
			struct provision_actions *acts);

/* The north answered over `session` with the body of a provision_reply.  SUCCESS without a credential is a FAILURE.
 * False: ERR_NOT_FOUND nobody asked there, or it says the token of another; ERR_INVALID no object with a status, the
 * handshake stays in hand.  There may be actions all the same. */
bool provisions_reply(struct provisions *t, const struct provision_terms *terms, uint64_t session,
		      struct jslice body, struct changes *out, struct provision_actions *acts,
		      struct err *e);

/* The question was written so: are the credentials in it by which the device could be known again? */
void provisions_written(struct provisions *t, uint64_t session, struct jslice question);
/* It was handed to its session, and may arrive. */
void provisions_sent(struct provisions *t, uint64_t session);
/* The connection of the session was lost.  was_asked: with a question that may have arrived.  True: the last one that
 * was put over it has no answer, and is to go again, it alone. */
bool provisions_down(struct provisions *t, uint64_t session, bool was_asked);
/* What came of PROVISION_TRY; the rest is due at once, for provisions_expire(). */
void provisions_tried(struct provisions *t, uint64_t session, bool is_let_in);

/* At terms->now_ms: a handshake whose deadline has passed fails with status FAILURE and message "timeout"; one
 * whose credentials were tried ends. */
void provisions_expire(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts);
int64_t provisions_next_deadline(const struct provisions *t);

/* The north let the link in with provisions_credentials(): if it has only now become one name's, that name,
 * borrowed; else NULL. */
const char *provisions_accepted(struct provisions *t, const struct provision_terms *terms,
				struct changes *out);
/* The north refused them: the next request asks it again. */
void provisions_refused(struct provisions *t, const struct provision_terms *terms,
			struct changes *out);
/* Whose a link of one device is, borrowed; NULL: nobody's yet.  *is_proved: it has logged in, or is
 * configured. */
const char *provisions_owner(const struct provisions *t, const struct provision_terms *terms,
			     bool *is_proved);
/* Drop what was issued under this name; if the link was its, it is nobody's now.  False: nothing is known of
 * it.  A handshake in hand goes on. */
bool provisions_forget_name(struct provisions *t, const struct provision_terms *terms,
			    const char *name, struct changes *out);

/* Does a question of the bridge's own for this device wait, or is it in hand?  How many are there? */
bool provisions_has_own(const struct provisions *t, const char *device);
size_t provisions_count_own(const struct provisions *t);

/* Was the device issued credentials that are held? */
bool provisions_is_issued(const struct provisions *t, const char *device);
/* The device is gone: drop what it was issued, and its requests that wait, without an answer.  A handshake in
 * hand is not taken back: the north has its question, and its answer must not be taken for that to
 * another one. */
void provisions_forget(struct provisions *t, const char *device, struct changes *out);

/* The body of the stored provision_reply (SUCCESS) with which the link logs in, borrowed; len 0: none. */
struct jslice provisions_credentials(const struct provisions *t,
				     const struct provision_terms *terms);

/* Before provisions_resume(): an earlier run received answers that nobody has looked at.  Nothing is asked until then;
 * give them to provisions_reply(), with PROVISION_NO_SESSION.  Their tokens say to which questions they are. */
void provisions_hear(struct provisions *t);
/* After all rows are restored: ask again for what was in hand when the last run ended.  Rows of before links
 * belonged to names make it the last one's that was issued credentials. */
void provisions_resume(struct provisions *t, const struct provision_terms *terms,
		       struct changes *out, struct provision_actions *acts);
bool provisions_restore(struct provisions *t, const char *key, const char *value, struct err *e);

extern const struct machine provision_machine; /* state/machine.h */

#endif
