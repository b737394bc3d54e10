/* twin_inside.h -- what the files of the twins share: twin.c (pushes and their confirmation),
 * twin_keys.c (what is known of each key), twin_diff.c (what a config body says that is new), twin_body.c
 * (the bodies that go out) and twin_store.c (the rows of the state).  Nobody else includes it. */
#ifndef BRIDGE_TWIN_INSIDE_H
#define BRIDGE_TWIN_INSIDE_H

#include <sys/queue.h>

#include "base/map.h"
#include "state/twin.h"

#define MACHINE	    "twin"
#define KEY_MACHINE "twin-key"

/* What was sent on and is not confirmed yet.  A newer push takes over what an older one left open,
 * so there is one at most. */
struct push {
	json_object *keys;    /* changed key -> is it still to be confirmed */
	json_object *deleted; /* name -> true */
	bool is_full;	      /* the sender says it all: confirm it all */
	bool waits;	      /* the sender expects a word */
	int64_t version;      /* that it was sent on with */
};

/* How far a key got. */
enum twin_stage {
	TWIN_SENT,
	TWIN_DELIVERED, /* who took it said so; whether the device did is not known */
	TWIN_CONFIRMED,
	TWIN_FAILED,  /* it is known not to be there: sent again when the device shows up */
	TWIN_REFUSED, /* likewise, and sending it again would not help */
	TWIN_STAGES
};

/* What is known of a key, or of a name that was deleted. */
struct twin_key {
	int64_t at_ms;	 /* when the platform last said it */
	int64_t version; /* with which it was last sent */
	enum twin_stage stage;
};

/* While it is `resting`, its objects are not there.  They are twin_nothing() until something is put into them. */
struct twin {
	char *device;
	const struct twins *of;
	json_object *doc;
	json_object *keys; /* name -> [at_ms, version, stage]; of one that is not there nothing is
				* known to be wrong */
	json_object
		*reported; /* key -> what the device has, where that is not in the document; a long
				* value by its hash (twin_note_reported()) */
	int64_t version;   /* 0: never changed */
	int64_t said_version; /* the greatest that the device has said; 0: none */
	int64_t updated_ms;   /* when it was first heard of, then of the last change */
	char *source_version; /* the sender's own, JSON text; NULL: it has none */
	char *source_updated;
	struct push *push;    /* NULL: none is open */
	json_object *notices; /* what of twins_take_notice() -> hash of the last one */
	json_object *unsaved; /* names of which the row does not say what is here */
	size_t doc_bytes;     /* of the document: names, and values as text */
	bool is_learnt;	      /* the platform has answered the bridge once */
	/* The question of the bridge; not stored. */
	int64_t asked_ms, asked_until_ms; /* until 0: none is open */
	bool asks_config, asks_first;	  /* has it the configuration yet; was it the first */
	/* Our last word to the platform: the body of a config_reply, and when.  Not stored.  NULL: none,
	 * or it came back. */
	json_object *word;
	int64_t word_ms;
	/* Sending again; not stored. */
	int64_t swept_ms; /* when names that are gone were last looked through; not stored, either */
	bool has_failed;  /* maybe there are failed keys */
	int64_t failed_ms; /* when it was last learnt that some had */
	int64_t tried_ms;  /* when they were last sent again */
	int64_t due_ms;	   /* the device has shown up: when to send them */
	TAILQ_ENTRY(twin) due;
	bool is_due;
	char *resting;		 /* what its objects say (twin_rest.c); NULL: they are there ... */
	TAILQ_ENTRY(twin) awake; /* ... and it is in this list */
};
TAILQ_HEAD(twin_list, twin);
/* Those that do not rest, the last used first. */
struct twins_awake {
	struct twin_list list;
	size_t n, most;
};
TAILQ_HEAD(due_twins, twin);

struct twins {
	struct map twins; /* device -> struct twin */
	struct due_twins due;
	struct twins_awake *awake;
	bool from_epoch;
	int64_t ahead_ms; /* twins_set_ahead() */
};

/* What a config body says, and what of it is to be sent. */
struct news {
	json_object *tree;
	json_object *changed, *deleted, *full; /* pieces of the tree; NULL: not there */
	json_object *
		unread; /* names that `full` has, too, with values that could not be read; NULL: none */
	char *version, *updated; /* JSON text; NULL: not there */
	json_object *differs;	 /* key -> value */
	json_object *gone;	 /* name -> true */
};

static inline bool twin_is_failed(enum twin_stage stage)
{
	return stage == TWIN_FAILED || stage == TWIN_REFUSED;
}

static inline size_t count(json_object *object)
{
	return (size_t)json_object_object_length(object);
}

static inline bool has(json_object *object, const char *key)
{
	return json_object_object_get_ex(object, key, NULL);
}

static inline void set(json_object *object, const char *key, json_object *value)
{
	json_object_object_add(object, key, json_object_get(value));
}

