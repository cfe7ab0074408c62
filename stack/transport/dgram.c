/* SPDX-License-Identifier: MIT
 *
 * dgram.c - sending whole messages, whatever their header; dgram_in.c receives
 *
 * Sending: begin lends one chunk that holds the whole datagram, commit puts a
 * header in front and gives it to ip. What a datagram needs to know (where to,
 * from where) lies at the beginning of its chunk, before the bytes, so a send
 * in progress is one allocation and other calls may come in between. The
 * socket is charged for the chunk until the device has the packet.
 */
#include "transport/dgram.h"

#include <errno.h>
#include <linux/net_tstamp.h>

#include "transport/errq.h"
#include "transport/group.h"
#include "transport/raw.h"
#include "transport/udp.h"
#include "wire/icmp.h"

/* The chunk of a corked datagram: its bytes so far, and who holds its end. */
static struct core *core_of(const struct ep *e)
{
	return e->tp->core;
}

static bool is_writable(const struct ep *e) /* sock_writeable() of Linux */
{
	return e->tx_mem < e->sndbuf / 2;
}

/* datagram_poll() of Linux */
uint32_t dgram_poll(const struct ep *e)
{
	uint32_t bits = 0;

	if (e->err)
		bits |= ep_opt(e, EP_O_SELECT_ERRQ) ? EPOLLERR | EPOLLPRI
						    : EPOLLERR;
	bits |= errq_poll(e);
	if (e->shut & EP_SHUT_RD)
		bits |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (e->shut == (EP_SHUT_RD | EP_SHUT_WR))
		bits |= EPOLLHUP;
	if (!list_empty(&e->rxq))
		bits |= EPOLLIN | EPOLLRDNORM;
	if (is_writable(e))
		bits |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return bits;
}

static void update(struct ep *e, bool edge_in)
{
	ep_ready(e, dgram_poll(e), edge_in, false);
}

static void charge_tx(struct ep *e, uint32_t n)
{
	e->tx_mem += n;
	update(e, false);
}

void dgram_tx_done(struct ep *e, uint32_t charge)
{
	e->tx_mem -= MIN(charge, e->tx_mem);
	/* sock_def_write_space() of Linux: an event for each that has left */
	ep_ready(e, dgram_poll(e), false, is_writable(e));
}

static void conn_leave(struct ep *e)
{
	if (e->in_conn)
		htab_remove(&e->tp->udp_conn, &e->conn_node);
	e->in_conn = false;
}

/* The owner is gone; who still copies keeps the memory, not the port. */
void dgram_close(struct ep *e, nsec now)
{
	conn_leave(e);
	raw_leave(e);
	group_leave_all(e, now);
	port_release(e);
}

void dgram_ep_fini(struct ep *e)
{
	struct list *n;

	conn_leave(e);
	while ((n = list_pop(&e->rxq)))
		dgram_free(e, list_entry(n, struct dgram, node));
	raw_leave(e);
	group_leave_all(e, 0); /* the host goes, too: nobody is told */
	if (e->cork) {
		buf_put(core_of(e)->arena, &e->cork->c->b);
		arena_free(core_of(e)->arena, e->cork);
		e->cork = NULL;
	}
}

/* --- where to --- */

/* To no address means to this host, as Linux's routing has it. */
static void resolve_any(const struct ep *e, struct ip_addr *dst)
{
	static const uint8_t lo4[4] = {127, 0, 0, 1};

	if (!ip_addr_is_any(dst))
		return;
	if (ip_addr_is4(dst) && !ip_addr_is_any(&e->laddr))
		*dst = e->laddr;
	else if (ip_addr_is4(dst) || ip_addr_is4(&e->laddr))
		*dst = ip_addr_v4(lo4);
	else
		*dst = (struct ip_addr){.b[15] = 1};
}

/* By way of which interface: as udp_sendmsg() of Linux chooses. */
static uint32_t choose_oif(const struct ep *e, const struct ip_addr *dst)
{
	bool is4 = ip_addr_is4(dst);

	if (e->dev_if)
		return e->dev_if;
	if (!is4 && e->sticky_if6)
		return e->sticky_if6;
	if (ip_addr_is_multicast(dst))
		return is4 ? e->mc_if : e->mc_if6;
	return is4 ? e->uc_if : e->uc_if6;
}

/* IP_MULTICAST_IF by address is also where multicast comes from. */
static void choose_src(const struct ep *e, const struct ip_addr *dst,
		       struct ip_addr *src)
{
	struct ip_addr a = ip_addr_v4(e->mc_addr);

