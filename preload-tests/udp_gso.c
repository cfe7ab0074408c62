/* SPDX-License-Identifier: MIT
 *
 * udp_gso.c - UDP_SEGMENT and UDP_GRO: one call, many datagrams
 */
#include "msg.h"

static int sender(const struct t_fam *f, int size)
{
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, size);
	return fd;
}

static void say_pieces(int num)
{
	for (int i = 0; i < num; i++)
		peer("recvfrom 0");
}

static void cut(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	/* every piece begins with the pattern again */
	static const struct {
		int size, len, num;
	} sends[] = {
		{251, 251 * 4, 4}, {251, 251 * 3 + 7, 4}, {251, 251, 1},
		{251, 100, 1},	   {251, 0, 1},		  {1255, 1255 * 10, 10},
	};
	int fd;

	say("- cut");
	for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
		fd = sender(f, sends[i].size);
		say("%d of %d: %zd", sends[i].len, sends[i].size,
		    sendto(fd, m_bytes(), (size_t)sends[i].len, 0, &a.sa,
			   a.len));
		say_pieces(sends[i].num);
		close(fd);
	}
	peer_quiet("close 0");
}

/* Sends that are refused, and those just inside. */
static void limits(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	int room = f->n == 4 ? 1472 : 1452, fd;

	say("- limits");
	peer_quiet("rcvbuf 0 4000000");
	fd = sender(f, 10);
	CALL(sendto(fd, m_bytes(), 1280, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 1281, 0, &a.sa, a.len));
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, room);
	CALL(sendto(fd, m_bytes(), (size_t)room * 2, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 65507, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 65536, 0, &a.sa, a.len));
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, room + 1);
	CALL(sendto(fd, m_bytes(), (size_t)room * 2, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), (size_t)room, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), (size_t)room + 1, 0, &a.sa, a.len));
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	CALL(sendto(fd, m_bytes(), (size_t)room + 1, 0, &a.sa, a.len));
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 65536);
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, -1);
	/* no checksum, no pieces */
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 100);
	if (f->n == 4)
		m_set(fd, SOL_SOCKET, SO_NO_CHECK, 1);
	else
		m_set(fd, IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */, 1);
	CALL(sendto(fd, m_bytes(), 200, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 90, 0, &a.sa, a.len));
	close(fd);
	peer_quiet("close 0");
}

static ssize_t send_sized(int fd, const struct t_addr *a, uint16_t size,
			  size_t len, int flags)
{
	union {
		char room[CMSG_SPACE(2)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {(void *)(uintptr_t)m_bytes(), len};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)&a->ss,
			   .msg_namelen = a->len,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &ctl,
			   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(&ctl, 0, sizeof(ctl));
	*c = (struct cmsghdr){CMSG_LEN(2), IPPROTO_UDP, UDP_SEGMENT};
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	return sendmsg(fd, &m, flags);
}

static void by_cmsg(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	int fd = sender(f, 0), one = 1, zero = 0;

	say("- by control data");
	CALL(send_sized(fd, &a, 251, 753, 0));
	say_pieces(3);
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 502);
	CALL(send_sized(fd, &a, 251, 753, 0));
	say_pieces(3);
	CALL(send_sized(fd, &a, 0, 753, 0));
	say_pieces(1);
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	say("- corked");
	CALL(send_sized(fd, &a, 251, 251, MSG_MORE));
	CALL(sendto(fd, m_bytes(), 502, 0, &a.sa, a.len));
	say_pieces(3);
	MUST(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof(one)));
	m_set(fd, IPPROTO_UDP, UDP_SEGMENT, 251);
	CALL(sendto(fd, m_bytes(), 251, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 251, 0, &a.sa, a.len));
	CALL(sendto(fd, m_bytes(), 251, 0, &a.sa, a.len));
	CALL(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &zero, sizeof(zero)));
	say_pieces(3);
	close(fd);
	peer_quiet("close 0");
}

/* What comes uncut is read whole by who asked for it, with its size. */
static void whole(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0), self;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), out;

	say("- received");
	MUST(bind(fd, &any.sa, any.len));
	self = t_addr(f->us, t_local_port(fd));
	peer_quiet("udp 0 %d", f->n);
	for (int on = 0; on < 2; on++) {
		m_set(fd, IPPROTO_UDP, UDP_GRO, on);
		say("GRO %d", on);
		peer_quiet("sendgso 0 %d %d 3000 1000", f->n, t_local_port(fd));
		for (int i = on ? 2 : 0; i < 3; i++) {
			t_settle(fd, POLLIN);
			m_recv(fd, 0);
		}
		peer_quiet("sendgso 0 %d %d 3100 1000", f->n, t_local_port(fd));
		for (int i = on ? 3 : 0; i < 4; i++) {
			t_settle(fd, POLLIN);
			m_recv(fd, 0);
		}
		peer_quiet("sendto 0 %d %d 700", f->n, t_local_port(fd));
		t_settle(fd, POLLIN);
		m_recv(fd, 0);
		say("from ourselves");
		out = sender(f, 400);
		CALL(sendto(out, m_bytes(), 1000, 0, &self.sa, self.len));
		for (int i = on ? 2 : 0; i < 3; i++) {
			t_settle(fd, POLLIN);
			m_recv(fd, 0);
		}
		m_recv(fd, MSG_DONTWAIT);
		close(out);
	}
	say("too little room");
	peer_quiet("sendgso 0 %d %d 3000 1000", f->n, t_local_port(fd));
	t_settle(fd, POLLIN);
	m_recv_room(fd, 0, 1500, 256);
	m_recv(fd, MSG_DONTWAIT);
	close(fd);
	peer_quiet("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		cut(&t_fams[i]);
		limits(&t_fams[i]);
		by_cmsg(&t_fams[i]);
		whole(&t_fams[i]);
	}
	return 0;
}
