/* SPDX-License-Identifier: MIT
 *
 * timestamps.c - SO_TIMESTAMP and its relatives on what is received,
 * SIOCGSTAMP, and SO_TIMESTAMPING of what is sent: which notes come, in which
 * order, with which number
 */
#include "msg.h"
#include <linux/sockios.h>

#define SOF(x) SOF_TIMESTAMPING_##x
#define OPT_ID_TCP (1 << 16)
#define OPT_RX_FILTER (1 << 17)

static int stamping(int fd, unsigned flags)
{
	return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags,
			  sizeof(flags));
}

/* What a flag asks of others. */
static void flags(const struct t_fam *f)
{
	static const unsigned sets[] = {
		0,
		SOF(SOFTWARE),
		SOF(OPT_ID),
		SOF(OPT_ID) | OPT_ID_TCP,
		OPT_ID_TCP,
		SOF(OPT_STATS),
		SOF(OPT_STATS) | SOF(OPT_TSONLY),
		OPT_RX_FILTER,
		1 << 18,
		1 << 19,
		1u << 31,
		0x7fff,
	};

	for (int type = 0; type < 2; type++) {
		int fd = (int)MUST(
			socket(f->af, type ? SOCK_STREAM : SOCK_DGRAM, 0));

		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
			int r = stamping(fd, sets[i]), err = errno;
			unsigned now[2] = {0};
			socklen_t len = sizeof(now);

			MUST(getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, now,
					&len));
			say("%s %#x: %s, then %#x %u (%u)",
			    type ? "TCP" : "UDP", sets[i],
			    r < 0 ? t_err(err) : "ok", now[0], now[1], len);
		}
		close(fd);
	}
}

/* --- received --- */

/* The kernel begins to stamp a while after it was asked to. */
static int stamper(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	char buf[8], ctl[64];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m;

	MUST(bind(fd, &any.sa, any.len));
	m_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	m_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 0);
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(RX_SOFTWARE)));
	peer_quiet("udp 1 %d", f->n);
	do {
		peer_quiet("sendto 1 %d %d 5", f->n, t_local_port(fd));
		t_settle(fd, POLLIN);
		m = (struct msghdr){.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = ctl,
				    .msg_controllen = sizeof(ctl)};
		MUST(recvmsg(fd, &m, 0));
	} while (!m.msg_controllen);
	peer_quiet("close 1");
	return fd;
}

static void received_udp(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0);
	static const unsigned sets[] = {
		SOF(RX_SOFTWARE),
		SOF(SOFTWARE) | SOF(RX_SOFTWARE),
		SOF(SOFTWARE) | OPT_RX_FILTER,
		SOF(SOFTWARE) | SOF(RX_SOFTWARE) | OPT_RX_FILTER,
		SOF(RAW_HARDWARE) | SOF(RX_HARDWARE),
	};
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	say("- UDP, received");
	MUST(bind(fd, &any.sa, any.len));
	peer_quiet("udp 0 %d", f->n);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		say("%#x", sets[i]);
		MUST(stamping(fd, sets[i]));
		peer_quiet("sendto 0 %d %d 5", f->n, t_local_port(fd));
		t_settle(fd, POLLIN);
		m_recv(fd, 0);
	}
	say("with SO_TIMESTAMP");
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(RX_SOFTWARE)));
	m_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	peer_quiet("sendto 0 %d %d 5", f->n, t_local_port(fd));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	say("with SO_TIMESTAMPING_NEW");
	m_set(fd, SOL_SOCKET, SO_TIMESTAMPING_NEW,
	      SOF(SOFTWARE) | SOF(RX_SOFTWARE));
	peer_quiet("sendto 0 %d %d 5", f->n, t_local_port(fd));
	t_settle(fd, POLLIN);
	m_recv(fd, 0);
	close(fd);
	peer_quiet("close 0");
}

