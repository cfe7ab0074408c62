/* SPDX-License-Identifier: MIT
 *
 * mcast.c - groups: joining and leaving, sources, interfaces; who hears what
 */
#include "t.h"
#include <net/if.h>

#define PORT 5353

static unsigned char buf[2000];

static int dgram(int af)
{
	return (int)MUST(socket(af, SOCK_DGRAM, 0));
}

static void set(int fd, int level, int name, int v)
{
	MUST(setsockopt(fd, level, name, &v, sizeof(v)));
}

static int get(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) ? -errno : v;
}

static int ours(void)
{
	return (int)if_nametoindex(t_dev());
}

/* --- IPv4 options --- */
static int mreq(int fd, int name, const char *group, const char *iface)
{
	struct ip_mreq m;

	m.imr_multiaddr.s_addr = inet_addr(group);
	m.imr_interface.s_addr = inet_addr(iface);
	return setsockopt(fd, SOL_IP, name, &m, sizeof(m));
}

static int mreqn(int fd, int name, const char *group, int ifindex)
{
	struct ip_mreqn m = {.imr_ifindex = ifindex};

	m.imr_multiaddr.s_addr = inet_addr(group);
	return setsockopt(fd, SOL_IP, name, &m, sizeof(m));
}

static int source(int fd, int name, const char *group, const char *src,
		  const char *iface)
{
	struct ip_mreq_source m;

	m.imr_multiaddr.s_addr = inet_addr(group);
	m.imr_sourceaddr.s_addr = inet_addr(src);
	m.imr_interface.s_addr = inet_addr(iface);
	return setsockopt(fd, SOL_IP, name, &m, sizeof(m));
}

