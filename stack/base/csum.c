/* SPDX-License-Identifier: MIT
 *
 * csum.c - the Internet checksum, 64 bytes a turn
 *
 * One's complement addition does not care how wide the words are that are
 * added, as long as carries come back in at the bottom (RFC 1071 2). So 32-bit
 * words are added into 64-bit lanes, which cannot overflow below 2^32 words.
 */
#include "base/csum.h"

#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(16)));

#define TURN 64

static uint64_t add64(uint64_t sum, uint64_t v)
{
	sum += v;
	return sum + (sum < v);
}

/* @len is a multiple of TURN. */
static uint64_t sum_turns(const uint8_t *p, size_t len)
{
	const lanes low = {0xffffffff, 0xffffffff};
	lanes lo[2] = {{0}}, hi[2] = {{0}};

	for (const uint8_t *end = p + len; p < end; p += TURN) {
		lanes w[4];

		memcpy(w, p, sizeof(w));
		lo[0] += (w[0] & low) + (w[2] & low);
		hi[0] += (w[0] >> 32) + (w[2] >> 32);
		lo[1] += (w[1] & low) + (w[3] & low);
		hi[1] += (w[1] >> 32) + (w[3] >> 32);
	}
	/* each 64-bit word is its high half times 2^32 plus its low half, and
	 * both halves weigh the same modulo 2^16 - 1 */
	lo[0] += lo[1];
	hi[0] += hi[1];
	return add64(add64(lo[0][0], lo[0][1]), add64(hi[0][0], hi[0][1]));
}

uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t turns = len & ~(size_t)(TURN - 1);

	if (turns) {
		sum = add64(sum, sum_turns(p, turns));
		p += turns;
		len -= turns;
	}
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t w;

		memcpy(&w, p, sizeof(w));
		sum = add64(sum, w);
	}
	if (len) {
		uint64_t w = 0; /* an odd last byte is padded with zero */

		memcpy(&w, p, len);
		sum = add64(sum, w);
	}
	return sum;
}

uint16_t csum_fold_raw(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t csum_fold(uint64_t sum)
{
	return (uint16_t)~csum_fold_raw(sum);
}

/* RFC 1071 2(B): swapping the bytes of every word swaps those of the sum. */
uint64_t csum_add_odd(uint64_t sum, const void *p, size_t len)
{
	uint16_t piece = csum_fold_raw(csum_add(0, p, len));

	return add64(sum, __builtin_bswap16(piece));
}

uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, uint32_t len)
{
	unsigned skip = ip_addr_is4(src) ? 12 : 0;
	uint8_t tail[8];
	uint64_t sum;

	put_be32(tail, len);
	put_be32(tail + 4, proto);
	sum = csum_add(0, tail, sizeof(tail));
	sum = csum_add(sum, src->b + skip, 16 - skip);
	return csum_add(sum, dst->b + skip, 16 - skip);
}
