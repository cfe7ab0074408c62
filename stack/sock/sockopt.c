/* SPDX-License-Identifier: MIT
 *
 * sockopt.c - socket options: rows of sockopt.def, one generic get and set
 *
 * How long a value may be and what a short one means depends on the level
 * (sk_setsockopt(), do_ip_setsockopt(), do_ipv6_setsockopt(),
 * do_tcp_setsockopt() of Linux), so that is written once here: SOL_SOCKET,
 * TCP and UDP want an int; IP takes a single byte too, and gives one back when
 * asked for less than an int; IPv6 wants an int. Bounds, clamps and read-back
 * values were compared with the kernel's, option by option.
 */
#include "sock/sock.h"

#include <asm/socket.h>
#include <errno.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* Younger than the headers we build with; values of Linux's uapi. */
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

#define MIN_SNDBUF 4608 /* SOCK_MIN_SNDBUF of Linux on 64-bit machines */
#define MIN_RCVBUF 2304 /* SOCK_MIN_RCVBUF */
#define JIFFY_US 4000	/* timeouts read back in ticks of HZ 250 */
#define MAX_MSS 32767	/* MAX_TCP_WINDOW */
#define MIN_MSS 88	/* TCP_MIN_MSS */
#define IFINDEX_LO 1
#define IFINDEX_DEV 2

struct call {
	struct stack *st;
	struct ep *e;
	nsec now;
};

typedef int set_int_fn(struct call *c, int v);
typedef int get_int_fn(struct call *c, int *v);
typedef int set_raw_fn(struct call *c, const void *val, socklen_t len);
typedef int get_raw_fn(struct call *c, void *val, socklen_t *len);

/* --- for several rows --- */

static int no_set(struct call *c, int v)
{
	return -ENOPROTOOPT;
}

static int no_get(struct call *c, int *v)
{
	return -ENOPROTOOPT;
}

static int raw_no_set(struct call *c, const void *val, socklen_t len)
{
	return -ENOPROTOOPT;
}

static int raw_no_get(struct call *c, void *val, socklen_t *len)
{
	return -ENOPROTOOPT;
}

static int raw_set_invalid(struct call *c, const void *val, socklen_t len)
{
	return -EINVAL;
}

static int set_invalid(struct call *c, int v)
{
	return -EINVAL;
}

static int set_ignored(struct call *c, int v)
{
	return 0;
}

static int set_not_permitted(struct call *c, int v)
{
	return -EPERM;
}

/* Off is what we are; on we are not. */
static int set_unsupported_flag(struct call *c, int v)
{
	if (v < 0 || v > 1)
		return -EINVAL;
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v ? -EOPNOTSUPP : 0;
}

static int get_zero(struct call *c, int *v)
{
	*v = 0;
	return 0;
}

static int get_one(struct call *c, int *v)
{
	*v = 1;
	return 0;
}

/* @n bytes at @from, cut to what the caller has room for. */
static int give(void *val, socklen_t *len, const void *from, size_t n)
{
	*len = (socklen_t)MIN((size_t)*len, n);
	memcpy(val, from, *len);
	return 0;
}

static int get_zero_raw(struct call *c, void *val, socklen_t *len)
{
	int zero = 0;

	return give(val, len, &zero, *len < sizeof(zero) ? 1 : sizeof(zero));
}

static int get_nothing(struct call *c, void *val, socklen_t *len)
{
	*len = 0;
	return 0;
}

/* --- SOL_SOCKET --- */

static int get_type(struct call *c, int *v)
{
	*v = c->e->type;
	return 0;
}

static int get_proto(struct call *c, int *v)
{
	*v = c->e->proto;
	return 0;
}

static int get_domain(struct call *c, int *v)
{
	*v = c->e->family;
	return 0;
}

static int get_error(struct call *c, int *v)
{
	*v = sock_take_error(c->e);
	return 0;
}

static int get_acceptconn(struct call *c, int *v)
{
	*v = c->e->listen != NULL;
	return 0;
}

static int get_bpf_ext(struct call *c, int *v)
{
	*v = 64; /* SKF_AD_MAX of Linux */
	return 0;
}

/* Linux doubles what was asked, for its own overhead, and reads that back. */
static uint32_t doubled(uint32_t v, uint32_t min)
{
	return MAX(MIN(v, (uint32_t)INT32_MAX / 2) * 2, min);
}

static int set_sndbuf(struct call *c, int v)
{
	uint32_t max = (uint32_t)c->st->sysctl.wmem_max;

	c->e->sndbuf = doubled(MIN((uint32_t)v, max), MIN_SNDBUF);
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, true);
	return 0;
}

static int set_rcvbuf(struct call *c, int v)
{
	uint32_t max = (uint32_t)c->st->sysctl.rmem_max;

	c->e->rcvbuf = doubled(MIN((uint32_t)v, max), MIN_RCVBUF);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, true);
	return 0;
}

static int set_sndbufforce(struct call *c, int v)
{
	c->e->sndbuf = doubled((uint32_t)MAX(v, 0), MIN_SNDBUF);
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, true);
	return 0;
}

