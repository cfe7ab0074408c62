/* SPDX-License-Identifier: MIT
 *
 * cmsg.c - control data, both ways
 *
 * Out: in the order and with the conditions of Linux: __sock_recv_cmsgs(),
 * then udp_cmsg_recv(), then ip_cmsg_recv() or ip6_datagram_recv_ctl(). Whether
 * it fits is not decided here: the one who copies it to the program cuts it
 * (MSG_CTRUNC). In: udp_cmsg_send(), __sock_cmsg_send(), ip_cmsg_send(),
 * ip6_datagram_send_ctl(); each passes over the levels of the others.
 */
#include "sock/cmsg.h"

#include <asm/socket.h>
#include <errno.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <linux/udp.h>
#include "sock/uapi.h"
#include "wire/ip4opt.h"

#define STAMP_TX_MASK                                                  \
	(SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_TX_SOFTWARE | \
	 SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK |         \
	 STAMP_TX_COMPLETION)
#define FLOW_LABEL 0xfffffu /* RFC 8200 3 */

/* --- out --- */

void cmsg_put(struct sock_ctl *c, int level, int type, const void *data,
	      size_t len)
{
	struct cmsghdr h = {
		.cmsg_len = CMSG_LEN(len),
		.cmsg_level = level,
		.cmsg_type = type,
	};

	if (!c)
		return;
	ASSERT(c->len + CMSG_SPACE(len) <= sizeof(c->b));
	memcpy(c->b + c->len, &h, sizeof(h));
	memcpy(c->b + c->len + CMSG_LEN(0), data, len);
	c->len += (uint32_t)CMSG_SPACE(len);
}

static void put_int(struct sock_ctl *c, int level, int type, int v)
{
	cmsg_put(c, level, type, &v, sizeof(v));
}

/* struct timeval and __kernel_sock_timeval, struct timespec and
 * __kernel_timespec are the same on 64-bit machines. */
static void put_stamp(const struct ep *e, nsec t, struct sock_ctl *c)
{
	bool is_new = ep_opt(e, EP_O_TIMESTAMP_NEW);
	int64_t v[2] = {t / SEC, t % SEC};

	if (ep_opt(e, EP_O_RCVTIMESTAMPNS)) {
		cmsg_put(c, SOL_SOCKET,
			 is_new ? SO_TIMESTAMPNS_NEW : SO_TIMESTAMPNS_OLD, v,
			 sizeof(v));
		return;
	}
	v[1] /= USEC;
	cmsg_put(c, SOL_SOCKET, is_new ? SO_TIMESTAMP_NEW : SO_TIMESTAMP_OLD, v,
		 sizeof(v));
}

void cmsg_put_stamps(const struct ep *e, nsec at, bool is_note,
		     struct sock_ctl *c, nsec now)
{
	int64_t v[3][2] = {{0}}; /* struct scm_timestamping: [0] is software */
	uint32_t f = e->tsflags;

	if (!c)
		return;
	if (ep_opt(e, EP_O_RCVTIMESTAMP)) {
		if (!at)
			at = now;
		put_stamp(e, at + c->wall, c);
	}
	if (!at || !(f & SOF_TIMESTAMPING_SOFTWARE))
		return;
	if (!is_note && !(f & SOF_TIMESTAMPING_RX_SOFTWARE) &&
	    f & STAMP_OPT_RX_FILTER)
		return;
	v[0][0] = (at + c->wall) / SEC;
	v[0][1] = (at + c->wall) % SEC;
	cmsg_put(c, SOL_SOCKET,
		 ep_opt(e, EP_O_TIMESTAMP_NEW) ? SO_TIMESTAMPING_NEW
					       : SO_TIMESTAMPING_OLD,
		 v, sizeof(v));
}

static void put_orig4(const struct ep *e, const struct dgram_from *f,
		      struct sock_ctl *c)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	put_be16(&in.sin_port, e->lport);
	memcpy(&in.sin_addr, f->dst.b + 12, 4);
	cmsg_put(c, IPPROTO_IP, IP_ORIGDSTADDR, &in, sizeof(in));
}

