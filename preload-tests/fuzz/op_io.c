/* SPDX-License-Identifier: MIT
 *
 * op_io.c - moving bytes
 *
 * A VEC is v:10,0,300 (the lengths), v:null (one vector with no base and no
 * length), v:many1024 (so many of one byte), v:neg (a count of -1). CONTROL is
 * a list of cN: ttl64, tos8, pkt (packet info with no choice), short (a header
 * that is too short), rights (SCM_RIGHTS), odd (a level nobody knows).
 */
#include <fcntl.h>
#include <limits.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

#define ROOM 70000 /* more than a datagram holds */
#define MAX_VEC 1100

static __thread uint8_t room[ROOM];

static size_t arg_len(struct ctx *c, unsigned i)
{
	long n = arg(c, i);

	return n < 0 || n > ROOM ? ROOM : (size_t)n;
}

/* --- sending --- */

void op_send(struct ctx *c)
{
	size_t len = arg_len(c, 2);

	fill(c, room, len);
	out_ret(c, send(arg_fd(c, 1), room, len, (int)arg(c, 3)));
}

void op_write(struct ctx *c)
{
	size_t len = arg_len(c, 2);

	fill(c, room, len);
	out_ret(c, write(arg_fd(c, 1), room, len));
}

struct vec {
	struct iovec v[MAX_VEC];
	int n;
	size_t total;
};

static void arg_vec(struct ctx *c, unsigned i, struct vec *v)
{
	const char *s = i < c->num ? c->word[i] : "v:";
	char *end;

	v->n = 0;
	v->total = 0;
	s += 2;
	if (!strcmp(s, "neg")) {
		v->n = -1;
		return;
	}
	if (!strcmp(s, "null")) {
		v->v[v->n++] = (struct iovec){NULL, 0};
		return;
	}
	if (!strncmp(s, "many", 4)) {
		v->n = atoi(s + 4) % MAX_VEC;
		for (int k = 0; k < v->n; k++)
			v->v[k] = (struct iovec){room + k, 1};
		v->total = (size_t)v->n;
		return;
	}
	while (*s && v->n < MAX_VEC) {
		size_t len = strtoul(s, &end, 10);

		if (end == s || v->total + len > ROOM)
			return;
		v->v[v->n++] = (struct iovec){room + v->total, len};
		v->total += len;
		s = end + (*end == ',');
	}
}

void op_writev(struct ctx *c)
{
	struct vec v;

	arg_vec(c, 2, &v);
	fill(c, room, v.total);
	out_ret(c, writev(arg_fd(c, 1), v.v, v.n));
}

void op_sendto(struct ctx *c)
{
	size_t len = arg_len(c, 2);
	struct addr a;

	arg_addr(c, 4, &a);
	fill(c, room, len);
	out_ret(c,
		sendto(arg_fd(c, 1), room, len, (int)arg(c, 3), a.sa, a.len));
}

union control {
	struct cmsghdr align;
	char b[512];
};

static void add_control(struct msghdr *h, int level, int type, const void *p,
			size_t len)
{
	struct cmsghdr *m;

	m = (void *)((char *)h->msg_control + h->msg_controllen);
	m->cmsg_level = level;
	m->cmsg_type = type;
	m->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(m), p, len);
	h->msg_controllen += CMSG_SPACE(len);
}

static void make_control(struct ctx *c, unsigned i, struct msghdr *h,
			 union control *room_for)
{
	struct in6_pktinfo p6 = {.ipi6_ifindex = 0};
	struct in_pktinfo p4 = {.ipi_ifindex = 0};
	const char *s = has_arg(c, i) ? c->word[i] : "";
	int v;

	memset(room_for, 0, sizeof(*room_for));
	h->msg_control = room_for;
	for (; *s && h->msg_controllen < 300; s += *s == ',') {
		size_t len = strcspn(s, ",");

		v = atoi(s + strcspn(s, "-0123456789"));
		if (!strncmp(s, "ttl", 3))
			add_control(h, IPPROTO_IP, IP_TTL, &v, sizeof(v));
		else if (!strncmp(s, "tos", 3))
			add_control(h, IPPROTO_IP, IP_TOS, &v, sizeof(v));
		else if (!strncmp(s, "hop", 3))
			add_control(h, IPPROTO_IPV6, IPV6_HOPLIMIT, &v,
				    sizeof(v));
		else if (!strncmp(s, "tcl", 3))
			add_control(h, IPPROTO_IPV6, IPV6_TCLASS, &v,
				    sizeof(v));
		else if (!strncmp(s, "pkt6", 4))
			add_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &p6,
				    sizeof(p6));
		else if (!strncmp(s, "pkt", 3))
			add_control(h, IPPROTO_IP, IP_PKTINFO, &p4, sizeof(p4));
		else if (!strncmp(s, "rights", 6))
			add_control(h, SOL_SOCKET, SCM_RIGHTS, &v, sizeof(v));
		else if (!strncmp(s, "odd", 3))
			add_control(h, 999, 1, &v, sizeof(v));
		else if (!strncmp(s, "short", 5)) {
			add_control(h, IPPROTO_IP, IP_TTL, &v, sizeof(v));
			room_for->align.cmsg_len = 3;
		}
		s += len;
	}
	if (!h->msg_controllen)
		h->msg_control = NULL;
}

