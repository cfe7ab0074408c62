/* SPDX-License-Identifier: MIT
 *
 * broadcast.c - to all of a link: SO_BROADCAST, directed and limited, who hears
 */
#include "t.h"
#include <net/if.h>

#define PORT 5400

static unsigned char buf[4000];

static int bound(const char *addr, int port)
{
	struct t_addr a = t_addr(addr, port);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(bind(fd, &a.sa, a.len));
	return fd;
}

static void permission(void)
{
	/* another port than that of the sockets that hear, below */
	struct t_addr d = t_addr("10.77.0.255", PORT + 9), l;
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1, zero = 0;

	l = t_addr("255.255.255.255", PORT + 9);
	CALL(sendto(fd, buf, 1, 0, &d.sa, d.len));
	CALL(sendto(fd, buf, 1, 0, &l.sa, l.len));
	CALL(connect(fd, &d.sa, d.len));
	CALL(connect(fd, &l.sa, l.len));
	CALL(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	CALL(sendto(fd, buf, 1, 0, &d.sa, d.len));
	CALL(sendto(fd, buf, 1, 0, &l.sa, l.len));
	CALL(connect(fd, &d.sa, d.len));
	CALL(send(fd, buf, 2, 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &zero, sizeof(zero)));
	CALL(send(fd, buf, 2, 0));
	close(fd);
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	CALL(connect(fd, &d.sa, d.len));
	CALL(bind(fd, &d.sa, d.len));
	close(fd);
	fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(bind(fd, &d.sa, d.len));
	close(fd);
	fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(bind(fd, &l.sa, l.len));
	close(fd);
}

static void hear(int fd, const char *who)
{
	struct t_addr from = {.len = sizeof(from.ss)};
	ssize_t n;

	t_settle(fd, POLLIN);
	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &from.len);
	say("%s: %zd bytes from %s", who, n, n < 0 ? "nobody" : t_ip(&from));
}

static void hearing(int which, const char *addr)
{
	int any = bound("0.0.0.0", PORT), two = bound("0.0.0.0", PORT);
	int us = bound(US4, PORT), it = bound(addr, PORT);

	peer("member 0 %d %d", which, PORT + 1);
	peer("tomany 0 %d %d 40", which, PORT);
	hear(any, "any");
	hear(two, "another");
	hear(it, addr);
	say_poll("bound to us", us);
	close(any);
	close(two);
	close(us);
	close(it);
	peer("close 0");
}

static void sending(int which, const char *addr, size_t len)
{
	struct t_addr a = t_addr(addr, PORT);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
	int own = bound("0.0.0.0", PORT);

	MUST(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	/* the limited one has no route of its own on a host with many */
	MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t_dev(),
			(socklen_t)strlen(t_dev())));
	peer("member 0 %d %d", which, PORT);
	for (size_t i = 0; i < len; i++)
		buf[i] = 0;
	CALL(sendto(fd, buf, len, 0, &a.sa, a.len));
	peer("recvfrom 0");
	hear(own, "ourselves");
	close(fd);
	close(own);
	peer("close 0");
}

/* No connection is made with all. */
static void no_ping(void)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), one = 1;
	struct t_addr a = t_addr("10.77.0.255", 0), us = t_addr(US4, 0);

	memset(buf, 0, 8);
	buf[0] = 8;
	buf[2] = 0xf7;
	buf[3] = 0xff;
	CALL(sendto(fd, buf, 8, 0, &a.sa, a.len));
	MUST(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	CALL(sendto(fd, buf, 8, 0, &a.sa, a.len));
	hear(fd, "our own request");
	CALL(sendto(fd, buf, 8, 0, &us.sa, us.len));
	hear(fd, "a request to us");
	close(fd);
}

int main(void)
{
	t_init();
	permission();
	hearing(4, "10.77.0.255");
	hearing(5, "255.255.255.255");
	sending(4, "10.77.0.255", 1);
	sending(5, "255.255.255.255", 1);
	sending(4, "10.77.0.255", 0);
	no_ping();
	return 0;
}
