/* environment.h -- the environment, of which any variable may be a secret (`env:NAME` in a configuration). */
#ifndef BRIDGE_ENVIRONMENT_H
#define BRIDGE_ENVIRONMENT_H

/* Nothing is left of it, here and in /proc/PID/environ: for a process that needs none. */
void environment_wipe(void);
/* The same, and no other process of the user may look into this one (PR_SET_DUMPABLE); but for a copy in memory that
 * is neither swapped out (if the limit of locked memory allows) nor dumped, nor there in what is forked.  What
 * libraries look for (SSL_CERT_FILE, TZ ...) they find as before. */
void environment_keep(void);
/* A variable, of that copy if there is one; NULL: it is not set.  Borrowed. */
const char *environment_get(const char *name);
/* The one behind `after` (NULL: the first), as "NAME=VALUE"; NULL: there are no more.  Borrowed. */
const char *environment_next(const char *after);

#endif
