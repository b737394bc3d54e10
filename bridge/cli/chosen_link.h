/* chosen_link.h -- for verbs that try messages offline: which configured link is meant by `-c FILE --link L`. */
#ifndef BRIDGE_CHOSEN_LINK_H
#define BRIDGE_CHOSEN_LINK_H

#include <stdbool.h>

struct cli;
struct conf;
struct conf_link;

struct chosen_link {
	struct conf *conf;	      /* NULL: none was given */
	const struct conf_link *link; /* its link, NULL too then */
};

/* Read the configuration of -c, if there is one, and choose the link that --link names, else the only one.  What
 * this machine lacks does not matter: nothing is connected.  False: there is none to choose, told; nothing is left.
 * Caller ends it with chosen_link_fini(). */
bool chosen_link_read(struct chosen_link *c, const struct cli *cli);
void chosen_link_fini(struct chosen_link *c);

#endif
