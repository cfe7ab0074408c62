/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <errno.h>

#include "base/log.h"

static const struct ip_addr any6, loopback6 = {.b = {[15] = 1}};

bool ip_addr_is_any(const struct ip_addr *a)
{
	return ip_addr_is4(a) ? ip_addr_be32(a) == 0 : ip_addr_eq(a, &any6);
}

bool ip_addr_is_loopback(const struct ip_addr *a) /* RFC 1122 3.2.1.3(g) */
{
	return ip_addr_is4(a) ? a->b[12] == 127 : ip_addr_eq(a, &loopback6);
}

bool ip_addr_is_multicast(const struct ip_addr *a)
{
	return ip_addr_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool ip_addr_is_linklocal(const struct ip_addr *a)
{
	if (ip_addr_is4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool ip_addr_is_limited_bcast(const struct ip_addr *a)
{
	return ip_addr_is4(a) && ip_addr_be32(a) == 0xffffffff;
}

bool ip_addr_in_prefix(const struct ip_addr *a, const struct ip_addr *net,
		       unsigned plen)
{
	bool is4 = ip_addr_is4(a);
	unsigned full, rest;

	if (is4 != ip_addr_is4(net))
		return false;
	plen = is4 ? 96 + MIN(plen, 32) : MIN(plen, 128);
	full = plen / 8;
	rest = plen % 8;
	if (memcmp(a->b, net->b, full) != 0)
		return false;
	return !rest || (a->b[full] ^ net->b[full]) >> (8 - rest) == 0;
}

/* RFC 5952 4.2: the longest run of two or more zero groups becomes "::", the
 * first of equals. How many groups, 0 if there is none; where in @at. */
static unsigned longest_zeros(const struct ip_addr *a, unsigned *at)
{
	unsigned best = 1, len = 0;

	*at = 8;
	for (unsigned i = 0; i < 8; i++) {
		len = get_be16(a->b + 2 * i) ? 0 : len + 1;
		if (len > best) {
			best = len;
			*at = i + 1 - len;
		}
	}
	return *at < 8 ? best : 0;
}

const char *ip_addr_str(const struct ip_addr *a, char buf[IP_ADDR_STRLEN])
{
	unsigned skip_at, skip = longest_zeros(a, &skip_at);
	size_t n = 0;

	if (ip_addr_is4(a)) {
		log_snprintf(buf, IP_ADDR_STRLEN, "%d.%d.%d.%d", a->b[12],
			     a->b[13], a->b[14], a->b[15]);
		return buf;
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == skip_at) {
			buf[n++] = ':';
			i += skip - 1;
			if (i == 7)
				buf[n++] = ':';
			continue;
		}
		n += log_snprintf(buf + n, IP_ADDR_STRLEN - n, i ? ":%x" : "%x",
				  get_be16(a->b + 2 * i));
	}
	buf[n] = '\0';
	return buf;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "a.b.c.d" and nothing after it; no octal, no short forms. */
static int parse4(const char *s, uint8_t four[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned v = 0, digits = 0;

		for (; *s >= '0' && *s <= '9'; s++) {
			v = v * 10 + (unsigned)(*s - '0');
			if (++digits > 3 || v > 255 || (digits > 1 && v < 10))
				return -EINVAL;
		}
		if (!digits || *s != (i < 3 ? '.' : '\0'))
			return -EINVAL;
		s++;
		four[i] = (uint8_t)v;
	}
	return 0;
}

#define NO_GAP 17

/* RFC 4291 2.2: groups, at most one "::", the last four bytes also dotted. */
static int parse6(const char *s, uint8_t out[16])
{
	unsigned n = 0, gap = NO_GAP;
	uint8_t b[16];

	if (s[0] == ':' && s[1] != ':')
		return -EINVAL;
	while (*s) {
		const char *group = s;
		unsigned v = 0, digits = 0;

		if (s[0] == ':' && s[1] == ':') {
			if (gap != NO_GAP)
				return -EINVAL;
			gap = n;
			s += 2;
			continue;
		}
		if (*s == ':' && n && n != gap)
			group = ++s;
		for (; hex_value(*s) >= 0 && digits <= 4; s++, digits++)
			v = v << 4 | (unsigned)hex_value(*s);
		if (*s == '.') {
			if (n > 12 || parse4(group, b + n))
				return -EINVAL;
			n += 4;
			break;
		}
		if (!digits || digits > 4 || n > 14 || (*s && *s != ':'))
			return -EINVAL;
		put_be16(b + n, (uint16_t)v);
		n += 2;
	}
	if (gap == NO_GAP ? n != 16 : n > 14)
		return -EINVAL;
	memset(out, 0, 16);
	gap = MIN(gap, n);
	memcpy(out, b, gap);
	memcpy(out + 16 - (n - gap), b + gap, n - gap);
	return 0;
}

int ip_addr_parse(const char *s, struct ip_addr *out)
{
	uint8_t b[16];

	if (parse4(s, b) == 0) {
		*out = ip_addr_v4(b);
		return 0;
	}
	if (parse6(s, b) == 0) {
		*out = ip_addr_v6(b);
		return 0;
	}
	return -EINVAL;
}
