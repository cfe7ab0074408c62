/* SPDX-License-Identifier: MIT
 *
 * ipopts.c - IP_OPTIONS: what may be set, what is sent, what is told of it
 */
#include "t.h"

static unsigned char buf[4000];

static void say_bytes(const char *what, const unsigned char *p, size_t n)
{
	char line[200];
	size_t used = 0;

	line[0] = 0;
	for (size_t i = 0; i < n && used < sizeof(line) - 4; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 " %02x", p[i]);
	say("%s:%s", what, line);
}

static void say_options(int fd)
{
	unsigned char v[60];
	socklen_t len = sizeof(v);

	MUST(getsockopt(fd, SOL_IP, IP_OPTIONS, v, &len));
	say_bytes("  options", v, len);
}

static void setting(void)
{
	static const struct {
		unsigned char v[12];
		socklen_t len;
	} o[] = {
		{{1, 1, 1, 0}, 4},
		{{7, 11, 4}, 11},
		{{7, 11, 4}, 12},
		{{7, 11, 4}, 7}, /* longer than what there is */
		{{7, 2}, 4},
		{{7, 7, 3}, 8}, /* pointer */
		{{7, 7, 5}, 8}, /* no whole slot */
		{{68, 12, 5, 0}, 12},
		{{68, 12, 5, 1}, 12},
		{{68, 12, 4, 0}, 12},
		{{68, 4, 5, 0}, 4},
		{{148, 4, 0, 0}, 4},
		{{1, 148, 4, 0, 0}, 5},
		{{0, 9, 9, 9}, 4},
		{{1}, 1},
		{{0}, 0},
	};
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));

	say_options(fd);
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		int r = setsockopt(fd, SOL_IP, IP_OPTIONS, o[i].v, o[i].len);

		say("%u %u %u, len %u: %s", o[i].v[0], o[i].v[1], o[i].v[2],
		    o[i].len, r ? t_err(errno) : "0");
		say_options(fd);
	}
	CALL(setsockopt(fd, SOL_IP, IP_OPTIONS, buf, 41));
	close(fd);
}

/* To ourselves, seen by a raw socket and told to the receiver. */
static void sending(const char *what, const unsigned char *o, socklen_t n,
		    size_t len)
{
	int eye = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_UDP)), one = 1;
	int in = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	int out = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct t_addr us = t_addr(US4, 5800);
	char room[300];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};

	say("- %s", what);
	MUST(bind(in, &us.sa, us.len));
	MUST(setsockopt(in, SOL_IP, IP_RECVOPTS, &one, sizeof(one)));
	MUST(setsockopt(in, SOL_IP, IP_RETOPTS, &one, sizeof(one)));
	MUST(setsockopt(in, SOL_IP, IP_RECVTTL, &one, sizeof(one)));
	MUST(setsockopt(out, SOL_IP, IP_OPTIONS, o, n));
	CALL(sendto(out, buf, len, 0, &us.sa, us.len));
	t_settle(in, POLLIN);
	CALL(recvmsg(in, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		say("cmsg %d %d", c->cmsg_level, c->cmsg_type);
		say_bytes("  is", CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	}
	t_settle(eye, POLLIN);
	CALL(recv(eye, buf, sizeof(buf), 0));
	say("header of %u", (buf[0] & 15) * 4);
	say_bytes("options", buf + 20, (buf[0] & 15u) * 4 - 20);
	close(eye);
	close(in);
	close(out);
}

/* The peer answers an echo with what it was asked with. */
static void echoed(void)
{
	static const unsigned char rr[20] = {7, 19, 4};
	static const unsigned char ping[16] = {8, 0, 0xf7, 0xff};
	int fd = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	struct t_addr a = t_addr(PEER4, 0);

	MUST(setsockopt(fd, SOL_IP, IP_OPTIONS, rr, sizeof(rr)));
	MUST(sendto(fd, ping, sizeof(ping), 0, &a.sa, a.len));
	t_settle(fd, POLLIN);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_bytes("answered", buf + 20, 20);
	close(fd);
}

int main(void)
{
	static const unsigned char rr[12] = {7, 11, 4};
	static const unsigned char ra[4] = {148, 4, 0, 0};
	static const unsigned char nop[4] = {1, 1, 1, 0};

	t_init();
	setting();
	sending("record route", rr, sizeof(rr), 10);
	sending("record route, in fragments", rr, sizeof(rr), 3000);
	sending("router alert", ra, sizeof(ra), 10);
	sending("nothing", nop, sizeof(nop), 10);
	echoed();
	return 0;
}
