/* SPDX-License-Identifier: MIT */
#include "wire/ip4opt.h"

#define COPIED 0x80 /* RFC 791 3.1: into all fragments */

enum { TS_ONLY = 0, TS_AND_ADDR = 1, TS_PRESPEC = 3 }; /* flags of TS */

unsigned ip4_opt_len(const uint8_t *o, unsigned len, unsigned at)
{
	unsigned n;

	if (o[at] == IP4_OPT_NOP || o[at] == IP4_OPT_END)
		return 1;
	n = at + 1 < len ? o[at + 1] : 0;
	return n >= 2 && n <= len - at ? n : 0;
}

/* @o: type, length, pointer, slots. The pointer counts from 1. */
static bool record_route(uint8_t *o, unsigned n, const struct ip_addr *addr)
{
	if (n < 3 || o[2] < 4)
		return false;
	if (o[2] > n) /* full */
		return true;
	if (o[2] + 3u > n)
		return false;
	memcpy(o + o[2] - 1, addr->b + 12, 4);
	o[2] = (uint8_t)(o[2] + 4);
	return true;
}

/* The same, with overflow and flags behind the pointer. */
static bool record_time(uint8_t *o, unsigned n, const struct ip_addr *addr,
			uint32_t ms)
{
	unsigned flags = n < 4 ? 0 : o[3] & 0xfu;
	unsigned need = flags == TS_ONLY ? 4 : 8;

	if (n < 4 || o[2] < 5)
		return false;
	if (o[2] > n) { /* full: one more that had no room */
		if (o[3] >> 4 == 15)
			return false;
		if (flags != TS_PRESPEC)
			o[3] = (uint8_t)(o[3] + 0x10);
		return true;
	}
	if (o[2] + need - 1 > n)
		return false;
	if (flags == TS_PRESPEC && memcmp(o + o[2] - 1, addr->b + 12, 4) != 0)
		return true;
	if (flags == TS_AND_ADDR)
		memcpy(o + o[2] - 1, addr->b + 12, 4);
	o[2] = (uint8_t)(o[2] + need);
	put_be32(o + o[2] - 5, ms);
	return true;
}

int ip4_opt_record(uint8_t *o, unsigned len, const struct ip_addr *addr,
		   uint32_t ms)
{
	unsigned at = 0, n;

	while (at < len && o[at] != IP4_OPT_END) {
		bool fine = true;

		n = ip4_opt_len(o, len, at);
		if (n && o[at] == IP4_OPT_RR)
			fine = record_route(o + at, n, addr);
		else if (n && o[at] == IP4_OPT_TS)
			fine = record_time(o + at, n, addr, ms);
		if (!n || !fine)
			return (int)at;
		at += n;
	}
	return -1;
}

unsigned ip4_opt_echo(const uint8_t *in, unsigned len, uint8_t out[IP4_OPT_MAX])
{
	unsigned at = 0, n, used = 0;

	while (at < len && in[at] != IP4_OPT_END) {
		n = ip4_opt_len(in, len, at);
		if (!n)
			break;
		if ((in[at] == IP4_OPT_RR || in[at] == IP4_OPT_TS) &&
		    used + n <= IP4_OPT_MAX) {
			memcpy(out + used, in + at, n);
			used += n;
		}
		at += n;
	}
	while (used & 3)
		out[used++] = IP4_OPT_END;
	return used;
}

void ip4_opt_later(uint8_t *o, unsigned len)
{
	unsigned at = 0, n;

	while (at < len && o[at] != IP4_OPT_END) {
		n = ip4_opt_len(o, len, at);
		if (!n)
			return;
		if (!(o[at] & COPIED))
			memset(o + at, IP4_OPT_NOP, n);
		at += n;
	}
}
