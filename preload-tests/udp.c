/* SPDX-License-Identifier: MIT
 *
 * udp.c - datagrams: connected and not, ICMP errors, truncation, zero length,
 * packet information, sizes, mmsg
 */
#include "t.h"
#include <sys/uio.h>

static unsigned char buf[70000];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i % 251);
}

static int bound(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->us, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	MUST(bind(fd, &a.sa, a.len));
	return fd;
}

static void unconnected(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n);
	struct t_addr a = t_addr(f->peer, port), from;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), v;

	fill();
	say_poll("fresh", fd);
	CALL(recv(fd, buf, 1, MSG_DONTWAIT));
	CALL(send(fd, buf, 4, 0));
	CALL(getpeername(fd, &from.sa, &(socklen_t){sizeof(from.ss)}));
	CALL(sendto(fd, buf, 4, 0, &a.sa, 3));
	CALL(sendto(fd, buf, 4, 0, &a.sa, a.len));
	say("has a port now: %d", t_local_port(fd) != 0);
	peer("recvfrom 0");
	peer("reply 0 5");
	t_settle_say("answer", fd, POLLIN);
	MUST(ioctl(fd, FIONREAD, &v));
	say("FIONREAD %d", v);
	from.len = sizeof(from.ss);
	CALL(recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &from.len));
	say("from %s, port %s, len %u", t_ip(&from),
	    t_port(&from) == port ? "the peer's" : "another", from.len);
	/* several wait: each is its own */
	fill();
	peer("reply 0 3");
	peer("reply 0 0");
	peer("reply 0 9");
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, 100, MSG_PEEK));
	CALL(recv(fd, buf, 100, 0));
	CALL(recv(fd, buf, 100, 0));
	CALL(recv(fd, buf, 4, 0)); /* the rest is lost */
	CALL(recv(fd, buf, 100, MSG_DONTWAIT));
	peer("reply 0 20");
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, 4, MSG_TRUNC | MSG_PEEK));
	CALL(recv(fd, buf, 0, MSG_TRUNC));
	CALL(sendto(fd, buf, 0, 0, &a.sa, a.len)); /* empty ones travel too */
	peer("recvfrom 0");
	close(fd);
	peer("close 0");
}

static void messages(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n);
	struct t_addr a = t_addr(f->peer, port), from;
	int fd = bound(f), n;
	struct iovec iov[2] = {{buf, 2}, {buf + 2, 3}};
	char ctl[128];
	struct msghdr m = {.msg_name = &a.ss,
			   .msg_namelen = a.len,
			   .msg_iov = iov,
			   .msg_iovlen = 2};
	struct mmsghdr mm[3] = {{.msg_hdr = m}, {.msg_hdr = m}};
	struct timespec ts = {1, 0};

	fill();
	CALL(sendmsg(fd, &m, 0));
	peer("recvfrom 0");
	CALL(sendmmsg(fd, mm, 2, 0));
	peer("recvfrom 0");
	peer("recvfrom 0");
	peer("reply 0 9");
	t_settle(fd, POLLIN);
	m = (struct msghdr){.msg_name = &from.ss,
			    .msg_namelen = sizeof(from.ss),
			    .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl)};
	CALL(recvmsg(fd, &m, 0));
	say("flags %#x namelen %u controllen %zu", (unsigned)m.msg_flags,
	    m.msg_namelen, m.msg_controllen);
	peer("reply 0 2");
	peer("reply 0 3");
	t_settle(fd, POLLIN);
	for (int i = 0; i < 3; i++)
		mm[i].msg_hdr =
			(struct msghdr){.msg_iov = iov, .msg_iovlen = 2};
	n = (int)CALL(recvmmsg(fd, mm, 2, MSG_WAITFORONE, &ts));
	for (int i = 0; i < n; i++)
		say("len %u", mm[i].msg_len);
	close(fd);
	peer("close 0");
}

static void connected(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n), fd = bound(f);
	int other = (int)peer_quiet("udp 1 %d", f->n);
	struct t_addr a = t_addr(f->peer, port), name, un;

	un.sa.sa_family = AF_UNSPEC;
	fill();
	CALL(connect(fd, &a.sa, a.len));
	name.len = sizeof(name.ss);
	CALL(getpeername(fd, &name.sa, &name.len));
	say("%s, port %d", t_ip(&name), t_port(&name) == port);
	CALL(send(fd, buf, 6, 0));
	peer("recvfrom 0");
	/* others are not heard */
	peer_quiet("sendto 1 %d %d 7", f->n, t_local_port(fd));
	peer("reply 0 8");
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, 100, 0));
	CALL(recv(fd, buf, 100, MSG_DONTWAIT));
	a = t_addr(f->peer, other);
	CALL(sendto(fd, buf, 3, 0, &a.sa, a.len)); /* elsewhere, once */
	peer("recvfrom 1");
	CALL(connect(fd, &a.sa, a.len)); /* another peer */
	CALL(write(fd, buf, 2));
	peer("recvfrom 1");
	CALL(connect(fd, &un.sa, sizeof(un.sa)));
	CALL(getpeername(fd, &name.sa, &name.len));
	CALL(send(fd, buf, 1, 0));
	CALL(shutdown(fd, SHUT_RD));
	CALL(connect(fd, &a.sa, a.len));
	CALL(shutdown(fd, SHUT_WR));
	CALL(send(fd, buf, 1, MSG_NOSIGNAL));
	say_poll("SHUT_WR", fd);
	CALL(shutdown(fd, SHUT_RD));
	CALL(recv(fd, buf, 1, 0));
	say_poll("SHUT_RDWR", fd);
	close(fd);
	peer("close 0");
	peer("close 1");
}