	if (ip_addr_is_any(src) && ip_addr_is_any(&e->laddr) &&
	    ip_addr_is4(dst) && ip_addr_is_multicast(dst) &&
	    !ip_addr_is_any(&a))
		*src = a;
}

/* SO_DONTROUTE: only who is on the link. Linux has it for IPv4 alone. */
static bool needs_router(struct ep *e, const struct ip_addr *dst, uint32_t oif)
{
	const struct ip_route *r = ip_route_via(e->tp->ip, dst, oif);

	return ip_addr_is4(dst) && r && !ip_addr_is_any(&r->gw);
}

/* Route and source address for a packet to @dst. */
static int check_dst(struct ep *e, const struct ip_addr *dst, uint32_t oif,
		     struct ip_addr *src)
{
	struct ip *ip = e->tp->ip;
	enum ip_scope own = ip_scope(ip, &e->laddr);

	if (oif > IP_IF_DEV && ip_addr_is4(dst))
		return -ENODEV;
	if (!ip_route_via(ip, dst, oif)) {
		stat_inc(core_of(e), ip_addr_is4(dst) ? STAT_IpOutNoRoutes
						      : STAT_Ip6OutNoRoutes);
		return -ENETUNREACH;
	}
	if (ep_opt(e, EP_O_DONTROUTE) && needs_router(e, dst, oif))
		return -ENETUNREACH;
	if (!ip_addr_is_any(src))
		return ip_addr_is4(src) == ip_addr_is4(dst) ? 0 : -EINVAL;
	if (ip_addr_is_any(&e->laddr) || own == IP_SCOPE_BCAST ||
	    (!ep_opt(e, EP_O_BOUND_ADDR) && /* chosen, for another family */
	     ip_addr_is4(&e->laddr) != ip_addr_is4(dst)) ||
	    own == IP_SCOPE_MCAST)
		return ip_source_via(ip, dst, oif, src);
	if (ip_addr_is4(&e->laddr) != ip_addr_is4(dst))
		return -ENETUNREACH;
	*src = e->laddr;
	return 0;
}

/* Broadcast wants to be asked for (SO_BROADCAST). */
static bool is_forbidden(const struct ep *e, const struct ip_addr *dst)
{
	return !ep_opt(e, EP_O_BROADCAST) &&
	       ip_scope(e->tp->ip, dst) == IP_SCOPE_BCAST;
}

/* Raw sockets need no port. */
bool dgram_autobind(struct ep *e)
{
	return e->is_bound || e->kind == EP_RAW ||
	       port_bind(e, &e->laddr, 0) == 0;
}

int dgram_connect(struct ep *e, const struct ip_addr *to, uint16_t dport)
{
	struct ip_addr dst = *to, src = {0};
	int err;

	/* what an earlier connect chose is no obstacle in the other family */
	if (!ep_opt(e, EP_O_BOUND_ADDR) &&
	    ip_addr_is4(&e->laddr) != ip_addr_is4(&dst))
		e->laddr = src;
	resolve_any(e, &dst);
	choose_src(e, &dst, &src);
	err = check_dst(e, &dst, choose_oif(e, &dst), &src);
	if (!err && is_forbidden(e, &dst))
		err = -EACCES;
	if (err)
		return err;
	conn_leave(e);
	if (ip_addr_is_any(&e->laddr))
		e->laddr = src;
	e->raddr = dst;
	e->rport = dport;
	e->is_connected = true;
	if (e->kind != EP_UDP)
		return 0;
	htab_insert(&e->tp->udp_conn, &e->conn_node,
		    port_conn_hash(e->tp, &e->laddr, e->lport, &dst, dport));
	e->in_conn = true;
	return 0;
}

void dgram_disconnect(struct ep *e)
{
	static const uint8_t any4[4];
	struct ip_addr any = {0};

	if (e->family == AF_INET)
		any = ip_addr_v4(any4);
	conn_leave(e);
	e->is_connected = false;
	e->raddr = any;
	e->rport = 0;
	if (!ep_opt(e, EP_O_BOUND_ADDR))
		e->laddr = any;
	if (!ep_opt(e, EP_O_BOUND_PORT)) {
		port_release(e);
		raw_leave(e); /* __udp_disconnect(): it hears no more */
		e->lport = 0;
	}
}

