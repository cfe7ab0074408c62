/* SPDX-License-Identifier: MIT
 *
 * raw.c - SOCK_RAW: protocols, headers, filters, checksums, errors, names
 */
#include "t.h"
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/syscall.h>
#include <linux/capability.h>

static unsigned char buf[70000];

static unsigned sum16(const void *p, size_t len)
{
	const unsigned char *b = p;
	unsigned long s = 0;

	for (size_t i = 0; i < len; i++)
		s += i & 1 ? b[i] : (unsigned)b[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (unsigned)~s & 0xffff;
}

static int raw(int af, int proto)
{
	return (int)MUST(socket(af, SOCK_RAW, proto));
}

static void set(int fd, int level, int name, int v)
{
	MUST(setsockopt(fd, level, name, &v, sizeof(v)));
}

static size_t echo(unsigned char *p, unsigned id, unsigned seq, size_t len)
{
	struct icmphdr h = {.type = ICMP_ECHO};

	h.un.echo.id = htons((uint16_t)id);
	h.un.echo.sequence = htons((uint16_t)seq);
	memcpy(p, &h, 8);
	for (size_t i = 0; i < len; i++)
		p[8 + i] = (unsigned char)i;
	h.checksum = htons((uint16_t)sum16(p, 8 + len));
	memcpy(p, &h, 8);
	return 8 + len;
}

/* Reads until something passes that is from the peer, and tells of it. */
static void say_ip4(const char *what, int fd)
{
	struct t_addr from = {.len = sizeof(from.ss)};
	struct iphdr ip;
	ssize_t n;

	t_settle(fd, POLLIN);
	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &from.len);
	if (n < 0) {
		say("%s: %s", what, t_err(errno));
		return;
	}
	memcpy(&ip, buf, sizeof(ip));
	say("%s: %zd bytes from %s port %d, ihl %u tos %u total %u ttl %u "
	    "proto %u, sum %s",
	    what, n, t_ip(&from), t_port(&from), ip.ihl, ip.tos,
	    ntohs(ip.tot_len), ip.ttl, ip.protocol,
	    sum16(buf, ip.ihl * 4u) ? "bad" : "ok");
	if (ip.protocol == IPPROTO_ICMP)
		say("  icmp type %u code %u, sum %s", buf[20], buf[21],
		    sum16(buf + 20, (size_t)n - 20) ? "bad" : "ok");
}

