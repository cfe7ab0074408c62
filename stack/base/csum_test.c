/* SPDX-License-Identifier: MIT */
#include "base/csum.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/siphash.h"

/* RFC 1071 4.1, word for word */
static uint16_t plain(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	uint16_t be;

	for (; len > 1; p += 2, len -= 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	if (len)
		sum += (uint32_t)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put_be16(&be, (uint16_t)sum);
	return be;
}

static struct rng g;

static void setup(void)
{
	static const uint8_t seed[32] = {7};

	rng_init(&g, seed, 0);
}

TestSuite(csum, .init = setup);

/* the example of RFC 1071 3 */
Test(csum, known)
{
	static const uint8_t p[] = {0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7};
	uint16_t s = csum_fold_raw(csum_add(0, p, sizeof(p)));

	cr_assert_eq(get_be16(&s), 0xddf2);
	s = csum_fold(csum_add(0, p, sizeof(p)));
	cr_assert_eq(get_be16(&s), 0x220d);
}

Test(csum, every_length_and_alignment)
{
	uint8_t buf[700];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)rng_u32(&g);
	for (size_t at = 0; at < 9; at++)
		for (size_t len = 0; len < 600; len++) {
			uint8_t *p = malloc(len + 1);

			memcpy(p, buf + at, len);
			cr_assert_eq(csum_fold_raw(csum_add(0, p, len)),
				     plain(p, len));
			cr_assert_eq(csum_fold_raw(csum_add(0, buf + at, len)),
				     plain(p, len));
			free(p);
		}
}

Test(csum, all_ones_carry_all_the_way)
{
	static uint8_t p[65536];

	memset(p, 0xff, sizeof(p));
	cr_assert_eq(csum_fold_raw(csum_add(0, p, sizeof(p))), 0xffff);
	cr_assert_eq(csum_fold(csum_add(UINT64_MAX, p, 40)), 0);
	memset(p, 0, sizeof(p));
	cr_assert_eq(csum_fold(csum_add(0, p, sizeof(p))), 0xffff);
}

Test(csum, pieces_at_odd_offsets)
{
	uint8_t p[500];

	for (int i = 0; i < 3000; i++) {
		size_t len = rng_below(&g, sizeof(p)), at = 0;
		uint64_t sum = 0;

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t)rng_u32(&g);
		while (at < len) {
			size_t n = 1 + rng_below(&g, (uint32_t)(len - at));

			sum = at & 1 ? csum_add_odd(sum, p + at, n)
				     : csum_add(sum, p + at, n);
			at += n;
		}
		cr_assert_eq(csum_fold_raw(sum), plain(p, len));
	}
}

static void check_pseudo(const char *from, const char *to, const uint8_t *want,
			 size_t len)
{
	struct ip_addr src, dst;

	ip_addr_parse(from, &src);
	ip_addr_parse(to, &dst);
	cr_assert_eq(csum_fold_raw(csum_pseudo(&src, &dst, 6, 0x1234)),
		     plain(want, len));
}

Test(csum, pseudo_headers)
{
	static const uint8_t four[] = {10, 0, 0, 1, 10,	  0,
				       0,  2, 0, 6, 0x12, 0x34};
	static const uint8_t six[] = {
		0xfd,	  0x77,	       [15] = 1,    [16] = 0xfd, [17] = 0x77,
		[31] = 2, [34] = 0x12, [35] = 0x34, [39] = 6,
	};

	check_pseudo("10.0.0.1", "10.0.0.2", four, sizeof(four));
	check_pseudo("fd77::1", "fd77::2", six, sizeof(six));
}
