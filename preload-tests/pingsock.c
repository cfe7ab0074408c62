/* SPDX-License-Identifier: MIT
 *
 * pingsock.c - ping sockets: identifiers, what may be sent, who hears, errors
 */
#include "t.h"
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

static unsigned char buf[70000];

static int ping_socket(const struct t_fam *f)
{
	return (int)MUST(socket(f->af, SOCK_DGRAM,
				f->n == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6));
}

static void request(const struct t_fam *f, int seq, size_t len)
{
	memset(buf, 0, 8);
	buf[0] = f->n == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	buf[4] = 1; /* the socket's own identifier replaces it */
	buf[7] = (unsigned char)seq;
	for (size_t i = 0; i < len; i++)
		buf[8 + i] = (unsigned char)(i % 251);
}

static void making(void)
{
	int v, fd;
	socklen_t len = sizeof(v);

	CALL(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6));
	CALL(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMP));
	CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_ICMP));
	fd = ping_socket(&t_fams[0]);
	MUST(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	say("protocol %d", v);
	MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	say("datagrams %d", v == SOCK_DGRAM);
	CALL(setsockopt(fd, SOL_IP, IP_HDRINCL, &v, sizeof(v)));
	CALL(setsockopt(fd, SOL_RAW, 1, &v, sizeof(v)));
	CALL(setsockopt(fd, IPPROTO_UDP, 1, &v, sizeof(v)));
	CALL(listen(fd, 1));
	close(fd);
}

static void names(const struct t_fam *f)
{
	int fd = ping_socket(f), two = ping_socket(f), one = 1, off = 0, v;
	socklen_t len = sizeof(v);
	struct t_addr a = t_addr(f->us, 4321), any = t_addr(f->any, 4321);
	struct t_addr b = t_addr(f->n == 4 ? "10.77.0.9" : "fd77::9", 0);
	struct t_addr m = t_addr(f->n == 4 ? "224.0.0.1" : "ff0e::1", 0);
	struct t_addr out = {.len = sizeof(out.ss)};

	CALL(getsockname(fd, &out.sa, &out.len));
	say("%s port %d", t_ip(&out), t_port(&out));
	CALL(bind(fd, &b.sa, b.len));
	CALL(bind(fd, &m.sa, m.len));
	CALL(bind(fd, &a.sa, 8));
	CALL(bind(fd, &a.sa, a.len));
	CALL(bind(fd, &a.sa, a.len));
	out.len = sizeof(out.ss);
	CALL(getsockname(fd, &out.sa, &out.len));
	say("%s port %d", t_ip(&out), t_port(&out));
	/* they reuse addresses without being asked to */
	CALL(getsockopt(two, SOL_SOCKET, SO_REUSEADDR, &v, &len));
	say("reuse %d", v);
	CALL(setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)));
	CALL(bind(two, &any.sa, any.len));
	CALL(setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(two, &any.sa, any.len));
	close(fd);
	close(two);
	fd = ping_socket(f);
	a = t_addr(f->n == 4 ? US6 : US4, 0);
	CALL(bind(fd, &a.sa, a.len));
	if (f->n == 6) {
		a = t_addr("::ffff:10.77.0.2", 0);
		CALL(bind(fd, &a.sa, a.len));
	}
	a = t_addr(f->any, 0);
	CALL(bind(fd, &a.sa, a.len));
	say("has a name: %d", t_local_port(fd) != 0);
	a = t_addr(f->peer, 0);
	CALL(connect(fd, &a.sa, a.len));
	CALL(getpeername(fd, &out.sa, &out.len));
	a.sa.sa_family = AF_UNSPEC;
	CALL(connect(fd, &a.sa, a.len));
	say("has a name: %d", t_local_port(fd) != 0);
	close(fd);
}

static void echoes(const struct t_fam *f)
{
	int fd = ping_socket(f), other = ping_socket(f), v = 1, n;
	struct t_addr a = t_addr(f->peer, 5), from = {.len = sizeof(from.ss)};
	static const size_t lens[] = {0, 1, 56, 1464, 1473, 5000, 60000};

	say_poll("fresh", fd);
	CALL(ioctl(fd, FIONREAD, &v));
	request(f, 1, 56);
	CALL(send(fd, buf, 64, 0));
	CALL(sendto(fd, buf, 64, MSG_OOB, &a.sa, a.len));
	CALL(sendto(fd, buf, 7, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 64, 0, &a.sa, 4));
	CALL(sendto(fd, buf, 70000, 0, &a.sa, a.len));
	buf[1] = 1;
	CALL(sendto(fd, buf, 64, 0, &a.sa, a.len));
	buf[1] = 0;
	buf[0] = f->n == 4 ? ICMP_TIMESTAMP : ICMP6_ECHO_REPLY;
	CALL(sendto(fd, buf, 64, 0, &a.sa, a.len));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		request(f, (int)i, lens[i]);
		CALL(sendto(fd, buf, 8 + lens[i], 0, &a.sa, a.len));
		t_settle(fd, POLLIN);
		n = (int)recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &from.len);
		say("%d bytes from %s port %d, type %u seq %u, id %s", n,
		    t_ip(&from), t_port(&from), buf[0], buf[7],
		    (buf[4] << 8 | buf[5]) == t_local_port(fd) ? "ours"
							       : "another");
	}
	say_poll("another socket", other);
	/* connected: the peer's answers, and others' just as well */
	CALL(connect(fd, &a.sa, a.len));
	request(f, 9, 8);
	CALL(send(fd, buf, 16, 0));
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, 4, MSG_TRUNC | MSG_PEEK));
	CALL(recv(fd, buf, 100, 0));
	CALL(recv(fd, buf, 100, MSG_DONTWAIT));
	CALL(recv(fd, buf, 100, MSG_DONTWAIT | MSG_OOB));
	a = t_addr(f->us, 0);
	request(f, 10, 8);
	CALL(sendto(fd, buf, 16, 0, &a.sa, a.len)); /* ourselves */
	t_settle(fd, POLLIN);
	from.len = sizeof(from.ss);
	n = (int)CALL(recvfrom(fd, buf, 100, 0, &from.sa, &from.len));
	say("from %s", t_ip(&from));
	CALL(shutdown(fd, SHUT_WR));
	request(f, 11, 8);
	CALL(send(fd, buf, 16, 0));
	close(fd);
	close(other);
}

static void control(const struct t_fam *f)
{
	int fd = ping_socket(f), one = 1, hops = 200;
	struct t_addr a = t_addr(f->peer, 0);
	char room[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};

	if (f->n == 4) {
		MUST(setsockopt(fd, SOL_IP, IP_RECVTTL, &one, sizeof(one)));
		MUST(setsockopt(fd, SOL_IP, IP_TTL, &hops, sizeof(hops)));
	} else {
		MUST(setsockopt(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, &one,
				sizeof(one)));
		MUST(setsockopt(fd, SOL_IPV6, IPV6_UNICAST_HOPS, &hops,
				sizeof(hops)));
	}
	request(f, 1, 8);
	MUST(sendto(fd, buf, 16, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	CALL(recvmsg(fd, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		int v = 0;

		memcpy(&v, CMSG_DATA(c), sizeof(v));
		say("cmsg %d %d: %d", c->cmsg_level, c->cmsg_type, v);
	}
	close(fd);
}

int main(void)
{
	t_init();
	making();
	for (int i = 0; i < 2; i++) {
		names(&t_fams[i]);
		echoes(&t_fams[i]);
		control(&t_fams[i]);
	}
	return 0;
}
