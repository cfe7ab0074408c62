/* SPDX-License-Identifier: MIT
 *
 * sockopt_ip.c - options of IPPROTO_IP
 */
#include "sock/sockopt_priv.h"

#include "sock/cmsg.h"
#include "wire/ip4opt.h"

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
	static const uint8_t by_tos[4] = {0, 2, 6, 4}; /* TC_PRIO_* */
	uint8_t ecn = c->e->kind == EP_TCP ? 3 : 0;

	v = (v & ~ecn) | (c->e->tos & ecn);
	if (c->e->tos == (uint8_t)v)
		return 0;
	c->e->tos = (uint8_t)v;
	/* rt_tos2priority(): what RFC 1349 meant by these bits */
	c->e->priority = by_tos[(v & 0x1e) >> 3];
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
	*v = c->e->type == SOCK_RAW ? c->e->proto : c->e->lport;
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

/* Those that record are sent with messages; source routes never are. */
static int check_records(const uint8_t *p, socklen_t len)
{
	static const struct ip_addr none;
	uint8_t copy[IP4_OPT_MAX];

	memcpy(copy, p, len);
	for (unsigned at = 0; at < len && p[at] != IP4_OPT_END;) {
		unsigned n = ip4_opt_len(p, len, at);

		if (!n || (p[at] != IP4_OPT_NOP && p[at] != IP4_OPT_RR &&
			   p[at] != IP4_OPT_TS && p[at] != IP4_OPT_RA))
			return -EOPNOTSUPP;
		at += n;
	}
	return ip4_opt_record(copy, len, &none, 0) < 0 ? 0 : -EINVAL;
}

static int set_ip_options(struct opt_call *c, const void *val, socklen_t len)
{
	struct ep *e = c->e;
	int err = cmsg_check_ip_options(val, len);
	const uint8_t *end;

	if (err == -EOPNOTSUPP && dgram_is(e))
		err = check_records(val, len);
	if (err == -EOPNOTSUPP)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	if (err)
		return err;
	end = memchr(val, CMSG_IPOPT_EOL, len);
	memset(e->ip_options, CMSG_IPOPT_EOL, sizeof(e->ip_options));
	memcpy(e->ip_options, val,
	       end ? (size_t)(end - (const uint8_t *)val) : len);
	e->num_ip_options = (uint8_t)ALIGN_UP(len, 4u);
	return 0;
}

static int get_ip_options(struct opt_call *c, void *val, socklen_t *len)
{
	return opt_give(val, len, c->e->ip_options, c->e->num_ip_options);
}

/* What datagrams tell with control data, a stream can be asked for. */
static int get_pktoptions(struct opt_call *c, void *val, socklen_t *len)
{
	struct in_pktinfo p = {.ipi_ifindex = (int)c->e->mc_if};
	int ttl = c->e->mc_ttl, tos = 0;
	struct sock_ctl ctl;

	if (c->e->kind != EP_TCP)
		return -ENOPROTOOPT;
	ctl.len = 0;
	memcpy(&p.ipi_addr, c->e->laddr.b + 12, 4);
	p.ipi_spec_dst = p.ipi_addr;
	if (ep_opt(c->e, EP_O_PKTINFO))
		cmsg_put(&ctl, IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
	if (ep_opt(c->e, EP_O_RECVTTL))
		cmsg_put(&ctl, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (ep_opt(c->e, EP_O_RECVTOS))
		cmsg_put(&ctl, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	return opt_give(val, len, ctl.b, ctl.len);
}

const struct opt_row sockopt_ip[] = {
#include "sock/sockopt_ip.def"
};
const size_t sockopt_num_ip = ARRAY_SIZE(sockopt_ip);