static inline void set_bool(json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

/* --- twin.c */

/* An empty object that is shared, never written to.  A reference of the caller's. */
json_object *twin_nothing(void);
/* Before something is put into an object of a twin. */
void twin_own(json_object **object);
struct twin *twin_new(const struct twins *of, const char *device);
void twin_free(void *twin);
/* It is not due any more. */
void twin_leave(struct twins *t, struct twin *w);
/* The version for what is sent now.  `theirs`: the sender's own; 0: it has none. */
int64_t twin_next_version(const struct twins *t, const struct twin *w, int64_t theirs,
			  int64_t now_ms);
/* The twin of `device`, made if there is none. */
struct twin *twin_of(struct twins *t, const char *device, int64_t now_ms);

/* Has nothing been learnt of the device that would have to be kept? */
bool twin_is_blank(const struct twin *w);

/* --- twin_rest.c */

/* The twin of `device`, with all of its objects; NULL: there is none.  Whoever looks for one asks here. */
struct twin *twin_get(const struct twins *t, const char *device);
/* A new one is in the map; or one is about to leave it. */
void twin_add(struct twins *t, struct twin *w);
void twin_sleep(const struct twins *t, struct twin *w);

/* --- twin_keys.c */

/* The row of `name` is to be written with the next twin_put_row(). */
void twin_touch(struct twin *w, const char *name);
/* Change the document; `value` gets a reference. */
void twin_put_value(struct twin *w, const char *name, json_object *value);
void twin_drop_value(struct twin *w, const char *name);
/* May it be changed like this?  False sets *e: ERR_LIMIT, it would grow beyond TWIN_MAX_KEYS or
 * TWIN_MAX_BYTES. */
bool twin_fits(const struct twin *w, json_object *differs, json_object *gone, struct err *e);

/* What is known of `name`; of one that nothing is known of: confirmed, long ago. */
struct twin_key twin_key_of(const struct twin *w, const char *name);
void twin_set_key(struct twin *w, const char *name, struct twin_key k);
void twin_set_stage(struct twin *w, const char *name, enum twin_stage stage);
/* All keys of the push, and names that it deletes, are now at this stage. */
void twin_set_push_stage(struct twin *w, enum twin_stage stage);
/* Is what the document says of it (that it is gone, maybe) what the device has, or on its way there? */
bool twin_is_there(const struct twin *w, const char *key);
/* Is this what the device said that it has, by itself? */
bool twin_has_reported(const struct twin *w, const char *key, json_object *value);
/* The device says that it has this.  True if that is news. */
bool twin_note_reported(struct twin *w, const char *key, json_object *value);
/* All keys that are on their way with this version (0: with any) are at this stage.  True if there are some. */
bool twin_move_sent(struct twin *w, int64_t version, enum twin_stage stage);
/* Of a message that is said again, drop what was said otherwise since, or got there; what failed to get
 * there since stays, as it holds now. */
void twin_drop_superseded(struct news *n, const struct twin *w, int64_t at_ms);
/* Read a stored object of keys; false: it is none. */
bool twin_are_keys(json_object *keys);
/* The same of one key. */
bool twin_is_key(json_object *array);

/* --- twin_diff.c */

/* Deeply, and numbers by value: many a device gives 10.0 back as 10, which for json_object_equal() is
 * something else. */
bool twin_is_equal(json_object *a, json_object *b);
/* The field as it is spelled, if it is a scalar and not null; false: it is no scalar. */
bool twin_read_scalar(struct jslice body, const char *name, char **out);
/* The body of a `config`.  False sets *e: ERR_INVALID.  End it with twin_fini_news() in any case. */
bool twin_read_news(struct news *n, struct jslice body, struct err *e);
/* Fill in what differs and what is gone. */
void twin_compare_news(struct news *n, const struct twin *w);
void twin_fini_news(struct news *n);

/* --- twin_body.c: everything is appended */

/* The body of the `config` that goes on. */
void twin_put_config(struct buf *out, const struct twin *w, const struct news *n);
/* The body of a config_reply of our own.  `keys` NULL: it is about the whole document. */
void twin_put_reply(struct buf *out, const struct twin *w, json_object *keys);
/* The fields of a config_reply that the bridge has a say in. */
enum { VERSION, UPDATED, VALUES, FIELDS };
/* The config_reply `body` with our word for the fields in `ours` and for those that it leaves out. */
void twin_put_filled(struct buf *out, struct jslice body, const struct twin *w, json_object *keys,
		     const bool ours[FIELDS]);
/* An object that starts at `start`, field by field, as they are spelled; and its end. */
void twin_put_field(struct buf *out, size_t start, const struct jfield *f);
void twin_put_end(struct buf *out, size_t start);

/* --- twin_store.c */

/* Put what the rows do not say yet: the head, and each name that was touched. */
void twin_put_row(const char *device, struct twin *w, struct changes *out);
/* Delete all rows. */
void twin_delete_rows(const struct twin *w, struct changes *out);

#endif
