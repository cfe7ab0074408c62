/* SPDX-License-Identifier: MIT */
#include "base/md5.h"

#include <string.h>

#include "base/util.h"

static uint32_t rotl(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

/* RFC 1321 3.4: floor(2^32 * abs(sin(i + 1))) */
static const uint32_t sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
	0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
	0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
	0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
	0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
	0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
	0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

/* The words are little-endian, unlike everything else of the network. */
static uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void take_block(uint32_t s[4], const uint8_t *p)
{
	static const uint8_t turns[4][4] = {{7, 12, 17, 22},
					    {5, 9, 14, 20},
					    {4, 11, 16, 23},
					    {6, 10, 15, 21}};
	uint32_t a = s[0], b = s[1], c = s[2], d = s[3];

	for (unsigned i = 0; i < 64; i++) {
		uint32_t f, t;
		unsigned g;

		switch (i / 16) {
		case 0:
			f = (b & c) | (~b & d);
			g = i;
			break;
		case 1:
			f = (d & b) | (~d & c);
			g = (5 * i + 1) % 16;
			break;
		case 2:
			f = b ^ c ^ d;
			g = (3 * i + 5) % 16;
			break;
		default:
			f = c ^ (b | ~d);
			g = 7 * i % 16;
			break;
		}
		t = a + f + sines[i] + get_le32(p + 4 * g);
		a = d;
		d = c;
		c = b;
		b += rotl(t, turns[i / 16][i % 4]);
	}
	s[0] += a;
	s[1] += b;
	s[2] += c;
	s[3] += d;
}

void md5_init(struct md5 *m)
{
	*m = (struct md5){
		.s = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_add(struct md5 *m, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t at = m->len % 64, n = MIN(len, 64 - at);

		m->len += n;
		if (n == 64) {
			take_block(m->s, p);
		} else {
			memcpy(m->block + at, p, n);
			if (at + n == 64)
				take_block(m->s, m->block);
		}
		p += n;
		len -= n;
	}
}

void md5_end(struct md5 *m, uint8_t out[MD5_LEN])
{
	static const uint8_t pad[64] = {0x80};
	uint64_t bits = m->len * 8;
	uint8_t tail[8];

	md5_add(m, pad, 1 + (119 - m->len % 64) % 64);
	put_le32(tail, (uint32_t)bits);
	put_le32(tail + 4, (uint32_t)(bits >> 32));
	md5_add(m, tail, sizeof(tail));
	for (unsigned i = 0; i < 4; i++)
		put_le32(out + 4 * i, m->s[i]);
}