static void put_pktinfo4(const struct ep *e, const struct dgram_from *f,
			 struct sock_ctl *c)
{
	struct in_pktinfo p = {.ipi_ifindex = IF_INDEX(f->link)};
	struct ip_addr spec = f->dst;

	/* what an answer should come from */
	if (ip_scope(e->tp->ip, &f->dst) != IP_SCOPE_LOCAL &&
	    ip_source(e->tp->ip, &f->src, &spec))
		spec = f->dst;
	memcpy(&p.ipi_addr, f->dst.b + 12, 4);
	memcpy(&p.ipi_spec_dst, spec.b + 12, 4);
	cmsg_put(c, IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
}

static void put_info4(const struct ep *e, const struct dgram_from *f,
		      struct sock_ctl *c)
{
	if (ep_opt(e, EP_O_PKTINFO))
		put_pktinfo4(e, f, c);
	if (ep_opt(e, EP_O_RECVTTL))
		put_int(c, IPPROTO_IP, IP_TTL, f->ttl);
	if (ep_opt(e, EP_O_RECVTOS))
		cmsg_put(c, IPPROTO_IP, IP_TOS, &f->tos, 1);
	if (ep_opt(e, EP_O_RECVOPTS) && f->num_opts)
		cmsg_put(c, IPPROTO_IP, IP_RECVOPTS, f->opts, f->num_opts);
	if (ep_opt(e, EP_O_RETOPTS) && f->num_opts) {
		uint8_t v[IP4_OPT_MAX];

		cmsg_put(c, IPPROTO_IP, IP_RETOPTS, v,
			 ip4_opt_echo(f->opts, f->num_opts, v));
	}
	if (ep_opt(e, EP_O_RECVORIGDSTADDR))
		put_orig4(e, f, c);
}

static void put_pktinfo6(const struct dgram_from *f, int type,
			 struct sock_ctl *c)
{
	struct in6_pktinfo p = {.ipi6_ifindex = IF_INDEX(f->link)};

	memcpy(&p.ipi6_addr, f->dst.b, 16);
	cmsg_put(c, IPPROTO_IPV6, type, &p, sizeof(p));
}

static void put_orig6(const struct ep *e, const struct dgram_from *f,
		      struct sock_ctl *c)
{
	struct sockaddr_in6 in = {.sin6_family = AF_INET6};

	put_be16(&in.sin6_port, e->lport);
	memcpy(&in.sin6_addr, f->dst.b, 16);
	if (ip_addr_is_linklocal(&f->dst))
		in.sin6_scope_id = IF_INDEX(f->link);
	cmsg_put(c, IPPROTO_IPV6, IPV6_ORIGDSTADDR, &in, sizeof(in));
}

static void put_flow6(const struct dgram_from *f, struct sock_ctl *c)
{
	uint8_t v[4];
	uint32_t flow = (uint32_t)f->tos << 20 | (f->flow & FLOW_LABEL);

	put_be32(v, flow);
	if (flow)
		cmsg_put(c, IPPROTO_IPV6, IPV6_FLOWINFO, v, sizeof(v));
}

static void put_info6(const struct ep *e, const struct dgram_from *f,
		      struct sock_ctl *c)
{
	if (ep_opt(e, EP_O_RECVHOPLIMIT6))
		put_int(c, IPPROTO_IPV6, IPV6_HOPLIMIT, f->ttl);
	if (ep_opt(e, EP_O_RECVTCLASS6))
		put_int(c, IPPROTO_IPV6, IPV6_TCLASS, f->tos);
	if (ep_opt(e, EP_O_RECVFLOWINFO6))
		put_flow6(f, c);
	if (ep_opt(e, EP_O_PKTINFO2292))
		put_pktinfo6(f, IPV6_2292PKTINFO, c);
	if (ep_opt(e, EP_O_HOPLIMIT2292))
		put_int(c, IPPROTO_IPV6, IPV6_2292HOPLIMIT, f->ttl);
	if (ep_opt(e, EP_O_RECVORIGDSTADDR6))
		put_orig6(e, f, c);
}

/* An IPv6 socket that hears IPv4 tells the address its own way, the rest the
 * way of IPv4. */
static void put_info(const struct ep *e, const struct dgram_from *f,
		     struct sock_ctl *c)
{
	bool is4 = ip_addr_is4(&f->dst);