static int set_rcvbufforce(struct call *c, int v)
{
	c->e->rcvbuf = doubled((uint32_t)MAX(v, 0), MIN_RCVBUF);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, true);
	return 0;
}

static int get_sndbuf(struct call *c, int *v)
{
	*v = (int)c->e->sndbuf;
	return 0;
}

static int get_rcvbuf(struct call *c, int *v)
{
	*v = (int)c->e->rcvbuf;
	return 0;
}

static int set_buflock(struct call *c, int v)
{
	if (v & ~(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK))
		return -EINVAL;
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, v & SOCK_SNDBUF_LOCK);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, v & SOCK_RCVBUF_LOCK);
	return 0;
}

static int get_buflock(struct call *c, int *v)
{
	*v = (ep_opt(c->e, EP_O_SNDBUF_LOCK) ? SOCK_SNDBUF_LOCK : 0) |
	     (ep_opt(c->e, EP_O_RCVBUF_LOCK) ? SOCK_RCVBUF_LOCK : 0);
	return 0;
}

static int set_reserve(struct call *c, int v)
{
	return v < 0 ? -EINVAL : -EOPNOTSUPP; /* as without memory cgroups */
}

static int set_txrehash(struct call *c, int v)
{
	if (c->e->kind != EP_TCP)
		return -EOPNOTSUPP;
	if (v < -1 || v > 1)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_TXREHASH, v != 0); /* -1: the default, on */
	return 0;
}

static int get_txrehash(struct call *c, int *v)
{
	if (c->e->kind != EP_TCP)
		return -EOPNOTSUPP;
	*v = ep_opt(c->e, EP_O_TXREHASH);
	return 0;
}

/* TCP: no more than half of what the receive buffer may grow to. */
static int set_rcvlowat(struct call *c, int v)
{
	int64_t max = c->st->sysctl.tcp_rmem_max;

	if (v < 0)
		v = INT32_MAX;
	if (ep_opt(c->e, EP_O_RCVBUF_LOCK))
		max = c->e->rcvbuf;
	if (c->e->kind == EP_TCP)
		v = (int)MIN(v, max / 2);
	c->e->rcvlowat = v ? (uint32_t)v : 1;
	return 0;
}

static int get_rcvlowat(struct call *c, int *v)
{
	*v = (int)c->e->rcvlowat;
	return 0;
}

static int set_unix_only(struct call *c, int v)
{
	return -EOPNOTSUPP;
}

static int get_unix_only(struct call *c, int *v)
{
	return -EOPNOTSUPP;
}

/* One switch, two resolutions, two layouts: the last one that was set on. */
static int set_stamp(struct call *c, int v, bool is_new, bool is_ns)
{
	ep_opt_set(c->e, EP_O_RCVTIMESTAMP, v != 0);
	ep_opt_set(c->e, EP_O_RCVTIMESTAMPNS, v && is_ns);
	ep_opt_set(c->e, EP_O_TIMESTAMP_NEW, v && is_new);
	return 0;
}

static int get_stamp(struct call *c, int *v, bool is_new, bool is_ns)
{
	*v = ep_opt(c->e, EP_O_RCVTIMESTAMP) &&
	     ep_opt(c->e, EP_O_RCVTIMESTAMPNS) == is_ns &&
	     ep_opt(c->e, EP_O_TIMESTAMP_NEW) == is_new;
	return 0;
}

#define STAMP(id, is_new, is_ns)                       \
	static int set_##id(struct call *c, int v)     \
	{                                              \
		return set_stamp(c, v, is_new, is_ns); \
	}                                              \
	static int get_##id(struct call *c, int *v)    \
	{                                              \
		return get_stamp(c, v, is_new, is_ns); \
	}
STAMP(stamp_old, false, false)
STAMP(stamp_new, true, false)
STAMP(stampns_old, false, true)
STAMP(stampns_new, true, true)
#undef STAMP

static const char *dev_of(const struct stack *st, int ifindex)
{
	if (ifindex == IFINDEX_LO)
		return "lo";
	return ifindex == IFINDEX_DEV && st->dev_name[0] ? st->dev_name : NULL;
}

static int set_bindtodev(struct call *c, const void *val, socklen_t len)
{
	char name[sizeof(c->e->bind_dev)] = {0};

	memcpy(name, val, MIN(len, sizeof(name) - 1));
	if (name[0] && strcmp(name, "lo") != 0 &&
	    strcmp(name, c->st->dev_name) != 0)
		return -ENODEV;
	memcpy(c->e->bind_dev, name, sizeof(name));
	return 0;
}

static int get_bindtodev(struct call *c, void *val, socklen_t *len)
{
	const char *name = c->e->bind_dev;

	if (!name[0])
		return get_nothing(c, val, len);
	if (*len < sizeof(c->e->bind_dev))
		return -EINVAL;
	return give(val, len, name, strlen(name) + 1);
}

static int set_bindtoif(struct call *c, int v)
{
	const char *name = v ? dev_of(c->st, v) : "";

	if (v < 0)
		return -EINVAL;
	if (!name)
		return -ENODEV;
	return set_bindtodev(c, name, (socklen_t)strlen(name));
}

