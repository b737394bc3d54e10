#include "fleet/choice.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"
#include "fleet/choice_file.h"
#include "state/change.h"

static struct fleet *t;
static struct changes out;
static struct choice c;
static struct report report;

static void set_up(void)
{
	static const char *const names[] = { "fan", "pump-1", "pump-2", "valve" };

	t = fleet_new();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		fleet_name(t, names[i], FLEET_IMPORT, &out);
	fleet_set_group(t, "pump-2", "hall", &out);
	fleet_set_group(t, "valve", "hall", &out);
	fleet_set_mode(t, "fan", FLEET_LIVE, &out);
}

static void tear_down(void)
{
	changes_fini(&out);
	fleet_free(t);
	choice_fini(&c);
	report_fini(&report);
}

TestSuite(choice, .init = set_up, .fini = tear_down);

/* The names that `c` takes of link "plant", whose mode is mirror, with blanks between. */
static const char *taken(void)
{
	static struct buf text;
	size_t n;
	char **names = choice_take(&c, t, "plant", FLEET_MIRROR, &n, &out);

	buf_reset(&text);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%s%s", i ? " " : "", names[i]);
		free(names[i]);
	}
	free(names);
	return buf_str(&text);
}

static const char *taken_by(const char *json)
{
	struct buf text = { 0 };
	struct err e = { 0 };
	bool ok = jtext_read(json, strlen(json), false, &text, &e);

	cr_assert(ok, "%s", e.text);
	choice_fini(&c);
	cr_assert(choice_get(&c, (struct jslice){ text.data, text.len }), "%s", json);
	buf_fini(&text);
	return taken();
}

Test(choice, filters_leave_those_that_fit_all_of_them)
{
	cr_expect_str_eq(taken_by("{}"), "fan pump-1 pump-2 valve");
	cr_expect_not(choice_is_made(&c));
	cr_expect_str_eq(taken_by("{\"name\":\"pump-*\"}"), "pump-1 pump-2");
	cr_expect(choice_is_made(&c));
	cr_expect_str_eq(taken_by("{\"name\":\"pump-*\",\"group\":\"hall\"}"), "pump-2");
	cr_expect_str_eq(taken_by("{\"mode\":\"live\"}"), "fan");
	cr_expect_str_eq(taken_by("{\"mode\":\"mirror\"}"), "pump-1 pump-2 valve");
	cr_expect_str_eq(taken_by("{\"percent\":\"100\"}"), "fan pump-1 pump-2 valve");
	cr_expect_str_eq(taken_by("{\"percent\":\"0\"}"), "");
}

Test(choice, a_list_keeps_its_order_and_filters_hold_in_it)
{
	cr_expect_str_eq(taken_by("{\"list\":[\"valve\",\"nobody\",\"pump-2\",\"fan\"]}"),
			 "valve pump-2 fan");
	cr_expect(c.list[0].is_known);
	cr_expect_not(c.list[1].is_known, "who asks can tell that nobody has it");
	cr_expect_str_eq(taken_by("{\"list\":[\"valve\",\"fan\"],\"group\":\"hall\"}"), "valve");
	cr_expect_str_eq(taken_by("{\"list\":[]}"), "", "a list without names is none of all");
	cr_expect(choice_is_made(&c));
	cr_expect_str_eq(taken_by("{\"list\":[{\"link\":\"other\",\"name\":\"fan\"},"
				  "{\"link\":\"plant\",\"name\":\"valve\"}]}"),
			 "valve");
}

Test(choice, what_is_put_out_is_read_again)
{
	struct buf text = { 0 };

	cr_expect_str_eq(taken_by("{\"list\":[{\"link\":\"plant\",\"name\":\"va\\\"lve\"},\"fan\"],"
				  "\"percent\":\"12.5\",\"all\":true,\"reason\":\"r\"}"),
			 "");
	choice_put(&c, &text);
	cr_expect_str_eq(buf_str(&text),
			 ",\"reason\":\"r\",\"percent\":\"12.5\",\"all\":true,"
			 "\"list\":[{\"link\":\"plant\",\"name\":\"va\\\"lve\"},\"fan\"]");
	buf_fini(&text);
}

Test(choice, what_is_of_another_type_is_refused)
{
	static const char *const wrong[] = { "{\"name\":1}", "{\"all\":\"yes\"}", "{\"list\":[1]}",
					     "{\"list\":[{\"link\":\"plant\"}]}" };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_expect_not(choice_get(&c, (struct jslice){ wrong[i], strlen(wrong[i]) }), "%s",
			      wrong[i]);
}

static void read_text(const char *text)
{
	choice_file_read(&c, "list", text, strlen(text), &report);
}

Test(choice, a_file_has_a_name_on_each_line)
{
	read_text("# the first\n  valve \r\n\nfan,2\nfan");
	cr_expect_eq(report.n_errors, 0);
	cr_assert_eq(c.n, 3);
	cr_expect_str_eq(c.list[1].name, "fan,2", "a name may have a comma in it");
	cr_expect_str_eq(taken(), "valve fan");
}

Test(choice, what_an_editor_puts_in_front_of_a_file_is_no_part_of_a_name)
{
	read_text("\xef\xbb\xbfvalve\r\nfan\r\n");
	cr_expect_str_eq(taken(), "valve fan");
}

Test(choice, who_is_named_twice_is_meant_once)
{
	read_text("valve\nfan\nvalve\n");
	cr_expect_str_eq(taken(), "valve fan");
	cr_expect(c.list[2].is_known);
}

Test(choice, of_csv_the_names_are_taken_with_their_links)
{
	read_text("link,group,name,north.token\nplant,,valve,hush\nother,,fan,\n,,\"pump-1\",\n");
	cr_expect_eq(report.n_errors, 0);
	cr_expect_str_eq(taken(), "valve pump-1");
	cr_expect_null(c.list[2].link);
}

Test(choice, mistakes_have_their_lines)
{
	read_text("name\nfan\n\"\"\nvalve\n");
	cr_assert_eq(report.n_errors, 1);
	cr_expect_str_eq(report.lines[0].text, "list:3: that is no name of a device");
	choice_file_load(&c, "/nowhere/list", &report);
	cr_expect_eq(report.n_errors, 2);
}
