/* SPDX-License-Identifier: MIT
 *
 * cmsg.c - control data of datagrams, both ways: what each option tells and in
 * which order, how it is cut, what sendmsg(2) takes and what it refuses
 */
#include "msg.h"

static int wanting(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	MUST(bind(fd, &any.sa, any.len));
	m_port = t_local_port(fd);
	return fd;
}

/* What can be asked for, one after the other and all together. */
static const struct {
	int level, name;
} wishes[] = {
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS},
	{SOL_SOCKET, SO_TIMESTAMP_NEW},
	{SOL_SOCKET, SO_TIMESTAMPNS_NEW},
	{SOL_SOCKET, SO_RXQ_OVFL},
	{SOL_SOCKET, 75 /* SO_RCVMARK */},
	{SOL_SOCKET, 82 /* SO_RCVPRIORITY */},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IP, IP_RECVTTL},
	{IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_RECVOPTS},
	{IPPROTO_IP, IP_RETOPTS},
	{IPPROTO_IP, IP_RECVORIGDSTADDR},
	{IPPROTO_IP, IP_CHECKSUM},
	{IPPROTO_IP, IP_RECVFRAGSIZE},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{IPPROTO_IPV6, IPV6_RECVTCLASS},
	{IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */},
	{IPPROTO_IPV6, IPV6_RECVHOPOPTS},
	{IPPROTO_IPV6, IPV6_RECVRTHDR},
	{IPPROTO_IPV6, IPV6_RECVDSTOPTS},
	{IPPROTO_IPV6, IPV6_2292PKTINFO},
	{IPPROTO_IPV6, IPV6_2292HOPLIMIT},
	{IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */},
	{IPPROTO_UDP, UDP_GRO},
};
#define NUM_WISHES (sizeof(wishes) / sizeof(wishes[0]))

static void one_comes(const struct t_fam *f, int fd)
{
	peer_quiet("sendto 0 %d %d 5", f->n, t_local_port(fd));
	t_settle(fd, POLLIN);
}

static void told(const struct t_fam *f, const struct t_fam *from)
{
	int fd = wanting(f);

	say("- told, to IPv%d from IPv%d", f->n, from->n);
	peer_quiet("udp 0 %d", from->n);
	for (size_t i = 0; i < NUM_WISHES; i++) {
		int one = 1, zero = 0;

		if (setsockopt(fd, wishes[i].level, wishes[i].name, &one,
			       sizeof(one)) < 0) {
			say("%d %d: %s", wishes[i].level, wishes[i].name,
			    t_err(errno));
			continue;
		}
		say("%d %d", wishes[i].level, wishes[i].name);
		one_comes(from, fd);
		m_recv(fd, 0);
		MUST(setsockopt(fd, wishes[i].level, wishes[i].name, &zero,
				sizeof(zero)));
	}
	for (size_t i = 0; i < NUM_WISHES; i++) {
		int one = 1;

		setsockopt(fd, wishes[i].level, wishes[i].name, &one,
			   sizeof(one));
	}
	one_comes(from, fd);
	m_recv(fd, 0);
	say("rooms");
	for (size_t room = 0; room < 200; room += 13) {
		one_comes(from, fd);
		m_recv_room(fd, 0, 100, room);
	}
	close(fd);
	peer_quiet("close 0");
}

/* Flags come back as the kernel has them. */
static void flags(const struct t_fam *f)
{
	int fd = wanting(f);

	say("- flags");
	peer_quiet("udp 0 %d", f->n);
	one_comes(f, fd);
	m_recv_room(fd, MSG_PEEK, 3, 0);
	m_recv_room(fd, MSG_PEEK | MSG_TRUNC, 3, 0);
	m_recv_room(fd, MSG_CMSG_CLOEXEC, 5, 100);
	one_comes(f, fd);
	m_recv_room(fd, MSG_WAITALL, 50, 100);
	one_comes(f, fd);
	CALL(recv(fd, NULL, 0, MSG_OOB));
	one_comes(f, fd);
	m_recv_room(fd, MSG_TRUNC, 0, 0);
	m_recv(fd, MSG_DONTWAIT);
	m_recv(fd, MSG_DONTWAIT);
	close(fd);
	peer_quiet("close 0");
}

static struct {
	_Alignas(8) char b[256];
	size_t len;
} given;

static void give(int level, int type, const void *p, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len),
			    .cmsg_level = level,
			    .cmsg_type = type};

	memcpy(given.b + given.len, &h, sizeof(h));
	memcpy(given.b + given.len + CMSG_LEN(0), p, len);
	given.len += CMSG_SPACE(len);
}