static int get_bindtoif(struct call *c, int *v)
{
	const char *name = c->e->bind_dev;

	*v = !name[0] ? 0 : strcmp(name, "lo") == 0 ? IFINDEX_LO : IFINDEX_DEV;
	return 0;
}

static int set_linger(struct call *c, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	ep_opt_set(c->e, EP_O_LINGER, l.l_onoff != 0);
	if (l.l_onoff)
		c->e->linger = (nsec)(uint32_t)l.l_linger * SEC;
	return 0;
}

static int get_linger(struct call *c, void *val, socklen_t *len)
{
	struct linger l = {
		.l_onoff = ep_opt(c->e, EP_O_LINGER),
		.l_linger = (int)(MAX(c->e->linger, 0) / SEC),
	};

	return give(val, len, &l, sizeof(l));
}

/* struct timeval and __kernel_sock_timeval are the same on 64-bit machines.
 * Rounded up to ticks; a negative one does not wait at all. */
static int parse_timeo(const void *val, socklen_t len, nsec *out)
{
	int64_t tv[2], ticks;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(tv, val, sizeof(tv));
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EDOM;
	ticks = DIV_ROUND_UP(tv[1], JIFFY_US);
	if (tv[0] < 0)
		*out = 1;
	else if (tv[0] >= INT64_MAX / SEC - 1)
		*out = 0;
	else
		*out = tv[0] * SEC + ticks * JIFFY_US * USEC;
	return 0;
}

static int give_timeo(nsec timeo, void *val, socklen_t *len)
{
	int64_t tv[2] = {timeo / SEC, timeo % SEC / USEC};

	return give(val, len, tv, sizeof(tv));
}

static int set_rcvtimeo(struct call *c, const void *val, socklen_t len)
{
	return parse_timeo(val, len, &c->e->rcvtimeo);
}

static int get_rcvtimeo(struct call *c, void *val, socklen_t *len)
{
	return give_timeo(c->e->rcvtimeo, val, len);
}

static int set_sndtimeo(struct call *c, const void *val, socklen_t len)
{
	return parse_timeo(val, len, &c->e->sndtimeo);
}

static int get_sndtimeo(struct call *c, void *val, socklen_t *len)
{
	return give_timeo(c->e->sndtimeo, val, len);
}

static int set_pacing(struct call *c, const void *val, socklen_t len)
{
	uint32_t v;

	if (len < sizeof(v))
		return -EINVAL;
	if (len == sizeof(c->e->max_pacing)) {
		memcpy(&c->e->max_pacing, val, sizeof(c->e->max_pacing));
		return 0;
	}
	memcpy(&v, val, sizeof(v));
	c->e->max_pacing = v == ~0u ? ~0ull : v;
	return 0;
}

static int get_pacing(struct call *c, void *val, socklen_t *len)
{
	uint32_t v = (uint32_t)MIN(c->e->max_pacing, (uint64_t)~0u);

	if (*len >= sizeof(c->e->max_pacing))
		return give(val, len, &c->e->max_pacing, 8);
	return give(val, len, &v, sizeof(v));
}

static int get_peercred(struct call *c, void *val, socklen_t *len)
{
	const int32_t nobody[3] = {0, -1, -1}; /* struct ucred */

	return give(val, len, nobody, sizeof(nobody));
}

static int get_peergroups(struct call *c, void *val, socklen_t *len)
{
	return -ENODATA;
}

static int get_peername(struct call *c, void *val, socklen_t *len)
{
	struct sockaddr_storage ss;
	socklen_t n;

	if (sock_name(c->st, ep_id(c->e), true, &ss, &n))
		return -ENOTCONN;
	if (n < *len)
		return -EINVAL;
	return give(val, len, &ss, n);
}

static int get_cookie(struct call *c, void *val, socklen_t *len)
{
	if (*len < sizeof(c->e->cookie))
		return -EINVAL;
	return give(val, len, &c->e->cookie, sizeof(c->e->cookie));
}

static int get_netns(struct call *c, void *val, socklen_t *len)
{
	uint64_t one = 1; /* the first network namespace of a Linux host */

	return *len == sizeof(one) ? give(val, len, &one, sizeof(one))
				   : -EINVAL;
}

/* SK_MEMINFO_*: rmem, rcvbuf, wmem, sndbuf, forward, queued, optmem, backlog,
 * drops */
static int get_meminfo(struct call *c, void *val, socklen_t *len)
{
	const struct ep *e = c->e;
	uint32_t v[9] = {e->rx_mem, e->rcvbuf, e->tx_mem, e->sndbuf,  0,
			 0,	    0,	       0,	  e->rx_drops};

	return give(val, len, v, sizeof(v));
}

/* --- IPPROTO_IP --- */

/* TCP keeps the two ECN bits for itself. */
static int set_tos(struct call *c, int v)
{
	uint8_t ecn = c->e->kind == EP_TCP ? 3 : 0;

	c->e->tos = (uint8_t)((v & ~ecn) | (c->e->tos & ecn));
	return 0;
}

static int get_tos(struct call *c, int *v)
{
	*v = c->e->tos;
	return 0;
}