void op_sendmsg(struct ctx *c)
{
	struct addr a;
	union control ctrl;
	struct vec v;
	struct msghdr h = {.msg_iov = v.v};

	arg_addr(c, 4, &a);
	arg_vec(c, 2, &v);
	h.msg_iovlen = (size_t)(v.n < 0 ? 5000 : v.n);
	fill(c, room, v.total);
	h.msg_name = a.sa;
	h.msg_namelen = a.len;
	make_control(c, 5, &h, &ctrl);
	out_ret(c, sendmsg(arg_fd(c, 1), &h, (int)arg(c, 3)));
}

#define MAX_MMSG 8

void op_sendmmsg(struct ctx *c)
{
	unsigned n = (unsigned)arg(c, 2) % (MAX_MMSG + 1);
	size_t len = arg_len(c, 3) % (ROOM / MAX_MMSG);
	struct addr a;
	struct mmsghdr m[MAX_MMSG];
	struct iovec v[MAX_MMSG];
	int r;

	arg_addr(c, 5, &a);
	memset(m, 0, sizeof(m));
	fill(c, room, len * n);
	for (unsigned i = 0; i < n; i++) {
		v[i] = (struct iovec){room + i * len, len};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_name = a.sa;
		m[i].msg_hdr.msg_namelen = a.len;
	}
	r = (int)out_ret(c, sendmmsg(arg_fd(c, 1), m, n, (int)arg(c, 4)));
	for (int i = 0; i < r; i++)
		out(c, " %u", m[i].msg_len);
}

/* --- receiving --- */

void op_recv(struct ctx *c)
{
	ssize_t r = recv(arg_fd(c, 1), room, arg_len(c, 2), (int)arg(c, 3));

	out_ret(c, r);
	if (!(arg(c, 3) & MSG_TRUNC))
		out_data(c, room, r);
}

void op_read(struct ctx *c)
{
	ssize_t r = read(arg_fd(c, 1), room, arg_len(c, 2));

	out_ret(c, r);
	out_data(c, room, r);
}

void op_readv(struct ctx *c)
{
	struct vec v;
	ssize_t r;

	arg_vec(c, 2, &v);
	r = readv(arg_fd(c, 1), v.v, v.n);
	out_ret(c, r);
	out_data(c, room, r);
}

void op_recvfrom(struct ctx *c)
{
	struct sockaddr_storage ss = {0};
	bool wanted = has_arg(c, 4);
	socklen_t have = (socklen_t)(wanted ? arg(c, 4) : 0), len = have;
	ssize_t r = recvfrom(arg_fd(c, 1), room, arg_len(c, 2), (int)arg(c, 3),
			     wanted ? (struct sockaddr *)&ss : NULL,
			     wanted ? &len : NULL);

	out_ret(c, r);
	if (!(arg(c, 3) & MSG_TRUNC))
		out_data(c, room, r);
	if (r >= 0 && wanted)
		out_addr(c, &ss, len, have);
}

static void out_cmsg(struct ctx *c, const struct cmsghdr *m)
{
	size_t len = m->cmsg_len - CMSG_LEN(0);

	out(c, " [%d.%d %zu", m->cmsg_level, m->cmsg_type, len);
	if (m->cmsg_level == SOL_SOCKET) /* stamps: when differs */
		;
	else if (m->cmsg_level == IPPROTO_IP && m->cmsg_type == IP_PKTINFO)
		out_hex(c, CMSG_DATA(m) + 4, len > 4 ? len - 4 : 0);
	else if (m->cmsg_level == IPPROTO_IPV6 && m->cmsg_type == IPV6_PKTINFO)
		out_hex(c, CMSG_DATA(m), len < 16 ? len : 16);
	else
		out_hex(c, CMSG_DATA(m), len);
	out(c, "]");
}

void op_recvmsg(struct ctx *c)
{
	struct sockaddr_storage ss = {0};
	union control ctrl = {.b = {0}};
	size_t ctl_len = (size_t)arg(c, 5);
	struct vec v;
	struct msghdr h = {.msg_iov = v.v};
	char flags[128];
	ssize_t r;

	arg_vec(c, 2, &v);
	h.msg_iovlen = (size_t)(v.n < 0 ? 5000 : v.n);
	h.msg_name = has_arg(c, 4) ? &ss : NULL;
	h.msg_namelen = (socklen_t)arg(c, 4);
	h.msg_control = ctl_len ? &ctrl : NULL;
	h.msg_controllen = ctl_len < sizeof(ctrl) ? ctl_len : sizeof(ctrl);
	r = out_ret(c, recvmsg(arg_fd(c, 1), &h, (int)arg(c, 3)));
	if (r < 0)
		return;
	if (!(arg(c, 3) & MSG_TRUNC))
		out_data(c, room, r);
	word_print(W_MSG, (unsigned)h.msg_flags, flags, sizeof(flags));
	out(c, " flags %s", flags);
	if (h.msg_name)
		out_addr(c, &ss, h.msg_namelen, (socklen_t)arg(c, 4));
	out(c, " control %zu", h.msg_controllen);
	for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m))
		out_cmsg(c, m);
}

