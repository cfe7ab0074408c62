/* SPDX-License-Identifier: MIT */
#include "base/sha1.h"

#include <string.h>

#include "base/buf.h"
#include "base/util.h"

static uint32_t rotl(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

/* RFC 3174 5: what is mixed in, by quarter of the 80 steps */
static inline uint32_t mix(unsigned quarter, uint32_t b, uint32_t c, uint32_t d)
{
	switch (quarter) {
	case 0:
		return (d ^ (b & (c ^ d))) + 0x5a827999;
	case 1:
		return (b ^ c ^ d) + 0x6ed9eba1;
	case 2:
		return ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
	default:
		return (b ^ c ^ d) + 0xca62c1d6;
	}
}

static inline void step(unsigned quarter, uint32_t a, uint32_t *b, uint32_t c,
			uint32_t d, uint32_t *e, uint32_t w)
{
	*e += rotl(a, 5) + mix(quarter, *b, c, d) + w;
	*b = rotl(*b, 30);
}

/* After five steps who was a is a again. Each call has the same @quarter
 * always, so that mix() is no branch. */
static inline void five(unsigned quarter, uint32_t v[5], const uint32_t w[5])
{
	step(quarter, v[0], &v[1], v[2], v[3], &v[4], w[0]);
	step(quarter, v[4], &v[0], v[1], v[2], &v[3], w[1]);
	step(quarter, v[3], &v[4], v[0], v[1], &v[2], w[2]);
	step(quarter, v[2], &v[3], v[4], v[0], &v[1], w[3]);
	step(quarter, v[1], &v[2], v[3], v[4], &v[0], w[4]);
}

/* RFC 3174 6.1 */
static void take_block(uint32_t s[5], const uint8_t *p)
{
	uint32_t w[80], v[5];

	for (unsigned i = 0; i < 16; i++)
		w[i] = get_be32(p + 4 * i);
	for (unsigned i = 16; i < 80; i++)
		w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	memcpy(v, s, sizeof(v));
	for (unsigned i = 0; i < 20; i += 5)
		five(0, v, w + i);
	for (unsigned i = 20; i < 40; i += 5)
		five(1, v, w + i);
	for (unsigned i = 40; i < 60; i += 5)
		five(2, v, w + i);
	for (unsigned i = 60; i < 80; i += 5)
		five(3, v, w + i);
	for (unsigned i = 0; i < 5; i++)
		s[i] += v[i];
}

void sha1_init(struct sha1 *h)
{
	*h = (struct sha1){
		.s = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
		      0xc3d2e1f0},
	};
}

void sha1_add(struct sha1 *h, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t have = h->len % SHA1_BLOCK;

	h->len += len;
	while (len) {
		size_t n = MIN(len, SHA1_BLOCK - have);

		if (n == SHA1_BLOCK) {
			take_block(h->s, p);
		} else {
			memcpy(h->block + have, p, n);
			if (have + n == SHA1_BLOCK)
				take_block(h->s, h->block);
		}
		have = (have + n) % SHA1_BLOCK;
		p += n;
		len -= n;
	}
}

void sha1_end(struct sha1 *h, uint8_t out[SHA1_LEN])
{
	static const uint8_t pad[SHA1_BLOCK] = {0x80};
	uint64_t bits = h->len * 8;
	size_t have = h->len % SHA1_BLOCK;
	uint8_t tail[8];

	put_be32(tail, (uint32_t)(bits >> 32));
	put_be32(tail + 4, (uint32_t)bits);
	sha1_add(h, pad, have < 56 ? 56 - have : 120 - have);
	sha1_add(h, tail, sizeof(tail));
	for (unsigned i = 0; i < 5; i++)
		put_be32(out + 4 * i, h->s[i]);
}

/* RFC 2104 2 */
void hmac_sha1_init(struct hmac_sha1 *m, const void *key, size_t len)
{
	uint8_t k[SHA1_BLOCK] = {0};

	if (len > SHA1_BLOCK) {
		sha1_init(&m->in);
		sha1_add(&m->in, key, len);
		sha1_end(&m->in, k);
	} else if (len) {
		memcpy(k, key, len);
	}
	for (unsigned i = 0; i < SHA1_BLOCK; i++)
		k[i] ^= 0x36;
	sha1_init(&m->in);
	sha1_add(&m->in, k, sizeof(k));
	for (unsigned i = 0; i < SHA1_BLOCK; i++)
		k[i] ^= 0x36 ^ 0x5c;
	sha1_init(&m->out);
	sha1_add(&m->out, k, sizeof(k));
}

void hmac_sha1_add(struct hmac_sha1 *m, const void *data, size_t len)
{
	sha1_add(&m->in, data, len);
}

void hmac_sha1_end(struct hmac_sha1 *m, uint8_t out[SHA1_LEN])
{
	sha1_end(&m->in, out);
	sha1_add(&m->out, out, SHA1_LEN);
	sha1_end(&m->out, out);
}
