/* SPDX-License-Identifier: MIT
 *
 * util.h - the few macros that every file wants
 *
 * Wire values are never overlaid on buffers: get_be16() and friends go through
 * memcpy, so alignment, aliasing and byte order are right on every machine.
 */
#ifndef TCPSHIM_UTIL_H
#define TCPSHIM_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)(void *)((char *)(p)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLAMP(v, lo, hi) MIN(MAX(v, lo), hi)
#define ALIGN_UP(v, to) (((v) + ((to)-1)) & ~((__typeof__(v))(to)-1))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

/* For our own bugs only, and on in release builds: a broken invariant must not
 * become a wrong byte on the wire. */
#define ASSERT(cond)                                              \
	do {                                                      \
		if (__builtin_expect(!(cond), 0))                 \
			assert_failed(__FILE__, __LINE__, #cond); \
	} while (0)

/* Reports through the log sink (log.h), then traps; does not return. */
void assert_failed(const char *file, int line, const char *cond)
	__attribute__((noreturn, cold));

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(v) __builtin_bswap16(v)
#define BE32(v) __builtin_bswap32(v)
#else
#define BE16(v) (v)
#define BE32(v) (v)
#endif

static inline uint16_t get_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return BE16(v);
}

static inline uint32_t get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return BE32(v);
}

static inline void put_be16(void *p, uint16_t v)
{
	v = BE16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be32(void *p, uint32_t v)
{
	v = BE32(v);
	memcpy(p, &v, sizeof(v));
}

#endif