static void received_tcp(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	say("- TCP, received");
	m_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	peer_quiet("send 0 100");
	t_wait_bytes(fd, 100);
	m_recv_room(fd, MSG_PEEK, 10, 256);
	m_recv_room(fd, 0, 10, 256);
	m_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 0);
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(RX_SOFTWARE)));
	m_recv_room(fd, 0, 10, 256);
	m_set(fd, IPPROTO_TCP, 36 /* TCP_INQ */, 1);
	m_recv_room(fd, 0, 10, 256);
	m_recv_room(fd, 0, 10, 16);
	MUST(stamping(fd, 0));
	m_recv_room(fd, 0, 10, 256);
	m_recv_room(fd, 0, 100, 256);
	peer_quiet("shut 0 1");
	t_settle(fd, POLLRDHUP);
	m_recv_room(fd, 0, 10, 256);
	close(fd);
	peer_quiet("close 0");
}

static void say_ioctl(int fd, const char *when)
{
	struct timeval tv = {0};
	struct timespec ts = {0};
	int r = ioctl(fd, SIOCGSTAMP, &tv);

	say("%s: SIOCGSTAMP %s %s", when, r < 0 ? t_err(errno) : "ok",
	    r < 0 ? "" : m_time(tv.tv_sec, tv.tv_usec));
	r = ioctl(fd, SIOCGSTAMPNS, &ts);
	say("%s: SIOCGSTAMPNS %s %s", when, r < 0 ? t_err(errno) : "ok",
	    r < 0 ? "" : m_time(ts.tv_sec, ts.tv_nsec));
}

static void asked_later(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), tcp;
	char buf[8];

	say("- SIOCGSTAMP");
	MUST(bind(fd, &any.sa, any.len));
	peer_quiet("udp 0 %d", f->n);
	say_ioctl(fd, "fresh");
	for (int i = 0; i < 2; i++) {
		peer_quiet("sendto 0 %d %d 5", f->n, t_local_port(fd));
		t_settle(fd, POLLIN);
		say_ioctl(fd, "waiting");
		CALL(recv(fd, buf, sizeof(buf), 0));
		say_ioctl(fd, "read");
	}
	close(fd);
	peer_quiet("close 0");
	tcp = t_connected(f, 0);
	say_ioctl(tcp, "TCP");
	close(tcp);
	peer_quiet("close 0");
}

/* --- sent --- */

static struct t_addr peer_udp(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n);

	return t_addr(f->peer, port);
}

/* Notes until there are @num; with a whole packet only its end is told, since
 * what is in front of it is the device's. */
static void notes(int fd, int num)
{
	for (int i = 0; i < num; i++) {
		if (!t_settle(fd, POLLERR))
			return;
		m_recv(fd, MSG_ERRQUEUE);
	}
	m_recv(fd, MSG_ERRQUEUE);
}

static void whole(int fd, const void *end, size_t len)
{
	unsigned char buf[2000];
	struct iovec iov = {buf, sizeof(buf)};
	char ctl[512];
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = ctl,
			   .msg_controllen = sizeof(ctl)};
	ssize_t n;

	t_settle(fd, POLLERR);
	n = MUST(recvmsg(fd, &m, MSG_ERRQUEUE));
	say("a packet that ends so: %d",
	    n > (ssize_t)len && !memcmp(buf + n - len, end, len));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		m_say_cmsg(c);
}

static void sent_udp(const struct t_fam *f)
{
	struct t_addr a = peer_udp(f);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	unsigned base = SOF(SOFTWARE) | SOF(OPT_TSONLY);

	say("- UDP, sent");
	m_port = t_port(&a);
	MUST(stamping(fd, base | SOF(TX_SOFTWARE)));
	MUST(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	notes(fd, 1);
	say("numbered, queued too");
	MUST(stamping(fd, base | SOF(TX_SOFTWARE) | SOF(TX_SCHED) |
				  SOF(TX_ACK) | SOF(OPT_ID)));
	for (int i = 0; i < 3; i++)
		MUST(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	notes(fd, 6);
	say("begins anew");
	MUST(stamping(fd, base | SOF(TX_SOFTWARE)));
	MUST(stamping(fd, base | SOF(TX_SOFTWARE) | SOF(OPT_ID)));
	MUST(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	notes(fd, 1);
	say("nobody wants to know");
	MUST(stamping(fd, SOF(TX_SOFTWARE) | SOF(OPT_TSONLY)));
	MUST(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	notes(fd, 1);
	say("whole packets");
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(TX_SOFTWARE) | SOF(TX_SCHED)));
	MUST(sendto(fd, m_bytes(), 99, 0, &a.sa, a.len));
	whole(fd, m_bytes(), 99);
	whole(fd, m_bytes(), 99);
	say("with their interface");
	if (f->n == 4)
		m_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	else
		m_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(TX_SOFTWARE) | SOF(OPT_CMSG)));
	MUST(sendto(fd, m_bytes(), 99, 0, &a.sa, a.len));
	whole(fd, m_bytes(), 99);
	close(fd);
	peer_quiet("close 0");
}