static void joining4(void)
{
	int fd = dgram(AF_INET),
	    tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	char group[32];
	int last = 0, i;

	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "10.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", "10.9.9.9"));
	CALL(mreqn(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", 99));
	CALL(mreq(fd, IP_DROP_MEMBERSHIP, "239.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_DROP_MEMBERSHIP, "10.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", US4));
	CALL(mreqn(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", ours()));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "239.1.2.3", "127.0.0.1"));
	CALL(mreqn(fd, IP_DROP_MEMBERSHIP, "239.1.2.3", ours()));
	CALL(mreq(fd, IP_DROP_MEMBERSHIP, "239.1.2.3", "0.0.0.0"));
	CALL(mreq(fd, IP_DROP_MEMBERSHIP, "239.1.2.3", "127.0.0.1"));
	CALL(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, buf, 7));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, "224.0.0.1", "0.0.0.0"));
	for (i = 0; i < 30 && !last; i++) {
		snprintf(group, sizeof(group), "239.7.0.%d", i);
		if (mreq(fd, IP_ADD_MEMBERSHIP, group, "0.0.0.0"))
			last = errno;
	}
	say("%d more, then %s", i - 1, t_err(last));
	CALL(mreq(tcp, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0"));
	close(fd);
	close(tcp);
}

static void say_filter(int fd, const char *group)
{
	union {
		struct ip_msfilter f;
		char room[256];
	} u;
	socklen_t len = sizeof(u);

	memset(&u, 0, sizeof(u));
	u.f.imsf_multiaddr.s_addr = inet_addr(group);
	u.f.imsf_numsrc = 20;
	if (getsockopt(fd, SOL_IP, IP_MSFILTER, &u, &len)) {
		say("  filter: %s", t_err(errno));
		return;
	}
	say("  filter: mode %u, %u sources, len %u", u.f.imsf_fmode,
	    u.f.imsf_numsrc, len);
}

static int msfilter(int fd, const char *group, unsigned mode, unsigned num,
		    socklen_t len)
{
	union {
		struct ip_msfilter f;
		char room[256];
	} u;

	memset(&u, 0, sizeof(u));
	u.f.imsf_multiaddr.s_addr = inet_addr(group);
	u.f.imsf_fmode = mode;
	u.f.imsf_numsrc = num;
	for (unsigned i = 0; i < num && i < 40; i++)
		((struct in_addr *)(void *)(u.room + 16))[i].s_addr =
			htonl(0x0a010100 + i);
	return setsockopt(fd, SOL_IP, IP_MSFILTER, &u,
			  len ? len : (socklen_t)(16 + num * 4));
}

static void sources4(void)
{
	static const char g[] = "239.1.2.3";
	int fd = dgram(AF_INET), i;
	char src[32];

	CALL(source(fd, IP_BLOCK_SOURCE, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_DROP_SOURCE_MEMBERSHIP, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, "10.1.2.3", g, "0.0.0.0"));
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, g, "10.1.1.1", "10.9.9.9"));
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, g, "10.1.1.1", "0.0.0.0"));
	say_filter(fd, g);
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, g, "10.1.1.2", US4));
	say_filter(fd, g);
	CALL(source(fd, IP_BLOCK_SOURCE, g, "10.1.1.3", "0.0.0.0"));
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, g, "0.0.0.0"));
	CALL(source(fd, IP_DROP_SOURCE_MEMBERSHIP, g, "10.1.1.9", "0.0.0.0"));
	CALL(source(fd, IP_DROP_SOURCE_MEMBERSHIP, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_DROP_SOURCE_MEMBERSHIP, g, "10.1.1.2", "0.0.0.0"));
	say_filter(fd, g); /* the last one gone: left */
	CALL(mreq(fd, IP_ADD_MEMBERSHIP, g, "0.0.0.0"));
	say_filter(fd, g);
	CALL(source(fd, IP_UNBLOCK_SOURCE, g, "10.1.1.1", "0.0.0.0"));
	for (i = 0; i < 20; i++) {
		snprintf(src, sizeof(src), "10.1.1.%d", i + 1);
		if (source(fd, IP_BLOCK_SOURCE, g, src, "0.0.0.0"))
			break;
	}
	say("%d blocked, then %s", i, t_err(errno));
	CALL(source(fd, IP_BLOCK_SOURCE, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_UNBLOCK_SOURCE, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_UNBLOCK_SOURCE, g, "10.1.1.1", "0.0.0.0"));
	CALL(source(fd, IP_ADD_SOURCE_MEMBERSHIP, g, "10.1.1.1", "0.0.0.0"));
	say_filter(fd, g);
	CALL(msfilter(fd, g, MCAST_INCLUDE, 3, 0));
	say_filter(fd, g);
	CALL(msfilter(fd, g, MCAST_EXCLUDE, 0, 0));
	say_filter(fd, g);
	CALL(msfilter(fd, g, 7, 1, 0));
	CALL(msfilter(fd, g, MCAST_INCLUDE, 11, 0));
	CALL(msfilter(fd, g, MCAST_INCLUDE, 3, 20));
	CALL(msfilter(fd, g, MCAST_INCLUDE, 0, 8));
	CALL(msfilter(fd, "239.1.2.9", MCAST_INCLUDE, 1, 0));
	CALL(msfilter(fd, g, MCAST_INCLUDE, 0, 0)); /* leaves */
	say_filter(fd, g);
	CALL(setsockopt(fd, SOL_IP, IP_BLOCK_SOURCE, buf, 8));
	close(fd);
}

/* --- the names of RFC 3678, both families --- */
static int req(const struct t_fam *f, int fd, int name, const char *group,
	       unsigned ifindex)
{
	struct t_addr a = t_addr(group, 0);
	struct group_req r = {.gr_interface = ifindex};

	r.gr_group = a.ss;
	return setsockopt(fd, f->n == 4 ? SOL_IP : SOL_IPV6, name, &r,
			  sizeof(r));
}

static int source_req(const struct t_fam *f, int fd, int name,
		      const char *group, const char *src, unsigned ifindex)
{
	struct t_addr a = t_addr(group, 0), s = t_addr(src, 0);
	struct group_source_req r = {.gsr_interface = ifindex};

	r.gsr_group = a.ss;
	r.gsr_source = s.ss;
	return setsockopt(fd, f->n == 4 ? SOL_IP : SOL_IPV6, name, &r,
			  sizeof(r));
}

