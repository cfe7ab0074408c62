/* SPDX-License-Identifier: MIT
 *
 * msg.c - begin and commit: what send(2), recv(2) and their relatives move
 *
 * A begin holds a reference on its endpoint until the commit, so that a close
 * in between pulls nothing from under the one who copies.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "sock/cmsg.h"
#include "transport/loan.h"

static bool is_lent(const struct span *sp)
{
	return sp->pin || sp->num_v;
}

/* --- sending --- */

/* What there is to say before control data say more. */
static struct dgram_to to_default(const struct ep *e)
{
	return (struct dgram_to){
		.ttl = -1,
		.tos = -1,
		.dontfrag = -1,
		.gso_size = e->gso_size,
		.stamp = e->tsflags,
	};
}

static int dgram_begin(struct ep *e, size_t want, int flags,
		       const struct sock_msg *m, struct span *sp, nsec now)
{
	struct dgram_to to = to_default(e);
	int err = 0;

	to.on_link = flags & MSG_DONTROUTE;
	if (e->kind == EP_UDP && !e->is_bound && port_bind(e, &e->laddr, 0))
		return -EAGAIN; /* inet_send_prepare(): before all else */
	if (want > 0xffff && e->family == AF_INET)
		return -EMSGSIZE;
	/* udp_sendmsg(), raw_sendmsg() and rawv6_sendmsg() of Linux, in the
	 * name of BSD; udpv6_sendmsg() looks only where it sends over IPv4 */
	if (flags & MSG_OOB && (e->family == AF_INET || e->kind != EP_UDP))
		return -EOPNOTSUPP;
	if (m && m->name_len)
		err = sock_parse_name(e, m, &to);
	if (!err && !to.has_dst && !e->is_connected && !e->cork)
		err = -EDESTADDRREQ; /* before control data have a say */
	if (!err && flags & MSG_OOB && e->kind == EP_UDP &&
	    ip_addr_is4(to.has_dst ? &to.dst : &e->raddr))
		err = -EOPNOTSUPP;
	if (!err && m && m->ctl && m->ctl->len)
		err = cmsg_get_dgram(e, m->ctl, &to);
	return err ? err : dgram_send_begin(e, want, flags, &to, sp, now);
}

/* Nothing to send is still a question: may this socket send at all? */
static int tcp_send_nothing(struct ep *e, int flags, struct span *sp, nsec now)
{
	int res = tcp_send_begin(e, 1, flags, sp, now);

	if (res > 0)
		tcp_send_commit(e, sp, 0, flags, now);
	*sp = (struct span){0};
	return res == -EAGAIN ? 0 : MIN(res, 0);
}

/* tcp_sendmsg_fastopen() of Linux: connects, in a way that the data may go
 * along. 0: send now; -EINPROGRESS: when connected. */
static int fastopen_begin(struct stack *st, struct ep *e, size_t want,
			  const struct sock_msg *m, nsec now)
{
	sa_family_t family = AF_UNSPEC;
	uint8_t was = e->topt.fastopen_connect;
	int res;

	if (m && m->name_len >= sizeof(family))
		memcpy(&family, &m->name, sizeof(family));
	if (!(st->sysctl.tcp_fastopen & 1) || /* TFO_CLIENT_ENABLE */
	    (m && m->name_len && family == AF_UNSPEC))
		return -EOPNOTSUPP;
	if (e->tcp && tcp_state(e) == TCP_SYN_SENT && !tcp_is_waiting(e))
		return -EALREADY;
	if (e->tcp && tcp_state(e) != TCP_CLOSE)
		return 0;
	if (!m || !m->name_len)
		return -EDESTADDRREQ;
	e->topt.fastopen_connect = 1;
	res = sock_connect(st, ep_id(e), (const struct sockaddr *)&m->name,
			   m->name_len, now);
	e->topt.fastopen_connect = was;
	if (!res && !want && e->tcp && tcp_open_now(e, now))
		return -EINPROGRESS;
	return res;
}

static int stream_begin(struct stack *st, struct ep *e, size_t want, int flags,
			const struct sock_msg *m, struct span *sp, nsec now)
{
	struct dgram_to to = to_default(e);
	int res;

	if (flags & MSG_FASTOPEN && !(flags & SOCK_GOES_ON)) {
		res = fastopen_begin(st, e, want, m, now);
		if (res)
			return res;
	}
	if (want == 0 && tcp_open_now(e, now))
		return -EINPROGRESS;
	if (m && m->ctl && m->ctl->len) {
		res = tcp_send_nothing(e, flags, sp, now);
		if (res)
			return res;
		res = cmsg_get_stream(e, m->ctl, &to);
		if (res)
			return res;
	}
	if (want == 0)
		return tcp_send_nothing(e, flags, sp, now);
	res = tcp_send_begin(e, want, flags, sp, now);
	if (res > 0) {
		sp->stamp = to.stamp;
		sp->is_last = (size_t)res == want;
	}
	return res;
}