static ssize_t send_given(int fd, const struct t_addr *to)
{
	struct iovec iov = {(void *)(uintptr_t)m_bytes(), 7};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)&to->ss,
			   .msg_namelen = to->len,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = given.b,
			   .msg_controllen = given.len};

	given.len = 0;
	return sendmsg(fd, &m, 0);
}

/* @fd sends to itself, through the stack's or the kernel's own loop. */
static void asked(const struct t_fam *f, const struct t_fam *to)
{
	int fd = wanting(f), out = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr a = t_addr(to->us, t_local_port(fd));
	static const struct {
		int level, type, v;
		size_t len;
	} asks[] = {
		{IPPROTO_IP, IP_TTL, 9, 4},
		{IPPROTO_IP, IP_TTL, 0, 4},
		{IPPROTO_IP, IP_TTL, 256, 4},
		{IPPROTO_IP, IP_TTL, 9, 1},
		{IPPROTO_IP, IP_TOS, 0x10, 4},
		{IPPROTO_IP, IP_TOS, 0x10, 1},
		{IPPROTO_IP, IP_TOS, 0x10, 2},
		{IPPROTO_IP, IP_TOS, 256, 4},
		{IPPROTO_IP, IP_TOS, -1, 4},
		{IPPROTO_IP, IP_PKTINFO, 0, 4},
		{IPPROTO_IP, IP_RETOPTS, 0, 0},
		{IPPROTO_IP, IP_RETOPTS, 1, 4},
		{IPPROTO_IP, 52 /* IP_PROTOCOL */, 17, 4},
		{IPPROTO_IP, 52, 0, 4},
		{IPPROTO_IP, 99, 0, 4},
		{IPPROTO_IPV6, IPV6_HOPLIMIT, 9, 4},
		{IPPROTO_IPV6, IPV6_HOPLIMIT, -1, 4},
		{IPPROTO_IPV6, IPV6_HOPLIMIT, 256, 4},
		{IPPROTO_IPV6, IPV6_HOPLIMIT, 9, 1},
		{IPPROTO_IPV6, IPV6_TCLASS, 0x20, 4},
		{IPPROTO_IPV6, IPV6_TCLASS, 256, 4},
		{IPPROTO_IPV6, IPV6_TCLASS, -1, 4},
		{IPPROTO_IPV6, IPV6_DONTFRAG, 1, 4},
		{IPPROTO_IPV6, IPV6_DONTFRAG, 2, 4},
		{IPPROTO_IPV6, IPV6_PKTINFO, 0, 4},
		{IPPROTO_IPV6, 99, 0, 4},
		{SOL_SOCKET, SCM_RIGHTS, 0, 4},
		{SOL_SOCKET, SCM_CREDENTIALS, 0, 4},
		{SOL_SOCKET, SO_MARK, 3, 4},
		{SOL_SOCKET, SO_MARK, 3, 1},
		{SOL_SOCKET, SO_PRIORITY, 3, 4},
		{SOL_SOCKET, 37 /* SO_TIMESTAMPING */, 2, 4},
		{SOL_SOCKET, 37, 0x40000000, 4},
		{SOL_SOCKET, 37, 2, 1},
		{SOL_SOCKET, 61 /* SCM_TXTIME */, 0, 8},
		{SOL_SOCKET, 81 /* SCM_TS_OPT_ID */, 5, 4},
		{SOL_SOCKET, 99, 0, 4},
		{IPPROTO_UDP, UDP_SEGMENT, 3, 2},
		{IPPROTO_UDP, UDP_SEGMENT, 3, 4},
		{IPPROTO_UDP, UDP_GRO, 3, 4},
		{IPPROTO_TCP, 1, 3, 4},
		{12345, 1, 3, 4},
	};

	say("- asked, IPv%d to IPv%d", f->n, to->n);
	m_set(fd, IPPROTO_IP, IP_RECVTTL, 1);
	m_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
	if (f->n == 6) {
		m_set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		m_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	}
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		int64_t v = asks[i].v;
		ssize_t n;

		give(asks[i].level, asks[i].type, &v, asks[i].len);
		n = send_given(out, &a);
		say("%d %d = %d (%zu): %s", asks[i].level, asks[i].type,
		    asks[i].v, asks[i].len, n < 0 ? t_err(errno) : "sent");
		while (n > 0 && t_settle(fd, POLLIN) &&
		       m_recv(fd, MSG_DONTWAIT) > 0 && t_poll_now(fd, POLLIN))
			;
	}
	close(fd);
	close(out);
}

