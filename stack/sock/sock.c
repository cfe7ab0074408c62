/* SPDX-License-Identifier: MIT
 *
 * sock.c - what an fd names: the calls of socket(2) and its relatives
 *
 * Here sockaddrs become addresses, with the errors and in the order in which
 * Linux finds them (net/ipv4/af_inet.c, net/ipv6/af_inet6.c, datagram.c);
 * from here down there is one address type and no family. No call waits.
 *
 * A begin holds a reference on its endpoint until the commit, so that a close
 * in between pulls nothing from under the one who copies.
 */
#include "sock/sock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#define SIN6_LEN_RFC2133                                     \
	24 /* without sin6_scope_id, which Linux still takes \
	    */

struct ep *sock_see(struct stack *st, sockid s)
{
	struct ep *e = ep_find(&st->tp, s);

	return e && !e->is_closed ? e : NULL;
}

struct ep *sock_find(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);

	if (e)
		transport_note(&st->tp, e);
	return e;
}

int sock_take_error(struct ep *e)
{
	int err = e->err ? e->err : e->err_soft;

	e->err = 0;
	e->err_soft = 0;
	ep_ready(e, sock_bits(e), false, false);
	return err;
}

/* --- addresses --- */

struct target {
	struct ip_addr a;
	uint16_t port;
	uint32_t scope, flowinfo;
	int family; /* as written in the sockaddr */
};

static int parse4(const struct sockaddr *sa, socklen_t len, struct target *t)
{
	struct sockaddr_in in;

	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, sa, sizeof(in));
	*t = (struct target){
		.a = ip_addr_v4(&in.sin_addr),
		.port = get_be16(&in.sin_port),
		.family = in.sin_family,
	};
	return 0;
}

static int parse6(const struct sockaddr *sa, socklen_t len, struct target *t)
{
	struct sockaddr_in6 in = {0};

	if (len < SIN6_LEN_RFC2133)
		return -EINVAL;
	memcpy(&in, sa, MIN(len, sizeof(in)));
	*t = (struct target){
		.a = ip_addr_v6(&in.sin6_addr),
		.port = get_be16(&in.sin6_port),
		.scope = in.sin6_scope_id,
		.flowinfo = get_be32(&in.sin6_flowinfo) & 0xfffff,
		.family = in.sin6_family,
	};
	return 0;
}

static int parse(const struct ep *e, const struct sockaddr *sa, socklen_t len,
		 struct target *t)
{
	return e->family == AF_INET ? parse4(sa, len, t) : parse6(sa, len, t);
}

/* RFC 4007 6: __ipv6_addr_needs_scope_id() of Linux. */
static bool needs_scope(const struct ip_addr *a)
{
	if (ip_addr_is4(a))
		return false;
	return ip_addr_is_linklocal(a) ||
	       (ip_addr_is_multicast(a) &&
		((a->b[1] & 0xf) == 1 || (a->b[1] & 0xf) == 2));
}

void sock_put_addr(const struct ep *e, const struct ip_addr *a, uint16_t port,
		   struct sockaddr_storage *ss, socklen_t *len)
{
	memset(ss, 0, sizeof(*ss));
	if (e->family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		put_be16(&in.sin_port, port);
		memcpy(&in.sin_addr, a->b + 12, 4);
		memcpy(ss, &in, sizeof(in));
		*len = sizeof(in);
	} else {
		struct sockaddr_in6 in = {.sin6_family = AF_INET6};

		put_be16(&in.sin6_port, port);
		memcpy(&in.sin6_addr, a->b, 16);
		if (needs_scope(a))
			in.sin6_scope_id = e->dev_if ? e->dev_if : IP_IF_DEV;
		memcpy(ss, &in, sizeof(in));
		*len = sizeof(in);
	}
}

/* An address of one link says by which interface, or the socket does. */
static int take_scope(struct ep *e, const struct target *t)
{
	if (!needs_scope(&t->a))
		return 0;
	if (t->scope > IP_IF_DEV)
		return -ENODEV;
	if (t->scope)
		e->dev_if = t->scope;
	else if (!e->dev_if && ip_addr_is_multicast(&t->a))
		e->dev_if = e->mc_if6;
	return e->dev_if ? 0 : -EINVAL;
}

