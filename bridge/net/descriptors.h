/* descriptors.h -- how many files and sockets this process may have open. */
#ifndef BRIDGE_DESCRIPTORS_H
#define BRIDGE_DESCRIPTORS_H

#include <stddef.h>

/* Of a session: its socket, and the pair by which the library is handed what was gathered. */
#define DESCRIPTORS_PER_SESSION 3

/* Raise the limit as far as this process may.  Returns what holds now; SIZE_MAX: there is none, or nobody can tell. */
size_t descriptors_raise(void);

#endif
