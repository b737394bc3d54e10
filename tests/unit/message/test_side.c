#include "message/side.h"

#include <criterion/criterion.h>

Test(side, a_flow_goes_from_its_source_to_the_other_side)
{
	for (int f = 0; f < FLOWS; f++) {
		enum side source = flow_source((enum flow)f);

		cr_expect_eq(flow_target((enum flow)f), side_other(source));
		cr_expect_eq(flow_from(source), (enum flow)f);
	}
	cr_expect_eq(flow_source(FLOW_UP), SOUTH);
	cr_expect_eq(side_other(SOUTH), NORTH);
}

Test(side, names_are_those_of_configurations_and_lines)
{
	cr_expect_str_eq(side_name(SOUTH), "south");
	cr_expect_str_eq(side_name(NORTH), "north");
	cr_expect_str_eq(flow_name(FLOW_UP), "up");
	cr_expect_str_eq(flow_name(FLOW_DOWN), "down");
}
