/* SPDX-License-Identifier: MIT
 *
 * seq.h - the one place that compares wrapping 32-bit sequence numbers
 *
 * RFC 9293 3.4: comparisons are modulo 2^32. @a is before @b when the signed
 * distance from @b to @a is negative.
 */
#ifndef TCPSHIM_SEQ_H
#define TCPSHIM_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* lo <= v < lo + len */
static inline bool seq_in(uint32_t v, uint32_t lo, uint32_t len)
{
	return v - lo < len;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

#endif
