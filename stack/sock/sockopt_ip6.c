/* SPDX-License-Identifier: MIT
 *
 * sockopt_ip6.c - options of IPPROTO_IPV6
 */
#include "sock/sockopt_priv.h"
#include "transport/errq.h"

static int set_recverr(struct opt_call *c, int v)
{
	ep_opt_set(c->e, EP_O_RECVERR6, v != 0);
	if (!v) {
		errq_purge(c->e);
		ep_ready(c->e, sock_bits(c->e), false, false);
	}
	return 0;
}

static int get_recverr(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_RECVERR6);
	return 0;
}

static int set_v6only(struct opt_call *c, int v)
{
	if (c->e->lport)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_V6ONLY, v != 0);
	return 0;
}

static int get_v6only(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_V6ONLY);
	return 0;
}

static int set_hops6(struct opt_call *c, int v)
{
	if (v < -1 || v > 255)
		return -EINVAL;
	c->e->hops6 = (int16_t)v;
	return 0;
}

static int get_hops6(struct opt_call *c, int *v)
{
	*v = c->e->hops6 < 0 ? (int)c->st->sysctl.ip6_hop_limit : c->e->hops6;
	return 0;
}

static int set_mc_hops6(struct opt_call *c, int v)
{
	if (c->e->kind == EP_TCP)
		return -ENOPROTOOPT;
	if (v < -1 || v > 255)
		return -EINVAL;
	c->e->mc_hops6 = (int16_t)v;
	return 0;
}

static int get_mc_hops6(struct opt_call *c, int *v)
{
	*v = c->e->mc_hops6 < 0 ? 1 : c->e->mc_hops6; /* RFC 3493 5.2 */
	return 0;
}

static int set_mc_if6(struct opt_call *c, int v)
{
	if (c->e->kind == EP_TCP)
		return -ENOPROTOOPT;
	if (v && !opt_dev_of(c->st, v))
		return -ENODEV;
	if (v && c->e->dev_if && c->e->dev_if != v)
		return -EINVAL;
	c->e->mc_if6 = (uint32_t)v;
	return 0;
}

static int get_mc_if6(struct opt_call *c, int *v)
{
	*v = (int)c->e->mc_if6;
	return 0;
}

static int set_tclass(struct opt_call *c, int v)
{
	uint8_t ecn = c->e->kind == EP_TCP ? 3 : 0;

	if (v < -1 || v > 255)
		return -EINVAL;
	if (v == -1) /* RFC 3542 6.5: the default */
		v = 0;
	c->e->tclass = (uint8_t)((v & ~ecn) | (c->e->tclass & ecn));
	return 0;
}

static int get_tclass(struct opt_call *c, int *v)
{
	*v = c->e->tclass;
	return 0;
}

static int set_mtu6(struct opt_call *c, int v)
{
	if (v && v < 1280) /* RFC 8200 5 */
		return -EINVAL;
	c->e->mtu6 = (uint32_t)v;
	return 0;
}

static int set_addrform(struct opt_call *c, int v)
{
	if (v != AF_INET)
		return -EINVAL;
	if (!opt_has_route(c->e))
		return -ENOTCONN;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return ip_addr_is4(&c->e->raddr) ? -EOPNOTSUPP : -EADDRNOTAVAIL;
}

static int get_addrform(struct opt_call *c, int *v)
{
	if (!opt_has_route(c->e))
		return -ENOTCONN;
	*v = c->e->family;
	return 0;
}

static int get_pathmtu(struct opt_call *c, void *val, socklen_t *len)
{
	struct ip6_mtuinfo info = {.ip6m_addr.sin6_family = AF_INET6};

	if (*len < sizeof(info))
		return -EINVAL;
	if (!opt_has_route(c->e))
		return -ENOTCONN;
	memcpy(&info.ip6m_addr.sin6_addr, c->e->raddr.b, 16);
	info.ip6m_mtu = ip_mtu(&c->st->ip, &c->e->raddr, c->now);
	return opt_give(val, len, &info, sizeof(info));
}

const struct opt_row sockopt_ip6[] = {
#include "sock/sockopt_ip6.def"
};
const size_t sockopt_num_ip6 = ARRAY_SIZE(sockopt_ip6);
