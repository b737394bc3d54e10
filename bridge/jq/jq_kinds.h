/* jq_kinds.h -- which kinds the functions of a jq source may give, beside those of their rows.
 *
 * Told by words alone, and rather too many than too few: wherever code says `kind` at all, every literal
 * text in it that is the name of a kind counts, unless it is
 * only compared with. */
#ifndef BRIDGE_JQ_KINDS_H
#define BRIDGE_JQ_KINDS_H

#include <stddef.h>
#include <stdint.h>

/* A bit for each kind.  The `module` statement at its head is no code. */
uint64_t jq_kinds_named(const char *source, size_t len);

#endif