/* @l, taken before, is for what @sp lends now, or for nothing. */
static int lend(struct ep *e, struct loan *l, int res, enum loan_kind kind,
		struct span *sp)
{
	if (res >= 0 && is_lent(sp)) {
		loan_set(l, kind, sp->pin);
		sp->loan = (uintptr_t)l;
	} else {
		loan_end(e->tp, l);
		ep_put(e);
	}
	return res;
}

/* For a commit: whose it is. */
static struct ep *take_back(struct stack *st, const struct span *sp)
{
	struct loan *l = (struct loan *)(uintptr_t)sp->loan;
	struct ep *e = l->e;

	ASSERT(l->kind); /* the begin holds a reference */
	transport_note(&st->tp, e);
	loan_end(&st->tp, l);
	return e;
}

int sock_send_begin(struct stack *st, sockid s, size_t want, int flags,
		    const struct sock_msg *m, struct span *sp, nsec now)
{
	struct ep *e = sock_find(st, s);
	struct loan *l;
	int res;

	*sp = (struct span){0};
	if (!e)
		return -EBADF;
	l = loan_new(e, true);
	if (!l)
		return -ENOBUFS;
	if (dgram_is(e))
		res = dgram_begin(e, want, flags, m, sp, now);
	else
		res = stream_begin(st, e, want, flags, m, sp, now);
	return lend(e, l, res, dgram_is(e) ? LOAN_SEND : LOAN_STREAM, sp);
}

/* We copy, so that the bytes are the program's again with the call's return:
 * its note is true at once. */
static void zerocopy_done(struct ep *e, int flags)
{
	if (flags & MSG_ZEROCOPY && ep_opt(e, EP_O_ZEROCOPY))
		errq_zerocopy(e, e->zc_key++);
}

void sock_send_end(struct stack *st, sockid s, int flags)
{
	struct ep *e = sock_find(st, s);

	if (!e || e->kind != EP_TCP)
		return;
	zerocopy_done(e, flags);
	tcp_stamp_end(e, e->tsflags);
}

int sock_send_commit(struct stack *st, sockid s, struct span *sp, size_t len,
		     int flags, nsec now)
{
	struct ep *e;
	int res;

	if (!is_lent(sp))
		return 0;
	e = take_back(st, sp);
	if (dgram_is(e)) {
		/* no byte of many is "give back", of none a datagram */
		bool back = len == 0 && sp->v[0].iov_len > 0;

		res = dgram_send_commit(e, sp, back ? -1 : (ssize_t)len, flags,
					now);
		if (res >= 0 && !back && e->kind == EP_UDP)
			zerocopy_done(e, flags);
	} else {
		bool is_last = sp->is_last && !(flags & SOCK_SKB_FULL);

		res = tcp_send_commit(e, sp, len, flags, now);
		if (res > 0 && is_last)
			zerocopy_done(e, flags);
	}
	*sp = (struct span){0};
	ep_put(e);
	return res;
}

/* --- receiving --- */

static void fill_msg(struct ep *e, const struct dgram_from *f, size_t want,
		     int res, struct sock_msg *m, nsec now)
{
	sock_put_addr(e, &f->src, f->sport, &m->name, &m->name_len);
	/* ping_recvmsg() of Linux does not know MSG_TRUNC */
	m->real_len = e->kind == EP_PING ? (uint32_t)res : f->len;
	if (want < f->len && (size_t)res == want)
		m->flags |= MSG_TRUNC;
	cmsg_put_dgram(e, f, m->ctl, now);
}

static int note_begin(struct ep *e, size_t want, struct sock_msg *m,
		      struct span *sp, nsec now)
{
	struct errq_note *n = errq_take(e);
	uint32_t len;

	if (!n)
		return -EAGAIN;
	len = errq_payload(n, want, sp);
	sp->pin = (uintptr_t)n;
	ep_ready(e, sock_bits(e), !list_empty(&e->errq), false);
	if (!m)
		return (int)len;
	m->flags = MSG_ERRQUEUE;
	m->real_len = len;
	if (n->len > len)
		m->flags |= MSG_TRUNC;
	if (n->has_name)
		sock_put_addr(e, &n->name, n->port, &m->name, &m->name_len);
	cmsg_put_note(e, n, m->ctl, now);
	return (int)len;
}

/* ipv6_recv_rxpmtu(): a message of no bytes. */
static int mtu_recv(struct ep *e, struct sock_msg *m)
{
	struct {
		struct sockaddr_in6 addr;
		uint32_t mtu;
	} info = {.addr.sin6_family = AF_INET6, .mtu = e->rx_mtu};

	e->rx_mtu = 0;
	if (!m)
		return 0;
	memcpy(&info.addr.sin6_addr, e->rx_mtu_dst.b, 16);
	sock_put_addr(e, &e->rx_mtu_dst, 0, &m->name, &m->name_len);
	cmsg_put(m->ctl, IPPROTO_IPV6, IPV6_PATHMTU, &info, sizeof(info));
	return 0;
}