/* One send by control data. */
static void sent_by_cmsg(const struct t_fam *f)
{
	struct t_addr a = peer_udp(f);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct iovec iov = {(void *)(uintptr_t)m_bytes(), 7};
	union {
		char room[CMSG_SPACE(4) * 2];
		struct cmsghdr align;
	} ctl;
	struct msghdr m = {.msg_name = &a.ss,
			   .msg_namelen = a.len,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &ctl,
			   .msg_controllen = CMSG_SPACE(4)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	unsigned want = SOF(TX_SOFTWARE), id = 4711;

	say("- by control data");
	m_port = t_port(&a);
	MUST(stamping(fd, SOF(SOFTWARE) | SOF(OPT_TSONLY) | SOF(OPT_ID)));
	memset(&ctl, 0, sizeof(ctl));
	*c = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SO_TIMESTAMPING};
	memcpy(CMSG_DATA(c), &want, 4);
	MUST(sendto(fd, m_bytes(), 9, 0, &a.sa, a.len));
	CALL(sendmsg(fd, &m, 0));
	notes(fd, 1);
	m.msg_controllen = sizeof(ctl);
	c = CMSG_NXTHDR(&m, c);
	*c = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, 81 /* SCM_TS_OPT_ID */};
	memcpy(CMSG_DATA(c), &id, 4);
	CALL(sendmsg(fd, &m, 0));
	notes(fd, 1);
	close(fd);
	peer_quiet("close 0");
}

static void sent_tcp(const struct t_fam *f)
{
	unsigned base = SOF(SOFTWARE) | SOF(OPT_TSONLY) | SOF(OPT_ID);
	int fd = t_connected(f, 0);

	say("- TCP, sent");
	MUST(stamping(fd, base | OPT_ID_TCP | SOF(TX_SOFTWARE)));
	CALL(send(fd, m_bytes(), 100, 0));
	notes(fd, 1);
	peer("recv 0 100");
	CALL(send(fd, m_bytes() + 100, 50, 0));
	notes(fd, 1);
	peer("recv 0 50");
	say("all three");
	MUST(stamping(fd, base | OPT_ID_TCP | SOF(TX_SOFTWARE) | SOF(TX_SCHED) |
				  SOF(TX_ACK)));
	CALL(send(fd, m_bytes() + 150, 5000, 0));
	peer("recv 0 5000");
	notes(fd, 3);
	say("acknowledged only");
	MUST(stamping(fd, base | OPT_ID_TCP | SOF(TX_ACK)));
	for (int j = 0; j < 2; j++) {
		CALL(send(fd, m_bytes() + 5150 + j, 1, 0));
		peer("recv 0 1");
		notes(fd, 1);
	}
	say("another beginning");
	MUST(stamping(fd, 0));
	MUST(stamping(fd, base | SOF(TX_ACK)));
	CALL(send(fd, m_bytes() + 5152, 30, 0));
	peer("recv 0 30");
	notes(fd, 1);
	close(fd);
	peer_quiet("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		int fd = stamper(f);

		say("-- IPv%d", f->n);
		flags(f);
		received_udp(f);
		received_tcp(f);
		asked_later(f);
		sent_udp(f);
		sent_by_cmsg(f);
		sent_tcp(f);
		close(fd);
	}
	return 0;
}
