/* kind.h -- what a message means: the closed list of kinds, and all that is true of each.
 *
 * The list is kind.def, one row per kind; the constants KIND_TELEMETRY, KIND_COMMAND ... and kind_table
 * are made of it.  What depends on the kind asks the table; code that names a kind is about what only
 * that kind does. */
#ifndef BRIDGE_KIND_H
#define BRIDGE_KIND_H

#include <stdbool.h>

#include "message/side.h"

/* In which of two queues a message waits for its session: requests and replies go first. */
enum lane { LANE_EXCHANGE, LANE_REPORT };
#define LANES 2

enum kind {
#define KIND(constant, ...) KIND_##constant,
#include "message/kind.def"
	KINDS,
	KIND_NONE = KINDS
};

/* Does the bridge's own logic (link/logic.c) have a say in it? */
enum kind_logic {
	LOGIC_NONE,    /* no: it is written as it was read */
	LOGIC_ON_ECHO, /* where its row gives back what was pushed there (`echoes`) */
	LOGIC_ALWAYS
};

/* What its sender waits for. */
enum kind_asks {
	ASKS_NOTHING, /* also if it has a reply: that goes its own way, like a report */
	ASKS_BY_ID,   /* its reply, which is paired with it by an id (state/pairing.h) */
	ASKS_IN_TURN, /* its reply, in a handshake without ids, one at a time (handshake/provision.h) */
	ASKS_FOR_REPORTS /* messages of other kinds */
};

/* What becomes of it where the far dialect has no such message. */
enum kind_unmatched {
	UNMATCHED_DEAD,		/* a dead letter */
	UNMATCHED_ERROR,	/* a dead letter, and who asked is told in the reply */
	UNMATCHED_OWN_STATE,	/* the bridge answers it itself, with what it knows of the device */
	UNMATCHED_DEVICE_TABLE, /* the bridge obeys it itself */
	UNMATCHED_TAKEN		/* the bridge itself asked for it */
};

/* What the bridge may say of it by itself after a login, where the dialect wants that (`on_connect`). */
enum kind_greets {
	GREETS_NOT,		 /* nothing */
	GREETS_SAYING,		 /* an empty one */
	GREETS_ASKING,		 /* an empty one, and it looks at what is answered */
	GREETS_ASKING_OF_DEVICE, /* the same, about a device: where a session speaks for many, one for each */
	GREETS_OF_ONLINE /* one for each device that is online */
};

enum field_type { FIELD_STRING, FIELD_BOOLEAN, FIELD_OBJECT, FIELD_STRINGS };

/* A field that a body must have. */
struct field_shape {
	const char *key; /* NULL: the end of the list */
	enum field_type type;
	const char *words; /* what the string may be, comma-separated; NULL: anything */
	bool is_choice;	   /* one of the kind's choices must be there, else the field itself */
};
#define MAX_FIELD_SHAPES 3
#define MAX_KEYED	 2

struct kind_info {
	const char *name;
	enum flow flow;
	enum kind reply;   /* the kind that answers this one, or KIND_NONE */
	enum kind request; /* the kind that this one answers, or KIND_NONE */
	enum lane lane;
	enum kind_logic logic;
	enum kind_asks asks;
	enum kind_unmatched unmatched;
	enum kind_greets greets;
	/* Of a reply: where no request of its own kind is open under its id, one of this kind is what it
	 * answers.  0: there is none. */
	enum kind also_answers;
	/* A device is told of it once: a snapshot that the bridge asks for says it again.  The field of the body
	 * that tells several from each other, "": there is one.  NULL: it is no such kind. */
	const char *notice;
	bool is_answered;      /* the bridge may answer by itself: see kind_own_answer() */
	bool has_secrets;      /* there are credentials in the body */
	bool is_dead_retained; /* one from the broker's memory is not obeyed: it is an old one */
	bool is_state;	 /* functions are told of it with later messages of the device (`state`) */
	bool is_kept;	 /* its last values are kept, where a south may ask for them */
	bool keeps_id;	 /* paired by the id that the asker gave, not by a new one */
	bool is_one_way; /* a request without an id or a reply topic wants no reply */
	bool has_progress; /* a reply whose status is "in_progress" is not the last one */
	/* How a reply says that a request failed: the beginning of its body, up to the text for people.
	 * NULL: it cannot. */
	const char *error;
	bool error_has_request; /* before that, the fields of the request are repeated */
	/* Where in the body things stand side by side, each under its key and worth something without the others:
	 * "": it is such an object itself. */
	const char *keyed[MAX_KEYED + 1];
	bool is_any_json; /* the body may be anything; else it is an object with these fields */
	struct field_shape fields[MAX_FIELD_SHAPES + 1];
};

extern const struct kind_info kind_table[KINDS];

/* The kind called `name`, or KIND_NONE. */
enum kind kind_of(const char *name);
const char *kind_name(enum kind kind);
/* Is it a reply that is paired with its request by id? */
bool kind_is_paired_reply(enum kind kind);
/* What the bridge may say by itself to who sent such a message: an error, a confirmation, what the mapping
 * or its own state says.  KIND_NONE: nothing. */
enum kind kind_own_answer(enum kind kind);
/* Is it a question or an answer of a handshake? */
bool kind_is_handshake(enum kind kind);

#endif
