/* SPDX-License-Identifier: MIT */
#include "base/sha1.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *hex(const uint8_t out[SHA1_LEN])
{
	static char text[2 * SHA1_LEN + 1];

	for (unsigned i = 0; i < SHA1_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", out[i]);
	return text;
}

static const char *digest(const void *data, size_t len, size_t step)
{
	const uint8_t *p = data;
	uint8_t out[SHA1_LEN];
	struct sha1 h;

	sha1_init(&h);
	for (size_t i = 0; i < len; i += step)
		sha1_add(&h, p + i, i + step < len ? step : len - i);
	sha1_end(&h, out);
	return hex(out);
}

/* RFC 3174 7.3 */
Test(sha1, test_suite_of_rfc_3174)
{
	static const struct {
		const char *text, *hex;
		unsigned times;
	} rows[] = {
		{"abc", "a9993e364706816aba3e25717850c26c9cd0d89d", 1},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "84983e441c3bd26ebaae4aa1f95129e5e54670f1", 1},
		{"a", "34aa973cd4c4daa4f61eeb2bdbad27316534016f", 1000000},
		{"0123456701234567012345670123456701234567012345670123456701234"
		 "567",
		 "dea356a2cddd90c7a7ecedc5ebb563934f460452", 10},
	};
	uint8_t out[SHA1_LEN];
	struct sha1 h;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sha1_init(&h);
		for (unsigned j = 0; j < rows[i].times; j++)
			sha1_add(&h, rows[i].text, strlen(rows[i].text));
		sha1_end(&h, out);
		cr_assert_str_eq(hex(out), rows[i].hex);
	}
}

/* Each place that the padding can fall on; from another implementation. */
Test(sha1, every_length_around_a_block)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{0, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
		{56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
		{57, "f08f24908d682555111be7ff6f004e78283d989a"},
		{63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
		{64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
		{65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
		{119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"},
		{120, "f34c1488385346a55709ba056ddd08280dd4c6d6"},
		{128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0"},
	};
	char text[200];

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 130; step += 7)
			cr_assert_str_eq(digest(text, rows[i].len, step),
					 rows[i].hex, "%zu", rows[i].len);
}

/* RFC 2202 3 */
Test(sha1, hmac_of_rfc_2202)
{
	static const struct {
		const char *key, *data, *hex;
		uint8_t fill_key, fill_data; /* instead: so many of these */
		unsigned num_key, num_data;
	} rows[] = {
		{.fill_key = 0x0b,
		 .num_key = 20,
		 .data = "Hi There",
		 .hex = "b617318655057264e28bc0b6fb378c8ef146be00"},
		{.key = "Jefe",
		 .data = "what do ya want for nothing?",
		 .hex = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{.fill_key = 0xaa,
		 .num_key = 20,
		 .fill_data = 0xdd,
		 .num_data = 50,
		 .hex = "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
		{.key = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
			"\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
		 .fill_data = 0xcd,
		 .num_data = 50,
		 .hex = "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
		{.fill_key = 0x0c,
		 .num_key = 20,
		 .data = "Test With Truncation",
		 .hex = "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
		{.fill_key = 0xaa,
		 .num_key = 80,
		 .data = "Test Using Larger Than Block-Size Key - Hash Key "
			 "First",
		 .hex = "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{.fill_key = 0xaa,
		 .num_key = 80,
		 .data = "Test Using Larger Than Block-Size Key and Larger "
			 "Than One Block-Size Data",
		 .hex = "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
	};
	uint8_t key[80], data[80], out[SHA1_LEN];
	struct hmac_sha1 m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t num_key = rows[i].num_key, num_data = rows[i].num_data;

		memset(key, rows[i].fill_key, sizeof(key));
		memset(data, rows[i].fill_data, sizeof(data));
		if (rows[i].key) {
			num_key = strlen(rows[i].key);
			memcpy(key, rows[i].key, num_key);
		}
		if (rows[i].data) {
			num_data = strlen(rows[i].data);
			memcpy(data, rows[i].data, num_data);
		}
		hmac_sha1_init(&m, key, num_key);
		hmac_sha1_add(&m, data, num_data);
		hmac_sha1_end(&m, out);
		cr_assert_str_eq(hex(out), rows[i].hex, "case %zu", i + 1);
	}
}