static int set_ttl(struct call *c, int v)
{
	if (v != -1 && (v < 1 || v > 255))
		return -EINVAL;
	c->e->ttl = (int16_t)v;
	return 0;
}

static int get_ttl(struct call *c, int *v)
{
	*v = c->e->ttl < 0 ? (int)c->st->sysctl.ip_default_ttl : c->e->ttl;
	return 0;
}

static bool has_route(const struct ep *e)
{
	return e->kind == EP_UDP ? e->is_connected : e->rport != 0;
}

static int get_mtu(struct call *c, int *v)
{
	if (!has_route(c->e))
		return -ENOTCONN;
	*v = (int)ip_mtu(&c->st->ip, &c->e->raddr, c->now);
	return 0;
}

static int set_fragsize(struct call *c, int v)
{
	if (c->e->kind != EP_UDP)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_RECVFRAGSIZE, v != 0);
	return 0;
}

static int get_fragsize(struct call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_RECVFRAGSIZE);
	return 0;
}

static int get_inet_num(struct call *c, int *v)
{
	*v = c->e->proto == IPPROTO_IP ? c->e->lport : 0;
	return 0;
}

static int set_mc_ttl(struct call *c, int v)
{
	if (c->e->kind == EP_TCP || v < -1 || v > 255)
		return -EINVAL;
	c->e->mc_ttl = (int16_t)(v == -1 ? 1 : v);
	return 0;
}

static int get_mc_ttl(struct call *c, int *v)
{
	*v = c->e->mc_ttl;
	return 0;
}

static int set_port_range(struct call *c, const void *val, socklen_t len)
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

static int get_port_range(struct call *c, void *val, socklen_t *len)
{
	uint32_t v = (uint32_t)c->e->port_hi << 16 | c->e->port_lo;

	if (*len > 0 && *len < sizeof(v) && v <= 255)
		return give(val, len, &(uint8_t){(uint8_t)v}, 1);
	return give(val, len, &v, sizeof(v));
}

/* We send no IP options: none may be asked for. */
static int set_ip_options(struct call *c, const void *val, socklen_t len)
{
	if (!len)
		return 0;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return len > 40 ? -EINVAL : -EOPNOTSUPP;
}

/* One device: choosing it, or none, is all the choice there is. */
static int set_unicast_if(struct call *c, const void *val, socklen_t len)
{
	uint32_t ifindex;

	if (len != sizeof(ifindex))
		return -EINVAL;
	ifindex = get_be32(val);
	return ifindex && !dev_of(c->st, (int)ifindex) ? -EADDRNOTAVAIL : 0;
}

/* struct in_addr, ip_mreq or ip_mreqn: the address of the interface, or its
 * index. */
static int parse_mreq(const void *val, socklen_t len, struct ip_mreqn *m)
{
	*m = (struct ip_mreqn){0};
	if (len >= sizeof(struct ip_mreqn))
		memcpy(m, val, sizeof(struct ip_mreqn));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(m, val, sizeof(struct ip_mreq));
	else
		return -EINVAL;
	return 0;
}

static bool is_own_if(struct call *c, const struct ip_mreqn *m)
{
	struct ip_addr a = ip_addr_v4(&m->imr_address);

	if (m->imr_ifindex)
		return dev_of(c->st, m->imr_ifindex) != NULL;
	return ip_addr_is_any(&a) || stack_is_local(c->st, &a);
}

static int set_mc_if(struct call *c, const void *val, socklen_t len)
{
	struct ip_mreqn m = {0};

	if (c->e->kind == EP_TCP || len < sizeof(struct in_addr))
		return -EINVAL;
	if (len < sizeof(struct ip_mreq))
		memcpy(&m.imr_address, val, sizeof(m.imr_address));
	else if (parse_mreq(val, len, &m))
		return -EINVAL;
	if (!is_own_if(c, &m))
		return -EADDRNOTAVAIL;
	c->e->mc_if = (uint32_t)m.imr_ifindex;
	memcpy(c->e->mc_addr, &m.imr_address, 4);
	return 0;
}

static int get_mc_if(struct call *c, void *val, socklen_t *len)
{
	return give(val, len, c->e->mc_addr, 4);
}

/* Groups are for datagram sockets: ip_mc_join_group() says EPROTO else. */
static int group_change(struct call *c, const struct ip_addr *group,
			uint32_t ifindex, bool join)
{
	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (!join)
		return udp_group_leave(c->e, group);
	if (ifindex && !dev_of(c->st, (int)ifindex))
		return -ENODEV;
	return udp_group_join(c->e, group, ifindex);
}

static int change4(struct call *c, const void *val, socklen_t len, bool join)
{
	struct ip_mreqn m;
	struct ip_addr group;

	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (parse_mreq(val, len, &m))
		return -EINVAL;
	if (!is_own_if(c, &m))
		return -ENODEV;
	group = ip_addr_v4(&m.imr_multiaddr);
	return group_change(c, &group, (uint32_t)m.imr_ifindex, join);
}

static int set_join(struct call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, true);
}

static int set_leave(struct call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, false);
}

