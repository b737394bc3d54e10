#include "args/pages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "base/buf.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"

static bool takes(const struct verb *v, const struct option_row *o)
{
	return v->options & o->bit;
}

/* Call `f` with each word that an argument of the verb may be: those in small letters, of "show ID | (retry |
 * drop)". */
static void each_word(const struct verb *v, void (*f)(struct buf *out, const char *word, size_t n),
		      struct buf *out)
{
	for (const char *at = v->args; *at;) {
		size_t n = strcspn(at, " |()[].");

		if (n && strspn(at, LOWER) == n)
			f(out, at, n);
		at += n + (at[n] != '\0');
	}
}

/* --- the manual page ----------------------------------------------------------------------- */

/* Text as it is: no line of it is a request, a backslash and a hyphen are what they are. */
static void put_roff(struct buf *out, const char *text)
{
	bool is_start = true;

	for (; *text; text++) {
		if (is_start && (*text == '.' || *text == '\''))
			buf_puts(out, "\\&");
		if (*text == '\\')
			buf_puts(out, "\\e");
		else if (*text == '-')
			buf_puts(out, "\\-");
		else
			buf_putc(out, *text);
		is_start = *text == '\n';
	}
}

static void put_option(const struct option_row *o, struct buf *out)
{
	buf_puts(out, ".TP\n");
	if (o->letter)
		buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
	buf_puts(out, "\\fB\\-\\-");
	put_roff(out, o->name);
	buf_puts(out, "\\fR");
	if (o->arg) {
		buf_puts(out, " \\fI");
		put_roff(out, o->arg);
		buf_puts(out, "\\fR");
	}
	buf_putc(out, '\n');
	put_roff(out, o->help);
	buf_putc(out, '\n');
}

static void put_verb(const struct program *p, const struct verb *v, struct buf *out)
{
	buf_puts(out, ".SS ");
	put_roff(out, v->name);
	buf_printf(out, "\n\\fB%s %s\\fR [\\fIOPTION\\fR...] ", p->name, v->name);
	put_roff(out, v->args);
	buf_puts(out, "\n.PP\n");
	put_roff(out, v->help);
	buf_putc(out, '\n');
	for (size_t i = 0; i < p->n_options; i++)
		if (takes(v, &p->options[i]))
			put_option(&p->options[i], out);
}

void pages_put_man(const struct program *p, struct buf *out)
{
	buf_printf(out, ".TH %s 1 \"\" \"%s %s\"\n.SH NAME\n%s \\- ", p->name, p->name, p->version,
		   p->name);
	put_roff(out, p->about);
	buf_printf(out,
		   "\n.SH SYNOPSIS\n\\fB%s\\fR \\fIVERB\\fR [\\fIOPTION\\fR...] "
		   "[\\fIARGUMENT\\fR...]\n.br\n\\fB%s\\fR \\fIVERB\\fR \\fB\\-\\-help\\fR\n"
		   ".br\n\\fB%s \\-\\-version\\fR\n.SH VERBS\n",
		   p->name, p->name, p->name);
	for (size_t i = 0; i < p->n_verbs; i++)
		put_verb(p, p->verbs[i], out);
	for (size_t i = 0; i < p->n_sections; i++) {
		buf_printf(out, ".SH %s\n.nf\n", p->sections[i].title);
		put_roff(out, p->sections[i].text);
		buf_puts(out, ".fi\n");
	}
}

/* --- bash ---------------------------------------------------------------------------------- */

static void put_word(struct buf *out, const char *word, size_t n)
{
	buf_putc(out, ' ');
	buf_append(out, word, n);
}

/* The file names that stand for what an option takes; "": anything. */
static const char *names_of(const struct option_row *o, const char *file, const char *dir)
{
	return !o->arg			     ? ""
	       : strcmp(o->arg, "FILE") == 0 ? file
	       : strcmp(o->arg, "DIR") == 0  ? dir
					     : "";
}

static void put_bash_verb(const struct program *p, const struct verb *v, struct buf *out)
{
	buf_printf(out, "\t%s) words='--help", v->name);
	for (size_t i = 0; i < p->n_options; i++)
		if (takes(v, &p->options[i]))
			buf_printf(out, " --%s", p->options[i].name);
	each_word(v, put_word, out);
	buf_puts(out, "' ;;\n");
}

