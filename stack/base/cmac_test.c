/* SPDX-License-Identifier: MIT */
#include "base/cmac.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* RFC 4493 4 */
static const uint8_t key[CMAC_KEY] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae,
				      0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88,
				      0x09, 0xcf, 0x4f, 0x3c};
static const uint8_t text[64] = {
	0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e,
	0x11, 0x73, 0x93, 0x17, 0x2a, 0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03,
	0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51, 0x30,
	0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11, 0xe5, 0xfb, 0xc1, 0x19,
	0x1a, 0x0a, 0x52, 0xef, 0xf6, 0x9f, 0x24, 0x45, 0xdf, 0x4f, 0x9b,
	0x17, 0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10};

static const char *mac(const uint8_t *k, const uint8_t *p, size_t len,
		       size_t step)
{
	static char hex[2 * CMAC_LEN + 1];
	uint8_t out[CMAC_LEN];
	struct cmac m;

	cmac_init(&m, k);
	for (size_t i = 0; i < len; i += step)
		cmac_add(&m, p + i, i + step < len ? step : len - i);
	cmac_end(&m, out);
	for (unsigned i = 0; i < CMAC_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	return hex;
}

Test(cmac, test_vectors_of_rfc_4493)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{0, "bb1d6929e95937287fa37d129b756746"},
		{16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{40, "dfa66747de9ae63030ca32611497c827"},
		{64, "51f0bebf7e3b9d92fc49741779363cfe"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 66; step += 5)
			cr_assert_str_eq(mac(key, text, rows[i].len, step),
					 rows[i].hex, "%zu", rows[i].len);
}

/* RFC 4615 4: keys of other lengths become one of 128 bits by a key of zeros,
 * which is what TCP-AO does too (RFC 5926 3.1.1.2). */
Test(cmac, keys_of_rfc_4615)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{18, "84a348a4a45d235babfffc0d2b4da09a"},
		{16, "980ae87b5f4c9c5214f5b6a8455e4c2d"},
		{10, "290d9e112edb09ee141fcf64c0b72f3d"},
	};
	static const uint8_t zero[CMAC_KEY],
		bytes[18] = {0, 1,  2,	3,  4,	5,  6,	7,    8,
			     9, 10, 11, 12, 13, 14, 15, 0xed, 0xcb};
	uint8_t data[20], derived[CMAC_KEY];
	struct cmac m;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cmac_init(&m, zero);
		cmac_add(&m, bytes, rows[i].len);
		cmac_end(&m, derived);
		if (rows[i].len == CMAC_KEY)
			memcpy(derived, bytes, CMAC_KEY);
		cr_assert_str_eq(mac(derived, data, sizeof(data), 20),
				 rows[i].hex, "%zu", rows[i].len);
	}
}
