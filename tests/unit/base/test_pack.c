#include <criterion/criterion.h>

#include "base/pack.h"

#include <stdlib.h>

static struct buf out;

static void tear_down(void)
{
	buf_fini(&out);
}

TestSuite(pack, .fini = tear_down);

static struct unpack packed(void)
{
	return (struct unpack){ .p = out.data, .left = out.len };
}

Test(pack, what_was_packed_comes_back)
{
	struct unpack u;
	size_t n;
	char *text;

	pack_u8(&out, 255);
	pack_u32(&out, 0x12345678);
	pack_u64(&out, UINT64_MAX - 1);
	pack_bytes(&out, "a\0b", 3);
	pack_text(&out, "text");
	u = packed();
	cr_expect_eq(unpack_u8(&u), 255);
	cr_expect_eq(unpack_u32(&u), 0x12345678);
	cr_expect_eq(unpack_u64(&u), UINT64_MAX - 1);
	cr_expect_arr_eq(unpack_bytes(&u, &n), "a\0b", 3);
	cr_expect_eq(n, 3);
	text = unpack_text(&u);
	cr_expect_str_eq(text, "text");
	free(text);
	cr_expect_not(u.is_bad);
	cr_expect_eq(u.left, 0);
}

Test(pack, no_text_is_not_the_empty_text)
{
	struct unpack u;
	char *text;

	pack_text(&out, NULL);
	pack_text(&out, "");
	u = packed();
	cr_expect_null(unpack_text(&u));
	text = unpack_text(&u);
	cr_expect_str_eq(text, "");
	free(text);
	cr_expect_not(u.is_bad);
}

Test(pack, numbers_have_the_lowest_byte_first)
{
	pack_u32(&out, 0x01020304);
	cr_expect_arr_eq(out.data, "\4\3\2\1", 4);
}

Test(pack, whatever_is_cut_short_is_bad)
{
	pack_u64(&out, 1);
	pack_bytes(&out, "abc", 3);
	pack_text(&out, "text");
	for (size_t left = 0; left < out.len; left++) {
		struct unpack u = { .p = out.data, .left = left };
		size_t n;

		unpack_u64(&u);
		unpack_bytes(&u, &n);
		free(unpack_text(&u));
		cr_expect(u.is_bad, "%zu bytes", left);
	}
}

Test(pack, a_text_with_a_nul_in_it_is_bad)
{
	struct unpack u;

	pack_bytes(&out, "a\0b", 3);
	u = packed();
	cr_expect_null(unpack_text(&u));
	cr_expect(u.is_bad);
}

Test(pack, frames_come_back_one_by_one)
{
	struct unpack u, frame;
	size_t begin = pack_frame_begin(&out);

	pack_u8(&out, 1);
	pack_u8(&out, 2);
	pack_frame_end(&out, begin);
	pack_frame_end(&out, pack_frame_begin(&out));
	u = packed();
	cr_assert(unpack_frame(&u, &frame));
	cr_expect_eq(frame.left, 2);
	cr_expect_eq(unpack_u8(&frame), 1);
	cr_assert(unpack_frame(&u, &frame));
	cr_expect_eq(frame.left, 0);
	cr_expect_not(unpack_frame(&u, &frame));
}

Test(pack, a_frame_that_is_not_there_as_a_whole_waits)
{
	size_t begin = pack_frame_begin(&out);

	pack_u8(&out, 1);
	pack_frame_end(&out, begin);
	for (size_t left = 0; left < out.len; left++) {
		struct unpack u = { .p = out.data, .left = left }, frame;

		cr_expect_not(unpack_frame(&u, &frame));
		cr_expect_eq(u.left, left);
		cr_expect_not(u.is_bad);
	}
}