static struct ip_addr any_of(const struct ep *e)
{
	static const uint8_t zero[16];

	return e->family == AF_INET ? ip_addr_v4(zero) : ip_addr_v6(zero);
}

/* --- making and closing --- */

/* inetsw_array of Linux: which kind of socket that is, or an error. */
static int kind_of(int family, int type, int proto)
{
	switch (type) {
	case SOCK_STREAM:
		return !proto || proto == IPPROTO_TCP ? EP_TCP
						      : -EPROTONOSUPPORT;
	case SOCK_DGRAM:
		if (!proto || proto == IPPROTO_UDP)
			return EP_UDP;
		if (proto ==
		    (family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			return EP_PING;
		return -EPROTONOSUPPORT;
	case SOCK_RAW: /* any protocol, but one it must be */
		return proto && proto <= UINT8_MAX ? EP_RAW : -EPROTONOSUPPORT;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

int sock_new(struct stack *st, int family, int type, int proto, sockid *out,
	     nsec now)
{
	struct ep *e;
	int kind, err;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (proto < 0 || proto >= IPPROTO_MAX)
		return -EINVAL;
	kind = kind_of(family, type, proto);
	if (kind < 0)
		return kind;
	e = ep_new(&st->tp, (enum ep_kind)kind, family, now);
	if (!e)
		return -ENOBUFS;
	e->type = (uint8_t)type;
	if (proto)
		e->proto = (uint8_t)proto;
	err = kind == EP_TCP ? tcp_ep_init(e) : 0;
	if (kind == EP_RAW)
		raw_ep_init(e);
	/* INET_PROTOSW_REUSE of Linux */
	ep_opt_set(e, EP_O_REUSEADDR, kind == EP_RAW || kind == EP_PING);
	if (err) {
		ep_put(e);
		return err;
	}
	e->bits = sock_bits(e);
	*out = ep_id(e);
	return 0;
}

void sock_close(struct stack *st, sockid s, nsec now)
{
	struct ep *e = sock_find(st, s);

	if (!e)
		return;
	e->is_closed = true;
	ep_sub_del_all(e);
	ep_set_tag(e, 0);
	if (e->kind == EP_TCP)
		tcp_close(e, now);
	else
		dgram_close(e, now);
	ep_put(e);
}

/* --- bind --- */

/* May a socket be bound to @a? inet_addr_valid_or_nonlocal() of Linux. */
static bool can_bind_to(struct stack *st, const struct ep *e,
			const struct ip_addr *a)
{
	if (ip_addr_is_any(a) || ep_opt(e, EP_O_FREEBIND) ||
	    ep_opt(e, EP_O_TRANSPARENT))
		return true;
	return ip_scope(&st->ip, a) != IP_SCOPE_NONE;
}

static int check_bind4(const struct target *t)
{
	/* a v4 socket takes AF_UNSPEC for INADDR_ANY: old programs do that */
	if (t->family == AF_INET ||
	    (t->family == AF_UNSPEC && ip_addr_is_any(&t->a)))
		return 0;
	return -EAFNOSUPPORT;
}

static int check_bind6(struct ep *e, const struct target *t)
{
	if (t->family != AF_INET6)
		return -EAFNOSUPPORT;
	if (ip_addr_is4(&t->a) && e->kind == EP_RAW)
		return -EADDRNOTAVAIL;
	if (ip_addr_is4(&t->a))
		return ep_opt(e, EP_O_V6ONLY) ? -EINVAL : 0;
	if (ip_addr_is_multicast(&t->a) && e->kind == EP_TCP)
		return -EINVAL;
	return take_scope(e, t);
}

/* Bound or in use: bind(2) comes too late. */
static bool has_place(const struct ep *e)
{
	if (e->kind == EP_TCP)
		return e->is_bound || tcp_state(e) != TCP_CLOSE;
	return e->is_bound || e->is_connected;
}

/* raw_bind() and rawv6_bind(): as often as one likes, until it connects; it is
 * an address to hear on, and to send from unless it is a group's. */
static int bind_raw(struct stack *st, struct ep *e, const struct target *t)
{
	bool is6 = e->family == AF_INET6;
	int err;

	if ((is6 && t->family != AF_INET6) || e->is_connected)
		return -EINVAL;
	if (is6 && ip_addr_is4(&t->a))
		return -EADDRNOTAVAIL;
	err = take_scope(e, t);
	if (err)
		return err;
	if (!can_bind_to(st, e, &t->a))
		return -EADDRNOTAVAIL;
	e->laddr = t->a; /* until it disconnects: EP_O_BOUND_ADDR is not set */
	return 0;
}

/* ping_bind() of Linux: neither a group nor all. */
static int check_bind_ping(struct stack *st, const struct ep *e,
			   const struct target *t)
{
	enum ip_scope scope = ip_scope(&st->ip, &t->a);

	if (ip_addr_is_any(&t->a))
		return 0;
	if (scope == IP_SCOPE_MCAST || scope == IP_SCOPE_BCAST)
		return e->family == AF_INET ? -EADDRNOTAVAIL : -EINVAL;
	return e->family == AF_INET6 && ip_addr_is4(&t->a) ? -EINVAL : 0;
}

int sock_bind(struct stack *st, sockid s, const struct sockaddr *sa,
	      socklen_t len, nsec now)
{
	struct ep *e = sock_find(st, s);
	struct target t;
	int err;

	if (!e)
		return -EBADF;
	err = parse(e, sa, len, &t);
	if (!err && e->kind == EP_RAW)
		return bind_raw(st, e, &t);
	if (!err)
		err = e->family == AF_INET ? check_bind4(&t)
					   : check_bind6(e, &t);
	if (!err && e->kind == EP_PING)
		err = check_bind_ping(st, e, &t);
	if (err)
		return err;
	/* Linux asks IPv6 sockets for their state first, IPv4 ones last */
	if (e->family == AF_INET6 && has_place(e))
		return -EINVAL;
	if (!can_bind_to(st, e, &t.a))
		return -EADDRNOTAVAIL;
	if (has_place(e))
		return -EINVAL;
	if (!t.port && ep_opt(e, EP_O_BIND_NO_PORT))
		e->laddr = t.a;
	else
		err = port_bind(e, &t.a, t.port);
	if (err)
		return err;
	/* bound to an address of IPv6, it cannot be reached by another */
	if (!ip_addr_is4(&t.a) && !ip_addr_is_any(&t.a))
		ep_opt_set(e, EP_O_V6ONLY, true);
	ep_opt_set(e, EP_O_BOUND_ADDR, !ip_addr_is_any(&t.a));
	ep_opt_set(e, EP_O_BOUND_PORT, t.port != 0);
	/* __inet6_bind() of Linux: an address of one family is of that one */
	if (!ip_addr_is4(&t.a) && !ip_addr_is_any(&t.a))
		ep_opt_set(e, EP_O_V6ONLY, true);
	return 0;
}

/* --- connect --- */

/* What both transports refuse in an address to send to. */
static int check_target(const struct ep *e, const struct target *t)
{
	if (ip_addr_is4(&t->a) && e->family == AF_INET6 &&
	    ep_opt(e, EP_O_V6ONLY))
		return -ENETUNREACH;
	return 0;
}

/* To no address: this host. A socket bound to a v4-mapped address means v4. */
static void resolve_any(const struct ep *e, struct ip_addr *a)
{
	static const uint8_t lo4[4] = {127, 0, 0, 1};

	if (!ip_addr_is_any(a))
		return;
	if (e->family == AF_INET && !ip_addr_is_any(&e->laddr))
		*a = e->laddr;
	else if (ip_addr_is4(a) || ip_addr_is4(&e->laddr))
		*a = ip_addr_v4(lo4);
	else
		*a = (struct ip_addr){.b[15] = 1};
}

/* Undoes what connect chose; what bind(2) fixed stays (__inet_unhash()). */
static void forget_peer(struct ep *e)
{
	e->phase = EP_UNCONNECTED;
	e->is_connected = false;
	e->raddr = any_of(e);
	e->rport = 0;
	if (!ep_opt(e, EP_O_BOUND_ADDR))
		e->laddr = any_of(e);
	if (!ep_opt(e, EP_O_BOUND_PORT)) {
		port_release(e);
		e->lport = 0;
	}
}

static int disconnect(struct ep *e, nsec now)
{
	if (dgram_is(e)) {
		dgram_disconnect(e);
		return 0;
	}
	tcp_disconnect(e, now);
	e->shut = 0;
	forget_peer(e);
	ep_ready(e, tcp_poll(e), true, true); /* an event, as in Linux */
	return 0;
}

/* A connect(2) is under way, or was: its outcome is told once. */
static int connect_again(struct ep *e, nsec now)
{
	int err;

	switch (tcp_state(e)) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EALREADY;
	case TCP_CLOSE:
		err = sock_take_error(e);
		disconnect(e, now);
		return err ? -err : -ECONNABORTED;
	default:
		e->phase = EP_CONNECTED;
		return 0;
	}
}

static int choose_local(struct stack *st, struct ep *e, const struct ip_addr *a)
{
	const struct ip_route *r;
	enum ip_scope scope = ip_scope(&st->ip, a);

	if (scope == IP_SCOPE_BCAST || scope == IP_SCOPE_MCAST)
		return -ENETUNREACH;
	if (e->dev_if > IP_IF_DEV && ip_addr_is4(a))
		return -ENODEV;
	r = ip_route_via(&st->ip, a, e->dev_if);
	if (!r) {
		stat_inc(&st->core, ip_addr_is4(a) ? STAT_IpOutNoRoutes
						   : STAT_Ip6OutNoRoutes);
		return -ENETUNREACH;
	}
	if (ep_opt(e, EP_O_DONTROUTE) && ip_addr_is4(a) &&
	    !ip_addr_is_any(&r->gw))
		return -ENETUNREACH;
	if (ip_addr_is_any(&e->laddr))
		return ip_source_via(&st->ip, a, e->dev_if, &e->laddr);
	return ip_addr_is4(&e->laddr) == ip_addr_is4(a) ? 0 : -EINVAL;
}

static int connect_tcp(struct stack *st, struct ep *e, struct target *t,
		       nsec now)
{
	int err;

	resolve_any(e, &t->a);
	err = choose_local(st, e, &t->a);
	if (err)
		return err;
	e->raddr = t->a;
	e->rport = t->port;
	if (!e->is_bound)
		err = port_bind_connect(e, now);
	if (!err)
		err = tcp_connect(e, now);
	if (err == -EINPROGRESS)
		e->phase = EP_CONNECTING;
	else if (err)
		forget_peer(e);
	else
		e->phase = EP_CONNECTED;
	return err;
}

static int connect_parsed(struct stack *st, struct ep *e, struct target *t,
			  nsec now)
{
	int err;

	if (t->family != e->family) {
		/* udp6 hands an AF_INET name to udp4; tcp6 does not */
		return -EAFNOSUPPORT;
	}
	err = check_target(e, t);
	if (!err)
		err = take_scope(e, t);
	if (err)
		return err == -ENODEV ? -EINVAL : err;
	if (e->kind == EP_TCP)
		return connect_tcp(st, e, t, now);
	resolve_any(e, &t->a);
	return dgram_connect(e, &t->a, t->port);
}

int sock_connect(struct stack *st, sockid s, const struct sockaddr *sa,
		 socklen_t len, nsec now)
{
	struct ep *e = sock_find(st, s);
	sa_family_t family;
	struct target t;
	int err;

	if (!e)
		return -EBADF;
	if (len < sizeof(family))
		return -EINVAL;
	memcpy(&family, sa, sizeof(family));
	if (family == AF_UNSPEC)
		return disconnect(e, now);
	/* even if nothing comes of it: inet_dgram_connect() of Linux */
	if (dgram_is(e) && !dgram_autobind(e))
		return -EAGAIN;
	if (e->phase == EP_CONNECTED) {
		/* a deferred one whose SYN went with the first bytes */
		if (e->kind == EP_TCP && tcp_state(e) == TCP_SYN_SENT &&
		    !tcp_is_waiting(e))
			return -EALREADY;
		return -EISCONN;
	}
	if (e->phase == EP_DISCONNECTING)
		return -EINVAL;
	if (e->phase == EP_CONNECTING)
		return connect_again(e, now);
	if (e->kind == EP_TCP && tcp_state(e) != TCP_CLOSE)
		return -EISCONN;
	if (e->kind != EP_UDP && dgram_is(e) && e->family == AF_INET6 &&
	    family != AF_INET6)
		return -EAFNOSUPPORT; /* ip6_datagram_connect_v6_only() */
	if (e->kind == EP_UDP && family == AF_INET && e->family == AF_INET6) {
		if (ep_opt(e, EP_O_V6ONLY))
			return -EAFNOSUPPORT;
		err = parse4(sa, len, &t);
		t.family = AF_INET6;
	} else {
		err = parse(e, sa, len, &t);
	}
	return err ? err : connect_parsed(st, e, &t, now);
}

/* --- listen, accept, shutdown, names --- */

int sock_listen(struct stack *st, sockid s, int backlog, nsec now)
{
	struct ep *e = sock_find(st, s);
	unsigned max = (unsigned)st->sysctl.somaxconn;
	int err = 0;
	uint8_t state;

	if (!e)
		return -EBADF;
	if (e->kind != EP_TCP)
		return -EOPNOTSUPP;
	state = tcp_state(e);
	if (e->phase != EP_UNCONNECTED ||
	    (state != TCP_CLOSE && state != TCP_LISTEN))
		return -EINVAL;
	if ((unsigned)backlog > max)
		backlog = (int)max;
	if (state == TCP_CLOSE) {
		if (e->is_bound)
			err = port_listen_check(e);
		else
			err = port_bind(e, &e->laddr, 0);
	}
	return err ? err : tcp_listen(e, backlog, now);
}

int sock_accept(struct stack *st, sockid s, sockid *out, nsec now)
{
	struct ep *e = sock_find(st, s), *child;
	int err = 0;

	if (!e)
		return -EBADF;
	if (e->kind != EP_TCP)
		return -EOPNOTSUPP;
	child = tcp_accept(e, &err, now);
	if (!child)
		return err;
	child->phase = EP_CONNECTED;
	child->party = st->tp.party;
	*out = ep_id(child);
	return 0;
}

int sock_shutdown(struct stack *st, sockid s, int how, nsec now)
{
	struct ep *e = sock_find(st, s);
	uint8_t state;
	int err;

	if (!e)
		return -EBADF;
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (dgram_is(e))
		return dgram_shutdown(e, how);
	state = tcp_state(e);
	if (e->phase == EP_CONNECTING) /* inet_shutdown() of Linux */
		e->phase = state == TCP_SYN_SENT || state == TCP_CLOSE
				   ? EP_DISCONNECTING
				   : EP_CONNECTED;
	err = tcp_shutdown(e, how, now);
	if (state == TCP_SYN_SENT)
		e->phase = EP_UNCONNECTED;
	return err;
}

static bool has_peer(const struct ep *e)
{
	if (!e->rport)
		return false;
	if (dgram_is(e))
		return e->is_connected;
	switch (tcp_state(e)) {
	case TCP_CLOSE:
	case TCP_SYN_SENT:
	case TCP_LISTEN:
		return false;
	default:
		return true;
	}
}

int sock_name(struct stack *st, sockid s, bool peer,
	      struct sockaddr_storage *sa, socklen_t *len)
{
	struct ep *e = sock_see(st, s);

	if (!e)
		return -EBADF;
	if (peer && !has_peer(e))
		return -ENOTCONN;
	if (peer)
		sock_put_addr(e, &e->raddr, e->rport, sa, len);
	else
		sock_put_addr(e, &e->laddr, e->lport, sa, len);
	return 0;
}

void sock_accepted(struct stack *st, sockid s, struct sockaddr_storage *sa,
		   socklen_t *len)
{
	struct ep *e = sock_see(st, s);

	ASSERT(e);
	sock_put_addr(e, &e->raddr, e->rport, sa, len);
}

/* --- names of datagrams --- */

/* The port of a raw socket's peer is a protocol: rawv6_sendmsg() of Linux. */
static int raw6_proto(const struct ep *e, uint16_t port, uint8_t *proto)
{
	if (port && port != e->proto && e->proto != IPPROTO_RAW)
		return -EINVAL;
	if (port > UINT8_MAX)
		return -EINVAL;
	*proto = (uint8_t)port;
	return 0;
}

/* The name a datagram is sent to; udpv6_sendmsg() also takes an AF_INET one,
 * and AF_UNSPEC as none at all. */
int sock_parse_name(const struct ep *e, const struct sock_msg *m,
		    struct dgram_to *to)
{
	const struct sockaddr *sa = (const struct sockaddr *)&m->name;
	bool is6 = e->family == AF_INET6;
	struct target t;
	int err;

	if (is6 && m->name_len < sizeof(sa->sa_family))
		return -EINVAL;
	if (is6 && sa->sa_family == AF_UNSPEC)
		return e->kind == EP_UDP ? 0 : -EINVAL;
	if (e->kind == EP_RAW && is6 && m->name_len < SIN6_LEN_RFC2133)
		return -EINVAL;
	if (is6 && e->kind != EP_UDP && sa->sa_family != AF_INET6)
		return e->kind == EP_RAW ? -EAFNOSUPPORT : -EINVAL;
	if (is6 && sa->sa_family == AF_INET)
		err = parse4(sa, m->name_len, &t);
	else if (is6 && sa->sa_family != AF_INET6)
		return -EINVAL;
	else
		err = parse(e, sa, m->name_len, &t);
	if (err)
		return err;
	if (!is6 && t.family != AF_INET && t.family != AF_UNSPEC)
		return -EAFNOSUPPORT;
	if (e->kind == EP_RAW && is6)
		err = raw6_proto(e, t.port, &to->proto);
	else if (t.port || ip_addr_is4(&t.a))
		err = check_target(e, &t);
	if (err)
		return err;
	if (e->kind != EP_UDP && is6 && ip_addr_is4(&t.a))
		return -ENETUNREACH;
	if (needs_scope(&t.a) && t.scope)
		to->ifindex = t.scope;
	if (ep_opt(e, EP_O_FLOWINFO_SEND6))
		to->flow = t.flowinfo;
	to->dst = t.a;
	to->dport = t.port;
	to->has_dst = true;
	return 0;
}

/* --- the rest --- */

int sock_ioctl(struct stack *st, sockid s, unsigned long req, int *val)
{
	struct ep *e = sock_see(st, s);
	int res;

	if (!e)
		return -EBADF;
	res = e->kind == EP_TCP ? tcp_ioctl(e, req) : dgram_ioctl(e, req);
	if (res < 0)
		return res;
	*val = res;
	return 0;
}

int sock_stamp(struct stack *st, sockid s, nsec *at, nsec now)
{
	struct ep *e = sock_see(st, s);

	if (!e)
		return -EBADF;
	e->stamp_wanted = true;
	if (e->stamp_at == EP_STAMP_NONE)
		return -ENOENT;
	if (e->stamp_at == EP_STAMP_UNKNOWN)
		e->stamp_at = now;
	*at = e->stamp_at;
	return 0;
}

int sock_facts(struct stack *st, sockid s, struct sock_facts *out)
{
	struct ep *e = sock_see(st, s);

	if (!e)
		return -EBADF;
	*out = (struct sock_facts){
		.family = e->family,
		.type = e->type,
		.proto = e->proto,
		.rcvtimeo = e->rcvtimeo,
		.sndtimeo = e->sndtimeo,
		.linger = ep_opt(e, EP_O_LINGER) ? e->linger : -1,
		.rcvlowat = e->rcvlowat,
		.listening = e->listen != NULL,
		.shared = e->is_shared,
		.state = e->kind == EP_TCP ? tcp_state(e) : 0,
	};
	if (e->kind == EP_TCP)
		tcp_positions(e, &out->written, &out->read);
	return 0;
}
