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
	struct canonical request;
	char *reply_topic;
	char *south_device_id;
	int64_t deadline_ms;
};
TAILQ_HEAD(askers, asker);

struct issued {
	char *name, *device;
	uint64_t number; /* of the asker: of two for one device, the later one counts */
	bool is_refused; /* the north refused a login with it since */
	char *proof;	 /* what a request must say to get this answer again */
	char *reply;	 /* body of the provision_reply */
};

struct provisions {
	struct askers queue; /* by number */
	size_t n_queue;
	bool is_asking;	      /* the first of the queue was asked */
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
/* The device_name of a request, or NULL.  Caller frees. */
char *provision_said_name(const struct canonical *request);
void provision_free_asker(struct asker *a);
void provision_free_issued(void *value);
/* Take it into the tables, in place of what was issued under its name before. */
void provision_add_issued(struct provisions *t, struct issued *is);

/* --- provision_rows.c */

void provision_put_asker(const struct asker *a, struct changes *out);
void provision_drop_asker_row(const struct asker *a, struct changes *out);
void provision_put_issued(const struct issued *is, struct changes *out);
void provision_drop_issued_row(const struct issued *is, struct changes *out);
void provision_put_owner(const struct provisions *t, struct changes *out);

#endif