/* What was under way to us by now has come in. */
static void round_trip(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 1 %d", f->n), fd = bound(f);
	struct t_addr a = t_addr(f->peer, port);

	MUST(sendto(fd, buf, 1, 0, &a.sa, a.len));
	peer_quiet("recvfrom 1");
	peer_quiet("reply 1 1");
	t_settle(fd, POLLIN);
	close(fd);
	peer_quiet("close 1");
}

static void refused(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n), fd = bound(f);
	struct t_addr a = t_addr(f->peer, port);
	int err;
	socklen_t len = sizeof(err);

	peer("close 0");
	/* unconnected: nobody is told */
	CALL(sendto(fd, buf, 1, 0, &a.sa, a.len));
	CALL(recv(fd, buf, 1, MSG_DONTWAIT));
	/* or the answer would find a socket that is connected, and is told */
	round_trip(f);
	CALL(connect(fd, &a.sa, a.len));
	CALL(send(fd, buf, 1, 0));
	t_settle_say("refused", fd, POLLERR);
	CALL(recv(fd, buf, 1, 0));
	say_poll("after read", fd);
	CALL(send(fd, buf, 1, 0));
	t_settle(fd, POLLERR);
	CALL(send(fd, buf, 1, 0));
	CALL(recv(fd, buf, 1, MSG_DONTWAIT));
	CALL(send(fd, buf, 1, 0));
	t_settle(fd, POLLERR);
	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	say("SO_ERROR %s", t_err(err));
	CALL(recv(fd, buf, 1, MSG_DONTWAIT));
	close(fd);
}

static void sizes(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n), fd = bound(f);
	struct t_addr a = t_addr(f->peer, port);
	static const size_t lens[] = {1472, 1473, 1452, 1453, 9000, 65000};

	fill();
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		CALL(sendto(fd, buf, lens[i], 0, &a.sa, a.len));
		peer("recvfrom 0");
		peer_quiet("reply 0 %zu", lens[i]);
		t_settle(fd, POLLIN);
		CALL(recv(fd, buf, sizeof(buf), 0));
	}
	CALL(sendto(fd, buf, 65507, 0, &a.sa, a.len));
	peer("recvfrom 0");
	if (f->n == 4)
		CALL(sendto(fd, buf, 65508, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 65536, 0, &a.sa, a.len));
	close(fd);
	peer("close 0");
}

static void packet_info(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n), one = 1;
	struct t_addr any = t_addr(f->any, 0), a = t_addr(f->peer, port);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct iovec iov = {buf, 100};
	union {
		char room[256];
		struct cmsghdr align;
	} ctl;
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &ctl,
			   .msg_controllen = sizeof(ctl)};

	MUST(bind(fd, &any.sa, any.len));
	if (f->n == 4) {
		CALL(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
		CALL(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
		CALL(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)));
	} else {
		CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one,
				sizeof(one)));
		CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one,
				sizeof(one)));
	}
	fill();
	CALL(sendto(fd, buf, 1, 0, &a.sa, a.len));
	peer("recvfrom 0");
	peer("reply 0 5");
	t_settle(fd, POLLIN);
	CALL(recvmsg(fd, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo p4;
		struct in6_pktinfo p6;
		char s[INET6_ADDRSTRLEN];

		printf("cmsg %d %d len %zu: ", c->cmsg_level, c->cmsg_type,
		       (size_t)c->cmsg_len);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&p4, CMSG_DATA(c), sizeof(p4));
			say("to %s",
			    inet_ntop(AF_INET, &p4.ipi_addr, s, sizeof(s)));
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
			   c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&p6, CMSG_DATA(c), sizeof(p6));
			say("to %s",
			    inet_ntop(AF_INET6, &p6.ipi6_addr, s, sizeof(s)));
		} else if (c->cmsg_len >= CMSG_LEN(sizeof(int))) {
			int v;

			memcpy(&v, CMSG_DATA(c), sizeof(v));
			say("%d", v);
		} else {
			say("%d", *CMSG_DATA(c));
		}
	}
	close(fd);
	peer("close 0");
}

static void sharing(const struct t_fam *f)
{
	int fd = bound(f), port = t_local_port(fd), one = 1;
	int fd2 = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr a = t_addr(f->us, port), any = t_addr(f->any, port);

	CALL(bind(fd2, &a.sa, a.len));
	CALL(bind(fd2, &any.sa, any.len));
	MUST(setsockopt(fd2, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(fd2, &a.sa, a.len));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(fd2, &a.sa, a.len));
	close(fd);
	close(fd2);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		unconnected(&t_fams[i]);
		messages(&t_fams[i]);
		connected(&t_fams[i]);
		refused(&t_fams[i]);
		sizes(&t_fams[i]);
		packet_info(&t_fams[i]);
		sharing(&t_fams[i]);
	}
	return 0;
}
