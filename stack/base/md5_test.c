/* SPDX-License-Identifier: MIT */
#include "base/md5.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *hex_of(const char *text, size_t step)
{
	static char hex[2 * MD5_LEN + 1];
	uint8_t out[MD5_LEN];
	size_t len = strlen(text);
	struct md5 m;

	md5_init(&m);
	for (size_t i = 0; i < len; i += step)
		md5_add(&m, text + i, i + step < len ? step : len - i);
	md5_end(&m, out);
	for (unsigned i = 0; i < MD5_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	return hex;
}

/* RFC 1321 A.5 */
static const struct {
	const char *text, *hex;
} suite[] = {
	{"", "d41d8cd98f00b204e9800998ecf8427e"},
	{"a", "0cc175b9c0f1b6a831c399e269772661"},
	{"abc", "900150983cd24fb0d6963f7d28e17f72"},
	{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	 "d174ab98d277d9f5a5611c2c9f419d9f"},
	{"123456789012345678901234567890123456789012345678901234567890123456789"
	 "0"
	 "1234567890",
	 "57edf4a22be3c955ac49da2e2107b67a"},
};

Test(md5, test_suite_of_rfc_1321)
{
	for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++)
		for (size_t step = 1; step < 130; step += 7)
			cr_assert_str_eq(hex_of(suite[i].text, step),
					 suite[i].hex);
}

/* Each place that the padding can fall on; from another implementation. */
Test(md5, every_length_around_a_block)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{55, "ef1772b6dff9a122358552954ad0df65"},
		{56, "3b0c8ac703f828b04c6c197006d17218"},
		{57, "652b906d60af96844ebd21b674f35e93"},
		{63, "b06521f39153d618550606be297466d5"},
		{64, "014842d480b571495a4a0363793f7367"},
		{65, "c743a45e0d2e6a95cb859adae0248435"},
		{128, "e510683b3f5ffe4093d021808bc6ff70"},
	};
	char text[200];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(text, 'a', rows[i].len);
		text[rows[i].len] = 0;
		cr_assert_str_eq(hex_of(text, 64), rows[i].hex, "%zu",
				 rows[i].len);
	}
}