static int change6(struct call *c, const void *val, socklen_t len, bool join)
{
	struct ipv6_mreq m;
	struct ip_addr group;

	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	group = ip_addr_v6(&m.ipv6mr_multiaddr);
	if (ip_addr_is4(&group))
		return -EINVAL;
	return group_change(c, &group, (uint32_t)m.ipv6mr_interface, join);
}

static int set_join6(struct call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, true);
}

static int set_leave6(struct call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, false);
}

static int change_req(struct call *c, const void *val, socklen_t len, bool join)
{
	struct group_req r;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct ip_addr group;

	if (len < sizeof(r))
		return -EINVAL;
	memcpy(&r, val, sizeof(r));
	if (r.gr_group.ss_family == AF_INET) {
		memcpy(&in, &r.gr_group, sizeof(in));
		group = ip_addr_v4(&in.sin_addr);
	} else if (r.gr_group.ss_family == AF_INET6) {
		memcpy(&in6, &r.gr_group, sizeof(in6));
		group = ip_addr_v6(&in6.sin6_addr);
	} else {
		return -EINVAL;
	}
	return group_change(c, &group, r.gr_interface, join);
}

static int set_group_join(struct call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, true);
}

static int set_group_leave(struct call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, false);
}

/* --- IPPROTO_IPV6 --- */

static int set_v6only(struct call *c, int v)
{
	if (c->e->lport)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_V6ONLY, v != 0);
	return 0;
}

static int get_v6only(struct call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_V6ONLY);
	return 0;
}

static int set_hops6(struct call *c, int v)
{
	if (v < -1 || v > 255)
		return -EINVAL;
	c->e->hops6 = (int16_t)v;
	return 0;
}

static int get_hops6(struct call *c, int *v)
{
	*v = c->e->hops6 < 0 ? (int)c->st->sysctl.ip6_hop_limit : c->e->hops6;
	return 0;
}

static int set_mc_hops6(struct call *c, int v)
{
	if (c->e->kind == EP_TCP)
		return -ENOPROTOOPT;
	if (v < -1 || v > 255)
		return -EINVAL;
	c->e->mc_hops6 = (int16_t)v;
	return 0;
}

static int get_mc_hops6(struct call *c, int *v)
{
	*v = c->e->mc_hops6 < 0 ? 1 : c->e->mc_hops6; /* RFC 3493 5.2 */
	return 0;
}

static int set_mc_if6(struct call *c, int v)
{
	if (c->e->kind == EP_TCP)
		return -ENOPROTOOPT;
	if (v && !dev_of(c->st, v))
		return -ENODEV;
	c->e->mc_if6 = (uint32_t)v;
	return 0;
}

static int get_mc_if6(struct call *c, int *v)
{
	*v = (int)c->e->mc_if6;
	return 0;
}

static int set_tclass(struct call *c, int v)
{
	uint8_t ecn = c->e->kind == EP_TCP ? 3 : 0;

	if (v < -1 || v > 255)
		return -EINVAL;
	if (v == -1) /* RFC 3542 6.5: the default */
		v = 0;
	c->e->tclass = (uint8_t)((v & ~ecn) | (c->e->tclass & ecn));
	return 0;
}

static int get_tclass(struct call *c, int *v)
{
	*v = c->e->tclass;
	return 0;
}

static int set_mtu6(struct call *c, int v)
{
	if (v && v < 1280) /* RFC 8200 5 */
		return -EINVAL;
	c->e->mtu6 = (uint32_t)v;
	return 0;
}

static int set_addrform(struct call *c, int v)
{
	if (v != AF_INET)
		return -EINVAL;
	if (!has_route(c->e))
		return -ENOTCONN;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return ip_addr_is4(&c->e->raddr) ? -EOPNOTSUPP : -EADDRNOTAVAIL;
}

static int get_addrform(struct call *c, int *v)
{
	if (!has_route(c->e))
		return -ENOTCONN;
	*v = c->e->family;
	return 0;
}

static int get_pathmtu(struct call *c, void *val, socklen_t *len)
{
	struct ip6_mtuinfo info = {.ip6m_addr.sin6_family = AF_INET6};

	if (*len < sizeof(info))
		return -EINVAL;
	if (!has_route(c->e))
		return -ENOTCONN;
	memcpy(&info.ip6m_addr.sin6_addr, c->e->raddr.b, 16);
	info.ip6m_mtu = ip_mtu(&c->st->ip, &c->e->raddr, c->now);
	return give(val, len, &info, sizeof(info));
}

/* --- IPPROTO_TCP --- */

static bool is_closed_or_listening(const struct ep *e)
{
	return e->listen || tcp_state(e) == 7; /* TCP_CLOSE */
}

static int set_maxseg(struct call *c, int v)
{
	if (v && (v < MIN_MSS || v > MAX_MSS))
		return -EINVAL;
	c->e->topt.maxseg = (uint16_t)v;
	return 0;
}

static int get_maxseg(struct call *c, int *v)
{
	if (c->e->topt.maxseg && is_closed_or_listening(c->e))
		*v = c->e->topt.maxseg;
	else
		*v = tcp_mss_now(c->e);
	return 0;
}