/* After an option with an argument there is no word of ours. */
static void put_bash_arguments(const struct program *p, struct buf *out)
{
	for (size_t i = 0; i < p->n_options; i++) {
		const struct option_row *o = &p->options[i];
		const char *names = names_of(o, " -f", " -d");

		if (!o->arg)
			continue;
		buf_puts(out, "\t");
		if (o->letter)
			buf_printf(out, "-%c|", o->letter);
		buf_printf(out, "--%s) ", o->name);
		if (*names)
			buf_printf(out, "COMPREPLY=($(compgen%s -- \"$word\")); ", names);
		buf_puts(out, "return ;;\n");
	}
}

void pages_put_bash(const struct program *p, struct buf *out)
{
	buf_printf(out,
		   "# Completion of %s for bash; made of its tables.\n"
		   "_%s()\n{\n"
		   "\tlocal word=${COMP_WORDS[COMP_CWORD]} words=\n\tCOMPREPLY=()\n"
		   "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='--help --version",
		   p->name, p->name);
	for (size_t i = 0; i < p->n_verbs; i++)
		buf_printf(out, " %s", p->verbs[i]->name);
	buf_puts(out, "'\n\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n\t\treturn\n\tfi\n"
		      "\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n");
	put_bash_arguments(p, out);
	buf_puts(out, "\tesac\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < p->n_verbs; i++)
		put_bash_verb(p, p->verbs[i], out);
	buf_printf(out,
		   "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n"
		   "complete -o default -F _%s %s\n",
		   p->name, p->name);
}

/* --- zsh ----------------------------------------------------------------------------------- */

/* In '...', within [...] of _arguments, or before the colon of _describe. */
static void put_zsh(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(out, "'\\'");
		else if (strchr("[]:\\", *text))
			buf_putc(out, '\\');
		buf_putc(out, *text);
	}
}

static void put_zsh_option(const struct option_row *o, struct buf *out)
{
	if (o->letter)
		buf_printf(out, " \\\n\t\t'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter,
			   o->name);
	else
		buf_printf(out, " \\\n\t\t'--%s[", o->name);
	put_zsh(out, o->help);
	buf_putc(out, ']');
	if (o->arg) {
		buf_putc(out, ':');
		put_zsh(out, o->arg);
		buf_printf(out, ":%s", names_of(o, "_files", "_files -/"));
	}
	buf_putc(out, '\'');
}

static void put_zsh_verb(const struct program *p, const struct verb *v, struct buf *out)
{
	struct buf words = { 0 };

	buf_printf(out, "%s)\n\t_arguments '--help[tell more]'", v->name);
	for (size_t i = 0; i < p->n_options; i++)
		if (takes(v, &p->options[i]))
			put_zsh_option(&p->options[i], out);
	each_word(v, put_word, &words);
	if (words.len)
		buf_printf(out, " \\\n\t\t'*:argument:(%s)'", buf_str(&words) + 1);
	else if (*v->args)
		buf_puts(out, " \\\n\t\t'*:argument:_files'");
	buf_puts(out, " ;;\n");
	buf_fini(&words);
}

void pages_put_zsh(const struct program *p, struct buf *out)
{
	buf_printf(out, "#compdef %s\n# Made of the tables of %s.\nlocal -a verbs\nverbs=(\n",
		   p->name, p->name);
	for (size_t i = 0; i < p->n_verbs; i++) {
		buf_printf(out, "\t'%s:", p->verbs[i]->name);
		put_zsh(out, p->verbs[i]->help);
		buf_puts(out, "'\n");
	}
	buf_puts(out, ")\nif (( CURRENT == 2 )); then\n\t_describe verb verbs\n\treturn\nfi\n"
		      "shift words\n(( CURRENT-- ))\ncase $words[1] in\n");
	for (size_t i = 0; i < p->n_verbs; i++)
		put_zsh_verb(p, p->verbs[i], out);
	buf_puts(out, "esac\n");
}