static void making(void)
{
	struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2], none[2];
	struct t_addr a = {.len = sizeof(a.ss)};
	int v, fd;
	socklen_t len = sizeof(v);

	CALL(socket(AF_INET, SOCK_RAW, 0));
	CALL(socket(AF_INET6, SOCK_RAW, 0));
	CALL(socket(AF_INET, SOCK_RAW, -1));
	MUST(syscall(SYS_capget, &hdr, data));
	memcpy(none, data, sizeof(none));
	none[0].effective &= ~(1u << CAP_NET_RAW);
	MUST(syscall(SYS_capset, &hdr, none));
	CALL(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	CALL(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	CALL(socket(AF_INET, SOCK_RAW, 0));
	MUST(syscall(SYS_capset, &hdr, data));
	fd = raw(AF_INET, IPPROTO_ICMP);
	MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	say("type %d", v == SOCK_RAW);
	MUST(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	say("protocol %d", v);
	CALL(getsockname(fd, &a.sa, &a.len));
	say("name %s port %d len %u", t_ip(&a), t_port(&a), a.len);
	CALL(listen(fd, 1));
	CALL(accept(fd, NULL, NULL));
	say_poll("fresh", fd);
	CALL(recv(fd, buf, 1, MSG_DONTWAIT));
	CALL(recv(fd, buf, 1, MSG_DONTWAIT | MSG_OOB));
	CALL(send(fd, buf, 8, 0));
	CALL(send(fd, buf, 8, MSG_OOB));
	CALL(shutdown(fd, SHUT_WR));
	close(fd);
	fd = raw(AF_INET, 200);
	MUST(getsockname(fd, &a.sa, &a.len));
	say("name %s port %d", t_ip(&a), t_port(&a));
	close(fd);
}

static void options(void)
{
	static const struct {
		int af, proto, level, name;
		const char *text;
	} o[] = {
		{AF_INET, IPPROTO_ICMP, SOL_IP, IP_HDRINCL, "HDRINCL"},
		{AF_INET, IPPROTO_RAW, SOL_IP, IP_HDRINCL, "HDRINCL of RAW"},
		{AF_INET, IPPROTO_ICMP, SOL_IP, IP_NODEFRAG, "NODEFRAG"},
		{AF_INET, IPPROTO_ICMP, SOL_RAW, 1, "ICMP_FILTER"},
		{AF_INET, IPPROTO_UDP, SOL_RAW, 1, "ICMP_FILTER of UDP"},
		{AF_INET, IPPROTO_ICMP, SOL_RAW, 2, "SOL_RAW 2"},
		{AF_INET6, IPPROTO_ICMPV6, SOL_IPV6, IPV6_CHECKSUM, "CHECKSUM"},
		{AF_INET6, IPPROTO_ICMPV6, SOL_RAW, IPV6_CHECKSUM, "by RAW"},
		{AF_INET6, 200, SOL_IPV6, IPV6_CHECKSUM, "CHECKSUM of 200"},
		{AF_INET6, 200, SOL_IPV6, 36, "HDRINCL6"},
		{AF_INET6, IPPROTO_RAW, SOL_IPV6, 36, "HDRINCL6 of RAW"},
		{AF_INET6, IPPROTO_ICMPV6, SOL_RAW, 1, "SOL_RAW 1"},
		{AF_INET6, 200, SOL_ICMPV6, 1, "ICMP6_FILTER of 200"},
		{AF_INET, IPPROTO_UDP, SOL_UDP, 1, "SOL_UDP"},
	};
	static const int vals[] = {1, 0, -1, 2, 3};

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		int fd = raw(o[i].af, o[i].proto), v = 77, r;
		socklen_t len = sizeof(v);

		r = getsockopt(fd, o[i].level, o[i].name, &v, &len);
		say("%s: get %s %d", o[i].text, r ? t_err(errno) : "0",
		    r ? 0 : v);
		for (size_t k = 0; k < 5; k++) {
			r = setsockopt(fd, o[i].level, o[i].name, &vals[k],
				       sizeof(int));
			v = 77;
			if (r)
				say("  set %d: %s", vals[k], t_err(errno));
			else if (getsockopt(fd, o[i].level, o[i].name, &v,
					    &len))
				say("  set %d, get %s", vals[k], t_err(errno));
			else
				say("  set %d, get %d", vals[k], v);
		}
		close(fd);
	}
	{
		int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), v = 1;

		CALL(setsockopt(fd, SOL_IP, IP_HDRINCL, &v, sizeof(v)));
		CALL(setsockopt(fd, SOL_RAW, 1, &v, sizeof(v)));
		close(fd);
	}
}

static void pinging(void)
{
	int fd = raw(AF_INET, IPPROTO_ICMP), other = raw(AF_INET, IPPROTO_ICMP);
	int deaf = raw(AF_INET, IPPROTO_ICMP), v;
	struct t_addr a = t_addr(PEER4, 99), us = t_addr(US4, 7), out;
	uint32_t filter = 1u << ICMP_ECHOREPLY;
	size_t n = echo(buf, 77, 1, 56);

	MUST(setsockopt(deaf, SOL_RAW, 1, &filter, sizeof(filter)));
	CALL(sendto(fd, buf, n, 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	MUST(ioctl(fd, FIONREAD, &v));
	say("FIONREAD %d", v);
	say_ip4("reply", fd);
	say_ip4("the other's copy", other);
	say_poll("filtered", deaf);
	/* bound and connected ones hear less */
	CALL(bind(fd, &us.sa, us.len));
	CALL(bind(fd, &us.sa, us.len));
	out = t_addr("10.77.0.9", 0);
	CALL(bind(fd, &out.sa, out.len));
	CALL(bind(fd, &us.sa, 4));
	CALL(connect(other, &out.sa, out.len));
	CALL(bind(other, &us.sa, us.len));
	out.len = sizeof(out.ss);
	CALL(getpeername(other, &out.sa, &out.len));
	CALL(connect(fd, &a.sa, a.len));
	out.len = sizeof(out.ss);
	CALL(getpeername(fd, &out.sa, &out.len));
	say("peer %s port %d", t_ip(&out), t_port(&out));
	n = echo(buf, 77, 2, 2000);
	CALL(send(fd, buf, n, 0));
	say_ip4("long reply", fd);
	say_poll("connected elsewhere", other);
	set(fd, SOL_IP, IP_TTL, 33);
	set(fd, SOL_IP, IP_TOS, 0x10);
	n = echo(buf, 77, 3, 4);
	CALL(send(fd, buf, n, 0));
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, 10, MSG_TRUNC | MSG_PEEK));
	CALL(recv(fd, buf, 10, 0));
	a.sa.sa_family = AF_UNSPEC;
	CALL(connect(fd, &a.sa, a.len));
	CALL(getpeername(fd, &out.sa, &out.len));
	out.len = sizeof(out.ss);
	CALL(getsockname(fd, &out.sa, &out.len));
	say("name %s port %d", t_ip(&out), t_port(&out));
	close(fd);
	close(other);
	close(deaf);
}

