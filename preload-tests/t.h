/* SPDX-License-Identifier: MIT
 *
 * t.h - what every preload test needs: transcripts, waiting, the peer
 *
 * A test runs once on the kernel and once under the shim, and the two
 * transcripts must be equal. So it prints what happened (results, errno names,
 * poll masks, values) and never what differs from run to run (ports, times).
 * The program's host is 10.77.0.2 and fd77::2; the peer, a kernel process at
 * 10.77.0.1 and fd77::1, obeys commands sent with peer() (see peer.c).
 *
 * Nothing here sleeps: t_wait() and t_settle() wait for a condition, and give
 * up with a line in the transcript after T_PATIENCE.
 */
#ifndef TCPSHIM_PRELOAD_T_H
#define TCPSHIM_PRELOAD_T_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define T_UNUSED __attribute__((unused))
#define T_PATIENCE 5000 /* ms until a wait is given up */
#define T_CTL_FD 200	/* the control socket, out of the way of fd numbers */

#define US4 "10.77.0.2"
#define US6 "fd77::2"
#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"

static int t_ctl = -1;

static T_UNUSED void t_die(const char *what)
{
	printf("died: %s: %s\n", what, strerrorname_np(errno));
	fflush(stdout);
	_exit(3);
}

/* --- transcript --- */
static T_UNUSED const char *t_err(int err)
{
	const char *s = err ? strerrorname_np(err) : "0";

	return s ? s : "?";
}

static T_UNUSED void say(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static T_UNUSED void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static T_UNUSED long t_say_call(const char *expr, long ret, int err)
{
	if (ret < 0)
		say("%s = %ld %s", expr, ret, t_err(err));
	else
		say("%s = %ld", expr, ret);
	errno = err;
	return ret;
}

/* Runs @expr, prints it with its result, gives the result back. */
#define CALL(expr)                              \
	__extension__({                         \
		errno = 0;                      \
		long ret_ = (long)(expr);       \
		t_say_call(#expr, ret_, errno); \
	})

/* Runs @expr, which must succeed and is not worth a line. */
#define MUST(expr)                        \
	__extension__({                   \
		long ret_ = (long)(expr); \
		if (ret_ < 0)             \
			t_die(#expr);     \
		ret_;                     \
	})

/* Does this thread of ours sleep? A tid of 0 has not begun. */
static T_UNUSED bool t_sleeps(pid_t tid)
{
	char path[64], line[512], *s;
	FILE *f;
	bool ret = false;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = tid ? fopen(path, "r") : NULL;
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f) && (s = strrchr(line, ')')))
		ret = s[2] == 'S';
	fclose(f);
	return ret;
}

/* Waits until it sleeps, and has done so in five looks. */
static T_UNUSED void t_wait_asleep(const volatile pid_t *tid)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		seen = t_sleeps(*tid) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

static T_UNUSED const char *t_mask(unsigned m)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{POLLIN, "IN"},	     {POLLPRI, "PRI"},	  {POLLOUT, "OUT"},
		{POLLERR, "ERR"},    {POLLHUP, "HUP"},	  {POLLNVAL, "NVAL"},
		{POLLRDNORM, "RDN"}, {POLLRDBAND, "RDB"}, {POLLWRNORM, "WRN"},
		{POLLWRBAND, "WRB"}, {POLLRDHUP, "RDHUP"}};
	static char bufs[8][128];
	static int next;
	char *s = bufs[next++ % 8];
	size_t used = 0;

	s[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(m & names[i].bit))
			continue;
		used += (size_t)snprintf(s + used, 128 - used, "%s%s",
					 used ? "|" : "", names[i].name);
		m &= ~names[i].bit;
	}
	if (m)
		snprintf(s + used, 128 - used, "%s%#x", used ? "|" : "", m);
	return s[0] ? s : "none";
}

#define T_ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)

static T_UNUSED unsigned t_poll_now(int fd, unsigned events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	if (poll(&p, 1, 0) < 0)
		t_die("poll");
	return (unsigned short)p.revents;
}

/* What poll says about @fd right now. */
static T_UNUSED void say_poll(const char *label, int fd)
{
	say("%s: poll %s", label, t_mask(t_poll_now(fd, T_ALL)));
}

/* --- waiting --- */
static T_UNUSED int64_t t_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static T_UNUSED int64_t t_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The longest of @num round trips of a byte. */
static T_UNUSED int64_t t_worst_gap_us(int fd, int num)
{
	int64_t last = t_now_us(), worst = 0;

	for (int i = 0; i < num; i++) {
		char c = (char)i;
		int64_t now;

		MUST(send(fd, &c, 1, 0));
		MUST(recv(fd, &c, 1, 0));
		now = t_now_us();
		if (now - last > worst)
			worst = now - last;
		last = now;
	}
	return worst;
}

/* Until the end: 0, or what a program that does this exits with. */
static T_UNUSED int t_echo_all(int in, int out)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return 1;
	return n < 0 ? 2 : 0;
}

/* Waits until every bit of @want has been seen at once. */
static T_UNUSED unsigned t_settle(int fd, unsigned want)
{
	int64_t until = t_now_ms() + T_PATIENCE;

	for (;;) {
		unsigned have = t_poll_now(fd, want);
		struct pollfd p = {.fd = fd, .events = (short)(want & ~have)};

		if ((have & want) == want)
			return have;
		if (t_now_ms() > until)
			break;
		if (poll(&p, 1, 50) < 0 && errno != EINTR)
			t_die("poll");
	}
	say("gave up waiting for %s, have %s", t_mask(want),
	    t_mask(t_poll_now(fd, want)));
	return 0;
}

