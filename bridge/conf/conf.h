/* conf.h -- the configuration file, read into one struct; conf.c has the table of its keys.
 *
 * Reading reports every mistake as "FILE:LINE: KEY: text".  Secrets ("env:NAME", "file:PATH", "cred:NAME") are
 * resolved while reading; those of files can be read again, and nothing else of it ever changes. */
#ifndef BRIDGE_CONF_H
#define BRIDGE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf_command.h"
#include "conf/secret.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "message/limits.h"
#include "message/side.h"
#include "message/vars.h"

struct buf;
struct err;
struct report;

#define CONF_DEFAULT_PATH	   "/etc/calque/calque.conf"
#define CONF_DEFAULT_STATE	   "/var/lib/calque"
#define CONF_DEFAULT_JOURNAL_BYTES (1LL << 30)
#define CONF_DEFAULT_JOURNAL_AGE_S (INT64_C(7) * 86400)

/* Stands for a variable whose secret this machine does not have (yet): as good as any that is not empty. */
#define CONF_LACKING "?"

struct conf_tls {
	char *ca, *cert, *key, *server_name; /* NULL: not set */
};

struct conf_session {
	char *dialect;
	char *url; /* as written */
	char *host;
	int port; /* from the url, or 1883 / 8883 */
	bool is_tls;
	struct vars vars; /* values that came from env: or file: are marked secret */
	char *username, *password, *client_id; /* NULL: the dialect's template */
	int keepalive_s;		       /* default 60 */
	int ack_timeout_s; /* without any acknowledgement, then it connects anew */
	int mqtt;	   /* 0: the dialect's */
	int max_packet;	   /* bytes, of what comes in; default 16 MiB */
	bool front_door;
	bool counts_versions; /* configurations of devices: from 1, not from the time of day */
	struct conf_tls tls;
	struct {
		char *key, *secret, *name;
		bool is_auto;
		int per_second; /* 0: any */
		struct vars greet;
		struct conf_command command; /* registers a device, instead of handshakes */
		bool is_idempotent; /* it may be run again for a device whose answer was lost */
		int sessions;	    /* so many registrations at once; default 4 */
	} provision;
	struct {
		int max;		 /* 0: not set */
		int per_second;		 /* default 100 */
		int idle_s;		 /* default 300 */
		int messages_per_second; /* 0: any number */
	} connections;
	struct limits limits; /* 0: the dialect's */
	bool asks_limits;     /* what the platform says of its limits counts as well */
	struct secrets
		secrets;     /* of its texts and variables: those of files, and what is lacking */
	unsigned n_renewed;  /* how often one of them has changed */
	bool lacks_tls_file; /* and that is in the report */
	char *file;	     /* with the group, the configuration or one it includes ... */
	unsigned line;	     /* ... and where in it, for messages of later checks */
};

struct conf_through {
	char *name;
	struct vars vars;
	char *file;
	unsigned line;
};

struct conf_link {
	char *name;
	char *rename; /* what it was called before; NULL: nothing else */
	struct conf_session side[SIDES];
	enum fleet_mode mode;
	enum fleet_mode new_mode; /* DEFAULT: the link's */
	struct conf_through *through;
	size_t n_through;
	struct secrets secrets; /* of variables of `through`, which cannot be renewed */
	enum kind remap[KINDS]; /* KIND_NONE: passes as itself */
	bool drop_unmatched;
	bool pushes_first_snapshot;
	bool is_on_demand;	   /* sessions of devices, of which their rows say nothing else */
	int command_max_age_s;	   /* default 60 */
	int request_timeout_s;	   /* 0: not said */
	bool has_session_presence; /* of devices in the north: not the dialect's message */
	int offline_after_s;	   /* 0: what the dialect says; -1: never */
	int offline_delay_s;	   /* default 30 */
	int drain_s; /* what waits of a device that is cut back is sent for so long; default 60 */
	struct {
		int messages;  /* default 1000 */
		int64_t bytes; /* default 1 MiB */
		int age_s;     /* default 7 days */
	} waiting;	 /* for the session of a device that does not come up: of each device */
	int max_devices; /* of which something is remembered; default 10000 */
	struct vars
		listed[SIDES]; /* variables that rows of its devices have; without their values */
	unsigned line;
};

struct conf {
	char *file;
	unsigned line;	 /* where it begins; 0: it is no file */
	char *state;	 /* directory */
	char *state_key; /* file with the key that encrypts credentials; NULL: STATE/key */
	struct mapping_path mappings; /* only what the file says */
	/* "HOST:PORT", and its parts; "": off, and there are none. */
	char *admin, *admin_host;
	int admin_port;
	char *admin_token; /* NULL: none */
	bool admin_bench;
	struct {
		char **items;
		size_t n;
	} admin_hosts;	  /* by which it may be called, besides addresses and localhost */
	int log_format;	  /* enum log_format */
	char *log_levels; /* as log_levels() wants them */
	struct {
		int64_t max_bytes;
		int max_age_s;
		bool is_sync;
	} journal;
	int workers;		 /* 0: see workers_wanted() */
	bool watches;		 /* is it read again when a file of it changes? */
	struct vars included;	 /* names are the files that it was read from */
	char *devices;		 /* a list of them, NULL: none, and ... */
	struct fleet_file fleet; /* ... what is in it */
	struct conf_link *links;
	size_t n_links;
};

/* Read FILE.  All mistakes and warnings are in the report.  NULL if it cannot be read at all (no such
 * file, no libconfig syntax); otherwise what could be read, so that more mistakes can be found: with
 * mistakes in the report, texts may be NULL and nothing of it may run.  Checked here is what the file
 * alone can tell: keys, types, ranges, urls, names (of links: unique, fit for a client id).  A secret
 * or a TLS file that is not there, or may be read by everyone, is a lack (report_lack()).  Dialects are
 * checked by others.
 * Caller ends it with conf_free(). */
struct conf *conf_read(const char *file, struct report *report);
/* In the place of a file: the variables of the environment (conf/conf_environment.h), which make one link. */
extern const char conf_environment[];
/* The configuration that is meant: `file`; without one (NULL) the default, or if there is none, conf_environment if
 * something of it is set.  NULL sets *e (ERR_INVALID): there are both. */
const char *conf_choose(const char *file, struct err *e);
/* "FILE:LINE: KEY", for later mistakes; without a line "FILE: KEY".  Caller frees. */
char *conf_place(const char *file, unsigned line, const char *key);
/* Only where the state and the list of devices are (which is not read) and what the links are called, for
 * verbs that look at a bridge: nothing else is looked at (secrets may not be there in this environment).  NULL if
 * there is a mistake. */
struct conf *conf_read_state(const char *file, struct report *report);
void conf_free(struct conf *c);
/* Append a line for each value, "journal.max_age HASH", less those of links; or of a link, "south.url HASH".  Of two
 * configurations the same lines are those of equal values. */
void conf_put_values(const struct conf *c, struct buf *out);
void conf_link_put_values(const struct conf_link *l, struct buf *out);
/* Append a line for each key: its place ("links.south.url"), what it takes, its default or that it must be
 * there, and what it is for. */
void conf_put_keys(struct buf *out);

#endif