/* What is left; tcp_inq_hint(): where the end has come, one at least. */
static void put_inq(struct ep *e, struct sock_ctl *c)
{
	int inq = MAX(tcp_ioctl(e, FIONREAD), 0);

	if (!inq && e->shut & EP_SHUT_RD)
		inq = 1;
	cmsg_put(c, IPPROTO_TCP, TCP_INQ, &inq, sizeof(inq));
}

static int stream_recv(struct ep *e, size_t want, int flags, struct sock_msg *m,
		       struct span *sp, nsec now)
{
	uint32_t skip = m ? m->skip : 0;
	int res;

	if (flags & MSG_PEEK && e->peek_off > 0)
		skip += (uint32_t)e->peek_off;
	res = tcp_recv_begin(e, want, flags, skip, sp, now);
	if (!m || res < 0)
		return res;
	m->real_len = (uint32_t)res;
	m->lowat = e->rcvlowat;
	if (res > 0 && flags & MSG_OOB)
		m->flags |= MSG_OOB;
	if (!m->ctl)
		return res;
	m->ctl->len = 0;
	if (res > 0 && sp->at)
		cmsg_put_stamps(e, sp->at, false, m->ctl, now);
	if (e->topt.inq)
		put_inq(e, m->ctl);
	return res;
}

static void note_stamp(struct ep *e, nsec at)
{
	if (e->stamp_wanted)
		e->stamp_at = at;
	else if (e->stamp_at == EP_STAMP_NONE)
		e->stamp_at = EP_STAMP_UNKNOWN;
}

/* SO_PEEK_OFF: where the next MSG_PEEK begins, sk_peek_offset_fwd() and
 * _bwd(). */
static void move_peek(struct ep *e, size_t used, int flags)
{
	if (e->peek_off < 0 || dgram_is(e)) /* those did so by themselves */
		return;
	if (flags & MSG_PEEK)
		e->peek_off += (int32_t)used;
	else
		e->peek_off = (int32_t)MAX(e->peek_off - (int64_t)used, 0);
}

int sock_recv_begin(struct stack *st, sockid s, size_t want, int flags,
		    struct sock_msg *m, struct span *sp, nsec now)
{
	struct ep *e = sock_find(st, s);
	enum loan_kind kind = LOAN_STREAM;
	struct dgram_from from;
	struct loan *l;
	int res;

	*sp = (struct span){0};
	if (!e)
		return -EBADF;
	if (m) {
		m->name_len = 0;
		m->flags = 0;
		m->real_len = 0;
	}
	if (m && m->ctl && (dgram_is(e) || flags & MSG_ERRQUEUE))
		m->ctl->len = 0;
	l = loan_new(e, false);
	if (!l)
		return -ENOBUFS;
	if (flags & MSG_ERRQUEUE) {
		kind = LOAN_NOTE;
		res = note_begin(e, want, m, sp, now);
	} else if (e->rx_mtu && ep_opt(e, EP_O_RECVPATHMTU6)) {
		res = mtu_recv(e, m);
	} else if (dgram_is(e)) {
		kind = LOAN_RECV;
		res = dgram_recv_begin(e, want, flags, &from, sp, now);
		if (res >= 0 && is_lent(sp))
			note_stamp(e, from.at);
		if (m && res >= 0 && is_lent(sp))
			fill_msg(e, &from, want, res, m, now);
	} else {
		res = stream_recv(e, want, flags, m, sp, now);
	}
	return lend(e, l, res, kind, sp);
}

int sock_recv_commit(struct stack *st, sockid s, struct span *sp, size_t used,
		     int flags, nsec now)
{
	struct ep *e;
	int res = 0;

	if (!is_lent(sp))
		return 0;
	e = take_back(st, sp);
	if (flags & MSG_ERRQUEUE)
		errq_free(&st->core, (struct errq_note *)(uintptr_t)sp->pin);
	else if (dgram_is(e))
		dgram_recv_commit(e, sp);
	else
		res = tcp_recv_commit(e, sp, used, flags, now);
	if (res >= 0 && !(flags & MSG_ERRQUEUE))
		move_peek(e, used, flags);
	*sp = (struct span){0};
	ep_put(e);
	return res;
}

/* --- whose caller has died --- */

void sock_give_back(struct stack *st, uint16_t party, nsec now)
{
	struct loan *l;

	while ((l = loan_of(&st->tp, party))) {
		sockid s = ep_id(l->e);
		struct span sp = {
			.pin = l->pin,
			.loan = (uintptr_t)l,
			.v[0].iov_len = 1, /* not a datagram of no bytes */
		};
		int flags = l->kind == LOAN_NOTE ? MSG_ERRQUEUE : 0;

		if (l->is_send)
			sock_send_commit(st, s, &sp, 0, flags, now);
		else
			sock_recv_commit(st, s, &sp, 0, flags, now);
	}
}
