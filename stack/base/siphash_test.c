/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <criterion/criterion.h>

/* Appendix A of the paper: key 00..0f, message 00..0e; and the first, eighth
 * and last of the authors' published vectors for messages 00.. of growing
 * length. */
Test(siphash, known_vectors)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} rows[] = {
		{0, 0x726fdb47dd0e0e31},
		{8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
		{63, 0x958a324ceb064572},
	};
	struct sip_key k = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t in[64];

	for (int i = 0; i < 64; i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(sip_hash(&k, in, rows[i].len), rows[i].hash);
}

Test(rng, same_seed_same_numbers_other_purpose_others)
{
	static const uint8_t seed[32] = {1, [31] = 2};
	uint8_t other[32] = {1, [31] = 3};
	struct rng a, b, c, d;

	rng_init(&a, seed, 1);
	rng_init(&b, seed, 1);
	rng_init(&c, seed, 2);
	rng_init(&d, other, 1);
	for (int i = 0; i < 100; i++) {
		uint64_t v = rng_u64(&a);

		cr_assert_eq(v, rng_u64(&b));
		cr_assert_neq(v, rng_u64(&c));
		cr_assert_neq(v, rng_u64(&d));
	}
}

Test(rng, below_is_even)
{
	static const uint8_t seed[32] = {8};
	unsigned seen[7] = {0};
	struct rng g;
	double sum = 0;

	rng_init(&g, seed, 0);
	for (int i = 0; i < 70000; i++)
		seen[rng_below(&g, 7)]++;
	for (int i = 0; i < 7; i++)
		cr_assert(seen[i] > 9500 && seen[i] < 10500);
	cr_assert_eq(rng_below(&g, 1), 0);
	for (int i = 0; i < 10000; i++) {
		double u = rng_unit(&g);

		cr_assert(u >= 0 && u < 1);
		sum += u;
	}
	cr_assert(sum > 4900 && sum < 5100);
}
