/* SPDX-License-Identifier: MIT
 *
 * msg.h - recvmsg(2) and its control data, for transcripts
 */
#ifndef TCPSHIM_PRELOAD_MSG_H
#define TCPSHIM_PRELOAD_MSG_H

#include "t.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>

#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW 63
#define SO_TIMESTAMPNS_NEW 64
#define SO_TIMESTAMPING_NEW 65
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

static int m_port; /* shown as "P" wherever it turns up */

static T_UNUSED const char *m_addr(const void *p, size_t len)
{
	static char text[4][80];
	static int next;
	char *s = text[next++ % 4];
	struct t_addr a = {.len = (socklen_t)len};
	char port[8] = "P";

	memcpy(&a.ss, p, len < sizeof(a.ss) ? len : sizeof(a.ss));
	if (len < 2 || a.sa.sa_family == AF_UNSPEC)
		return len ? "unspec" : "none";
	if (t_port(&a) != m_port || !m_port)
		snprintf(port, sizeof(port), "%s", t_port(&a) ? "?" : "0");
	snprintf(s, sizeof(text[0]), "%s:%s", t_ip(&a), port);
	return s;
}

/* Is it a moment of the last minute, or none? */
static T_UNUSED const char *m_time(int64_t sec, int64_t part)
{
	int64_t age = (int64_t)time(NULL) - sec;

	if (!sec && !part)
		return "none";
	return age >= -1 && age < 60 && part >= 0 ? "now" : "wrong";
}

static T_UNUSED void m_say_err(const struct cmsghdr *c)
{
	struct sock_extended_err ee;
	size_t len = c->cmsg_len - CMSG_LEN(sizeof(ee));

	memcpy(&ee, CMSG_DATA(c), sizeof(ee));
	say("  error %s origin %u type %u code %u pad %u info %u data %u "
	    "from %s",
	    t_err((int)ee.ee_errno), ee.ee_origin, ee.ee_type, ee.ee_code,
	    ee.ee_pad, ee.ee_info, ee.ee_data,
	    m_addr(CMSG_DATA(c) + sizeof(ee), len));
}

static T_UNUSED bool m_say_socket(const struct cmsghdr *c)
{
	int64_t v[6] = {0};
	size_t len = c->cmsg_len - CMSG_LEN(0);

	memcpy(v, CMSG_DATA(c), len < sizeof(v) ? len : sizeof(v));
	switch (c->cmsg_type) {
	case 29: /* SO_TIMESTAMP_OLD */
	case SO_TIMESTAMP_NEW:
	case 35: /* SO_TIMESTAMPNS_OLD */
	case SO_TIMESTAMPNS_NEW:
		say("  stamp %d len %zu: %s", c->cmsg_type, len,
		    m_time(v[0], v[1]));
		return true;
	case 37: /* SO_TIMESTAMPING_OLD */
	case SO_TIMESTAMPING_NEW:
		say("  stamping %d len %zu: %s %s %s", c->cmsg_type, len,
		    m_time(v[0], v[1]), m_time(v[2], v[3]), m_time(v[4], v[5]));
		return true;
	default:
		return false;
	}
}

static T_UNUSED bool m_say_ip(const struct cmsghdr *c)
{
	struct in_pktinfo p4;
	struct in6_pktinfo p6;
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
	bool is4 = c->cmsg_level == IPPROTO_IP;

	if ((is4 && c->cmsg_type == IP_RECVERR) ||
	    (!is4 && c->cmsg_type == IPV6_RECVERR)) {
		m_say_err(c);
	} else if (is4 && c->cmsg_type == IP_PKTINFO) {
		memcpy(&p4, CMSG_DATA(c), sizeof(p4));
		say("  pktinfo to %s spec %s if %d",
		    inet_ntop(AF_INET, &p4.ipi_addr, a, sizeof(a)),
		    inet_ntop(AF_INET, &p4.ipi_spec_dst, b, sizeof(b)),
		    p4.ipi_ifindex);
	} else if (!is4 && (c->cmsg_type == IPV6_PKTINFO ||
			    c->cmsg_type == IPV6_2292PKTINFO)) {
		memcpy(&p6, CMSG_DATA(c), sizeof(p6));
		say("  pktinfo %d to %s if %u", c->cmsg_type,
		    inet_ntop(AF_INET6, &p6.ipi6_addr, a, sizeof(a)),
		    p6.ipi6_ifindex);
	} else if ((is4 && c->cmsg_type == IP_ORIGDSTADDR) ||
		   (!is4 && c->cmsg_type == IPV6_ORIGDSTADDR)) {
		say("  origdst %s",
		    m_addr(CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0)));
	} else {
		return false;
	}
	return true;
}

