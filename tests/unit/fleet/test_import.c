#include "fleet/import.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "fleet/csv.h"
#include "fleet/fleet_file.h"
#include "state/change.h"
#include "state/devices.h"

static struct fleet *t;
static struct devices *names;
static struct changes out;
static struct report report;
static struct fleet_file file;

static void set_up(void)
{
	t = fleet_new();
	names = devices_new();
}

static void tear_down(void)
{
	fleet_file_fini(&file);
	report_fini(&report);
	changes_fini(&out);
	devices_free(names);
	fleet_free(t);
}

TestSuite(import, .init = set_up, .fini = tear_down);

static char *resolve(void *ctx, const char *text, bool *is_secret, struct err *e)
{
	(void)ctx;
	*is_secret = strncmp(text, "env:", 4) == 0;
	if (strcmp(text, "env:NONE") == 0) {
		err_set(e, ERR_NOT_FOUND, "NONE is not set");
		return NULL;
	}
	return mem_strdup(*is_secret ? "from-env" : text);
}

static bool read(const char *text)
{
	fleet_file_fini(&file);
	report_fini(&report);
	report = (struct report){ 0 };
	return fleet_file_read(&file, "f.csv", text, strlen(text), resolve, NULL, &report);
}

static void expect_told(const char *wanted)
{
	struct buf got = { 0 };

	for (size_t i = 0; i < report.n_lines; i++)
		buf_printf(&got, "%s\n", report.lines[i].text);
	cr_expect_str_eq(buf_str(&got), wanted);
	buf_fini(&got);
}

/* Reads and puts in what is right; the ends, "name end columns" each. */
static void import(const char *text, bool is_dry, const char *wanted)
{
	static const char *const ends[] = { "same", "added", "changed", "fixed" };
	struct import_to to = { .fleet = t,
				.names = names,
				.link = "l",
				.takes_rest = true,
				.file = "f.csv",
				.origin = FLEET_IMPORT };
	struct buf got = { 0 };
	bool *wrong;

	read(text);
	wrong = mem_zalloc((file.n + 1) * sizeof *wrong);
	import_check(&to, &file, wrong, &report);
	for (size_t i = 0; i < file.n; i++) {
		struct buf what = { 0 };

		if (!wrong[i] && import_is_for(&to, &file.rows[i])) {
			enum import_end end = import_row(&to, &file.rows[i], is_dry, &what, &out);

			buf_printf(&got, "%s %s %s\n", file.rows[i].name, ends[end],
				   buf_str(&what));
		}
		buf_fini(&what);
	}
	cr_expect_str_eq(buf_str(&got), wanted);
	buf_fini(&got);
	free(wrong);
}

Test(import, cells_are_read_as_rfc_4180_has_them)
{
	static const char text[] = "\xef\xbb\xbf"
				   "a,\"b \"\"c\"\"\",\r\n\r\n\"x\ny\",z\n";
	static const char *const wanted[] = { "a", "b \"c\"", "", "x\ny", "z" };
	static const bool lasts[] = { false, false, true, false, true };
	static const unsigned lines[] = { 1, 1, 1, 3, 4 };
	struct buf cell = { 0 }, again = { 0 };
	struct err e = { 0 };
	struct csv c;

	csv_init(&c, text, sizeof text - 1);
	for (size_t i = 0; i < 5; i++) {
		bool is_last;

		if (i == 0 || lasts[i - 1])
			cr_assert(csv_has_row(&c));
		cr_expect_eq(c.line, lines[i], "cell %zu: %u", i, c.line);
		cr_assert(csv_cell(&c, &cell, &is_last, &e));
		cr_expect_str_eq(buf_str(&cell), wanted[i]);
		cr_expect_eq(is_last, lasts[i], "cell %zu", i);
	}
	cr_expect_not(csv_has_row(&c));
	csv_put(&again, "b \"c\"");
	csv_put(&again, ",");
	cr_expect_str_eq(buf_str(&again), "\"b \"\"c\"\"\"\",\"");
	buf_fini(&cell);
	buf_fini(&again);
}

