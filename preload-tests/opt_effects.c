/* SPDX-License-Identifier: MIT
 *
 * opt_effects.c - what options do, beyond what they read back
 *
 * The peer forwards (see errqueue.c); packets to 10.99.9.0/24 are lost behind
 * it.
 */
#include "msg.h"

#define REMOTE4 "10.99.9.5"
#define REMOTE6 "fd99:9::5"

static int sock(const struct t_fam *f, int type)
{
	return (int)MUST(socket(f->af, type, 0));
}

static int bound(const struct t_fam *f, int type)
{
	struct t_addr any = t_addr(f->any, 0);
	int fd = sock(f, type);

	MUST(bind(fd, &any.sa, any.len));
	return fd;
}

static void tos_and_priority(const struct t_fam *f)
{
	static const int values[] = {0,	   0x08, 0x10, 0x18, 0x1c,
				     0x20, 0xe0, 2,    4,    0xff};
	int fd = sock(f, SOCK_DGRAM);

	say("- TOS and priority");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (f->n == 4)
			m_set(fd, IPPROTO_IP, IP_TOS, values[i]);
		else
			m_set(fd, IPPROTO_IPV6, IPV6_TCLASS, values[i]);
		say("%#x: priority %d", values[i],
		    m_get(fd, SOL_SOCKET, SO_PRIORITY));
	}
	close(fd);
}

static void on_link_only(const struct t_fam *f)
{
	const char *remote = f->n == 4 ? REMOTE4 : REMOTE6;
	struct t_addr far = t_addr(remote, 9), near = t_addr(f->peer, 9);
	int fd = sock(f, SOCK_DGRAM);

	say("- without a router");
	CALL(sendto(fd, "x", 1, 0, &far.sa, far.len));
	CALL(sendto(fd, "x", 1, MSG_DONTROUTE, &far.sa, far.len));
	CALL(sendto(fd, "x", 1, MSG_DONTROUTE, &near.sa, near.len));
	m_set(fd, SOL_SOCKET, SO_DONTROUTE, 1);
	CALL(sendto(fd, "x", 1, 0, &far.sa, far.len));
	CALL(sendto(fd, "x", 1, 0, &near.sa, near.len));
	CALL(connect(fd, &far.sa, far.len));
	close(fd);
	if (f->n == 6) /* where it changes nothing */
		return;
	fd = sock(f, SOCK_STREAM);
	m_set(fd, SOL_SOCKET, SO_DONTROUTE, 1);
	CALL(connect(fd, &far.sa, far.len));
	close(fd);
}

/* @fd hears what @out sends to it. */
static void hops_and_class(const struct t_fam *f)
{
	int fd = bound(f, SOCK_DGRAM), out = sock(f, SOCK_DGRAM);
	struct t_addr a = t_addr(f->us, t_local_port(fd));

	say("- hops and class");
	if (f->n == 4) {
		m_set(fd, IPPROTO_IP, IP_RECVTTL, 1);
		m_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
		m_set(out, IPPROTO_IP, IP_TTL, 33);
		m_set(out, IPPROTO_IP, IP_TOS, 0x28);
	} else {
		m_set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		m_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		m_set(out, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
		m_set(out, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	}
	CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	close(fd);
	close(out);
}

static void flow_labels(const struct t_fam *f)
{
	int fd = bound(f, SOCK_DGRAM), out = sock(f, SOCK_DGRAM);
	struct t_addr a = t_addr(f->us, t_local_port(fd));

	say("- flow labels");
	m_set(fd, IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 1);
	for (int on = 1; on >= 0; on--) {
		say("automatic %d", on);
		m_set(out, IPPROTO_IPV6, 70 /* IPV6_AUTOFLOWLABEL */, on);
		CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
		t_settle(fd, POLLIN);
		m_recv(fd, 0);
	}
	a.in6.sin6_flowinfo = htonl(0x12345);
	CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	m_set(out, IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */, 1);
	CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	close(fd);
	close(out);
}

static void path_mtu(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, 9);
	int fd = sock(f, SOCK_DGRAM);

	say("- path MTU of IPv6");
	m_set(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU, 1);
	CALL(sendto(fd, m_bytes(), 3000, 0, &a.sa, a.len));
	m_recv(fd, MSG_DONTWAIT);
	m_set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	CALL(sendto(fd, m_bytes(), 3000, 0, &a.sa, a.len));
	say_poll("told", fd);
	m_recv(fd, MSG_DONTWAIT);
	m_recv(fd, MSG_DONTWAIT);
	CALL(sendto(fd, m_bytes(), 1452, 0, &a.sa, a.len));
	m_set(fd, IPPROTO_IPV6, IPV6_MTU, 1300);
	CALL(sendto(fd, m_bytes(), 1252, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 1253, 0, &a.sa, a.len));
	m_recv(fd, MSG_DONTWAIT);
	m_set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 0);
	CALL(sendto(fd, m_bytes(), 1253, 0, &a.sa, a.len));
	m_recv(fd, MSG_DONTWAIT);
	close(fd);
}