/* A number of the connection, or the host's where it was not set. */
#define TUNED(id, field, row, lo, hi)                               \
	static int set_##id(struct call *c, int v)                  \
	{                                                           \
		if (v < (lo) || v > (hi))                           \
			return -EINVAL;                             \
		c->e->topt.field = (__typeof__(c->e->topt.field))v; \
		return 0;                                           \
	}                                                           \
	static int get_##id(struct call *c, int *v)                 \
	{                                                           \
		*v = c->e->topt.field ? (int)c->e->topt.field       \
				      : (int)c->st->sysctl.row;     \
		return 0;                                           \
	}
TUNED(keepidle, keepidle, tcp_keepalive_time, 1, 32767)
TUNED(keepintvl, keepintvl, tcp_keepalive_intvl, 1, 32767)
TUNED(keepcnt, keepcnt, tcp_keepalive_probes, 1, 127)
TUNED(syncnt, syncnt, tcp_syn_retries, 1, 127)
#undef TUNED

static int set_linger2(struct call *c, int v)
{
	c->e->topt.linger2 = v < 0 ? -1 : MIN(v, 120); /* TCP_FIN_TIMEOUT_MAX */
	return 0;
}

static int get_linger2(struct call *c, int *v)
{
	*v = c->e->topt.linger2 ? c->e->topt.linger2
				: (int)c->st->sysctl.tcp_fin_timeout;
	return 0;
}

/* Kept as the time of so many SYN-ACKs: secs_to_retrans() and back. */
static int set_defer(struct call *c, int v)
{
	int period = 1, timeout = 1;

	for (int n = 1; v > period && n < 255; n++) {
		timeout = MIN(timeout * 2, 120); /* TCP_RTO_MAX */
		period += timeout;
	}
	c->e->topt.defer_accept = v > 0 ? (uint32_t)period : 0;
	return 0;
}

static int get_defer(struct call *c, int *v)
{
	*v = (int)c->e->topt.defer_accept;
	return 0;
}

static int set_clamp(struct call *c, int v)
{
	if (!v && !is_closed_or_listening(c->e))
		return -EINVAL;
	c->e->topt.window_clamp = v ? (uint32_t)MAX(v, MIN_RCVBUF / 2) : 0;
	return 0;
}

static int get_clamp(struct call *c, int *v)
{
	*v = (int)c->e->topt.window_clamp;
	return 0;
}

static int set_thin_dupack(struct call *c, int v)
{
	return v < 0 || v > 1 ? -EINVAL : 0;
}

static int set_fastopen(struct call *c, int v)
{
	if (v < 0 || !is_closed_or_listening(c->e))
		return -EINVAL;
	c->e->topt.fastopen_qlen = (int)MIN(v, c->st->sysctl.somaxconn);
	return 0;
}

static int get_fastopen(struct call *c, int *v)
{
	*v = c->e->topt.fastopen_qlen;
	return 0;
}

static int set_no_cookie(struct call *c, int v)
{
	if (v < 0 || v > 1 || !is_closed_or_listening(c->e))
		return -EINVAL;
	c->e->topt.fastopen_no_cookie = (uint8_t)v;
	return 0;
}

static int get_no_cookie(struct call *c, int *v)
{
	*v = c->e->topt.fastopen_no_cookie;
	return 0;
}

static int set_repair(struct call *c, int v)
{
	if (v == 0 || v == -1)
		return 0;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v == 1 ? -EPERM : -EINVAL;
}

static int get_timestamp(struct call *c, int *v)
{
	*v = (int)(uint32_t)(c->now / MSEC);
	return 0;
}

static int set_tx_delay(struct call *c, int v)
{
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v < 0 ? -EINVAL : v ? -EOPNOTSUPP : 0;
}

static int set_rto_max(struct call *c, int v)
{
	if (v < 1000 || v > 120000)
		return -EINVAL;
	c->e->topt.rto_max_ms = ALIGN_UP((uint32_t)v, JIFFY_US / 1000);
	return 0;
}

static int get_rto_max(struct call *c, int *v)
{
	*v = c->e->topt.rto_max_ms ? (int)c->e->topt.rto_max_ms
				   : (int)c->st->sysctl.tcp_rto_max_ms;
	return 0;
}

/* Between two ticks and 200 ms, in whole ticks. */
static int parse_us(int v, uint32_t *out)
{
	uint32_t us;

	if (v <= 0 || v > 200000)
		return -EINVAL;
	us = DIV_ROUND_UP((uint32_t)v, JIFFY_US) * JIFFY_US;
	if (us < 2 * JIFFY_US)
		return -EINVAL;
	*out = us;
	return 0;
}

static int set_rto_min(struct call *c, int v)
{
	return parse_us(v, &c->e->topt.rto_min_us);
}

static int get_rto_min(struct call *c, int *v)
{
	*v = c->e->topt.rto_min_us ? (int)c->e->topt.rto_min_us
				   : (int)c->st->sysctl.tcp_rto_min_us;
	return 0;
}

static int set_delack_max(struct call *c, int v)
{
	return parse_us(v, &c->e->topt.delack_max_us);
}

