/* SPDX-License-Identifier: MIT
 *
 * sockopt_udp.c - options of IPPROTO_UDP, which IPPROTO_UDPLITE has, too
 */
#include "sock/sockopt_priv.h"

#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11

static int set_udp_cork(struct opt_call *c, int v)
{
	ep_opt_set(c->e, EP_O_UDP_CORK, v != 0);
	return v ? 0 : dgram_push(c->e, c->now);
}

static int get_udp_cork(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_UDP_CORK);
	return 0;
}

static int set_encap(struct opt_call *c, int v)
{
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v ? -ENOPROTOOPT : 0;
}

static int set_segment(struct opt_call *c, int v)
{
	if (v < 0 || v > UINT16_MAX)
		return -EINVAL;
	c->e->gso_size = (uint16_t)v;
	return 0;
}

static int get_segment(struct opt_call *c, int *v)
{
	*v = c->e->gso_size;
	return 0;
}

const struct opt_row sockopt_udp[] = {
#include "sock/sockopt_udp.def"
};
const size_t sockopt_num_udp = ARRAY_SIZE(sockopt_udp);