/* Even an unconnected socket is shut down, to wake who polls it: Linux's
 * inet_shutdown() says so and then returns -ENOTCONN. */
int dgram_shutdown(struct ep *e, int how)
{
	e->shut |= (uint8_t)(how + 1);
	update(e, true);
	return e->is_connected ? 0 : -ENOTCONN;
}

/* --- sending --- */

static uint32_t probe_mtu(struct ep *e, const struct dgram_tx *tx, nsec now)
{
	const struct ip_route *r = ip_route_via(e->tp->ip, &tx->dst, tx->oif);

	if (r && r->link == LINK_DEV)
		return e->tp->ip->link->mtu;
	return ip_mtu(e->tp->ip, &tx->dst, now);
}

/* IPV6_DONTFRAG, of the socket or of this datagram. */
static bool is_unfragmented6(const struct ep *e, const struct dgram_to *to,
			     const struct ip_addr *dst)
{
	if (ip_addr_is4(dst))
		return false;
	return to->dontfrag >= 0 ? to->dontfrag : ep_opt(e, EP_O_DONTFRAG6);
}

/* RFC 6438: a label for each flow, unless one was asked for, or none. */
static uint32_t choose_flow(const struct ep *e, const struct dgram_to *to,
			    const struct dgram_tx *tx)
{
	if (ip_addr_is4(&tx->dst))
		return 0;
	if (to->flow || !ep_opt(e, EP_O_AUTOFLOWLABEL))
		return to->flow;
	return port_conn_hash(e->tp, &tx->src, e->lport, &tx->dst, tx->dport) &
	       0xfffff;
}

/* What path MTU discovery allows: ip_sk_ignore_df() and ip_dont_fragment() of
 * Linux, and the IPv6 ones, which use the same numbers. */
static void set_mtu(struct ep *e, const struct dgram_to *to,
		    struct dgram_tx *tx, nsec now)
{
	bool is4 = ip_addr_is4(&tx->dst);
	unsigned disc = is4 ? e->pmtudisc : e->pmtudisc6;
	bool own = disc == IP_PMTUDISC_PROBE || disc == IP_PMTUDISC_INTERFACE;
	bool may_frag = disc < IP_PMTUDISC_DO || disc == IP_PMTUDISC_OMIT;

	if (is_unfragmented6(e, to, &tx->dst))
		may_frag = false;
	if (raw_has_header(e)) { /* as it is, whatever the path */
		may_frag = false;
		own = true;
	}
	tx->is_probe = own;
	tx->df_always = disc == IP_PMTUDISC_DO || disc == IP_PMTUDISC_PROBE;
	tx->df = disc == IP_PMTUDISC_DO || disc == IP_PMTUDISC_PROBE ||
		 disc == IP_PMTUDISC_WANT;
	tx->mtu = may_frag ? 0
		  : own	   ? probe_mtu(e, tx, now)
			   : ip_mtu(e->tp->ip, &tx->dst, now);
	if (!is4 && e->mtu6) {
		if (tx->mtu)
			tx->mtu = MIN(tx->mtu, e->mtu6);
		tx->frag_size = e->mtu6;
	}
}

static int16_t choose_ttl(const struct ep *e, const struct dgram_to *to,
			  bool is_mcast)
{
	bool is4 = ip_addr_is4(&to->dst);

	if (to->ttl >= 0)
		return (int16_t)to->ttl;
	if (is_mcast && is4)
		return e->mc_ttl;
	if (is_mcast) /* RFC 3493 5.2: 1 unless set */
		return e->mc_hops6 < 0 ? 1 : e->mc_hops6;
	return is4 ? e->ttl : e->hops6;
}

#define STAMPS (SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED)

/* Every send that asks has a number, unless it brings one. */
static void set_stamp(struct ep *e, const struct dgram_to *to,
		      struct dgram_tx *tx)
{
	tx->stamp = to->stamp & STAMPS;
	if (to->has_stamp_id)
		tx->stamp_id = to->stamp_id;
	else if (tx->stamp && e->tsflags & SOF_TIMESTAMPING_OPT_ID)
		tx->stamp_id = e->ts_key++;
}

void dgram_tx_stamp(struct ep *e, uint32_t type, const struct pkt *p, nsec now)
{
	uint32_t flag = type == SCM_TSTAMP_SCHED ? SOF_TIMESTAMPING_TX_SCHED
						 : SOF_TIMESTAMPING_TX_SOFTWARE;

	if (p->stamp & flag)
		errq_stamp(e, type, p->stamp_id, p, now);
}

