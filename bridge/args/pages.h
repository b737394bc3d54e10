/* pages.h -- a program's manual page, and completion of its command line, made of the tables of its verbs and
 * options: what --help says, in other forms. */
#ifndef BRIDGE_PAGES_H
#define BRIDGE_PAGES_H

#include <stddef.h>

struct buf;
struct option_row;
struct verb;

/* All borrowed. */
struct program {
	const char *name, *version, *about;
	const struct verb *const *verbs;
	size_t n_verbs;
	const struct option_row *options;
	size_t n_options;
	/* More of the manual: sections, each a title and its lines as they are to be shown. */
	const struct page_section {
		const char *title, *text;
	} * sections;
	size_t n_sections;
};

/* Append the page, for man(7). */
void pages_put_man(const struct program *p, struct buf *out);
/* Append what bash, or zsh, is to read. */
void pages_put_bash(const struct program *p, struct buf *out);
void pages_put_zsh(const struct program *p, struct buf *out);

#endif