static void sending_errors(void)
{
	int fd = raw(AF_INET, IPPROTO_ICMP), fd6 = raw(AF_INET6, 200);
	struct t_addr a = t_addr(PEER4, 0), b = t_addr("10.77.0.255", 0);
	struct t_addr a6 = t_addr(PEER6, 0);
	size_t n = echo(buf, 1, 1, 8);

	CALL(sendto(fd, buf, n, 0, &a.sa, 4));
	a.sa.sa_family = AF_INET6;
	CALL(sendto(fd, buf, n, 0, &a.sa, a.len));
	a.sa.sa_family = AF_INET;
	CALL(sendto(fd, buf, n, 0, &b.sa, b.len));
	CALL(sendto(fd, buf, 65515, 0, &b.sa, b.len));
	CALL(sendto(fd, buf, 65516, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 65536, 0, &a.sa, a.len));
	CALL(sendto(fd6, buf, n, 0, &a6.sa, 4));
	a6.in6.sin6_port = htons(200);
	CALL(sendto(fd6, buf, n, 0, &a6.sa, a6.len));
	a6.in6.sin6_port = htons(201);
	CALL(sendto(fd6, buf, n, 0, &a6.sa, a6.len));
	a6.in6.sin6_port = htons(300);
	CALL(sendto(fd6, buf, n, 0, &a6.sa, a6.len));
	CALL(sendto(fd6, buf, n, 0, &a.sa, a.len));
	CALL(send(fd6, buf, n, 0));
	close(fd);
	close(fd6);
}

/* A UDP datagram of our own making reaches the peer's socket. */
static size_t datagram(unsigned char *p, const char *src, int port, size_t len)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 9};
	struct udphdr u = {0};

	ip.protocol = IPPROTO_UDP;
	ip.saddr = inet_addr(src);
	ip.daddr = inet_addr(PEER4);
	u.source = htons(4000);
	u.dest = htons((uint16_t)port);
	u.len = htons((uint16_t)(8 + len));
	memcpy(p, &ip, 20);
	memcpy(p + 20, &u, 8);
	for (size_t i = 0; i < len; i++)
		p[28 + i] = (unsigned char)(i % 251);
	return 28 + len;
}

static void own_header(void)
{
	int port = (int)peer_quiet("udp 0 4"), fd = raw(AF_INET, IPPROTO_RAW);
	struct t_addr a = t_addr(PEER4, 0), lo = t_addr(US4, 0);
	int all = raw(AF_INET, IPPROTO_UDP);
	size_t n = datagram(buf, "0.0.0.0", port, 10);

	CALL(sendto(fd, buf, n, 0, &a.sa, a.len)); /* source filled in */
	peer("recvfrom 0");
	n = datagram(buf, US4, port, 20);
	CALL(sendto(fd, buf, n, 0, &a.sa, a.len));
	peer("recvfrom 0");
	CALL(sendto(fd, buf, 19, 0, &a.sa, a.len));
	buf[0] = 0x4f; /* a header longer than the packet */
	CALL(sendto(fd, buf, 30, 0, &a.sa, a.len));
	buf[0] = 0x45;
	CALL(sendto(fd, buf, 1500, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 1501, 0, &a.sa, a.len));
	/* to ourselves: the header is seen as completed */
	n = datagram(buf, "0.0.0.0", 4001, 3);
	memcpy(buf + 16, &lo.in.sin_addr, 4);
	CALL(sendto(fd, buf, n, 0, &lo.sa, lo.len));
	say_ip4("own datagram", all);
	say("id %s", buf[4] || buf[5] ? "filled in" : "zero");
	close(fd);
	close(all);
	peer("close 0");
}

