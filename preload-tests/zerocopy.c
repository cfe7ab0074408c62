/* SPDX-License-Identifier: MIT
 *
 * zerocopy.c - MSG_ZEROCOPY: who may, which notes come and what they say
 *
 * Both copy here (the kernel because the packet stays on the machine): every
 * note carries SO_EE_CODE_ZEROCOPY_COPIED.
 */
#include "msg.h"
#include <sys/resource.h>

static void option(const struct t_fam *f)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

	say("- option");
	for (int i = 0; i < 2; i++) {
		int fd = (int)MUST(socket(f->af, types[i], 0));

		say("at first %d", m_get(fd, SOL_SOCKET, SO_ZEROCOPY));
		m_set(fd, SOL_SOCKET, SO_ZEROCOPY, 2);
		m_set(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
		say("then %d", m_get(fd, SOL_SOCKET, SO_ZEROCOPY));
		close(fd);
	}
}

/* Notes cover ranges: all that have come are told, in whatever pieces. */
static void all_of(int fd, uint32_t from, uint32_t to)
{
	uint32_t next = from;

	while (next <= to) {
		struct sock_extended_err ee = {0};
		char ctl[256];
		struct msghdr m = {.msg_control = ctl,
				   .msg_controllen = sizeof(ctl)};
		struct cmsghdr *c;

		if (!t_settle(fd, POLLERR) ||
		    recvmsg(fd, &m, MSG_ERRQUEUE) < 0) {
			say("no note: %s", t_err(errno));
			return;
		}
		c = CMSG_FIRSTHDR(&m);
		if (c)
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		if (ee.ee_origin != SO_EE_ORIGIN_ZEROCOPY || ee.ee_errno ||
		    ee.ee_code != SO_EE_CODE_ZEROCOPY_COPIED ||
		    ee.ee_info != next || ee.ee_data < next || ee.ee_data > to)
			say("wrong: origin %u code %u %u..%u", ee.ee_origin,
			    ee.ee_code, ee.ee_info, ee.ee_data);
		next = ee.ee_data + 1;
	}
	say("%u..%u are done", from, to);
	m_recv(fd, MSG_ERRQUEUE);
}

/* The next @len bytes of the pattern that the peer checks. */
static const unsigned char *next(size_t len)
{
	static size_t at;
	const unsigned char *p;

	if (!len)
		at = 0;
	p = m_bytes() + at % 251;
	at += len;
	return p;
}

static void stream(const struct t_fam *f)
{
	static unsigned char big[1 << 20];
	int fd = t_connected(f, 0);
	ssize_t n;

	say("- TCP");
	next(0);
	CALL(send(fd, next(1000), 1000,
		  MSG_ZEROCOPY)); /* not asked for: none */
	peer("recv 0 1000");
	say_poll("no note", fd);
	m_recv(fd, MSG_ERRQUEUE);
	m_set(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
	CALL(send(fd, next(1), 1, 0)); /* nor here */
	CALL(send(fd, next(1000), 1000, MSG_ZEROCOPY));
	peer_quiet("recv 0 1001");
	t_settle_say("noted", fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
	say_poll("read", fd);
	CALL(send(fd, m_bytes(), 0, MSG_ZEROCOPY));
	say_poll("nothing sent", fd);
	for (int i = 0; i < 5; i++)
		CALL(send(fd, next(3000), 3000, MSG_ZEROCOPY));
	peer_quiet("recv 0 15000");
	all_of(fd, 1, 5);
	say("all that fits");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (unsigned char)((17001 + i) % 251);
	n = send(fd, big, sizeof(big), MSG_ZEROCOPY | MSG_DONTWAIT);
	say("some: %d", n > 0);
	peer_quiet("recv 0 %zd", n);
	all_of(fd, 6, 6);
	close(fd);
	peer_quiet("close 0");
}

static void datagrams(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	say("- UDP");
	m_set(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < 4; i++)
		CALL(sendto(fd, m_bytes(), 1000, MSG_ZEROCOPY, &a.sa, a.len));
	for (int i = 0; i < 4; i++)
		peer("recvfrom 0");
	all_of(fd, 0, 3);
	CALL(sendto(fd, m_bytes(), 0, MSG_ZEROCOPY, &a.sa, a.len));
	say_poll("an empty one", fd);
	close(fd);
	peer_quiet("close 0");
}

static long cpu_ms(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
	       (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
}

/* A call that waits is neither ended nor kept busy by a note. */
static void waiting(const struct t_fam *f)
{
	struct timeval tv = {.tv_usec = 100000};
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 1 %d", f->n));
	int fds[2] = {t_connected(f, 0),
		      (int)MUST(socket(f->af, SOCK_DGRAM, 0))};
	char buf[20];

	say("- waiting");
	MUST(connect(fds[1], &a.sa, a.len));
	for (int i = 0; i < 2; i++) {
		long used = cpu_ms();

		m_set(fds[i], SOL_SOCKET, SO_ZEROCOPY, 1);
		MUST(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &tv,
				sizeof(tv)));
		CALL(send(fds[i], m_bytes(), 5, MSG_ZEROCOPY));
		t_settle(fds[i], POLLERR);
		CALL(recv(fds[i], buf, 1, 0));
		say("busy meanwhile: %d", cpu_ms() - used > 60);
	}
	peer_quiet("send 0 7");
	t_settle(fds[0], POLLIN);
	CALL(recv(fds[0], buf, 20, MSG_WAITALL));
	close(fds[0]);
	close(fds[1]);
	peer_quiet("close 0");
	peer_quiet("close 1");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		option(&t_fams[i]);
		stream(&t_fams[i]);
		datagrams(&t_fams[i]);
		waiting(&t_fams[i]);
	}
	return 0;
}
