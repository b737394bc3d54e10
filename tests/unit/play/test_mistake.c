/* Where in a file a line of a report points. */
#include "play/mistake.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

static const char source[] =
	"module { dialect: \"mine\",\n"							 /* 1 */
	"  messages: [\n"								 /* 2 */
	"    { kind: \"telemetry\", topic: \"t/{device}\", read: \"r\" },\n"		 /* 3 */
	"    { kind: \"alarn\", topic: \"a\", wrte: \"w\", also: [{ topic: \"b\" }] }\n" /* 4 */
	"  ] };\n"									 /* 5 */
	"import \"/etc/x\" as x;\n"							 /* 6 */
	"def a: .body | | {online};\n"							 /* 7 */
	"def b: .tempeture | temperature + temperatures;  # temperature\n"		 /* 8 */
	"def c: {\"ü\": $y, a: input};\n"						 /* 9 */
	"def d: .a \"x\" \"y\";\n"							 /* 10 */
	"def e: if . then 1;\n";							 /* 11 */

struct place {
	char line[120];
	char file[12];
	unsigned at_line, at_column;
};

ParameterizedTestParameters(mistake, has_its_place)
{
	static struct place places[] = {
		{ "/tmp/m/mine.jq:7: syntax error, unexpected '|'", "mine", 7,
		  16 }, /* not the first */
		{ "./mine.jq:8: temperature/0 is not defined; write def NAME", "mine", 8, 21 },
		{ "./mine.jq:8: temperatures/0 is not defined", "mine", 8, 35 },
		{ "mine.jq:9: $y is not defined; a variable", "mine", 9,
		  14 }, /* characters, not bytes */
		{ "mine.jq:9: `input` is not allowed in a mapping", "mine", 9, 21 },
		{ "mine.jq:10: syntax error, unexpected QQSTRING_START, expecting ';'", "mine", 10,
		  11 },
		{ "mine.jq:11: syntax error, unexpected ';'", "mine", 11, 19 },
		{ "mine.jq:6: module \"/etc/x\" cannot be imported", "mine", 6, 8 },
		{ "mine.jq:11: Possibly unterminated 'if' statement", "mine", 11, 0 },
		{ "mine.jq: messages[1].kind: unknown kind \"alarn\"", "mine", 4, 7 },
		{ "mine.jq: messages[1]: unknown key \"wrte\" (did you", "mine", 4, 34 },
		{ "mine.jq: messages[0].read: there is no function", "mine", 3, 47 },
		{ "mine.jq: messages[1].publish: it is missing", "mine", 4, 5 }, /* the row */
		{ "mine.jq: messages[7].kind: x", "mine", 0, 0 },
		{ "mine.jq: version: a number was expected", "mine", 0, 0 },
		{ "north: there is no mapping \"x\" (x.jq in /a)", "", 0, 0 },
	};

	return cr_make_param_array(struct place, places, sizeof places / sizeof places[0]);
}

ParameterizedTest(struct place *p, mistake, has_its_place)
{
	struct mistake m;

	mistake_read(&m, p->line);
	cr_expect_str_eq(m.file ? m.file : "", p->file, "%s: %s", p->line, m.file);
	cr_expect(!strstr(m.text, ".jq:"), "%s", m.text);
	if (m.file)
		mistake_find(&m, source, strlen(source));
	cr_expect(m.line == p->at_line && m.column == p->at_column, "%s: %u, %u", p->line, m.line,
		  m.column);
	mistake_fini(&m);
}

Test(mistake, says_the_rest)
{
	struct mistake m;

	mistake_read(&m, "/var/lib/calque/bench/mine.jq:59: syntax error: it");
	cr_expect_str_eq(m.text, "syntax error: it");
	mistake_fini(&m);
	mistake_read(&m, "south: no \"x.jq: 1\" at all");
	cr_expect(!m.file);
	cr_expect_str_eq(m.text, "south: no \"x.jq: 1\" at all");
	mistake_fini(&m);
}