static int get_delack_max(struct call *c, int *v)
{
	uint32_t us = c->e->topt.delack_max_us;

	*v = us ? (int)us : 200000; /* TCP_DELACK_MAX */
	return 0;
}

static int get_tcp_info(struct call *c, void *val, socklen_t *len)
{
	struct tcp_info info;

	memset(&info, 0, sizeof(info));
	tcp_get_info(c->e, &info, c->now);
	return give(val, len, &info, sizeof(info));
}

static int set_congestion(struct call *c, const void *val, socklen_t len)
{
	char name[16] = {0}; /* TCP_CA_NAME_MAX */
	int id;

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, MIN(len, sizeof(name) - 1));
	id = tcp_cc_find(name);
	if (id < 0)
		return -ENOENT;
	c->e->topt.cc = (uint8_t)id;
	return 0;
}

static int get_congestion(struct call *c, void *val, socklen_t *len)
{
	const char *found = tcp_cc_name(c->e->topt.cc);
	char name[16] = {0};

	if (found)
		memcpy(name, found, MIN(strlen(found), sizeof(name) - 1));
	return give(val, len, name, sizeof(name));
}

/* There is no such module here, says Linux then. */
static int set_ulp(struct call *c, const void *val, socklen_t len)
{
	if (len < 1)
		return -EINVAL;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return -ENOENT;
}

/* --- IPPROTO_UDP --- */

static int set_udp_cork(struct call *c, int v)
{
	ep_opt_set(c->e, EP_O_UDP_CORK, v != 0);
	return v ? 0 : udp_push(c->e, c->now);
}

static int get_udp_cork(struct call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_UDP_CORK);
	return 0;
}

static int set_encap(struct call *c, int v)
{
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v ? -ENOPROTOOPT : 0;
}

static int set_segment(struct call *c, int v)
{
	if (v < 0 || v > UINT16_MAX)
		return -EINVAL;
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v ? -ENOPROTOOPT : 0; /* as before Linux 4.18 */
}

/* --- the table --- */

enum kind { KIND_BIT, KIND_FLAG, KIND_NUM, KIND_INT, KIND_RAW };
enum { WHO_ANY, WHO_TCP, WHO_UDP };

/* What a short value means, beside the rule of its level. */
#define SHORT_NEEDS_1 1 /* IP: no byte at all is an error */
#define SHORT_IS_0 2	/* IPv6: less than an int is 0 */

static const struct row {
	int level, name;
	uint8_t kind, who, flags, size;
	uint16_t off; /* bit, or offset in struct ep */
	int64_t lo, hi;
	set_int_fn *set;
	get_int_fn *get;
	set_raw_fn *set_raw;
	get_raw_fn *get_raw;
} rows[] = {
#define BITS(l, n, w, bit, k, f) \
	{.level = l,             \
	 .name = n,              \
	 .kind = k,              \
	 .who = WHO_##w,         \
	 .flags = f,             \
	 .off = EP_O_##bit},
#define NUMS(l, n, w, field, min, max, f)         \
	{.level = l,                              \
	 .name = n,                               \
	 .kind = KIND_NUM,                        \
	 .who = WHO_##w,                          \
	 .flags = f,                              \
	 .size = sizeof(((struct ep *)0)->field), \
	 .off = offsetof(struct ep, field),       \
	 .lo = min,                               \
	 .hi = max},
#define INTS(l, n, w, s, g, f) \
	{.level = l,           \
	 .name = n,            \
	 .kind = KIND_INT,     \
	 .who = WHO_##w,       \
	 .flags = f,           \
	 .set = s,             \
	 .get = g},
#define BIT(l, n, w, bit) BITS(l, n, w, bit, KIND_BIT, 0)
#define BIT0(l, n, w, bit) BITS(l, n, w, bit, KIND_BIT, SHORT_IS_0)
#define BIT1(l, n, w, bit) BITS(l, n, w, bit, KIND_BIT, SHORT_NEEDS_1)
#define FLAG(l, n, w, bit) BITS(l, n, w, bit, KIND_FLAG, 0)
#define FLAG1(l, n, w, bit) BITS(l, n, w, bit, KIND_FLAG, SHORT_NEEDS_1)
#define NUM(l, n, w, field, min, max) NUMS(l, n, w, field, min, max, 0)
#define NUM1(l, n, w, field, min, max) \
	NUMS(l, n, w, field, min, max, SHORT_NEEDS_1)
#define INT(l, n, w, s, g) INTS(l, n, w, s, g, 0)
#define INT1(l, n, w, s, g) INTS(l, n, w, s, g, SHORT_NEEDS_1)
#define RAW(l, n, w, s, g) \
	{.level = l,       \
	 .name = n,        \
	 .kind = KIND_RAW, \
	 .who = WHO_##w,   \
	 .set_raw = s,     \
	 .get_raw = g},
#include "sock/sockopt.def"
};

/* Whose levels a socket has: IPv6 sockets have the IPv4 one too. */
static bool has_level(const struct ep *e, int level)
{
	switch (level) {
	case SOL_SOCKET:
	case IPPROTO_IP:
		return true;
	case IPPROTO_IPV6:
		return e->family == AF_INET6;
	case IPPROTO_TCP:
		return e->kind == EP_TCP;
	case IPPROTO_UDP:
		return e->kind == EP_UDP;
	default:
		return false;
	}
}

static const struct row *find(const struct ep *e, int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == level && rows[i].name == name)
			return &rows[i];
	return NULL;
}