Test(import, a_row_with_credentials_makes_a_device_ready)
{
	import("name,group,north.token,south.device\n"
	       "pump,hall,env:T,P-1\n"
	       "fan,,,\n",
	       false, "pump added group,north.token,south.device\nfan added \n");
	expect_told("");
	cr_expect_eq(fleet_find(t, "pump")->state, FLEET_READY);
	cr_expect_str_eq(fleet_var(fleet_find(t, "pump"), NORTH, "token"), "from-env");
	cr_expect_eq(fleet_find(t, "fan")->state, FLEET_KNOWN);
	cr_expect_str_eq(devices_here(names, SOUTH, "P-1"), "pump");
}

Test(import, when_its_session_is_open_is_one_of_two_words)
{
	import("name,sessions\npump,on-demand\nfan,\n", false, "pump added sessions\nfan added \n");
	cr_expect(fleet_is_on_demand(fleet_find(t, "pump"), false));
	cr_expect(fleet_is_on_demand(fleet_find(t, "fan"), true));
	import("name,sessions\npump,always\n", false, "pump changed sessions\n");
	cr_expect_not(fleet_is_on_demand(fleet_find(t, "pump"), true));
	import("name,sessions\npump,-\n", false, "pump changed sessions\n");
	cr_expect_null(fleet_find(t, "pump")->sessions);
	cr_expect_not(fleet_is_on_demand(NULL, false));
}

Test(import, what_is_not_said_stays_and_a_minus_removes)
{
	import("name,group,kind,north.token\npump,hall,k,secret\n", false,
	       "pump added group,kind,north.token\n");
	import("name,group,north.token\npump,,secret\n", false, "pump same \n");
	import("name,group,north.token\npump,-,-\n", false, "pump changed group,north.token\n");
	cr_expect_null(fleet_find(t, "pump")->group);
	cr_expect_str_eq(fleet_find(t, "pump")->kind, "k");
	cr_expect_eq(fleet_find(t, "pump")->state, FLEET_KNOWN);
}

Test(import, a_dry_run_changes_nothing)
{
	import("name,mode\npump,live\n", true, "pump added mode\n");
	cr_expect_eq(fleet_count(t), 0);
	cr_expect_eq(out.n, 0);
}

Test(import, the_name_is_what_a_side_calls_it_if_there_is_none)
{
	import("south.device,north.device\n,N\nS,M\n", false, "N added \nS added north.device\n");
}

Test(import, mistakes_are_told_with_their_lines_and_without_values)
{
	cr_expect(read("name,mode,north.token\n"
		       "a,life,hush\n"
		       "b,live\n"
		       ",live,hush\n"
		       "c,live,env:NONE\n"
		       "d,off,\n"
		       "d,live,\n"
		       "e,\"live\"x,\n"));
	expect_told("f.csv:2: mode: off, mirror, live or retired is wanted\n"
		    "f.csv:3: row: has fewer cells than there are columns\n"
		    "f.csv:4: name: is missing, and so are south.device and north.device\n"
		    "f.csv:5: north.token: NONE is not set\n"
		    "f.csv:8: row: something behind closing quotes\n"
		    "f.csv:7: \"d\" is in line 6 already\n");
	cr_expect_eq(file.n, 1);
	cr_expect_eq(file.n_bad, 6);
}

Test(import, a_column_that_is_not_known_is_told_at_once)
{
	cr_expect_not(read("name,grop\npump,x\n"));
	expect_told("f.csv:1: there is no column \"grop\"; did you mean \"group\"?\n");
	cr_expect_eq(file.n, 0);
}

Test(import, json_lines_say_the_same)
{
	import("{\"name\":\"pump\",\"mode\":\"mirror\",\"state\":\"ready\",\"greet.floor\":3}\n\n"
	       "{\"name\":\"fan\",\"north.tokn\":true}\n",
	       false, "pump added mode,greet.floor\n");
	expect_told("f.csv:3: north.tokn: a string is wanted\n");
	cr_expect_str_eq(vars_get(&fleet_find(t, "pump")->greet, "floor"), "3");
	import("\xef\xbb\xbf{\"name\":\"lamp\"}\r\n{\"name\":\"x\",\"name\":\"y\"}\r\n"
	       "{\"name\":\"z\",\"group\":\"a\",\"group\":\"b\"}\r\n",
	       false, "lamp added \n");
	expect_told("f.csv:2: name: is there twice\nf.csv:3: group: is there twice\n");
}

