/* page.h -- the page that the admin interface shows: page.html, made into C by page.cmake at build time. */
#ifndef BRIDGE_PAGE_H
#define BRIDGE_PAGE_H

#include <stddef.h>

extern const char page_html[];
extern const size_t page_html_len;
/* Its Content-Security-Policy: only its own style and script, by their hashes, and only this bridge to talk to. */
extern const char page_policy[];

#endif