static int group_filter(const struct t_fam *f, int fd, const char *group,
			unsigned mode, unsigned num, const char *src)
{
	char room[1400];
	struct group_filter *g = (struct group_filter *)(void *)room;
	struct t_addr a = t_addr(group, 0), s = t_addr(src, 0);

	memset(room, 0, sizeof(room));
	g->gf_interface = (uint32_t)ours();
	g->gf_group = a.ss;
	g->gf_fmode = mode;
	g->gf_numsrc = num;
	for (unsigned i = 0; i < num; i++)
		g->gf_slist[i] = s.ss;
	return setsockopt(fd, f->n == 4 ? SOL_IP : SOL_IPV6, MCAST_MSFILTER, g,
			  (socklen_t)GROUP_FILTER_SIZE(num));
}

static void say_group_filter(const struct t_fam *f, int fd, const char *group)
{
	char room[1400];
	struct group_filter *g = (struct group_filter *)(void *)room;
	struct t_addr a = t_addr(group, 0);
	socklen_t len = sizeof(room);

	memset(room, 0, sizeof(room));
	g->gf_interface = (uint32_t)ours();
	g->gf_group = a.ss;
	g->gf_numsrc = 5;
	if (getsockopt(fd, f->n == 4 ? SOL_IP : SOL_IPV6, MCAST_MSFILTER, g,
		       &len)) {
		say("  filter: %s", t_err(errno));
		return;
	}
	say("  filter: mode %u, %u sources, len %u", g->gf_fmode, g->gf_numsrc,
	    len);
	for (unsigned i = 0; i < g->gf_numsrc && i < 5; i++) {
		memcpy(&a.ss, &g->gf_slist[i], sizeof(a.ss));
		say("    %s", t_ip(&a));
	}
}

static void requests(const struct t_fam *f)
{
	const char *g = f->n == 4 ? "239.1.2.3" : "ff15::1234";
	const char *other = f->n == 4 ? "ff15::1234" : "239.1.2.3";
	const char *s = f->n == 4 ? "10.1.1.1" : "fd01::1";
	const char *s2 = f->n == 4 ? "10.1.1.2" : "fd01::2";
	unsigned i = (unsigned)ours();
	int fd = dgram(f->af);

	CALL(req(f, fd, MCAST_JOIN_GROUP, f->peer, 0));
	CALL(req(f, fd, MCAST_JOIN_GROUP, other, 0));
	CALL(req(f, fd, MCAST_JOIN_GROUP, g, 99));
	CALL(req(f, fd, MCAST_LEAVE_GROUP, g, 0));
	CALL(req(f, fd, MCAST_LEAVE_GROUP, f->peer, 0));
	CALL(req(f, fd, MCAST_JOIN_GROUP, g, i));
	CALL(req(f, fd, MCAST_JOIN_GROUP, g, i));
	say_group_filter(f, fd, g);
	CALL(source_req(f, fd, MCAST_BLOCK_SOURCE, g, s, i));
	CALL(source_req(f, fd, MCAST_BLOCK_SOURCE, g, s, i));
	say_group_filter(f, fd, g);
	CALL(source_req(f, fd, MCAST_JOIN_SOURCE_GROUP, g, s, i));
	CALL(source_req(f, fd, MCAST_UNBLOCK_SOURCE, g, s, i));
	CALL(source_req(f, fd, MCAST_UNBLOCK_SOURCE, g, s, i));
	CALL(req(f, fd, MCAST_LEAVE_GROUP, g, i));
	CALL(source_req(f, fd, MCAST_BLOCK_SOURCE, g, s, i));
	CALL(source_req(f, fd, MCAST_JOIN_SOURCE_GROUP, g, s, i));
	CALL(source_req(f, fd, MCAST_JOIN_SOURCE_GROUP, g, s2, i));
	say_group_filter(f, fd, g);
	CALL(source_req(f, fd, MCAST_LEAVE_SOURCE_GROUP, g, s, i));
	say_group_filter(f, fd, g);
	CALL(group_filter(f, fd, g, MCAST_EXCLUDE, 1, s));
	say_group_filter(f, fd, g);
	CALL(group_filter(f, fd, g, 9, 1, s));
	CALL(group_filter(f, fd, f->peer, MCAST_EXCLUDE, 1, s));
	CALL(group_filter(f, fd, g, MCAST_INCLUDE, 0, s));
	say_group_filter(f, fd, g);
	CALL(source_req(f, fd, MCAST_JOIN_SOURCE_GROUP, other, s, i));
	CALL(setsockopt(fd, f->n == 4 ? SOL_IP : SOL_IPV6, MCAST_JOIN_GROUP,
			buf, 20));
	close(fd);
}

