/* provision_inside.h -- what the files of the machine of handshakes share: provision.c (what happens to it) and
 * provision_rows.c (what is kept).  Nobody else includes it. */
#ifndef BRIDGE_PROVISION_INSIDE_H
#define BRIDGE_PROVISION_INSIDE_H

#include <sys/queue.h>

#include "base/map.h"
#include "state/provision.h"

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

/* --- provision.c */

void provision_fini_canonical(struct canonical *p); /* its body is a secret */
/* Copies; end it with provision_free_asker(). */
struct asker *provision_new_asker(const struct provision_question *q, const char *name,
				  uint64_t number);
void provision_enqueue(struct provisions *t, struct asker *a); /* taken */
/* The device_name of a request, or NULL.  Caller frees. */
char *provision_said_name(const struct canonical *request);
void provision_free_asker(struct asker *a);
void provision_free_issued(void *value);
void provision_free_asked(struct asked *a);
/* Take it into the tables, in place of what was issued under its name before. */
void provision_add_issued(struct provisions *t, struct issued *is);

/* --- provision_rows.c */

void provision_put_asker(const struct asker *a, struct changes *out);
void provision_drop_asker_row(const struct asker *a, struct changes *out);
void provision_put_issued(const struct issued *is, struct changes *out);
void provision_drop_issued_row(const struct issued *is, struct changes *out);
void provision_put_asked(const struct asked *a, struct changes *out);
void provision_drop_asked_row(const struct asked *a, struct changes *out);
void provision_put_owner(const struct provisions *t, struct changes *out);

#endif