void op_recvmmsg(struct ctx *c)
{
	unsigned n = (unsigned)arg(c, 2) % (MAX_MMSG + 1);
	size_t len = arg_len(c, 3) % (ROOM / MAX_MMSG);
	struct sockaddr_storage ss[MAX_MMSG];
	struct mmsghdr m[MAX_MMSG];
	struct iovec v[MAX_MMSG];
	int r;

	memset(m, 0, sizeof(m));
	memset(ss, 0, sizeof(ss));
	for (unsigned i = 0; i < n; i++) {
		v[i] = (struct iovec){room + i * len, len};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_name = &ss[i];
		m[i].msg_hdr.msg_namelen = sizeof(ss[i]);
	}
	r = (int)out_ret(c, recvmmsg(arg_fd(c, 1), m, n, (int)arg(c, 4), NULL));
	for (int i = 0; i < r; i++) {
		out(c, " [%u", m[i].msg_len);
		if (!(arg(c, 4) & MSG_TRUNC))
			out_data(c, v[i].iov_base, m[i].msg_len);
		out(c, " %#x", (unsigned)m[i].msg_hdr.msg_flags);
		out_addr(c, &ss[i], m[i].msg_hdr.msg_namelen, sizeof(ss[i]));
		out(c, "]");
	}
}

void op_drain(struct ctx *c)
{
	size_t total = 0;
	ssize_t r;

	for (;;) {
		r = recv(arg_fd(c, 1), room + total, ROOM - total,
			 MSG_DONTWAIT);
		if (r <= 0 || total + (size_t)r >= ROOM)
			break;
		total += (size_t)r;
	}
	out(c, " %zu", total);
	out_data(c, room, (long)total);
	out(c, ", then");
	out_ret(c, r > 0 ? 1 : r);
}

/* --- through the kernel's other files --- */

void op_sendfile(struct ctx *c)
{
	off_t off = 0;

	out_ret(c,
		sendfile(arg_fd(c, 1), arg_fd(c, 2), &off, (size_t)arg(c, 3)));
	out(c, " offset %ld", (long)off);
}

void op_splice(struct ctx *c)
{
	out_ret(c, splice(arg_fd(c, 1), NULL, arg_fd(c, 2), NULL,
			  (size_t)arg(c, 3), (unsigned)arg(c, 4)));
}

/* --- pointers to nowhere --- */

static void *bad_pointer(long kind)
{
	static uint8_t *pages; /* a readable page, then none */

	if (kind == 0)
		return NULL;
	if (kind == 1)
		return (void *)0x1000;
	if (kind == 4)
		return (void *)-1L;
	if (!pages) {
		pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
		munmap(pages + 4096, 4096);
	}
	return kind == 2 ? pages : pages + 4096 - 2;
}

static long bad_call(struct ctx *c, int fd, const char *call, void *p)
{
	struct msghdr h = {.msg_iov = p, .msg_iovlen = 1};
	struct iovec v = {p, 10};
	socklen_t len = 16;
	int num = 1;

	switch (call[0] | call[1] << 8) {
	case 's' | 'e' << 8:
		return send(fd, p, 100, MSG_NOSIGNAL);
	case 'r' | 'e' << 8:
		return recv(fd, p, 100, MSG_DONTWAIT);
	case 'w' | 'v' << 8:
		return writev(fd, p, 2);
	case 'w' | 'b' << 8:
		return writev(fd, &v, 1);
	case 'r' | 'v' << 8:
		return readv(fd, p, 2);
	case 's' | 'm' << 8:
		return sendmsg(fd, p, MSG_NOSIGNAL);
	case 'r' | 'm' << 8:
		return recvmsg(fd, p, MSG_DONTWAIT);
	case 'r' | 'i' << 8:
		return recvmsg(fd, &h, MSG_DONTWAIT);
	case 'r' | 'f' << 8:
		return recvfrom(fd, &num, 1, MSG_DONTWAIT, p, &len);
	case 'b' | 'i' << 8:
		return bind(fd, p, 16);
	case 'c' | 'o' << 8:
		return connect(fd, p, 16);
	case 'n' | 'a' << 8:
		return getsockname(fd, p, &len);
	case 'n' | 'l' << 8:
		return getsockname(fd, (struct sockaddr *)room, p);
	case 's' | 'o' << 8:
		return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, p, 4);
	case 'g' | 'o' << 8:
		return getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, p, &len);
	case 'g' | 'l' << 8:
		return getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &num, p);
	}
	out(c, " (what call?)");
	return 0;
}

void op_badptr(struct ctx *c)
{
	out_ret(c, bad_call(c, arg_fd(c, 1), c->num > 2 ? c->word[2] : "",
			    bad_pointer(arg(c, 3))));
}