static ssize_t send_raw(int fd, const struct t_addr *to, size_t len)
{
	given.len = len;
	return send_given(fd, to);
}

/* Headers that are not well formed. */
static void malformed(const struct t_fam *f)
{
	int fd = wanting(f), one = 1;
	struct t_addr a = t_addr(f->us, t_local_port(fd));
	struct cmsghdr h = {.cmsg_len = 8, .cmsg_level = SOL_SOCKET};

	say("- malformed");
	memcpy(given.b, &h, sizeof(h));
	CALL(send_raw(fd, &a, sizeof(h)));
	h.cmsg_len = 64;
	memcpy(given.b, &h, sizeof(h));
	CALL(send_raw(fd, &a, sizeof(h)));
	h.cmsg_len = 0;
	memcpy(given.b, &h, sizeof(h));
	CALL(send_raw(fd, &a, sizeof(h)));
	CALL(send_raw(fd, &a, 8));
	give(IPPROTO_IP, IP_TTL, &one, sizeof(one));
	memset(given.b + given.len, 0, 8);
	CALL(send_raw(fd, &a, given.len + 8));
	give(IPPROTO_IP, IP_TTL, &one, sizeof(one));
	memset(given.b + given.len, 0, 16);
	CALL(send_raw(fd, &a, given.len + 16));
	close(fd);
}

/* Whose address, and through which interface. */
static void source(const struct t_fam *f)
{
	int fd = wanting(f), out = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr a = t_addr(f->us, t_local_port(fd));
	static const struct {
		const char *four, *six;
		int index;
	} from[] = {
		{"0.0.0.0", "::", 0},	      {"10.77.0.2", "fd77::2", 0},
		{"10.77.0.9", "fd77::9", 0},  {"0.0.0.0", "::", 77},
		{"0.0.0.0", "::", -1},	      {"224.0.0.1", "ff02::1", 0},
		{"10.77.0.2", "fd77::2", 77},
	};

	say("- source");
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		struct in_pktinfo p4 = {.ipi_ifindex = from[i].index};
		struct in6_pktinfo p6 = {.ipi6_ifindex =
						 (unsigned)from[i].index};
		ssize_t n;

		inet_pton(AF_INET, from[i].four, &p4.ipi_spec_dst);
		inet_pton(AF_INET6, from[i].six, &p6.ipi6_addr);
		if (f->n == 4)
			give(IPPROTO_IP, IP_PKTINFO, &p4, sizeof(p4));
		else
			give(IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
		n = send_given(out, &a);
		say("%s if %d: %s", f->n == 4 ? from[i].four : from[i].six,
		    from[i].index, n < 0 ? t_err(errno) : "sent");
		if (n > 0 && t_settle(fd, POLLIN))
			m_recv(fd, 0);
	}
	close(fd);
	close(out);
}

/* A datagram of 12 bytes at least for each refused one that fits no more. */
static void overflow(const struct t_fam *f)
{
	int fd = wanting(f), out = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr a = t_addr(f->us, t_local_port(fd));
	int num = 0;

	say("- overflow");
	m_set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	m_set(fd, SOL_SOCKET, SO_RCVBUF, 20000);
	for (int i = 0; i < 200; i++)
		sendto(out, m_bytes(), 1000, 0, &a.sa, a.len);
	t_settle(fd, POLLIN);
	while (recv(fd, NULL, 0, MSG_DONTWAIT) >= 0)
		num++;
	say("some were lost: %d", num > 0 && num < 200);
	sendto(out, m_bytes(), 3, 0, &a.sa, a.len);
	t_settle(fd, POLLIN);
	{
		char buf[8], ctl[64] = {0};
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = ctl,
				   .msg_controllen = sizeof(ctl)};
		struct cmsghdr *c;
		int lost = 0;

		MUST(recvmsg(fd, &m, 0));
		c = CMSG_FIRSTHDR(&m);
		if (c)
			memcpy(&lost, CMSG_DATA(c), sizeof(lost));
		say("told: %d, all accounted for: %d",
		    c && c->cmsg_type == SO_RXQ_OVFL, lost + num == 200);
	}
	close(fd);
	close(out);
}

int main(void)
{
	t_init();
	told(&t_fams[1], &t_fams[0]);
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		told(f, f);
		flags(f);
		asked(f, f);
		malformed(f);
		source(f);
		overflow(f);
	}
	return 0;
}
