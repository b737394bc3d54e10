/* mapping_inside.h -- what a mapping is made of: for mapping.c, which loads it, mapping_call.c, which
 * runs it, and mapping_json.c, which reads and writes its values.  They alone see jq.h.
 *
 * What libjq does that one would not guess, where it was seen, and what is done about it:
 *
 * - It ends the process: out of memory, always (its handler for that may say so, not go on); nesting of
 *   some 400,000 levels when it is freed (1.6, 1.7.1); on 1.6 also data, say 1e18|todate or a global
 *   pattern that matches nothing on a text that is not ASCII.  No check of ours catches all of it, hence
 *   processes of their own (work/); what can be told from the source, jq_hazard.c tells.
 * - It runs as long as the program does.  jq_halt() from a signal would stop most of that, but not one
 *   long builtin, and nothing bounds memory: again work/.  The number and the bytes of outputs are bounded
 *   in mapping_call.c, since a short program can give millions.
 * - Compiling takes 13 ms on 1.6 (0.6 later), a call 1 us.  So a file becomes one program, compiled once,
 *   before the workers are forked; to find the function costs as much as a small function, so those that are called
 *   often get programs of their own later (mapping_own.c).  jq_start() makes it ready for the next call, whatever
 * became
 *   of the one before: error, halt, or results that nobody took.
 * - Its counts of references are plain integers: one thread per mapping.
 * - `import` with a search: path reads any JSON file of the machine, and without the attributes of
 *   new_state() 1.6 aborts on any import.  `env` crashes where environ is NULL, as after clearenv().
 * - 1.7.1 and 1.8.2 drop functions that only imported modules call: note_definitions().
 * - error(null) looks like the end of the outputs on 1.6: the message counts as filtered.
 * - Errors quote: those of its parser the whole text, those of a run parts of it.  Hence parse() in
 *   mapping_json.c, and scrub.h.
 * - Numbers are doubles on 1.6: beyond 2^53 they change, and all are printed with 17 digits (by `tostring`
 *   too), infinite ones as 1.797e308.  Later ones keep the spelling of what is not touched:
 *   mapping_keeps_numbers(), jtext_keeps_numbers() and the outcome wide-integer.
 * - Values deeper than its printer goes (256 on 1.6 and 1.7.1) come out as text that is no JSON, and
 *   `nan` goes in as a number and comes out as null.  So texts are checked before they come here, and
 *   mapping_json_put() counts.
 *
 * When 1.6 is no longer supported, jq_hazard.c can go but for `//` and numbers.  The workers cannot: the
 * first two hold on every version.  (Of 58,000 calls of builtins with odd inputs, 317 crashed 1.6 and 163
 * 1.7.1; of 27,000 none crashed 1.8.2.) */
#ifndef BRIDGE_MAPPING_INSIDE_H
#define BRIDGE_MAPPING_INSIDE_H

#include <jq.h>

#include "base/buf.h"
#include "jq/imports.h"
#include "jq/mapping.h"
#include "jq/mapping_symbols.h"

struct mapping_simple;
struct scrub;
struct through;

/* What programs of its functions are made of. */
struct recipe {
	char *imports; /* the statements at their head */
	char *uses; /* what a program has to name, see note_definitions(); "" or it ends in a comma */
	char *home; /* the directory of the file */
	jv path;    /* where jq finds modules */
	struct imports_files files;
};

/* Of a function by its number. */
struct own {
	jq_state *jq;	/* its own program; NULL: it has none */
	unsigned calls; /* while it has none */
	uint32_t seen;	/* a bit for each key that it can see */
};

struct mapping {
	char *file;
	struct dialect *dialect; /* NULL: a through file */
	struct through *through;
	struct mapping_symbols functions;
	struct buf metadata; /* the table, as text, without what jq itself put there */
	uint32_t number;     /* mapping_set_number() */
	uint8_t sum[CRYPTO_HASH_BYTES];
	bool shows_payloads;
	struct scrub *scrub;	       /* knows the words of the file and of what it imports */
	jq_state *jq;		       /* NULL: it is in another process */
	struct mapping_simple *simple; /* NULL: jq does all */
	struct buf source;	       /* of which that was made */
	bool knows_flat;	       /* mapping_simple_read() */
	struct recipe recipe;
	struct own *own; /* of each function */
	int *busy; /* the functions that were called often, in the order in which that came true, */
	size_t n_busy, n_told; /* and how many of them mapping_next_busy() has told */
	/* What inputs are made of: */
	jv keys[MAPPING_KEYS];
	struct steady {
		struct buf text;
		jv value;
	} steady[MAPPING_KEYS]; /* the last value of a key that is mostly the same */
	jv empty;		/* {} */
};

