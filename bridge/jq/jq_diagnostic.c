#include "jq/jq_diagnostic.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void cut_out(char *text, const char *piece)
{
	char *at = strstr(text, piece);

	if (at)
		memmove(at, at + strlen(piece), strlen(at + strlen(piece)) + 1);
}

/* Take the last " at PATH, line N" off. */
static void cut_place(struct jq_diagnostic *m)
{
	char *at = NULL, *number = strstr(m->text, ", line ");

	if (!number)
		return;
	*number = '\0';
	for (char *p = m->text; (p = strstr(p, " at ")); p++)
		at = p;
	if (!at)
		return;
	*at = '\0';
	m->file = mem_strdup(at + strlen(" at "));
	m->line = (unsigned)strtoul(number + strlen(", line "), NULL, 10);
}

bool jq_diagnostic_read(struct jq_diagnostic *m, const char *said)
{
	static const char prefix[] = "jq: error: ";

	*m = (struct jq_diagnostic){ 0 };
	while (strncmp(said, prefix, strlen(prefix)) == 0)
		said += strlen(prefix);
	if (strncmp(said, "jq: ", 4) == 0)
		return false;
	m->text = mem_strndup(said, strcspn(said, "\n"));
	cut_out(m->text, " (Unix shell quoting issues?)");
	cut_place(m);
	return true;
}

void jq_diagnostic_fini(struct jq_diagnostic *m)
{
	free(m->text);
	free(m->file);
	*m = (struct jq_diagnostic){ 0 };
}

#define VALUES "a value in {} goes in parentheses unless it is a single word: {a: (.b + 1)}"
#define COMMA  "is there a comma behind the last one, or something left out?"

/* clang-format off */
/* The first that fits.  In the words of jq 1.6 to 1.8. */
static const struct {
	const char *piece, *also, *advice;
} advices[] = {
	{ "unexpected def", "", "what stands before it must end with ;" },
	{ "unexpected module", "", "module comes first in the file" },
	{ "unexpected import", "", "import comes before the first def, and what is before it ends with ;" },
	{ "unexpected INVALID_CHARACTER", "",
	  "texts go in \"double quotes\"; `and`, `or` and `not` are words" },
	{ "expecting QQSTRING", "", "a text is not closed by \"" },
	{ "unexpected $end", "", "a bracket, an `if` or a text is not closed, or a ; is missing" },
	{ "unexpected end of file", "",
	  "a bracket, an `if` or a text is not closed, or a ; is missing" },
	{ "unterminated 'if'", "", "write if ... then ... else ... end; jq 1.6 wants the else" },
	{ "unexpected if", "", VALUES },
	{ "expecting '}'", "", VALUES },
	{ "unexpected ']'", "", COMMA },
	{ "unexpected '}'", "", COMMA },
	{ "must be constant", "", "plain values only, no functions and no operators" },
	{ "not a main expression", "", "write module {...}; and then only def NAME: ...;" },
	{ "$", " is not defined", "a variable is made before its use: .a as $name | ..." },
	{ "::", " is not defined",
	  "import its file behind the module statement, import \"wire\" as wire; and see what it defines" },
	{ "/", " is not defined", "write def NAME: ...; before its use, or see whether jq 1.6 has it" },
};
/* clang-format on */

const char *jq_diagnostic_advice(const char *text)
{
	for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
		if (strstr(text, advices[i].piece) && strstr(text, advices[i].also))
			return advices[i].advice;
	return NULL;
}