	if (e->family == AF_INET6 && ep_opt(e, EP_O_RECVPKTINFO6))
		put_pktinfo6(f, IPV6_PKTINFO, c);
	if (is4)
		put_info4(e, f, c);
	else
		put_info6(e, f, c);
}

void cmsg_put_dgram(struct ep *e, const struct dgram_from *f,
		    struct sock_ctl *c, nsec now)
{
	bool stamped = ep_opt(e, EP_O_RCVTIMESTAMP) ||
		       e->tsflags & SOF_TIMESTAMPING_RX_SOFTWARE;

	if (!c)
		return;
	/* who has not asked for stamps finds none */
	cmsg_put_stamps(e, stamped ? f->at : 0, false, c, now);
	if (ep_opt(e, EP_O_RXQ_OVFL) && f->drops)
		cmsg_put(c, SOL_SOCKET, SO_RXQ_OVFL, &f->drops,
			 sizeof(f->drops));
	if (ep_opt(e, EP_O_RCVMARK)) /* nobody here marks */
		put_int(c, SOL_SOCKET, SO_MARK, 0);
	if (ep_opt(e, EP_O_RCVPRIORITY))
		put_int(c, SOL_SOCKET, SO_PRIORITY, 0);
	if (ep_opt(e, EP_O_GRO) && f->gso_size)
		put_int(c, IPPROTO_UDP, UDP_GRO, f->gso_size);
	put_info(e, f, c);
}

static void put_recverr4(const struct errq_note *n, struct sock_ctl *c)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in offender;
	} v = {.ee = n->ee};

	if (n->has_info) {
		v.offender.sin_family = AF_INET;
		memcpy(&v.offender.sin_addr, n->info.src.b + 12, 4);
	}
	cmsg_put(c, IPPROTO_IP, IP_RECVERR, &v, sizeof(v));
}

static void put_recverr6(const struct ep *e, const struct errq_note *n,
			 struct sock_ctl *c)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in6 offender;
	} v = {.ee = n->ee};

	if (n->has_info) {
		v.offender.sin6_family = AF_INET6;
		memcpy(&v.offender.sin6_addr, n->info.src.b, 16);
		if (ip_addr_is_linklocal(&n->info.src) &&
		    !ip_addr_is4(&n->info.src))
			v.offender.sin6_scope_id = e->dev_if;
	}
	cmsg_put(c, IPPROTO_IPV6, IPV6_RECVERR, &v, sizeof(v));
}

/* ip_recv_error(), ipv6_recv_error() */
void cmsg_put_note(struct ep *e, const struct errq_note *n, struct sock_ctl *c,
		   nsec now)
{
	if (!c)
		return;
	cmsg_put_stamps(e, n->at, true, c, now);
	if (n->has_info)
		put_info(e, &n->info, c);
	if (e->family == AF_INET)
		put_recverr4(n, c);
	else
		put_recverr6(e, n, c);
}

/* --- in --- */

struct item { /* one control message that was given */
	int level, type;
	const uint8_t *p;
	size_t len;
};

/* The next one, from *@at on. 1, 0 at the end, -EINVAL. */
static int next_item(const struct sock_ctl *c, size_t *at, struct item *i)
{
	struct cmsghdr h;
	size_t left = c->len - MIN(*at, (size_t)c->len);

	if (left < sizeof(h))
		return 0;
	memcpy(&h, c->b + *at, sizeof(h));
	if (h.cmsg_len < sizeof(h) || h.cmsg_len > left) /* CMSG_OK() */
		return -EINVAL;
	*i = (struct item){
		.level = h.cmsg_level,
		.type = h.cmsg_type,
		.p = c->b + *at + CMSG_LEN(0),
		.len = h.cmsg_len - CMSG_LEN(0),
	};
	*at += CMSG_ALIGN(h.cmsg_len);
	return 1;
}

static int whole_int(const struct item *i, int *v)
{
	if (i->len != sizeof(*v))
		return -EINVAL;
	memcpy(v, i->p, sizeof(*v));
	return 0;
}

/* __sock_cmsg_send() */
static int get_socket(const struct ep *e, const struct item *i,
		      struct dgram_to *to)
{
	int v;