/* Fills @tx, or says why there can be no such datagram. */
static int prepare(struct ep *e, const struct dgram_to *to, struct dgram_tx *tx,
		   nsec now)
{
	struct dgram_to t = *to;
	bool is_mcast;
	int err;

	*tx = (struct dgram_tx){0};
	if (t.has_dst) {
		if (!t.dport && e->kind == EP_UDP)
			return -EINVAL;
	} else {
		if (!e->is_connected)
			return -EDESTADDRREQ;
		/* udpv6_sendmsg() hands udp_sendmsg() a name then */
		if (e->family == AF_INET6 && ip_addr_is4(&e->raddr) &&
		    !e->rport)
			return -EINVAL;
		t.dst = e->raddr;
		t.dport = e->rport;
	}
	resolve_any(e, &t.dst);
	if (t.has_src)
		tx->src = t.src;
	choose_src(e, &t.dst, &tx->src);
	tx->oif = t.ifindex ? t.ifindex : choose_oif(e, &t.dst);
	err = check_dst(e, &t.dst, tx->oif, &tx->src);
	if (!err && t.on_link && needs_router(e, &t.dst, tx->oif))
		err = -ENETUNREACH;
	/* connected UDP was allowed then: it has its route */
	if (!err && is_forbidden(e, &t.dst) &&
	    (to->has_dst || e->kind != EP_UDP))
		err = -EACCES;
	if (err)
		return err;
	tx->proto = t.proto ? t.proto : e->proto;
	tx->dst = t.dst;
	tx->dport = t.dport;
	is_mcast = ip_scope(e->tp->ip, &t.dst) == IP_SCOPE_MCAST;
	tx->ttl = choose_ttl(e, &t, is_mcast);
	tx->tos = (uint8_t)(t.tos >= 0		  ? t.tos
			    : ip_addr_is4(&t.dst) ? e->tos
						  : e->tclass);
	tx->gso_size = t.gso_size;
	set_stamp(e, &t, tx);
	tx->flow = choose_flow(e, &t, tx);
	set_mtu(e, &t, tx, now);
	return 0;
}

