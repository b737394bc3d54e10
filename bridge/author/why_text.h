/* why_text.h -- the object of offline/why.h as lines for people. */
#ifndef BRIDGE_WHY_TEXT_H
#define BRIDGE_WHY_TEXT_H

#include "base/jtext.h"

struct buf;

void why_text_put(struct buf *out, struct jslice why);

#endif