	switch (i->type) {
	case SO_MARK:
	case SO_PRIORITY:
		return whole_int(i, &v); /* nothing of ours looks at them */
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		if (whole_int(i, &v) || (uint32_t)v & ~STAMP_TX_MASK)
			return -EINVAL;
		to->stamp = (e->tsflags & ~STAMP_TX_MASK) | (uint32_t)v;
		return 0;
	case SCM_TS_OPT_ID:
		if (e->kind == EP_TCP ||
		    !(e->tsflags & SOF_TIMESTAMPING_OPT_ID) || whole_int(i, &v))
			return -EINVAL;
		to->stamp_id = (uint32_t)v;
		to->has_stamp_id = true;
		return 0;
	case SCM_TXTIME:
		return ep_opt(e, EP_O_TXTIME) && i->len == 8 ? 0 : -EINVAL;
	case SCM_RIGHTS:
	case SCM_CREDENTIALS: /* of SOL_UNIX by meaning: passed over */
		return 0;
	default:
		return -EINVAL;
	}
}

static int get_udp(const struct item *i, struct dgram_to *to)
{
	uint16_t v;

	if (i->type != UDP_SEGMENT || i->len != sizeof(v))
		return -EINVAL;
	memcpy(&v, i->p, sizeof(v));
	to->gso_size = v;
	return 0;
}

static int set_source(const struct ep *e, const struct ip_addr *src,
		      struct dgram_to *to)
{
	if (ip_addr_is_any(src))
		return 0;
	if (ip_addr_is_multicast(src))
		return -EINVAL;
	if (ip_scope(e->tp->ip, src) != IP_SCOPE_LOCAL &&
	    !ep_opt(e, EP_O_FREEBIND) && !ep_opt(e, EP_O_TRANSPARENT))
		return ip_addr_is4(src) ? -ENETUNREACH : -EINVAL;
	to->src = *src;
	to->has_src = true;
	return 0;
}

static int set_if(int ifindex, struct dgram_to *to)
{
	if (ifindex && ifindex != IF_INDEX(LINK_LO) &&
	    ifindex != IF_INDEX(LINK_DEV))
		return -ENODEV;
	to->ifindex = (uint32_t)ifindex;
	return 0;
}

static int get_pktinfo4(const struct ep *e, const struct item *i,
			struct dgram_to *to)
{
	struct in_pktinfo p;
	struct ip_addr src;
	int err;

	if (i->len != sizeof(p))
		return -EINVAL;
	memcpy(&p, i->p, sizeof(p));
	src = ip_addr_v4(&p.ipi_spec_dst);
	err = set_if(p.ipi_ifindex, to);
	return err ? err : set_source(e, &src, to);
}

static int get_tos4(const struct item *i, struct dgram_to *to)
{
	int v = i->len == 1 ? i->p[0] : -1;

	if (i->len == sizeof(v))
		memcpy(&v, i->p, sizeof(v));
	if (v < 0 || v > 255)
		return -EINVAL;
	to->tos = v;
	return 0;
}

/* ip_options_compile(), of which only options that say nothing are left: we
 * send none. */
int cmsg_check_ip_options(const uint8_t *p, size_t len)
{
	size_t i = 0;

	if (len > IP_OPTIONS_MAX)
		return -EINVAL;
	while (i < len && p[i] == CMSG_IPOPT_NOP)
		i++;
	if (i == len || p[i] == CMSG_IPOPT_EOL)
		return 0;
	return len - i < 2 || p[i + 1] < 2 || p[i + 1] > len - i ? -EINVAL
								 : -EOPNOTSUPP;
}

/* ip_cmsg_send() */
static int get_ip4(const struct ep *e, const struct item *i,
		   struct dgram_to *to)
{
	int v;

	switch (i->type) {
	case IP_RETOPTS:
		return cmsg_check_ip_options(i->p, i->len);
	case IP_PKTINFO:
		return get_pktinfo4(e, i, to);
	case IP_TTL:
		if (whole_int(i, &v) || v < 1 || v > 255)
			return -EINVAL;
		to->ttl = v;
		return 0;
	case IP_TOS:
		return get_tos4(i, to);
	case IP_PROTOCOL:
		return whole_int(i, &v) || v < 1 || v >= IPPROTO_MAX ? -EINVAL
								     : 0;
	default:
		return -EINVAL;
	}
}