static T_UNUSED void m_say_cmsg(const struct cmsghdr *c)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);
	int v = 0;

	if (c->cmsg_level == SOL_SOCKET && m_say_socket(c))
		return;
	if ((c->cmsg_level == IPPROTO_IP || c->cmsg_level == IPPROTO_IPV6) &&
	    m_say_ip(c))
		return;
	memcpy(&v, CMSG_DATA(c), len < sizeof(v) ? len : sizeof(v));
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 11) {
		say("  flow label: %s", v ? "some" : "none");
		return;
	}
	say("  cmsg %d %d len %zu: %d", c->cmsg_level, c->cmsg_type, len, v);
}

/* One recvmsg(2), told in full. @room: for control data. */
static T_UNUSED ssize_t m_recv_room(int fd, int flags, size_t want, size_t room)
{
	static unsigned char buf[70000];
	union {
		char room[2048];
		struct cmsghdr align;
	} ctl;
	struct sockaddr_storage ss;
	struct iovec iov = {buf, want};
	struct msghdr m = {.msg_name = &ss,
			   .msg_namelen = sizeof(ss),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room ? &ctl : NULL,
			   .msg_controllen = room,
			   .msg_flags = 0x55};
	uint32_t sum = 0;
	ssize_t n;

	memset(&ss, 0, sizeof(ss));
	memset(&ctl, 0xee, sizeof(ctl));
	n = recvmsg(fd, &m, flags);
	if (n < 0) {
		say("recvmsg: %s", t_err(errno));
		return n;
	}
	for (ssize_t i = 0; i < n && (size_t)i < want; i++)
		sum = sum * 31 + buf[i];
	say("recvmsg: %zd flags %#x name %s ctl %zu sum %#x", n,
	    (unsigned)m.msg_flags, m_addr(&ss, m.msg_namelen), m.msg_controllen,
	    sum);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		m_say_cmsg(c);
	return n;
}

static T_UNUSED ssize_t m_recv(int fd, int flags)
{
	return m_recv_room(fd, flags, 70000, 1024);
}

/* Waits for a note on the error queue and tells it. */
static T_UNUSED void m_note(int fd)
{
	t_settle(fd, POLLERR);
	m_recv(fd, MSG_ERRQUEUE);
}

static T_UNUSED int m_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	return err;
}

static T_UNUSED void m_set(int fd, int level, int name, int v)
{
	if (setsockopt(fd, level, name, &v, sizeof(v)) < 0)
		say("set %d %d to %d: %s", level, name, v, t_err(errno));
}

static T_UNUSED int m_get(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, level, name, &v, &len) < 0)
		return -errno;
	return v;
}

/* Bytes that tell one place from another. */
static T_UNUSED const unsigned char *m_bytes(void)
{
	static unsigned char buf[70000];
	static bool is_full;

	for (size_t i = 0; !is_full && i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i % 251);
	is_full = true;
	return buf;
}

/* There and back, over a socket of its own: what came before has arrived. */
static T_UNUSED void m_arrived(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("udp 98 %d", f->n));
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	MUST(sendto(fd, "", 0, 0, &a.sa, a.len));
	peer_quiet("recvfrom 98");
	peer_quiet("reply 98 1");
	t_settle(fd, POLLIN);
	close(fd);
	peer_quiet("close 98");
}

#endif