static int mreq6(int fd, int name, const char *group, unsigned ifindex)
{
	struct ipv6_mreq m = {.ipv6mr_interface = ifindex};

	inet_pton(AF_INET6, group, &m.ipv6mr_multiaddr);
	return setsockopt(fd, SOL_IPV6, name, &m, sizeof(m));
}

static void joining6(void)
{
	int fd = dgram(AF_INET6),
	    tcp = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	char group[40];
	int i;

	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "fd77::9", 0));
	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "::ffff:239.1.2.3", 0));
	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "ff15::1", 99));
	CALL(mreq6(fd, IPV6_DROP_MEMBERSHIP, "ff15::1", 0));
	CALL(mreq6(fd, IPV6_DROP_MEMBERSHIP, "fd77::9", 0));
	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "ff15::1", (unsigned)ours()));
	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "ff15::1", (unsigned)ours()));
	CALL(mreq6(fd, IPV6_ADD_MEMBERSHIP, "ff15::1", 0));
	CALL(mreq6(fd, IPV6_DROP_MEMBERSHIP, "ff15::1", 0));
	CALL(mreq6(fd, IPV6_DROP_MEMBERSHIP, "ff15::1", 0));
	CALL(mreq6(tcp, IPV6_ADD_MEMBERSHIP, "ff15::1", 0));
	for (i = 0; i < 30; i++) {
		snprintf(group, sizeof(group), "ff15::7:%x", i);
		if (mreq6(fd, IPV6_ADD_MEMBERSHIP, group, 0))
			break;
	}
	say("%d more", i);
	close(fd);
	close(tcp);
}

/* --- by which interface --- */
static void interfaces(void)
{
	int fd = dgram(AF_INET), fd6 = dgram(AF_INET6);
	struct ip_mreqn m = {.imr_ifindex = 99};
	struct in_addr a = {inet_addr(US4)}, out;
	socklen_t len = sizeof(out);
	int i = 99;

	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	m.imr_ifindex = ours();
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	MUST(getsockopt(fd, SOL_IP, IP_MULTICAST_IF, &out, &len));
	say("%s len %u", inet_ntoa(out), len);
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	MUST(getsockopt(fd, SOL_IP, IP_MULTICAST_IF, &out, &len));
	say("%s", inet_ntoa(out));
	a.s_addr = inet_addr("10.9.9.9");
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &a, 2));
	a.s_addr = 0;
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	CALL(setsockopt(fd6, SOL_IPV6, IPV6_MULTICAST_IF, &i, sizeof(i)));
	i = ours();
	CALL(setsockopt(fd6, SOL_IPV6, IPV6_MULTICAST_IF, &i, sizeof(i)));
	say("same: %d", get(fd6, SOL_IPV6, IPV6_MULTICAST_IF) == i);
	MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	m.imr_ifindex = ours();
	CALL(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	say("ttl %d loop %d all %d", get(fd, SOL_IP, IP_MULTICAST_TTL),
	    get(fd, SOL_IP, IP_MULTICAST_LOOP),
	    get(fd, SOL_IP, IP_MULTICAST_ALL));
	say("hops %d loop %d all %d", get(fd6, SOL_IPV6, IPV6_MULTICAST_HOPS),
	    get(fd6, SOL_IPV6, IPV6_MULTICAST_LOOP),
	    get(fd6, SOL_IPV6, 29 /* IPV6_MULTICAST_ALL */));
	close(fd);
	close(fd6);
}

/* --- who hears what --- */

/* A socket on @port that shares it. */
static int sharer(const struct t_fam *f, const char *addr, int port)
{
	struct t_addr a = t_addr(addr, port);
	int fd = dgram(f->af);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	MUST(bind(fd, &a.sa, a.len));
	return fd;
}

