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
	if (v && c->e->dev_if && c->e->dev_if != (uint32_t)v)
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
	if (c->e->kind != EP_TCP && c->e->kind != EP_UDP)
		return -ENOPROTOOPT;
	if (!opt_has_route(c->e) ||
	    (c->e->kind == EP_TCP && tcp_state(c->e) != OPT_STATE_ESTABLISHED))
		return -ENOTCONN;
	*v = c->e->family;
	return 0;
}

static int get_pathmtu(struct opt_call *c, void *val, socklen_t *len)
{
	struct ip6_mtuinfo info = {.ip6m_mtu = 0}; /* and no address */

	if (*len < sizeof(info))
		return -EINVAL;
	if (!opt_has_route(c->e))
		return -ENOTCONN;
	info.ip6m_mtu = ip_mtu(&c->st->ip, &c->e->raddr, c->now);
	return opt_give(val, len, &info, sizeof(info));
}

/* RFC 5014: two of a pair are a contradiction. Nothing is chosen by them, since
 * no address of ours is temporary, away from home or made from a key. */
static int set_addr_pref(struct opt_call *c, int v)
{
	const int pubtmp = IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP;
	int pref = c->e->addr_pref;

	switch (v & (pubtmp | IPV6_PREFER_SRC_PUBTMP_DEFAULT)) {
	case IPV6_PREFER_SRC_PUBLIC:
	case IPV6_PREFER_SRC_TMP:
	case IPV6_PREFER_SRC_PUBTMP_DEFAULT:
		pref = (pref & ~pubtmp) | (v & pubtmp);
		break;
	case 0:
		break;
	default:
		return -EINVAL;
	}
	switch (v & (IPV6_PREFER_SRC_HOME | IPV6_PREFER_SRC_COA)) {
	case IPV6_PREFER_SRC_HOME:
	case IPV6_PREFER_SRC_COA:
		pref = (pref & ~IPV6_PREFER_SRC_COA) |
		       (v & IPV6_PREFER_SRC_COA);
		break;
	case 0:
		break;
	default:
		return -EINVAL;
	}
	if (v & IPV6_PREFER_SRC_CGA && v & IPV6_PREFER_SRC_NONCGA)
		return -EINVAL;
	c->e->addr_pref = (uint8_t)pref;
	return 0;
}

static int get_addr_pref(struct opt_call *c, int *v)
{
	const int pubtmp = IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP;
	int pref = c->e->addr_pref;

	*v = pref & pubtmp ? pref & pubtmp : IPV6_PREFER_SRC_PUBTMP_DEFAULT;
	*v |= pref & IPV6_PREFER_SRC_COA ? IPV6_PREFER_SRC_COA
					 : IPV6_PREFER_SRC_HOME;
	return 0;
}

/* RFC 2292's way to set what RFC 3542 has an option each for: none at all. */
static int set_pktoptions6(struct opt_call *c, const void *val, socklen_t len)
{
	return len < sizeof(struct cmsghdr) ? 0 : -EINVAL;
}

static int get_pktoptions6(struct opt_call *c, void *val, socklen_t *len)
{
	if (c->e->kind != EP_TCP)
		return -ENOPROTOOPT;
	*len = 0;
	return 0;
}

static int refuse(struct opt_call *c)
{
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return -EOPNOTSUPP;
}

/* Labels that are leased; ours are made by hash (RFC 6438). */
static int set_flow_mgr(struct opt_call *c, const void *val, socklen_t len)
{
	return len < 32 /* struct in6_flowlabel_req */ ? -EINVAL : refuse(c);
}

/* We send no extension headers: none may be asked for. */
static int set_ext_header(struct opt_call *c, const void *val, socklen_t len)
{
	if (!len)
		return 0;
	return len < 8 || len % 8 ? -EINVAL : refuse(c);
}

static int set_rthdr(struct opt_call *c, const void *val, socklen_t len)
{
	return len ? -EINVAL : 0;
}

const struct opt_row sockopt_ip6[] = {
#include "sock/sockopt_ip6.def"
};
const size_t sockopt_num_ip6 = ARRAY_SIZE(sockopt_ip6);