/* The same over IPv6, where nothing is filled in. */
static void own_header6(void)
{
	int port = (int)peer_quiet("udp 0 6"), fd = raw(AF_INET6, IPPROTO_RAW);
	struct t_addr a = t_addr(PEER6, 0), us = t_addr(US6, 0);
	unsigned char sum[40 + 18] = {0};
	size_t n = 40 + 18;
	unsigned s;

	memset(buf, 0, sizeof(buf));
	buf[0] = 0x60;
	buf[5] = 18;
	buf[6] = IPPROTO_UDP;
	buf[7] = 9;
	memcpy(buf + 8, &us.in6.sin6_addr, 16);
	memcpy(buf + 24, &a.in6.sin6_addr, 16);
	buf[40] = 16;
	buf[42] = (unsigned char)(port >> 8);
	buf[43] = (unsigned char)port;
	buf[45] = 18;
	for (size_t i = 0; i < 10; i++)
		buf[48 + i] = (unsigned char)(i % 251);
	memcpy(sum, buf + 8, 32); /* the pseudo header */
	sum[35] = 18;
	sum[39] = IPPROTO_UDP;
	memcpy(sum + 40, buf + 40, 18);
	s = sum16(sum, sizeof(sum));
	buf[46] = (unsigned char)(s >> 8);
	buf[47] = (unsigned char)s;
	CALL(sendto(fd, buf, n, 0, &a.sa, a.len));
	peer("recvfrom 0");
	CALL(sendto(fd, buf, 39, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 1501, 0, &a.sa, a.len));
	/* of a protocol by its port, without a header of ours */
	set(fd, SOL_IPV6, 36 /* IPV6_HDRINCL */, 0);
	a.in6.sin6_port = htons(IPPROTO_UDP);
	CALL(sendto(fd, buf + 40, n - 40, 0, &a.sa, a.len));
	peer("recvfrom 0");
	close(fd);
	peer("close 0");
}

/* A protocol that only a raw socket knows, from ourselves to ourselves. */
static void own_protocol(const struct t_fam *f)
{
	int a = raw(f->af, 200), b = raw(f->af, 200), other = raw(f->af, 201);
	struct t_addr us = t_addr(f->us, 0), from = {.len = sizeof(from.ss)};
	ssize_t n;

	memset(buf, 5, 100);
	CALL(sendto(a, buf, 100, 0, &us.sa, us.len));
	t_settle(a, POLLIN);
	t_settle(b, POLLIN);
	n = recvfrom(b, buf, sizeof(buf), 0, &from.sa, &from.len);
	say("%zd bytes from %s port %d, first %u", n, t_ip(&from),
	    t_port(&from), buf[0]);
	say_poll("other protocol", other);
	CALL(sendto(a, buf, 0, 0, &us.sa, us.len));
	t_settle(b, POLLIN);
	if (f->n == 6) {
		set(b, SOL_IPV6, IPV6_CHECKSUM, 4);
		set(a, SOL_IPV6, IPV6_CHECKSUM, 4);
		memset(buf, 5, 100);
		CALL(sendto(a, buf, 5, 0, &us.sa, us.len));
		CALL(sendto(a, buf, 6, 0, &us.sa, us.len));
		recv(b, buf, sizeof(buf), 0); /* the empty one */
		t_settle(b, POLLIN);
		n = recv(b, buf, sizeof(buf), MSG_DONTWAIT);
		say("%zd bytes, checksum %s", n,
		    buf[4] == 5 && buf[5] == 5 ? "as it was" : "made");
		/* b wants good ones, a sends a bad one */
		set(a, SOL_IPV6, IPV6_CHECKSUM, -1);
		CALL(sendto(a, buf, 6, 0, &us.sa, us.len));
		buf[0] = 99;
		CALL(sendto(a, buf, 6, 0, &us.sa, us.len));
		t_settle(b, POLLIN);
		n = recv(b, buf, sizeof(buf), 0);
		say("%zd bytes, first %u", n, buf[0]);
		CALL(recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	}
	close(a);
	close(b);
	close(other);
}

static void pinging6(void)
{
	int fd = raw(AF_INET6, IPPROTO_ICMPV6);
	int deaf = raw(AF_INET6, IPPROTO_ICMPV6);
	struct t_addr a = t_addr(PEER6, 0), from = {.len = sizeof(from.ss)};
	struct icmp6_filter flt;
	struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST};
	ssize_t n;
	socklen_t len = sizeof(flt);

	ICMP6_FILTER_SETBLOCKALL(&flt);
	MUST(setsockopt(deaf, SOL_ICMPV6, ICMP6_FILTER, &flt, sizeof(flt)));
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &flt);
	CALL(setsockopt(fd, SOL_ICMPV6, ICMP6_FILTER, &flt, sizeof(flt)));
	memset(&flt, 1, sizeof(flt));
	CALL(getsockopt(fd, SOL_ICMPV6, ICMP6_FILTER, &flt, &len));
	say("len %u, word 4 %#x", len, flt.icmp6_filt[4]);
	h.icmp6_id = htons(77);
	h.icmp6_seq = htons(1);
	memcpy(buf, &h, 8);
	CALL(sendto(fd, buf, 64, 0, &a.sa, a.len)); /* the checksum is made */
	t_settle(fd, POLLIN);
	n = recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &from.len);
	say("%zd bytes from %s port %d, type %u id %u", n, t_ip(&from),
	    t_port(&from), buf[0], buf[5]);
	say_poll("deaf", deaf);
	CALL(sendto(fd, buf, 1, 0, &a.sa, a.len));
	CALL(sendto(fd, buf, 3, 0, &a.sa, a.len));
	close(fd);
	close(deaf);
}

