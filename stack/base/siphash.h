/* SPDX-License-Identifier: MIT
 *
 * siphash.h - keyed hash (SipHash-2-4) and the core's random numbers
 *
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. The random
 * numbers are SipHash in counter mode under a key from the seed: good enough
 * for ports, identifiers and impairments, and the same for the same seed. RFC
 * 6528 sequence numbers use sip_hash() with a key of their own.
 */
#ifndef TCPSHIM_SIPHASH_H
#define TCPSHIM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct sip_key {
	uint64_t k0, k1;
};

uint64_t sip_hash(const struct sip_key *k, const void *data, size_t len);

struct rng {
	struct sip_key key;
	uint64_t counter;
};

void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose);
void rng_key(struct rng *r, struct sip_key *out); /* draws a fresh key */
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t bound); /* unbiased; bound >= 1 */
double rng_unit(struct rng *r);			   /* [0, 1) */

#endif
