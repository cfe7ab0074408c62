/* SPDX-License-Identifier: MIT
 *
 * sockopt_raw.c - options that only raw sockets have: raw(7), RFC 3542 3
 */
#include "sock/sockopt_priv.h"

#include <netinet/icmp6.h>

#include "transport/raw.h"

#ifndef ICMP_FILTER
#define ICMP_FILTER 1 /* linux/icmp.h, which does not go with libc's */
#endif

static bool is_icmp(const struct ep *e)
{
	return e->proto ==
	       (e->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static int set_blocked(struct ep *e, const void *val, socklen_t len,
		       socklen_t most)
{
	if (!is_icmp(e))
		return -EOPNOTSUPP;
	memcpy(e->icmp_filter, val, MIN(len, most));
	return 0;
}

static int set_filter(struct opt_call *c, const void *val, socklen_t len)
{
	if (c->e->family != AF_INET)
		return -ENOPROTOOPT;
	return set_blocked(c->e, val, len, sizeof(c->e->icmp_filter[0]));
}

static int get_filter(struct opt_call *c, void *val, socklen_t *len)
{
	if (c->e->family != AF_INET)
		return -ENOPROTOOPT;
	if (!is_icmp(c->e))
		return -EOPNOTSUPP;
	return opt_give(val, len, c->e->icmp_filter, 4);
}

static int set_filter6(struct opt_call *c, const void *val, socklen_t len)
{
	return set_blocked(c->e, val, len, sizeof(c->e->icmp_filter));
}

static int get_filter6(struct opt_call *c, void *val, socklen_t *len)
{
	if (!is_icmp(c->e))
		return -EOPNOTSUPP;
	return opt_give(val, len, c->e->icmp_filter, sizeof(c->e->icmp_filter));
}

int opt_set_raw_csum(struct opt_call *c, int v)
{
	struct ep *e = c->e;

	if (e->kind != EP_RAW || e->family != AF_INET6)
		return -ENOPROTOOPT;
	if (e->proto == IPPROTO_ICMPV6 && c->level == IPPROTO_IPV6)
		return -EINVAL; /* RFC 3542 3.1: it always has one */
	if (v > 0 && v & 1)
		return -EINVAL;
	e->raw_csum = v < 0 ? RAW_NO_CSUM : v;
	return 0;
}

int opt_get_raw_csum(struct opt_call *c, int *v)
{
	if (c->e->kind != EP_RAW || c->e->family != AF_INET6)
		return -ENOPROTOOPT;
	*v = c->e->raw_csum;
	return 0;
}

static int set_raw_bit(struct opt_call *c, enum ep_opt bit, int v, int err)
{
	if (c->e->kind != EP_RAW)
		return err;
	ep_opt_set(c->e, bit, v != 0);
	return 0;
}

int opt_set_hdrincl(struct opt_call *c, int v)
{
	return set_raw_bit(c, EP_O_HDRINCL, v, -ENOPROTOOPT);
}

int opt_get_hdrincl(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_HDRINCL);
	return 0;
}

int opt_set_nodefrag(struct opt_call *c, int v)
{
	return set_raw_bit(c, EP_O_NODEFRAG, v, -ENOPROTOOPT);
}

int opt_get_nodefrag(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_NODEFRAG);
	return 0;
}

int opt_set_hdrincl6(struct opt_call *c, int v)
{
	return set_raw_bit(c, EP_O_HDRINCL, v, -ENOPROTOOPT);
}

int opt_get_hdrincl6(struct opt_call *c, int *v)
{
	if (c->e->kind != EP_RAW)
		return -ENOPROTOOPT;
	*v = ep_opt(c->e, EP_O_HDRINCL);
	return 0;
}

const struct opt_row sockopt_raw[] = {
#include "sock/sockopt_raw.def"
};
const size_t sockopt_num_raw = ARRAY_SIZE(sockopt_raw);

const struct opt_row sockopt_icmp6[] = {
#include "sock/sockopt_icmp6.def"
};
const size_t sockopt_num_icmp6 = ARRAY_SIZE(sockopt_icmp6);