static int unknown(struct call *c, int err)
{
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return err;
}

static bool wants_whole_int(int level)
{
	return level == SOL_SOCKET || level == IPPROTO_TCP ||
	       level == IPPROTO_UDP;
}

/* --- set --- */

static int read_int(const struct row *r, const void *val, socklen_t len, int *v)
{
	*v = 0;
	if (len >= sizeof(*v)) {
		memcpy(v, val, sizeof(*v));
		return 0;
	}
	if (r->level != IPPROTO_IP)
		return r->flags & SHORT_IS_0 ? 0 : -EINVAL;
	if (len >= 1)
		*v = *(const uint8_t *)val;
	return !len && r->flags & SHORT_NEEDS_1 ? -EINVAL : 0;
}

static int set_num(struct ep *e, const struct row *r, int v)
{
	uint8_t *p = (uint8_t *)e + r->off;

	if (v < r->lo || v > r->hi)
		return -EINVAL;
	ASSERT(r->size == 1 || r->size == 4);
	if (r->size == 1)
		*p = (uint8_t)v;
	else
		memcpy(p, &v, sizeof(v));
	return 0;
}

static int set_by_kind(struct call *c, const struct row *r, int v)
{
	switch ((enum kind)r->kind) {
	case KIND_FLAG:
		if (v < 0 || v > 1)
			return -EINVAL;
		/* fallthrough */
	case KIND_BIT:
		ep_opt_set(c->e, (enum ep_opt)r->off, v != 0);
		return 0;
	case KIND_NUM:
		return set_num(c->e, r, v);
	default:
		return r->set(c, v);
	}
}

int sock_setopt(struct stack *st, sockid s, int level, int name,
		const void *val, socklen_t len, nsec now)
{
	struct call c = {st, sock_find(st, s), now};
	const struct row *r;
	int v = 0, err;

	if (!c.e)
		return -EBADF;
	if (!has_level(c.e, level))
		return unknown(&c, -ENOPROTOOPT);
	r = find(c.e, level, name);
	if (wants_whole_int(level) && len < sizeof(v) &&
	    (!r || r->kind != KIND_RAW))
		return -EINVAL;
	if (!r)
		return unknown(&c, -ENOPROTOOPT);
	if (r->kind == KIND_RAW) {
		err = r->set_raw(&c, val, len);
		if (err == -ENOPROTOOPT && level != IPPROTO_IPV6 && len < 4)
			err = -EINVAL;
	} else {
		err = read_int(r, val, len, &v);
		/* what cannot be set is so whatever its length, but for IP */
		if (r->kind == KIND_INT && r->set == no_set)
			err = -ENOPROTOOPT;
		else if (!err)
			err = set_by_kind(&c, r, v);
	}
	if (!err && c.e->kind == EP_TCP)
		tcp_opt_changed(c.e, level, name, now);
	return err;
}

/* --- get --- */

static int get_num(const struct ep *e, const struct row *r)
{
	const uint8_t *p = (const uint8_t *)e + r->off;
	int v;

	if (r->size == 1)
		return *p;
	memcpy(&v, p, sizeof(v));
	return v;
}

static int get_by_kind(struct call *c, const struct row *r, int *v)
{
	switch ((enum kind)r->kind) {
	case KIND_FLAG:
	case KIND_BIT:
		*v = ep_opt(c->e, (enum ep_opt)r->off);
		return 0;
	case KIND_NUM:
		*v = get_num(c->e, r);
		return 0;
	default:
		return r->get(c, v);
	}
}

/* IP answers with one byte where an int has no room (RFC-less, old BSD). */
static int give_int(int level, int v, void *val, socklen_t *len)
{
	uint8_t byte = (uint8_t)v;

	if (level == IPPROTO_IP && *len > 0 && *len < sizeof(v) && v >= 0 &&
	    v <= 255)
		return give(val, len, &byte, 1);
	return give(val, len, &v, sizeof(v));
}

int sock_getopt(struct stack *st, sockid s, int level, int name, void *val,
		socklen_t *len, nsec now)
{
	struct call c = {st, sock_find(st, s), now};
	const struct row *r;
	int v, err;

	if (!c.e)
		return -EBADF;
	if ((int)*len < 0)
		return -EINVAL;
	/* a level that nobody has: ip_getsockopt() differs from ipv6's */
	if (!has_level(c.e, level))
		return unknown(&c, c.e->family == AF_INET ? -EOPNOTSUPP
							  : -ENOPROTOOPT);
	r = find(c.e, level, name);
	if (!r)
		return unknown(&c, -ENOPROTOOPT);
	if (r->kind == KIND_RAW)
		return r->get_raw(&c, val, len);
	err = get_by_kind(&c, r, &v);
	return err ? err : give_int(level, v, val, len);
}
