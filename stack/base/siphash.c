/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <string.h>

#include "base/util.h"

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static uint64_t get_le64(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

struct sip {
	uint64_t a, b, c, d;
};

static void rounds(struct sip *s, unsigned n)
{
	while (n--) {
		s->a += s->b;
		s->c += s->d;
		s->b = rotl(s->b, 13) ^ s->a;
		s->d = rotl(s->d, 16) ^ s->c;
		s->a = rotl(s->a, 32);
		s->c += s->b;
		s->a += s->d;
		s->b = rotl(s->b, 17) ^ s->c;
		s->d = rotl(s->d, 21) ^ s->a;
		s->c = rotl(s->c, 32);
	}
}

static void absorb(struct sip *s, uint64_t word)
{
	s->d ^= word;
	rounds(s, 2);
	s->a ^= word;
}

uint64_t sip_hash(const struct sip_key *k, const void *data, size_t len)
{
	/* "somepseudorandomlygeneratedbytes" */
	struct sip s = {k->k0 ^ 0x736f6d6570736575, k->k1 ^ 0x646f72616e646f6d,
			k->k0 ^ 0x6c7967656e657261, k->k1 ^ 0x7465646279746573};
	const uint8_t *p = data;
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		absorb(&s, get_le64(p, 8));
	absorb(&s, get_le64(p, left) | (uint64_t)len << 56);
	s.c ^= 0xff;
	rounds(&s, 4);
	return s.a ^ s.b ^ s.c ^ s.d;
}

void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose)
{
	struct sip_key k = {get_le64(seed, 8), get_le64(seed + 8, 8)};
	uint8_t in[21];

	memcpy(in, seed + 16, 16);
	put_be32(in + 16, purpose);
	in[20] = 0;
	r->key.k0 = sip_hash(&k, in, sizeof(in));
	in[20] = 1;
	r->key.k1 = sip_hash(&k, in, sizeof(in));
	r->counter = 0;
}

void rng_key(struct rng *r, struct sip_key *out)
{
	out->k0 = rng_u64(r);
	out->k1 = rng_u64(r);
}

uint64_t rng_u64(struct rng *r)
{
	uint8_t in[8];

	/* byte by byte: the same numbers on a machine of the other order */
	put_be32(in, (uint32_t)(r->counter >> 32));
	put_be32(in + 4, (uint32_t)r->counter);
	r->counter++;
	return sip_hash(&r->key, in, sizeof(in));
}

uint32_t rng_u32(struct rng *r)
{
	return (uint32_t)(rng_u64(r) >> 32);
}

/* Multiply and keep the high half; low halves below 2^32 mod bound would make
 * some results likelier (Lemire, "Fast random integer generation", 2019). */
uint32_t rng_below(struct rng *r, uint32_t bound)
{
	uint32_t reject;
	uint64_t m;

	ASSERT(bound > 0);
	reject = (uint32_t)-bound % bound;
	do {
		m = (uint64_t)rng_u32(r) * bound;
	} while ((uint32_t)m < reject);
	return (uint32_t)(m >> 32);
}

double rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}