/* The IPv6 form to an IPv4 peer: a mapped address only. */
static int get_mapped(const struct ep *e, const struct item *i,
		      struct dgram_to *to)
{
	struct in6_pktinfo p;
	struct ip_addr src;
	int err;

	if (i->len < sizeof(p))
		return -EINVAL;
	memcpy(&p, i->p, sizeof(p));
	src = ip_addr_v6(&p.ipi6_addr);
	if (!ip_addr_is4(&src))
		return -EINVAL;
	err = set_if((int)p.ipi6_ifindex, to);
	return err ? err : set_source(e, &src, to);
}

static int get_pktinfo6(const struct ep *e, const struct item *i,
			struct dgram_to *to)
{
	struct in6_pktinfo p;
	struct ip_addr src;
	int err;

	if (i->len < sizeof(p))
		return -EINVAL;
	memcpy(&p, i->p, sizeof(p));
	src = ip_addr_v6(&p.ipi6_addr);
	if (p.ipi6_ifindex && e->dev_if && p.ipi6_ifindex != e->dev_if)
		return -EINVAL;
	err = set_if((int)p.ipi6_ifindex, to);
	return err ? err : set_source(e, &src, to);
}

/* ip6_datagram_send_ctl() */
static int get_ip6(const struct ep *e, const struct item *i,
		   struct dgram_to *to)
{
	int v;

	switch (i->type) {
	case IPV6_PKTINFO:
	case IPV6_2292PKTINFO:
		return get_pktinfo6(e, i, to);
	case IPV6_FLOWINFO:
		return i->len < 4 ? -EINVAL : 0;
	case IPV6_HOPLIMIT:
	case IPV6_2292HOPLIMIT:
		if (whole_int(i, &v) || v < -1 || v > 255)
			return -EINVAL;
		to->ttl = v;
		return 0;
	case IPV6_TCLASS:
		if (whole_int(i, &v) || v < -1 || v > 255)
			return -EINVAL;
		to->tos = v & 0xff; /* and -1 is 255, by this way */
		return 0;
	case IPV6_DONTFRAG:
		if (whole_int(i, &v) || v < 0 || v > 1)
			return -EINVAL;
		to->dontfrag = v;
		return 0;
	default:
		return -EINVAL;
	}
}

static int get_dgram_item(const struct ep *e, const struct item *i, bool is4,
			  struct dgram_to *to)
{
	if (i->level == SOL_SOCKET)
		return get_socket(e, i, to);
	if (i->level == IPPROTO_IP && is4)
		return get_ip4(e, i, to);
	if (i->level != IPPROTO_IPV6)
		return 0;
	if (!is4)
		return get_ip6(e, i, to);
	return e->family == AF_INET6 && i->type == IPV6_PKTINFO
		       ? get_mapped(e, i, to)
		       : 0;
}

int cmsg_get_dgram(const struct ep *e, const struct sock_ctl *c,
		   struct dgram_to *to)
{
	bool is4 = e->family == AF_INET ||
		   ip_addr_is4(to->has_dst ? &to->dst : &e->raddr);
	struct item i;
	size_t at = 0;
	int res;

	/* Linux looks for UDP_SEGMENT in all of them before it looks again */
	while (e->kind == EP_UDP && (res = next_item(c, &at, &i))) {
		if (res > 0 && i.level == IPPROTO_UDP)
			res = get_udp(&i, to);
		if (res < 0)
			return res;
	}
	at = 0;
	while ((res = next_item(c, &at, &i))) {
		if (res > 0)
			res = get_dgram_item(e, &i, is4, to);
		if (res < 0)
			return res;
	}
	return 0;
}

int cmsg_get_stream(const struct ep *e, const struct sock_ctl *c,
		    struct dgram_to *to)
{
	struct item i;
	size_t at = 0;
	int res;

	while ((res = next_item(c, &at, &i))) {
		if (res > 0 && i.level == SOL_SOCKET)
			res = get_socket(e, &i, to);
		if (res < 0)
			return res;
	}
	return 0;
}