/* Port unreachable, about what a raw socket sent. */
static void unreachable6(void)
{
	int fd = raw(AF_INET6, IPPROTO_UDP), v = 1;
	struct t_addr a = t_addr(PEER6, 0);

	memset(buf, 0, 12);
	buf[0] = 16;
	buf[3] = 9;
	buf[5] = 12;
	set(fd, SOL_IPV6, IPV6_CHECKSUM, 6);
	CALL(connect(fd, &a.sa, a.len));
	CALL(send(fd, buf, 12, 0));
	t_settle_say("refused", fd, POLLERR);
	CALL(recv(fd, buf, 1, 0));
	CALL(setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &v, sizeof(v)));
	memset(buf, 0, 12);
	buf[0] = 16;
	buf[3] = 9;
	buf[5] = 12;
	CALL(send(fd, buf, 12, 0));
	t_settle(fd, POLLERR);
	CALL(recv(fd, buf, 100, MSG_ERRQUEUE));
	say("quoted: to port %u", (unsigned)buf[2] << 8 | buf[3]);
	close(fd);
}

static void unreachable(void)
{
	int fd = raw(AF_INET, IPPROTO_UDP), v = 1;
	int eye = raw(AF_INET, IPPROTO_ICMP);
	struct t_addr a = t_addr(PEER4, 0);
	size_t n = datagram(buf, US4, 9, 4);

	CALL(sendto(fd, buf + 20, n - 20, 0, &a.sa, a.len));
	say_ip4("nobody else is told", eye);
	n = datagram(buf, US4, 9, 4);
	CALL(connect(fd, &a.sa, a.len));
	CALL(send(fd, buf + 20, n - 20, 0));
	t_settle_say("refused", fd, POLLERR);
	CALL(recv(fd, buf, 1, 0));
	CALL(setsockopt(fd, SOL_IP, IP_RECVERR, &v, sizeof(v)));
	n = datagram(buf, US4, 9, 4);
	CALL(send(fd, buf + 20, n - 20, 0));
	t_settle(fd, POLLERR);
	CALL(recv(fd, buf, 100, MSG_ERRQUEUE));
	say("quoted: to port %u", (unsigned)buf[2] << 8 | buf[3]);
	close(eye);
	close(fd);
}

/* What arrives for the stack is seen as well: the peer's datagrams. */
static void looking_on(const struct t_fam *f)
{
	int port = (int)peer_quiet("udp 0 %d", f->n), n;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	int eye = raw(f->af, IPPROTO_UDP);
	struct t_addr a = t_addr(f->us, 0), p = t_addr(f->peer, port);

	MUST(bind(fd, &a.sa, a.len));
	MUST(connect(fd, &p.sa, p.len));
	MUST(send(fd, "x", 1, 0));
	peer("recvfrom 0");
	peer("reply 0 30");
	t_settle(fd, POLLIN);
	t_settle(eye, POLLIN);
	CALL(recv(fd, buf, 100, 0));
	n = (int)CALL(recv(eye, buf, 100, 0));
	say("port %d", (buf[f->n == 4 ? 22 : 2] << 8 |
			buf[f->n == 4 ? 23 : 3]) == t_local_port(fd));
	say("%d of header", n - 38);
	close(fd);
	close(eye);
	peer("close 0");
}

int main(void)
{
	t_init();
	making();
	options();
	pinging();
	pinging6();
	sending_errors();
	own_header();
	own_header6();
	for (int i = 0; i < 2; i++)
		own_protocol(&t_fams[i]);
	unreachable();
	unreachable6();
	for (int i = 0; i < 2; i++)
		looking_on(&t_fams[i]);
	return 0;
}