static T_UNUSED void t_settle_say(const char *label, int fd, unsigned want)
{
	t_settle(fd, want);
	say_poll(label, fd);
}

/* Waits until @n bytes can be read. */
static T_UNUSED void t_wait_bytes(int fd, int n)
{
	int64_t until = t_now_ms() + T_PATIENCE;
	int have = 0;

	while (ioctl(fd, FIONREAD, &have) == 0 && have < n) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (t_now_ms() > until) {
			say("gave up waiting for %d bytes, have %d", n, have);
			return;
		}
		poll(&p, have ? 0 : 1, have ? 1 : 50);
	}
}

/* --- addresses --- */
struct t_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage ss;
	};
	socklen_t len;
};

static T_UNUSED struct t_addr t_addr(const char *ip, int port)
{
	struct t_addr a;

	memset(&a, 0, sizeof(a));
	if (strchr(ip, ':')) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons((uint16_t)port);
		a.len = sizeof(a.in6);
		if (inet_pton(AF_INET6, ip, &a.in6.sin6_addr) != 1)
			t_die("inet_pton");
	} else {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons((uint16_t)port);
		a.len = sizeof(a.in);
		if (inet_pton(AF_INET, ip, &a.in.sin_addr) != 1)
			t_die("inet_pton");
	}
	return a;
}

static T_UNUSED int t_port(const struct t_addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port
						 : a->in.sin_port);
}

static T_UNUSED const char *t_ip(const struct t_addr *a)
{
	static char bufs[4][INET6_ADDRSTRLEN];
	static int next;
	char *s = bufs[next++ % 4];

	if (a->sa.sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &a->in6.sin6_addr, s,
				 INET6_ADDRSTRLEN);
	if (a->sa.sa_family == AF_INET)
		return inet_ntop(AF_INET, &a->in.sin_addr, s, INET6_ADDRSTRLEN);
	return "none";
}

static T_UNUSED int t_local_port(int fd)
{
	struct t_addr a = {.len = sizeof(a.ss)};

	MUST(getsockname(fd, &a.sa, &a.len));
	return t_port(&a);
}

/* The families that a test runs for. */
struct t_fam {
	int af;
	int n;
	const char *us, *peer, *any, *lo;
};

static const struct t_fam t_fams[2] T_UNUSED = {
	{AF_INET, 4, US4, PEER4, "0.0.0.0", "127.0.0.1"},
	{AF_INET6, 6, US6, PEER6, "::", "::1"},
};

/* Our interface: a veth on the kernel, the TUN under the shim. */
static T_UNUSED const char *t_dev(void)
{
	return getenv("UNDER_SHIM") ? "tcpshim0" : "v0";
}

/* --- the peer --- */
static T_UNUSED long peer_cmd(bool loud, const char *fmt, va_list ap)
{
	char cmd[256], reply[256];
	ssize_t n;

	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	if (send(t_ctl, cmd, strlen(cmd), MSG_NOSIGNAL) < 0)
		t_die("control send");
	do
		n = recv(t_ctl, reply, sizeof(reply) - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		t_die("control recv");
	reply[n] = 0;
	if (loud)
		say("peer %s: %s", cmd, reply);
	if (strncmp(reply, "ok ", 3) == 0)
		return atol(reply + 3);
	return strcmp(reply, "ok") == 0 ? 0 : -1;
}

/* Has the peer do something and prints its answer. */
static T_UNUSED long peer(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static T_UNUSED long peer(const char *fmt, ...)
{
	va_list ap;
	long ret;

	va_start(ap, fmt);
	ret = peer_cmd(true, fmt, ap);
	va_end(ap);
	return ret;
}

/* The same, for answers that vary (ports): silent, and must succeed. */
static T_UNUSED long peer_quiet(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static T_UNUSED long peer_quiet(const char *fmt, ...)
{
	va_list ap;
	long ret;

	va_start(ap, fmt);
	ret = peer_cmd(false, fmt, ap);
	va_end(ap);
	if (ret < 0) {
		printf("peer failed: %s\n", fmt);
		fflush(stdout);
		_exit(3);
	}
	return ret;
}

static T_UNUSED void t_init(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const char *path = getenv("T_PEER");
	int fd;

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (!path) {
		fprintf(stderr, "T_PEER is not set: use preload-tests/run\n");
		exit(2);
	}
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	fd = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	MUST(connect(fd, (struct sockaddr *)&un, sizeof(un)));
	t_ctl = (int)MUST(fcntl(fd, F_DUPFD_CLOEXEC, T_CTL_FD));
	close(fd);
}

/* --- ready-made connections --- */
/* We connect to the peer; it holds the other end in @slot. */
static T_UNUSED int t_connected(const struct t_fam *f, int slot)
{
	int port = (int)peer_quiet("listen 90 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	MUST(connect(fd, &a.sa, a.len));
	peer_quiet("accept 90 %d", slot);
	peer_quiet("close 90");
	return fd;
}

/* A listening socket of ours. */
static T_UNUSED int t_listener(const struct t_fam *f, int backlog)
{
	struct t_addr a = t_addr(f->us, 0);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	MUST(bind(fd, &a.sa, a.len));
	MUST(listen(fd, backlog));
	return fd;
}

/* The peer connects to us; it holds its end in @slot. */
static T_UNUSED int t_accepted(const struct t_fam *f, int slot)
{
	int lfd = t_listener(f, 8), fd;

	peer_quiet("connect %d %d %d", slot, f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	close(lfd);
	return fd;
}

/* The other end of the peer's connection 0 echoes all until the end. */
static T_UNUSED void t_echoed(void)
{
	peer("send 0 1000");
	peer("recv 0 1000");
	peer("shut 0 1");
	peer("end 0");
	peer("close 0");
}

#endif