/* --- mapping.c */

/* A state of jq, to compile a program into.  jq finds modules in `path` (taken); all paths are absolute. */
jq_state *mapping_new_state(const char *home, jv path, void (*on_message)(void *ctx, jv msg),
			    void *ctx);

/* --- mapping_own.c */

void mapping_own_init(struct mapping *m);
void mapping_own_fini(struct mapping *m);
/* A function is called; NULL: by the program of all. */
jq_state *mapping_own_program(struct mapping *m, int fn);

/* --- mapping_seen.c */

/* Find out what its functions can see. */
void mapping_seen_init(struct mapping *m);

/* --- mapping_call.c */

void mapping_input_init(struct mapping *m);
void mapping_input_fini(struct mapping *m);
/* What the fields are called. */
extern const char *const mapping_key_names[MAPPING_KEYS];
/* A callback for jq's errors that drops them. */
void mapping_forget_message(void *ctx, jv msg);

/* --- mapping_simple_read.c, mapping_simple.c */

#define SIMPLE_MAX_PATH 8
#define SIMPLE_SLOTS	8192 /* as many as 13 bits say */

struct simple_step {
	enum {
		SIMPLE_TEXT,  /* comes out */
		SIMPLE_VALUE, /* of the input, comes out */
		SIMPLE_FLAT,  /* the same, made flat (wire.jq) */
		SIMPLE_LOOK,  /* is only looked for, since jq fails if there is no way to it */
		SIMPLE_IF,    /* where that is null or false, so many steps are skipped */
		SIMPLE_SKIP,  /* they always are */
		SIMPLE_JQ     /* from here on it is jq's, and so all of it */
	} type;
	size_t from, len; /* of TEXT */
	size_t n_skipped;
	bool needs_some; /* of FLAT: an empty object is no output at all */
	struct simple_path {
		size_t n;		    /* 0: the input itself, or none */
		size_t at[SIMPLE_MAX_PATH]; /* of its names */
		int key; /* the first of them; MAPPING_KEYS: there is none such */
	} path;
};
struct mapping_simple {
	struct simple_function {
		struct simple_step *steps;
		size_t n; /* 0: jq has to do it */
	} * functions;
	size_t n;
	struct buf texts, names; /* the names with a NUL behind each */
	/* Of the call in hand. */
	uint64_t n_passed;
	uint64_t seen[SIMPLE_SLOTS]; /* is_new_key() */
	struct buf prefix, told;
};

/* Those of the functions that do no more than text can.  `source` is that of the mapping, and it compiles;
 * knows_flat: its import "wire" is a file of which mapping_simple_knows_flat() is true.
 * Caller ends it with mapping_simple_free(). */
struct mapping_simple *mapping_simple_read(const char *source, size_t len,
					   const struct mapping_symbols *functions,
					   bool knows_flat);
void mapping_simple_free(struct mapping_simple *s);
/* Does this library have wire.jq's `flat`, word by word? */
bool mapping_simple_knows_flat(const char *source, size_t len);
/* Append a value (strict) as jq would, but for its numbers.  False: jq has to do it. */
bool mapping_simple_pass(struct mapping_simple *s, struct jslice text, struct buf *out);
/* Append the output of function number `fn`, there is one or none, with the text of the input for all that comes of it:
 * as jq would put it, but for the spelling of numbers that a double keeps.  False: jq has to do it, and *out is as
 * before. */
bool mapping_simple_call(struct mapping_simple *s, int fn, const struct mapping_input *in,
			 struct buf *out);
/* Is there anything that it does of this function? */
bool mapping_simple_has(const struct mapping_simple *s, int fn);

/* --- mapping_json.c */

/* The value of a strict JSON text.  Invalid: it is none, too long, or nested deeper than
 * JTEXT_MAX_DEPTH. */
jv mapping_json_read(const char *text, size_t len);
/* Append a value (not taken), spelled as jq spells it, but for integers up to JTEXT_PLAIN_END: these have all
 * of their digits.  False: *out then holds a part of it, and *e is ERR_LIMIT, it is nested deeper than
 * JTEXT_MAX_DEPTH_TAKEN (beyond JTEXT_MAX_DEPTH jq puts "<stripped: ...>" there, bare); or ERR_INEXACT, it has
 * an infinite number. */
bool mapping_json_put(struct buf *out, jv value, struct err *e);

#endif