static void no_checksum(const struct t_fam *f)
{
	int fd = bound(f, SOCK_DGRAM), out = sock(f, SOCK_DGRAM);
	struct t_addr a = t_addr(f->us, t_local_port(fd));
	struct t_addr b;

	say("- without checksum");
	m_set(out, IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */, 1);
	m_set(fd, IPPROTO_UDP, 102 /* UDP_NO_CHECK6_RX */, 1);
	CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	b = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	CALL(sendto(out, m_bytes(), 7, 0, &b.sa, b.len)); /* unwanted */
	m_set(out, IPPROTO_UDP, 101, 0);
	CALL(sendto(out, m_bytes(), 5, 0, &b.sa, b.len));
	peer("recvfrom 0");
	close(fd);
	close(out);
	peer_quiet("close 0");
}

static void ports(const struct t_fam *f)
{
	uint32_t range = 41003u << 16 | 41000u;
	struct t_addr a = t_addr(f->us, 0), p;
	int fds[5], fd, wrong = 0, full = 0;

	say("- ports");
	/* connections of other tests may still hold some of the four */
	for (int i = 0; i < 5; i++) {
		int port;

		fds[i] = sock(f, SOCK_STREAM);
		MUST(setsockopt(fds[i], IPPROTO_IP, 51 /* ..PORT_RANGE */,
				&range, sizeof(range)));
		if (bind(fds[i], &a.sa, a.len) < 0) {
			full += errno == EADDRINUSE;
			continue;
		}
		port = t_local_port(fds[i]);
		wrong += port < 41000 || port > 41003;
	}
	say("outside: %d, full in the end: %d", wrong, full > 0);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	p = t_addr(f->peer, (int)peer_quiet("listen 0 %d", f->n));
	fd = sock(f, SOCK_STREAM);
	MUST(setsockopt(fd, IPPROTO_IP, 51, &range, sizeof(range)));
	m_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	CALL(bind(fd, &a.sa, a.len));
	say("port %d", t_local_port(fd));
	CALL(connect(fd, &p.sa, p.len));
	say("in range %d",
	    t_local_port(fd) >= 41000 && t_local_port(fd) <= 41003);
	close(fd);
	peer_quiet("close 0");
}

static void foreign_addresses(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->n == 4 ? "10.77.0.99" : "fd77::99", 0);
	static const int names[] = {IP_FREEBIND, IP_TRANSPARENT};
	int fd = sock(f, SOCK_STREAM);

	say("- foreign addresses");
	CALL(bind(fd, &a.sa, a.len));
	close(fd);
	for (int i = 0; i < 2; i++) {
		fd = sock(f, SOCK_STREAM);
		m_set(fd, IPPROTO_IP, names[i], 1);
		CALL(bind(fd, &a.sa, a.len));
		CALL(listen(fd, 1));
		close(fd);
	}
}

static void low_water(const struct t_fam *f)
{
	struct timeval tv = {.tv_usec = 60000};
	int fd = t_connected(f, 0), v;
	char buf[300];
	int64_t start;

	say("- low-water marks");
	m_set(fd, SOL_SOCKET, SO_RCVLOWAT, 100);
	peer_quiet("send 0 60");
	t_wait_bytes(fd, 60);
	say_poll("60 of 100", fd);
	CALL(recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT));
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	start = t_now_ms();
	CALL(recv(fd, buf, sizeof(buf), MSG_PEEK));
	say("after the timeout %d", t_now_ms() - start >= 60);
	peer_quiet("send 0 60");
	t_settle_say("120 of 100", fd, POLLIN);
	CALL(recv(fd, buf, 50, 0));
	say_poll("70 of 100", fd);
	m_set(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
	say_poll("70 of 1", fd);
	m_set(fd, SOL_SOCKET, SO_RCVLOWAT, 200);
	peer_quiet("shut 0 1");
	t_settle_say("at the end", fd, POLLRDHUP);
	CALL(recv(fd, buf, sizeof(buf), MSG_WAITALL));
	close(fd);
	peer_quiet("close 0");
	fd = t_connected(f, 0);
	m_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1);
	peer_quiet("rcvbuf 0 4096");
	while (send(fd, m_bytes(), 60000, MSG_DONTWAIT) > 0)
		;
	say("then %s", t_err(errno));
	say_poll("something unsent", fd);
	MUST(ioctl(fd, 0x894b /* SIOCOUTQNSD */, &v));
	say("unsent: %d", v > 0);
	peer_quiet("rcvbuf 0 1000000"); /* or it takes seconds */
	peer_quiet("sink 0 -1");
	t_settle_say("sent", fd, POLLOUT);
	close(fd);
	peer_quiet("join");
}

