/* SPDX-License-Identifier: MIT
 *
 * sockopt_ip.c - options of IPPROTO_IP
 */
#include "sock/sockopt_priv.h"
#include "transport/errq.h"

static int set_recverr(struct opt_call *c, int v)
{
	ep_opt_set(c->e, EP_O_RECVERR, v != 0);
	if (!v) {
		errq_purge(c->e);
		ep_ready(c->e, sock_bits(c->e), false, false);
	}
	return 0;
}

static int get_recverr(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_RECVERR);
	return 0;
}

/* TCP keeps the two ECN bits for itself. */
static int set_tos(struct opt_call *c, int v)
{
	uint8_t ecn = c->e->kind == EP_TCP ? 3 : 0;

	c->e->tos = (uint8_t)((v & ~ecn) | (c->e->tos & ecn));
	return 0;
}

static int get_tos(struct opt_call *c, int *v)
{
	*v = c->e->tos;
	return 0;
}

static int set_ttl(struct opt_call *c, int v)
{
	if (v != -1 && (v < 1 || v > 255))
		return -EINVAL;
	c->e->ttl = (int16_t)v;
	return 0;
}

static int get_ttl(struct opt_call *c, int *v)
{
	*v = c->e->ttl < 0 ? (int)c->st->sysctl.ip_default_ttl : c->e->ttl;
	return 0;
}

int opt_get_mtu(struct opt_call *c, int *v)
{
	if (!opt_has_route(c->e))
		return -ENOTCONN;
	*v = (int)ip_mtu(&c->st->ip, &c->e->raddr, c->now);
	return 0;
}

static int set_fragsize(struct opt_call *c, int v)
{
	if (c->e->kind != EP_UDP)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_RECVFRAGSIZE, v != 0);
	return 0;
}

static int get_fragsize(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_RECVFRAGSIZE);
	return 0;
}

static int get_inet_num(struct opt_call *c, int *v)
{
	*v = c->e->proto == IPPROTO_IP ? c->e->lport : 0;
	return 0;
}

static int set_mc_ttl(struct opt_call *c, int v)
{
	if (c->e->kind == EP_TCP || v < -1 || v > 255)
		return -EINVAL;
	c->e->mc_ttl = (int16_t)(v == -1 ? 1 : v);
	return 0;
}

static int get_mc_ttl(struct opt_call *c, int *v)
{
	*v = c->e->mc_ttl;
	return 0;
}

static int set_port_range(struct opt_call *c, const void *val, socklen_t len)
{
	uint32_t v;
	uint16_t lo, hi;

	if (len != sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	lo = (uint16_t)v;
	hi = (uint16_t)(v >> 16);
	if (lo && hi && lo > hi)
		return -EINVAL;
	c->e->port_lo = lo;
	c->e->port_hi = hi;
	return 0;
}

static int get_port_range(struct opt_call *c, void *val, socklen_t *len)
{
	uint32_t v = (uint32_t)c->e->port_hi << 16 | c->e->port_lo;

	if (*len > 0 && *len < sizeof(v) && v <= 255)
		return opt_give(val, len, &(uint8_t){(uint8_t)v}, 1);
	return opt_give(val, len, &v, sizeof(v));
}

/* We send no IP options: none may be asked for. */
static int set_ip_options(struct opt_call *c, const void *val, socklen_t len)
{
	if (!len)
		return 0;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return len > 40 ? -EINVAL : -EOPNOTSUPP;
}

const struct opt_row sockopt_ip[] = {
#include "sock/sockopt_ip.def"
};
const size_t sockopt_num_ip = ARRAY_SIZE(sockopt_ip);