static int check_size(const struct ep *e, const struct dgram_tx *tx, size_t len)
{
	bool is4 = ip_addr_is4(&tx->dst), own = raw_has_header(e);
	size_t l3 = own ? 0 : is4 ? 20u + e->num_ip_options : 40;
	size_t l4 = e->kind == EP_UDP ? 8 : 0;
	size_t most = is4 ? 65535 - l3 : 65535; /* RFC 791 3.1, 8200 3 */

	if ((e->kind == EP_PING && len < ICMP_HLEN) ||
	    (own && len < (is4 ? 20 : 40)))
		return -EINVAL;

	/* as Linux, which looks at the first two for its firewall */
	if (e->kind == EP_RAW && !own && len < 2 &&
	    tx->proto == (is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return -EFAULT;
	if (l4 + len > most)
		return -EMSGSIZE;
	if (tx->mtu && !tx->gso_size && l3 + l4 + len > tx->mtu)
		return -EMSGSIZE;
	return 0;
}

static struct dgram_tx *tx_of(struct chunk *c)
{
	return (struct dgram_tx *)(void *)c->data;
}

static uint8_t *bytes_of(struct chunk *c)
{
	return c->data + sizeof(struct dgram_tx);
}

static void lend(struct span *sp, uint8_t *p, size_t len, struct chunk *c)
{
	sp->v[0] = (struct iovec){.iov_base = p, .iov_len = len};
	sp->num_v = 1;
	sp->pin = (uintptr_t)c;
}

/* The next piece of a corked datagram: behind what is there. */
static int lend_corked(struct ep *e, size_t want, struct span *sp)
{
	struct dgram_cork *k = e->cork;

	if (k->is_lent)
		return -EAGAIN;
	if (check_size(e, tx_of(k->c), k->len + want))
		return -EMSGSIZE;
	k->is_lent = true;
	lend(sp, bytes_of(k->c) + k->len, want, k->c);
	return (int)want;
}

static bool is_corking(const struct ep *e, int flags)
{
	return flags & MSG_MORE || ep_opt(e, EP_O_UDP_CORK);
}

static int lend_new(struct ep *e, const struct dgram_tx *tx, size_t want,
		    int flags, struct span *sp)
{
	struct arena *a = core_of(e)->arena;
	size_t room = is_corking(e, flags) ? UDP_MAX6 : want;
	struct chunk *c = chunk_new(a, (uint32_t)(sizeof(*tx) + room));

	if (!c)
		return -ENOBUFS;
	*tx_of(c) = *tx;
	tx_of(c)->charge = c->b.size;
	tx_of(c)->room = (uint32_t)want;
	if (is_corking(e, flags)) {
		struct dgram_cork *k = arena_zalloc(a, sizeof(*k));

		if (!k) {
			buf_put(a, &c->b);
			return -ENOBUFS;
		}
		k->c = c;
		k->is_lent = true;
		__atomic_store_n(&e->cork, k, __ATOMIC_RELEASE);
	}
	charge_tx(e, c->b.size);
	lend(sp, bytes_of(c), want, c);
	return (int)want;
}

/* ip_local_error() of Linux knows the port of connect(2) only. */
static uint16_t local_error_port(const struct ep *e, const struct dgram_tx *tx)
{
	if (ip_addr_is4(&tx->dst))
		return e->is_connected ? e->rport : 0;
	return tx->dport;
}

/* Tells who wants to know, in both ways: IP_RECVERR, IPV6_RECVPATHMTU. */
static void too_long(struct ep *e, const struct dgram_to *to,
		     const struct dgram_tx *tx, nsec now)
{
	uint32_t mtu = ip_mtu(e->tp->ip, &tx->dst, now);

	if (tx->frag_size)
		mtu = MIN(mtu, tx->frag_size);
	if (is_unfragmented6(e, to, &tx->dst) && ep_opt(e, EP_O_RECVPATHMTU6)) {
		e->rx_mtu = mtu;
		e->rx_mtu_dst = tx->dst;
	}
	errq_local(e, EMSGSIZE, &tx->dst, local_error_port(e, tx), mtu);
}

static bool is_to4(const struct ep *e, const struct dgram_to *to)
{
	return ip_addr_is4(to->has_dst ? &to->dst : &e->raddr);
}

int dgram_send_begin(struct ep *e, size_t want, int flags,
		     const struct dgram_to *to, struct span *sp, nsec now)
{
	struct dgram_tx tx;
	int err;

	*sp = (struct span){0};
	if (!dgram_autobind(e))
		return -EAGAIN;
	if (want > 0xffff && is_to4(e, to)) /* IPv6 leaves a note, below */
		return -EMSGSIZE;
	if (flags & MSG_OOB && e->kind == EP_UDP && is_to4(e, to))
		return -EOPNOTSUPP;
	if (e->cork)
		return lend_corked(e, want, sp);
	err = prepare(e, to, &tx, now);
	if (!err)
		err = check_size(e, &tx, want);
	if (err == -EMSGSIZE)
		too_long(e, to, &tx, now);
	if (err)
		return err;
	/* without a header of its own a raw packet is one more piece in
	 * ip_append_data(), and pieces are not asked */
	if (e->err && (e->kind != EP_RAW || raw_has_header(e))) {
		err = -e->err;
		e->err = 0;
		update(e, false);
		return err;
	}
	if (e->shut & EP_SHUT_WR && (e->kind != EP_RAW || raw_has_header(e)))
		return -EPIPE;
	if (e->tx_mem >= e->sndbuf)
		return -EAGAIN;
	return lend_new(e, &tx, want, flags, sp);
}

/* sk_mc_loop() of Linux; broadcast always is. */
static bool is_looped(const struct ep *e, const struct ip_addr *dst)
{
	return !ip_addr_is_multicast(dst) ||
	       ep_opt(e, e->family == AF_INET ? EP_O_MCAST_LOOP
					      : EP_O_MCAST_LOOP6);
}

/* The @len bytes in @c, under the header of @e's kind, in @p and down. */
static int give_to_ip(struct ep *e, struct chunk *c, uint32_t len,
		      struct pkt *p, nsec now)
{
	const struct dgram_tx *tx = tx_of(c);
	bool is4 = ip_addr_is4(&tx->dst);
	uint32_t one = tx->gso_size ? MIN(len, tx->gso_size) : len;
	uint32_t l3 = is4 ? 20u + e->num_ip_options : 40;
	uint32_t total = one + l3 + (e->kind == EP_UDP ? 8 : 0);
	uint32_t mtu;
	int err = 0;
	struct ip_tx ip = {
		.src = tx->src,
		.dst = tx->dst,
		.flow = tx->flow,
		.mtu = (uint16_t)tx->frag_size,
		.proto = tx->proto,
		.ttl = (uint8_t)MAX(tx->ttl, 0),
		.tos = tx->tos,
		.dont_fragment_local = tx->is_probe,
		.df_always = tx->df_always,
		.loop = is_looped(e, &tx->dst),
		.host_only = tx->ttl == 0 && ip_addr_is_multicast(&tx->dst),
		.oif = tx->oif,
		.opts = e->ip_options,
		.num_opts = is4 ? e->num_ip_options : 0,
	};

	/* IP_PMTUDISC_WANT: DF on what fits, the rest is fragmented */
	mtu = tx->mtu ? tx->mtu : ip_mtu(e->tp->ip, &tx->dst, now);
	if (tx->frag_size)
		mtu = MIN(mtu, tx->frag_size);
	ip.df = tx->df && total <= mtu;
	if (e->kind == EP_RAW)
		return raw_send(e, tx, &ip, c, bytes_of(c), len, p, now);
	if (e->kind == EP_PING)
		err = ping_finish(e, tx, bytes_of(c), len);
	if (!err && len)
		err = pkt_add(p, &c->b, bytes_of(c), len);
	if (!err && e->kind == EP_UDP)
		err = udp_put_header(e, p, tx, len, now);
	if (err) {
		pkt_free(core_of(e)->arena, p);
		return err;
	}
	return ip_out(e->tp->ip, p, &ip, now);
}

static void count_sent(struct ep *e, bool sent)
{
	if (e->kind == EP_UDP)
		stat_inc(core_of(e),
			 sent ? STAT_UdpOutDatagrams : STAT_UdpSndbufErrors);
}

/* The datagram of @len bytes in @c goes down; takes @c. */
static int send_chunk(struct ep *e, struct chunk *c, uint32_t len, nsec now)
{
	struct core *core = core_of(e);
	uint32_t charge = tx_of(c)->charge;
	struct pkt *p = pkt_new(core->arena);
	int err = -ENOBUFS;

	if (p) {
		p->cookie = ep_id(e);
		p->charge = charge;
		p->stamp = tx_of(c)->stamp;
		p->stamp_id = tx_of(c)->stamp_id;
		err = give_to_ip(e, c, len, p, now);
	}
	buf_put(core->arena, &c->b);
	if (!err) {
		count_sent(e, true);
		return (int)len;
	}
	dgram_tx_done(e, charge);
	if (err != -ENOBUFS)
		return err;
	count_sent(e, false);
	return ep_opt(e, EP_O_RECVERR) ? err : (int)len;
}

int dgram_push(struct ep *e, nsec now)
{
	struct dgram_cork *k = e->cork;
	int res;

	if (!k || k->is_lent)
		return 0;
	__atomic_store_n(&e->cork, NULL, __ATOMIC_RELEASE);
	res = send_chunk(e, k->c, k->len, now);
	arena_free(core_of(e)->arena, k);
	return MIN(res, 0);
}

static void cork_drop(struct ep *e)
{
	struct dgram_cork *k = e->cork;

	e->cork = NULL;
	dgram_tx_done(e, tx_of(k->c)->charge);
	buf_put(core_of(e)->arena, &k->c->b);
	arena_free(core_of(e)->arena, k);
}

static int commit_corked(struct ep *e, ssize_t len, int flags, nsec now)
{
	struct dgram_cork *k = e->cork;
	int err = 0;

	k->is_lent = false;
	if (len > 0)
		k->len += (uint32_t)len;
	if (len < 0 && !k->len)
		cork_drop(e);
	else if (!is_corking(e, flags))
		err = dgram_push(e, now);
	if (err)
		return err;
	return (int)MAX(len, 0);
}

int dgram_send_commit(struct ep *e, struct span *sp, ssize_t len, int flags,
		      nsec now)
{
	struct chunk *c = (struct chunk *)(uintptr_t)sp->pin;

	sp->pin = 0;
	if (!c)
		return 0;
	if (e->cork && e->cork->c == c)
		return commit_corked(e, len, flags, now);
	if (len >= 0) {
		ASSERT((uint32_t)len <= tx_of(c)->room);
		return send_chunk(e, c, (uint32_t)len, now);
	}
	dgram_tx_done(e, tx_of(c)->charge);
	buf_put(core_of(e)->arena, &c->b);
	return 0;
}
