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
static uint32_t mix(unsigned step, uint32_t b, uint32_t c, uint32_t d)
{
	switch (step / 20) {
	case 0:
		return ((b & c) | (~b & d)) + 0x5a827999;
	case 1:
		return (b ^ c ^ d) + 0x6ed9eba1;
	case 2:
		return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
	default:
		return (b ^ c ^ d) + 0xca62c1d6;
	}
}

/* RFC 3174 6.1 */
static void take_block(uint32_t s[5], const uint8_t *p)
{
	uint32_t w[80], a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];

	for (unsigned i = 0; i < 16; i++)
		w[i] = get_be32(p + 4 * i);
	for (unsigned i = 16; i < 80; i++)
		w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (unsigned i = 0; i < 80; i++) {
		uint32_t t = rotl(a, 5) + mix(i, b, c, d) + e + w[i];

		e = d;
		d = c;
		c = rotl(b, 30);
		b = a;
		a = t;
	}
	s[0] += a;
	s[1] += b;
	s[2] += c;
	s[3] += d;
	s[4] += e;
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