static const char *group_of(const struct t_fam *f)
{
	return f->n == 4 ? "239.1.2.3" : "ff15::1234";
}

/* What has come, in order, up to the datagram of 999 bytes. */
static void say_heard(const char *who, int fd)
{
	char line[200];
	size_t used = 0;
	ssize_t n;

	line[0] = 0;
	do {
		t_settle(fd, POLLIN);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n != 999)
			used += (size_t)snprintf(
				line + used, sizeof(line) - used, " %zd", n);
	} while (n > 0 && n != 999 && used < sizeof(line) - 8);
	say("%s heard:%s", who, line);
}

/* The end of what @fd is to hear: to its address alone. */
static void mark(const struct t_fam *f, int fd)
{
	struct t_addr us = t_addr(f->us, t_local_port(fd));
	int out = dgram(f->af);

	MUST(sendto(out, buf, 999, 0, &us.sa, us.len));
	close(out);
}

/* The same by the way that the peer's come. */
static void peer_mark(const struct t_fam *f, int fd)
{
	peer_quiet("sendto 0 %d %d 999", f->n, t_local_port(fd));
}

static void hearing(const struct t_fam *f)
{
	unsigned i = (unsigned)ours();
	int which = f->n == 4 ? 0 : 1;
	int member = sharer(f, f->any, PORT);
	int lone = sharer(f, f->any, PORT + 1);

	peer("member 0 %d %d", which, PORT + 7);
	/* nobody here is in the group */
	peer("tomany 0 %d %d 10", which, PORT);
	peer_mark(f, member);
	say_heard("nobody", member);
	MUST(req(f, member, MCAST_JOIN_GROUP, group_of(f), i));
	peer("tomany 0 %d %d 11", which, PORT);
	peer_mark(f, member);
	say_heard("member", member);
	/* one that is not in it hears it just the same, unless it won't */
	peer("tomany 0 %d %d 12", which, PORT + 1);
	peer_mark(f, lone);
	say_heard("bystander", lone);
	if (f->n == 4)
		set(lone, SOL_IP, IP_MULTICAST_ALL, 0);
	else
		set(lone, SOL_IPV6, 29 /* IPV6_MULTICAST_ALL */, 0);
	peer("tomany 0 %d %d 13", which, PORT + 1);
	peer_mark(f, lone);
	say_heard("unwilling bystander", lone);
	/* by source */
	MUST(source_req(f, member, MCAST_BLOCK_SOURCE, group_of(f), f->peer,
			i));
	peer("tomany 0 %d %d 14", which, PORT);
	peer_mark(f, member);
	say_heard("member that blocks the peer", member);
	MUST(req(f, member, MCAST_LEAVE_GROUP, group_of(f), i));
	MUST(source_req(f, member, MCAST_JOIN_SOURCE_GROUP, group_of(f), f->us,
			i));
	peer("tomany 0 %d %d 15", which, PORT);
	peer_mark(f, member);
	say_heard("member for us alone", member);
	MUST(source_req(f, member, MCAST_JOIN_SOURCE_GROUP, group_of(f),
			f->peer, i));
	peer("tomany 0 %d %d 16", which, PORT);
	peer_mark(f, member);
	say_heard("and for the peer", member);
	MUST(req(f, member, MCAST_LEAVE_GROUP, group_of(f), i));
	peer("tomany 0 %d %d 17", which, PORT);
	peer_mark(f, member);
	say_heard("left", member);
	close(member);
	close(lone);
	peer("close 0");
}

