/* SPDX-License-Identifier: MIT
 *
 * errqueue.c - MSG_ERRQUEUE: ICMP errors and local ones, for UDP and TCP, what
 * SO_ERROR and poll say meanwhile, how a note is cut, and what is told to who
 * did not ask
 *
 * The peer forwards: 10.99.1.0/24 is unreachable behind it, 10.99.2.0/24 is
 * prohibited, 10.99.3.0/24 has a link of 1300 bytes (fd99:1:: and so on). A
 * kernel sends no more than five errors of the first two kinds in a row.
 */
#include "msg.h"

static const char *far_addr(const struct t_fam *f, int net)
{
	static char text[32];

	snprintf(text, sizeof(text), f->n == 4 ? "10.99.%d.5" : "fd99:%d::5",
		 net);
	return text;
}

static void want_errors(const struct t_fam *f, int fd, int on)
{
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_RECVERR, on);
	else
		m_set(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
}

static int udp(const struct t_fam *f, bool errors)
{
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	if (errors)
		want_errors(f, fd, 1);
	return fd;
}

static int closed_port(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n);

	peer_quiet("close 0");
	return port;
}

static void refused(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	int fd = udp(f, true);

	say("- refused");
	CALL(recv(fd, NULL, 0, MSG_ERRQUEUE));
	CALL(sendto(fd, m_bytes(), 100, 0, &a.sa, a.len));
	t_settle_say("refused", fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
	say_poll("read", fd);
	say("SO_ERROR %s", t_err(m_error(fd)));
	/* two of them: SO_ERROR is the first, then the second's */
	CALL(sendto(fd, m_bytes(), 10, 0, &a.sa, a.len));
	t_settle(fd, POLLERR);
	say("SO_ERROR %s", t_err(m_error(fd)));
	say_poll("SO_ERROR read", fd);
	CALL(sendto(fd, m_bytes(), 20, 0, &a.sa, a.len));
	CALL(recv(fd, NULL, 0, MSG_ERRQUEUE | MSG_TRUNC));
	t_settle(fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
	say("SO_ERROR %s", t_err(m_error(fd)));
	CALL(recv(fd, NULL, 0, MSG_DONTWAIT));
	/* the error ends a call, the note stays */
	CALL(sendto(fd, m_bytes(), 30, 0, &a.sa, a.len));
	t_settle(fd, POLLERR);
	CALL(recv(fd, NULL, 0, 0));
	say_poll("after the error", fd);
	m_recv_room(fd, MSG_ERRQUEUE, 7, 1024);
	say_poll("after the note", fd);
	close(fd);
}

static void rooms(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	static const size_t room[] = {0, 8, 16, 20, 32, 48, 60, 64, 100};
	int fd = udp(f, true);

	say("- rooms");
	for (size_t i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		MUST(sendto(fd, m_bytes(), 5, 0, &a.sa, a.len));
		t_settle(fd, POLLERR);
		m_recv_room(fd, MSG_ERRQUEUE, 100, room[i]);
	}
	close(fd);
}

static void connected(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	int fd = udp(f, true);

	say("- connected");
	MUST(connect(fd, &a.sa, a.len));
	CALL(send(fd, m_bytes(), 9, 0));
	t_settle(fd, POLLERR);
	CALL(send(fd, m_bytes(), 9, 0));
	m_recv(fd, MSG_ERRQUEUE);
	want_errors(f, fd, 0);
	CALL(send(fd, m_bytes(), 9, 0));
	t_settle(fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
	say("SO_ERROR %s", t_err(m_error(fd)));
	close(fd);
}

/* What the option off throws away: nothing that is queued already. */
static void option_off(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	int fd = udp(f, true);

	say("- off");
	CALL(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	t_settle(fd, POLLERR);
	want_errors(f, fd, 0);
	say_poll("off", fd);
	m_recv(fd, MSG_ERRQUEUE);
	close(fd);
}

static void with_info(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	int fd = udp(f, true);

	say("- with more control data");
	if (f->n == 4) {
		m_set(fd, IPPROTO_IP, IP_RECVTTL, 1);
		m_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
	} else {
		m_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		m_set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	}
	m_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	m_set(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1);
	CALL(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	t_settle_say("noted", fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
	close(fd);
}

static void say_epoll(int ep, const char *when)
{
	struct epoll_event ev;
	int n = (int)MUST(epoll_wait(ep, &ev, 1, 0));

	say("%s: epoll %s", when, n ? t_mask(ev.events) : "none");
}

/* Every note is an event of its own. */
static void edges(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = closed_port(f));
	int fd = udp(f, true), ep = (int)MUST(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	say("- edges");
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	say_epoll(ep, "fresh");
	for (int i = 0; i < 2; i++) {
		MUST(sendto(fd, m_bytes(), 3, 0, &a.sa, a.len));
		m_arrived(f);
		m_error(fd); /* or the next send would end with it */
		say_epoll(ep, "refused");
		say_epoll(ep, "again");
	}
	m_recv(fd, MSG_ERRQUEUE);
	say_epoll(ep, "one read");
	m_recv(fd, MSG_ERRQUEUE);
	say_epoll(ep, "both read");
	close(ep);
	close(fd);
}

/* From routers on the way: soft errors, which only IP_RECVERR hears of. */
static void routers(const struct t_fam *f)
{
	for (int net = 1; net <= 3; net++) {
		struct t_addr a = t_addr(far_addr(f, net), m_port = 777);
		int fd = udp(f, true), deaf = udp(f, false);

		say("- router %d", net);
		if (net == 3 && f->n == 4)
			m_set(fd, IPPROTO_IP, IP_TTL, 1);
		else if (net == 3)
			m_set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1);
		CALL(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
		m_note(fd);
		if (net == 2) { /* a hard one: connected sockets hear it */
			CALL(connect(deaf, &a.sa, a.len));
			CALL(send(deaf, m_bytes(), 9, 0));
			t_settle_say("deaf", deaf, POLLERR);
			m_recv(deaf, MSG_ERRQUEUE);
		}
		close(fd);
		close(deaf);
	}
}

/* The way is narrower than our link: RFC 1191, RFC 8201. */
static void path_mtu(const struct t_fam *f)
{
	struct t_addr a = t_addr(far_addr(f, 3), m_port = 777);
	int fd = udp(f, true);

	say("- path MTU");
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	else
		m_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
	CALL(connect(fd, &a.sa, a.len));
	CALL(send(fd, m_bytes(), 1400, 0));
	m_note(fd);
	say("SO_ERROR %s", t_err(m_error(fd)));
	say("mtu %d", f->n == 4 ? m_get(fd, IPPROTO_IP, IP_MTU)
				: m_get(fd, IPPROTO_IPV6, IPV6_MTU));
	CALL(send(fd, m_bytes(), 1400, 0));
	say_poll("too long", fd);
	m_recv(fd, MSG_ERRQUEUE);
	say("SO_ERROR %s", t_err(m_error(fd)));
	close(fd);
}

static void local(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, m_port = 999);
	int fd = udp(f, true);

	say("- local");
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	else
		m_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
	CALL(sendto(fd, m_bytes(), 3000, 0, &a.sa, a.len));
	say_poll("too long", fd);
	say("SO_ERROR %s", t_err(m_error(fd)));
	m_recv(fd, MSG_ERRQUEUE);
	say_poll("read", fd);
	CALL(connect(fd, &a.sa, a.len));
	CALL(send(fd, m_bytes(), 3000, 0));
	m_recv(fd, MSG_ERRQUEUE);
	CALL(send(fd, m_bytes(), 66000, 0));
	m_recv(fd, MSG_ERRQUEUE);
	want_errors(f, fd, 0);
	CALL(send(fd, m_bytes(), 3000, 0));
	m_recv(fd, MSG_ERRQUEUE);
	close(fd);
}

/* A connect(2) that a router refuses leaves its note, asked for or not. */
static void tcp(const struct t_fam *f)
{
	for (int on = 0; on < 2; on++) {
		struct t_addr a = t_addr(far_addr(f, 2), m_port = 777);
		int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

		say("- TCP, asked %d", on);
		want_errors(f, fd, on);
		CALL(recv(fd, NULL, 0, MSG_ERRQUEUE));
		CALL(connect(fd, &a.sa, a.len));
		say_poll("failed", fd);
		m_recv_room(fd, MSG_ERRQUEUE, 0, 1024);
		/* one for each SYN: how many is the timer's affair */
		while (recv(fd, NULL, 0, MSG_ERRQUEUE) >= 0)
			;
		m_error(fd);
		say_poll("read", fd);
		close(fd);
	}
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		refused(f);
		rooms(f);
		connected(f);
		option_off(f);
		with_info(f);
		edges(f);
		routers(f);
		path_mtu(f);
		local(f);
		tcp(f);
	}
	return 0;
}