static void deferred(const struct t_fam *f)
{
	int lfd = t_listener(f, 5), fd;
	char buf[10];

	say("- deferred accept");
	m_set(lfd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	say_poll("connected", lfd);
	peer_quiet("send 0 5");
	t_settle_say("with data", lfd, POLLIN);
	fd = (int)MUST(accept(lfd, NULL, NULL));
	CALL(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	close(fd);
	close(lfd);
	peer_quiet("close 0");
}

#define CORKED_MS 150 /* what is corked goes after 200 ms all the same */

/* Ten bytes that are kept back, ten more that free them: how many the peer had
 * in between. Asked again if that took so long that it says nothing. */
static long kept_back(int fd, bool by_option, size_t *at)
{
	int64_t start;
	long had;

	do {
		start = t_now_ms();
		if (by_option)
			m_set(fd, IPPROTO_TCP, TCP_CORK, 1);
		MUST(send(fd, m_bytes() + *at, 10, by_option ? 0 : MSG_MORE));
		had = peer_quiet("has 0");
		if (t_now_ms() - start < CORKED_MS)
			start = 0;
		MUST(send(fd, m_bytes() + *at + 10, 10, 0));
		if (by_option)
			m_set(fd, IPPROTO_TCP, TCP_CORK, 0);
		peer_quiet("recv 0 20");
		*at += 20;
	} while (start && *at < 2000);
	return had;
}

static void corked(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct t_addr a;
	size_t at = 0;

	say("- corked");
	say("cork: had %ld", kept_back(fd, true, &at));
	say("more: had %ld", kept_back(fd, false, &at));
	close(fd);
	peer_quiet("close 0");
	a = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	fd = sock(f, SOCK_DGRAM);
	m_set(fd, IPPROTO_UDP, UDP_CORK, 1);
	CALL(sendto(fd, m_bytes(), 10, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes() + 10, 10, 0, &a.sa, a.len));
	peer("has 0");
	m_set(fd, IPPROTO_UDP, UDP_CORK, 0);
	peer("recvfrom 0");
	CALL(sendto(fd, m_bytes(), 10, MSG_MORE, &a.sa, a.len));
	CALL(sendto(fd, m_bytes() + 10, 10, 0, NULL, 0));
	peer("recvfrom 0");
	close(fd);
	peer_quiet("close 0");
}

/* Two give up at once, each for a reason of its own. */
static void given_up(const struct t_fam *f)
{
	const char *remote = f->n == 4 ? REMOTE4 : REMOTE6;
	struct t_addr far = t_addr(remote, 9);
	int fd[2];

	say("- given up");
	for (int i = 0; i < 2; i++) {
		fd[i] = (int)MUST(
			socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
		if (i == 0)
			m_set(fd[i], IPPROTO_TCP, TCP_SYNCNT, 1);
		else
			m_set(fd[i], IPPROTO_TCP, TCP_USER_TIMEOUT, 1100);
		CALL(connect(fd[i], &far.sa, far.len));
	}
	for (int i = 0; i < 2; i++) {
		t_settle_say("given up", fd[i], POLLERR);
		say("SO_ERROR %s", t_err(m_error(fd[i])));
		close(fd[i]);
	}
}

static void far_away(const struct t_fam *f)
{
	int fd = t_connected(f, 0), v = 0;

	say("- from too far");
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_MINTTL, 200);
	else
		m_set(fd, IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, 200);
	peer_quiet("send 0 10");
	m_arrived(f);
	MUST(ioctl(fd, FIONREAD, &v));
	say("come %d", v);
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_MINTTL, 0);
	else
		m_set(fd, IPPROTO_IPV6, 73, 0);
	t_wait_bytes(fd, 10);
	MUST(ioctl(fd, FIONREAD, &v));
	say("sent again: %d", v);
	close(fd);
	peer_quiet("close 0");
}

static void cookies(const struct t_fam *f)
{
	int a = sock(f, SOCK_DGRAM), b = sock(f, SOCK_STREAM);
	uint64_t ca = 0, cb = 0, again = 0;
	socklen_t len = sizeof(ca);

	say("- cookies");
	MUST(getsockopt(a, SOL_SOCKET, SO_COOKIE, &ca, &len));
	MUST(getsockopt(b, SOL_SOCKET, SO_COOKIE, &cb, &len));
	MUST(getsockopt(a, SOL_SOCKET, SO_COOKIE, &again, &len));
	say("some %d, differ %d, stay %d", ca && cb, ca != cb, ca == again);
	close(a);
	close(b);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		tos_and_priority(f);
		on_link_only(f);
		hops_and_class(f);
		if (f->n == 6) {
			flow_labels(f);
			path_mtu(f);
			no_checksum(f);
		}
		ports(f);
		foreign_addresses(f);
		low_water(f);
		deferred(f);
		corked(f);
		if (f->n == 4) /* three seconds are enough */
			given_up(f);
		far_away(f);
		cookies(f);
	}
	return 0;
}