/* All that share a port hear, but those bound to another address. */
static void sharing(const struct t_fam *f)
{
	unsigned i = (unsigned)ours();
	int which = f->n == 4 ? 0 : 1;
	int a = sharer(f, f->any, PORT), b = sharer(f, f->any, PORT);
	int g = sharer(f, group_of(f), PORT), u = sharer(f, f->us, PORT);
	struct t_addr us = t_addr(f->us, PORT);

	MUST(req(f, a, MCAST_JOIN_GROUP, group_of(f), i));
	peer("member 0 %d %d", which, PORT + 7);
	peer("tomany 0 %d %d 20", which, PORT);
	t_settle(a, POLLIN);
	t_settle(b, POLLIN);
	t_settle(g, POLLIN);
	say_poll("first", a);
	say_poll("second", b);
	say_poll("bound to the group", g);
	say_poll("bound to us", u);
	CALL(recv(a, buf, sizeof(buf), 0));
	CALL(recv(b, buf, sizeof(buf), 0));
	CALL(recv(g, buf, sizeof(buf), 0));
	/* to one address: one of them */
	MUST(sendto(a, buf, 21, 0, &us.sa, us.len));
	t_settle(u, POLLIN);
	CALL(recv(u, buf, sizeof(buf), 0));
	say_poll("first", a);
	say_poll("bound to the group", g);
	close(a);
	close(b);
	close(g);
	close(u);
	peer("close 0");
}

static void sending(const struct t_fam *f)
{
	int which = f->n == 4 ? 0 : 1, level = f->n == 4 ? SOL_IP : SOL_IPV6;
	int ttl = f->n == 4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS;
	int loop = f->n == 4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP;
	int by = f->n == 4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF;
	struct t_addr g = t_addr(group_of(f), PORT), from;
	int fd = dgram(f->af), in = sharer(f, f->any, PORT);
	struct ip_mreqn lo = {.imr_ifindex = 1};

	peer("member 0 %d %d", which, PORT);
	CALL(sendto(fd, buf, 0, 0, &g.sa, g.len));
	peer("recvfrom 0");
	MUST(req(f, in, MCAST_JOIN_GROUP, group_of(f), (unsigned)ours()));
	memset(buf, 0, sizeof(buf));
	CALL(sendto(fd, buf, 1, 0, &g.sa, g.len));
	peer("recvfrom 0");
	t_settle(in, POLLIN);
	from.len = sizeof(from.ss);
	CALL(recvfrom(in, buf, sizeof(buf), 0, &from.sa, &from.len));
	say("from %s", t_ip(&from));
	set(fd, level, loop, 0);
	CALL(sendto(fd, buf, 1, 0, &g.sa, g.len));
	peer("recvfrom 0");
	mark(f, in);
	say_heard("without loop", in);
	set(fd, level, loop, 1);
	/* not on the wire */
	set(fd, level, ttl, 0);
	CALL(sendto(fd, buf, 30, 0, &g.sa, g.len));
	mark(f, in);
	say_heard("without hops", in);
	set(fd, level, ttl, 1);
	/* longer than a packet */
	CALL(sendto(fd, buf, 1990, 0, &g.sa, g.len));
	mark(f, in);
	say_heard("in fragments", in);
	/* by the loopback: who joined on the device hears nothing */
	if (f->n == 4)
		CALL(setsockopt(fd, level, by, &lo, sizeof(lo)));
	else
		CALL(setsockopt(fd, level, by, &lo.imr_ifindex, sizeof(int)));
	if (f->n == 4) {
		CALL(sendto(fd, buf, 31, 0, &g.sa, g.len));
		mark(f, in);
		say_heard("by lo", in);
		MUST(req(f, in, MCAST_JOIN_GROUP, group_of(f), 1));
		CALL(sendto(fd, buf, 32, 0, &g.sa, g.len));
		mark(f, in);
		say_heard("joined there", in);
	}
	/* connected */
	close(fd);
	fd = dgram(f->af);
	CALL(connect(fd, &g.sa, g.len));
	from.len = sizeof(from.ss);
	MUST(getsockname(fd, &from.sa, &from.len));
	say("as %s", t_ip(&from));
	CALL(send(fd, buf, 33, 0));
	mark(f, in);
	say_heard("from a connected one", in);
	close(fd);
	close(in);
	peer("close 0");
}

int main(void)
{
	t_init();
	joining4();
	joining6();
	sources4();
	interfaces();
	for (int i = 0; i < 2; i++) {
		requests(&t_fams[i]);
		hearing(&t_fams[i]);
		sharing(&t_fams[i]);
		sending(&t_fams[i]);
	}
	return 0;
}
