/* SPDX-License-Identifier: MIT */
#include "base/cmac.h"

#include <string.h>

#include "base/buf.h"
#include "base/util.h"

#define ROUNDS 10u    /* FIPS 197 5: of a key of 128 bits */
#define POLY 0x1bu    /* x^8 + x^4 + x^3 + x + 1 without its highest term */
#define POLY128 0x87u /* RFC 4493 2.3: Rb */

/* FIPS 197 5.1.1: inverses in GF(2^8), then an affine map */
static const uint8_t sub[256] = {
	0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b,
	0xfe, 0xd7, 0xab, 0x76, 0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0,
	0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd, 0x93, 0x26,
	0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
	0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2,
	0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0,
	0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84, 0x53, 0xd1, 0x00, 0xed,
	0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
	0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f,
	0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5,
	0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec,
	0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
	0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14,
	0xde, 0x5e, 0x0b, 0xdb, 0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c,
	0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d,
	0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
	0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f,
	0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e,
	0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11,
	0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
	0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f,
	0xb0, 0x54, 0xbb, 0x16,
};

/* --- AES, on columns: row 0 is the highest byte --- */

static uint32_t rotl(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static uint32_t sub_word(uint32_t v)
{
	return (uint32_t)sub[v >> 24] << 24 |
	       (uint32_t)sub[v >> 16 & 255] << 16 |
	       (uint32_t)sub[v >> 8 & 255] << 8 | sub[v & 255];
}

/* FIPS 197 5.2 */
static void expand(uint32_t w[44], const uint8_t key[CMAC_KEY])
{
	uint32_t power = 1;

	for (unsigned i = 0; i < 4; i++)
		w[i] = get_be32(key + 4 * i);
	for (unsigned i = 4; i < 4 * (ROUNDS + 1); i++) {
		uint32_t t = w[i - 1];

		if (i % 4 == 0) {
			t = sub_word(rotl(t, 8)) ^ power << 24;
			power = power << 1 ^ (power >> 7 ? 0x100 | POLY : 0);
		}
		w[i] = w[i - 4] ^ t;
	}
}

/* FIPS 197 5.1.3: each byte doubled, and summed with its neighbours */
static inline uint32_t mix_column(uint32_t v)
{
	uint32_t next = rotl(v, 8), d = v ^ next;

	d = (d & 0x7f7f7f7f) << 1 ^ (d >> 7 & 0x01010101) * POLY;
	return d ^ next ^ rotl(v, 16) ^ rotl(v, 24);
}

/* Row r of a column comes from r columns further on (FIPS 197 5.1.2). */
static inline uint32_t sub_shifted(uint32_t c0, uint32_t c1, uint32_t c2,
				   uint32_t c3)
{
	return (uint32_t)sub[c0 >> 24] << 24 |
	       (uint32_t)sub[c1 >> 16 & 255] << 16 |
	       (uint32_t)sub[c2 >> 8 & 255] << 8 | sub[c3 & 255];
}

static void encrypt(const uint32_t w[44], uint32_t s[4])
{
	uint32_t a = s[0] ^ w[0], b = s[1] ^ w[1], c = s[2] ^ w[2];
	uint32_t d = s[3] ^ w[3], t[4];

	w += 4;
	for (unsigned r = 1; r < ROUNDS; r++, w += 4) {
		t[0] = mix_column(sub_shifted(a, b, c, d)) ^ w[0];
		t[1] = mix_column(sub_shifted(b, c, d, a)) ^ w[1];
		t[2] = mix_column(sub_shifted(c, d, a, b)) ^ w[2];
		t[3] = mix_column(sub_shifted(d, a, b, c)) ^ w[3];
		a = t[0];
		b = t[1];
		c = t[2];
		d = t[3];
	}
	s[0] = sub_shifted(a, b, c, d) ^ w[0]; /* the last one mixes no more */
	s[1] = sub_shifted(b, c, d, a) ^ w[1];
	s[2] = sub_shifted(c, d, a, b) ^ w[2];
	s[3] = sub_shifted(d, a, b, c) ^ w[3];
}

/* --- CMAC --- */

void cmac_init(struct cmac *m, const uint8_t key[CMAC_KEY])
{
	*m = (struct cmac){0};
	expand(m->round, key);
}

static void take_block(struct cmac *m, const uint8_t *p)
{
	for (unsigned i = 0; i < 4; i++)
		m->x[i] ^= get_be32(p + 4 * i);
	encrypt(m->round, m->x);
}

void cmac_add(struct cmac *m, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t n;

		/* the last block is treated otherwise, so one stays behind */
		if (m->have == CMAC_LEN) {
			take_block(m, m->block);
			m->have = 0;
		}
		n = MIN(len, (size_t)CMAC_LEN - m->have);
		memcpy(m->block + m->have, p, n);
		m->have = (uint8_t)(m->have + n);
		p += n;
		len -= n;
	}
}

/* Times x in GF(2^128): RFC 4493 2.3 */
static void twice(uint32_t k[4])
{
	uint32_t over = k[0] >> 31 ? POLY128 : 0;

	for (unsigned i = 0; i < 3; i++)
		k[i] = k[i] << 1 | k[i + 1] >> 31;
	k[3] = k[3] << 1 ^ over;
}

/* RFC 4493 2.4 */
void cmac_end(struct cmac *m, uint8_t out[CMAC_LEN])
{
	uint32_t k[4] = {0};

	encrypt(m->round, k);
	twice(k);
	if (m->have < CMAC_LEN) {
		twice(k);
		m->block[m->have++] = 0x80;
		memset(m->block + m->have, 0, CMAC_LEN - (size_t)m->have);
	}
	for (unsigned i = 0; i < 4; i++)
		m->x[i] ^= k[i];
	take_block(m, m->block);
	for (unsigned i = 0; i < 4; i++)
		put_be32(out + 4 * i, m->x[i]);
}
