/* descriptors.h -- how many files and sockets this process may have open. */
#ifndef BRIDGE_DESCRIPTORS_H
#define BRIDGE_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

/* Of a session: its socket, and the pair by which the library is handed what was gathered. */
#define DESCRIPTORS_PER_SESSION 3

/* Raise the limit as far as this process may.  False: that is fewer than `needed`.  *limit is what holds now. */
bool descriptors_raise(size_t needed, size_t *limit);

#endif