Test(import, no_two_devices_may_be_called_the_same_by_a_side)
{
	import("name,south.device\na,x\nb,x\nc,y\n", false,
	       "a added south.device\nc added south.device\n");
	expect_told("f.csv:3: south.device: \"x\" is what the south calls \"a\"\n");
	import("name,south.device\nd,y\n", false, "");
	expect_told("f.csv:2: south.device: \"y\" is what the south calls \"c\"\n");
	import("name,south.device\ny2,a\nx,\n", false, "y2 added south.device\n");
	expect_told("f.csv:3: south.device: \"x\" is what the south calls \"a\"\n");
	import("name,south.device\na,y\nc,x\n", false,
	       "a changed south.device\nc changed south.device\n");
	cr_expect_str_eq(devices_here(names, SOUTH, "x"), "c");
}

Test(import, a_mode_that_a_file_fixes_stays)
{
	import("name,mode\npump,live\n", false, "pump added mode\n");
	fleet_fix_mode(t, "pump", "fleet.csv:2", FLEET_LIVE);
	/* It is a mistake of the row, so it is told before anything is done. */
	import("name,mode\nfan,off\npump,off\n", false, "fan added mode\n");
	expect_told("f.csv:3: pump: its mode is fixed by fleet.csv:2\n");
	import("name,mode\npump,-\n", false, "");
	import("name,mode\npump,live\n", false, "pump same \n");
	cr_expect_eq(fleet_find(t, "pump")->mode, FLEET_LIVE);
}

static void fix(const char *text)
{
	const struct import_to to = { .fleet = t, .link = "l", .takes_rest = true, .file = "c" };

	read(text);
	import_fix(&to, &file);
}

Test(import, a_list_only_fixes_the_modes_of_those_that_are_there)
{
	import("name,mode\na,live\nb,live\nc,live\nd,live\n", false,
	       "a added mode\nb added mode\nc added mode\nd added mode\n");
	fix("link,name,mode,group\n,a,off,g\n,b,,g\nm,c,off,\n,d,-,\n,new,off,\n");
	cr_expect_str_eq(fleet_find(t, "a")->fixed_by, "c:2");
	cr_expect_eq(fleet_find(t, "a")->mode, FLEET_LIVE);
	cr_expect_null(fleet_find(t, "a")->group);
	for (const char *name = "bcd"; *name; name++)
		cr_expect_null(fleet_find(t, (char[]){ *name, 0 })->fixed_by, "%c", *name);
	cr_expect_null(fleet_find(t, "new"));
	import("name,mode\na,live\n", false, "");
	expect_told("f.csv:2: a: its mode is fixed by c:2\n");
	import("name,mode\na,off\n", false, "a changed mode\n");
}

Test(import, rows_of_another_link_are_passed_over)
{
	import("link,name\nl,a\nm,b\n,c\n", false, "a added \nc added \n");
}

Test(import, rows_are_the_same_after_a_socket)
{
	struct fleet_file again;
	struct buf text = { 0 };

	read("link,name,north.token,group\nl,pump,env:X,-\n");
	fleet_file_put(&file, &text);
	cr_assert(fleet_file_get(&again, (struct jslice){ text.data, text.len }));
	cr_assert_eq(again.n, 1);
	cr_expect_str_eq(again.rows[0].link, "l");
	cr_expect_eq(again.rows[0].line, 2);
	cr_assert_eq(again.rows[0].n, 2);
	cr_expect(again.rows[0].cells[0].is_secret);
	cr_expect_null(again.rows[0].cells[1].value);
	cr_expect_not(file.has_secrets);
	read("name,north.token\npump,hush\n");
	cr_expect(file.has_secrets);
	fleet_file_fini(&again);
	buf_fini(&text);
}
