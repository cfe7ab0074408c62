/* SPDX-License-Identifier: MIT
 *
 * epoll_letter.c - what epoll(7) says between the lines: the order and rotation
 * of events, copies of sets and of sockets, sets that are closed while a thread
 * waits, loops and depth, urgent data, exclusive waits, edges through nested
 * sets, one-shot and MOD, signal masks, odd arguments
 */
#include "t.h"
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static void ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = data;
	MUST(epoll_ctl(ep, op, fd, &e));
}

static long try_ctl(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events};

	e.data.fd = fd;
	return epoll_ctl(ep, op, fd, &e);
}

/* In the order in which they come. */
static void say_ready_n(const char *label, int ep, int most, int ms)
{
	struct epoll_event v[16];
	int n = epoll_wait(ep, v, most, ms);

	say("%s: %d %s", label, n, n < 0 ? t_err(errno) : "");
	for (int i = 0; i < n; i++)
		say("  %llu: %s", (unsigned long long)v[i].data.u64,
		    t_mask(v[i].events));
}

static void say_ready(const char *label, int ep, int ms)
{
	say_ready_n(label, ep, 16, ms);
}

/* --- order --- */
static void rotation(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fds[4];
	char c;

	for (int i = 0; i < 4; i++) {
		fds[i] = t_connected(f, i);
		ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i);
	}
	for (int i = 0; i < 4; i++) {
		int order[] = {2, 0, 3, 1};

		peer_quiet("send %d 2", order[i]);
		t_settle(fds[order[i]], POLLIN);
		say_ready_n("as they come", ep, 0 + 16, 0);
	}
	for (int i = 0; i < 6; i++)
		say_ready_n("one at a time", ep, 1, 0);
	for (int i = 0; i < 4; i++)
		say_ready_n("three at a time", ep, 3, 0);
	MUST(recv(fds[0], &c, 1, 0));
	MUST(recv(fds[3], &c, 1, 0));
	MUST(recv(fds[3], &c, 1, 0));
	for (int i = 0; i < 4; i++)
		say_ready_n("two at a time, one gone", ep, 2, 0);
	ctl(ep, EPOLL_CTL_MOD, fds[2], EPOLLIN | EPOLLET, 12);
	for (int i = 0; i < 4; i++)
		say_ready_n("one of them edge", ep, 2, 0);
	ctl(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 10);
	for (int i = 0; i < 3; i++)
		say_ready_n("one of them one-shot", ep, 1, 0);
	for (int i = 0; i < 4; i++) {
		close(fds[i]);
		peer_quiet("close %d", i);
	}
	say_ready("all closed", ep, 0);
	close(ep);
}

/* --- copies --- */
static void copies_of_sets(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0));
	int before = (int)MUST(dup(ep)), after, high, fd = t_connected(f, 0);
	char c;

	/* made before there was a socket in it, and after */
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	after = (int)MUST(fcntl(ep, F_DUPFD_CLOEXEC, 0));
	high = (int)MUST(dup2(before, 150));
	peer("send 0 1");
	say_ready("the set", ep, -1);
	say_ready("a copy from before", before, 0);
	say_ready("a copy from after", after, 0);
	say_ready("a copy of a copy", high, 0);
	CALL(try_ctl(before, EPOLL_CTL_ADD, fd, EPOLLIN));
	CALL(try_ctl(after, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET));
	say_ready("changed by a copy", high, 0);
	say_ready("and no more", ep, 0);
	CALL(try_ctl(high, EPOLL_CTL_DEL, fd, 0));
	CALL(try_ctl(ep, EPOLL_CTL_DEL, fd, 0));
	CALL(try_ctl(before, EPOLL_CTL_ADD, fd, EPOLLIN));
	close(ep);
	close(after);
	say_ready("two numbers closed", before, 0);
	say_poll("as a pollfd", high);
	CALL(recv(fd, &c, 1, 0));
	say_poll("read", high);
	close(before);
	peer("send 0 1");
	say_ready("the last number", high, -1);
	close(high);
	say_ready("no number left", high, 0);
	close(fd);
	peer("close 0");
}

/* A number that was passed over a socket is one more copy. */
static int pass(int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char c = 0;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int sv[2], got;

	memset(&u, 0, sizeof(u));
	m.msg_control = u.buf;
	m.msg_controllen = sizeof(u.buf);
	u.align.cmsg_level = SOL_SOCKET;
	u.align.cmsg_type = SCM_RIGHTS;
	u.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.align), &fd, sizeof(int));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	MUST(sendmsg(sv[0], &m, 0));
	MUST(recvmsg(sv[1], &m, 0));
	memcpy(&got, CMSG_DATA(&u.align), sizeof(int));
	close(sv[0]);
	close(sv[1]);
	return got;
}

static void passed_sets(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	int early = pass(ep), late;

	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	late = pass(ep);
	peer("send 0 1");
	say_ready("the set", ep, -1);
	say_ready("passed before", early, 0);
	say_ready("passed after", late, 0);
	CALL(try_ctl(late, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT));
	close(ep);
	say_ready("the passed ones live on", early, 0);
	close(early);
	close(late);
	close(fd);
	peer("close 0");
}

static void copies_of_sockets(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	int a = (int)MUST(dup(fd)), b;

	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1);
	ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLONESHOT, 2);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	say_ready("two numbers", ep, 0);
	say_ready("once each", ep, 0);
	peer("send 0 1");
	t_wait_bytes(fd, 2);
	say_ready("an edge for one of them", ep, 0);
	/* the number goes to another set's copy by dup2 */
	b = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	CALL(dup2(b, fd) == fd);
	CALL(try_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT));
	CALL(try_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT));
	peer("send 0 1");
	t_wait_bytes(a, 3);
	say_ready("the old socket under the old number, too", ep, 0);
	close(a);
	say_ready("the old socket is gone", ep, 0);
	close(b);
	say_ready("a copy is left", ep, 0);
	close(fd);
	say_ready("nothing is left", ep, 0);
	close(ep);
	peer("close 0");
}

/* --- nesting --- */
static void depth(const struct t_fam *f)
{
	int v[8], fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	for (int i = 0; i < 8; i++)
		v[i] = (int)MUST(epoll_create1(0));
	ctl(v[0], EPOLL_CTL_ADD, fd, EPOLLOUT, 0);
	for (int i = 1; i < 8; i++)
		say("level %d: %s", i,
		    try_ctl(v[i], EPOLL_CTL_ADD, v[i - 1], EPOLLIN) < 0
			    ? t_err(errno)
			    : "0");
	CALL(try_ctl(v[0], EPOLL_CTL_ADD, v[4], EPOLLIN) < 0 ? errno : 0);
	CALL(try_ctl(v[0], EPOLL_CTL_ADD, v[0], EPOLLIN));
	for (int i = 0; i < 5; i++) {
		struct epoll_event e;

		say("wait at level %d: %d", i, epoll_wait(v[i], &e, 1, 0));
	}
	CALL(try_ctl(v[1], EPOLL_CTL_MOD, v[0], EPOLLIN | EPOLLEXCLUSIVE));
	CALL(try_ctl(v[7], EPOLL_CTL_ADD, v[0], EPOLLIN | EPOLLEXCLUSIVE));
	for (int i = 7; i >= 0; i--)
		close(v[i]);
	close(fd);
}

static void nested_edges(const struct t_fam *f)
{
	int in = (int)MUST(epoll_create1(0)), out = (int)MUST(epoll_create1(0));
	int fd = t_connected(f, 0), fd2 = t_connected(f, 1);
	char buf[16];

	ctl(in, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	ctl(in, EPOLL_CTL_ADD, fd2, EPOLLIN, 2);
	ctl(out, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET, 3);
	say_ready("idle", out, 0);
	peer("send 0 1");
	say_ready("one", out, -1);
	say_ready("once", out, 0);
	peer("send 1 1");
	t_settle(fd2, POLLIN);
	say_ready("another, the first not taken", out, 0);
	peer("send 0 1");
	t_wait_bytes(fd, 2);
	say_ready("more of the first", out, 0);
	say_ready_n("inner", in, 1, 0);
	say_ready("outer, one of two taken", out, 0);
	MUST(recv(fd, buf, sizeof(buf), 0));
	MUST(recv(fd2, buf, sizeof(buf), 0));
	say_ready("all read", out, 0);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	MUST(recv(fd, buf, sizeof(buf), 0));
	say_ready("came and was read", out, 0);
	ctl(out, EPOLL_CTL_MOD, in, EPOLLIN, 4);
	say_ready("level, nothing", out, 0);
	peer("send 1 1");
	say_ready("level", out, -1);
	say_ready("level again", out, 0);
	ctl(out, EPOLL_CTL_MOD, in, EPOLLIN | EPOLLONESHOT, 5);
	say_ready("one-shot", out, 0);
	say_ready("one-shot, off", out, 0);
	close(fd2);
	ctl(out, EPOLL_CTL_MOD, in, EPOLLIN, 6);
	say_ready("closed socket", out, 0);
	close(out);
	close(in);
	close(fd);
	peer("close 0");
	peer("close 1");
}

/* One socket in an inner and an outer set, an inner set with kernel fds only,
 * a set in two sets. */
static void nested_both(const struct t_fam *f)
{
	int in = (int)MUST(epoll_create1(0)), out = (int)MUST(epoll_create1(0));
	int out2 = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	int kern = (int)MUST(epoll_create1(0)), efd = (int)MUST(eventfd(0, 0));
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	uint64_t one = 1;
	char buf[4];

	ctl(kern, EPOLL_CTL_ADD, efd, EPOLLIN, 1);
	ctl(in, EPOLL_CTL_ADD, fd, EPOLLIN, 2);
	ctl(out, EPOLL_CTL_ADD, fd, EPOLLIN, 3);
	ctl(out, EPOLL_CTL_ADD, kern, EPOLLIN, 4);
	ctl(out2, EPOLL_CTL_ADD, in, EPOLLIN, 5);
	ctl(out2, EPOLL_CTL_ADD, kern, EPOLLIN, 6);
	say_ready("idle", out, 0);
	MUST(write(efd, &one, 8));
	say_ready("kernel only", out, -1);
	say_ready("kernel only, other", out2, -1);
	MUST(read(efd, &one, 8));
	peer("send 0 2");
	t_settle(fd, POLLIN);
	say_ready("socket", out, -1);
	say_ready("socket, other", out2, -1);
	p[0].fd = out;
	p[1].fd = out2;
	CALL(poll(p, 2, -1));
	MUST(recv(fd, buf, 4, 0));
	CALL(poll(p, 2, 0));
	ctl(kern, EPOLL_CTL_ADD, fd, EPOLLIN, 7); /* gets a socket later */
	peer("send 0 2");
	t_settle(fd, POLLIN);
	say_ready("kern", kern, -1);
	CALL(poll(p, 2, -1));
	MUST(recv(fd, buf, 4, 0));
	say_ready("out", out, 0);
	say_ready("out2", out2, 0);
	close(kern);
	close(in);
	close(out);
	close(out2);
	close(efd);
	close(fd);
	peer("close 0");
}

/* --- bits --- */
static void urgent(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	char c;

	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLPRI | EPOLLET, 1);
	say_ready("idle", ep, 0);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	say_ready("plain data", ep, 0);
	peer("oob 0 65");
	say_ready("urgent", ep, -1);
	say_ready("once", ep, 0);
	ctl(ep, EPOLL_CTL_MOD, fd, EPOLLPRI | EPOLLIN, 2);
	say_ready("level", ep, 0);
	CALL(recv(fd, &c, 1, MSG_OOB));
	say_ready("taken", ep, 0);
	ctl(ep, EPOLL_CTL_MOD, fd, EPOLLPRI, 3);
	say_ready("nothing urgent", ep, 0);
	close(fd);
	close(ep);
	peer("close 0");
}

static void bits(const struct t_fam *f)
{
	static const uint32_t asked[] = {
		0,
		EPOLLIN,
		EPOLLOUT,
		EPOLLRDHUP,
		EPOLLHUP,
		EPOLLERR,
		EPOLLRDNORM,
		EPOLLWRNORM,
		EPOLLRDBAND,
		EPOLLWRBAND,
		EPOLLPRI,
		EPOLLMSG,
		EPOLLWAKEUP,
		EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLRDNORM |
			EPOLLWRNORM,
	};
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);

	ctl(ep, EPOLL_CTL_ADD, fd, 0, 0);
	for (int state = 0; state < 5; state++) {
		static const char *names[] = {"data", "end", "both ends",
					      "reset", "fresh"};

		if (state == 0) {
			peer("send 0 1");
			t_settle(fd, POLLIN);
		} else if (state == 1) {
			peer("shut 0 1");
			t_settle(fd, POLLRDHUP);
		} else if (state == 2) {
			MUST(shutdown(fd, SHUT_WR));
			t_settle(fd, POLLHUP);
		} else if (state == 3) {
			close(fd);
			peer("close 0");
			fd = t_connected(f, 0);
			ctl(ep, EPOLL_CTL_ADD, fd, 0, 0);
			peer("rst 0");
			t_settle(fd, POLLERR);
		} else {
			close(fd);
			fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
			ctl(ep, EPOLL_CTL_ADD, fd, 0, 0);
		}
		for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
			ctl(ep, EPOLL_CTL_MOD, fd, asked[i], i);
			say_ready(names[state], ep, 0);
		}
	}
	close(fd);
	close(ep);
}

static void odd_arguments(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0));
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct timespec ns = {0, 1}, huge = {INT64_MAX / 2, 0};
	struct timespec bad = {0, 1000000000}, none = {0, 0};
	struct epoll_event e = {.events = EPOLLOUT}, v[2];
	volatile int big = 0x7fffffff;

	CALL(try_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE));
	CALL(try_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE));
	CALL(try_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE));
	CALL(try_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
	CALL(try_ctl(ep, EPOLL_CTL_DEL, fd, EPOLLEXCLUSIVE | EPOLLRDHUP));
	CALL(try_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLPRI | EPOLLEXCLUSIVE));
	CALL(try_ctl(ep, EPOLL_CTL_ADD, fd,
		     EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP));
	CALL(try_ctl(ep, EPOLL_CTL_DEL, fd, 0));
	CALL(try_ctl(ep, 0, fd, 0));
	CALL(try_ctl(ep, -1, fd, 0));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_wait(ep, v, 2, 0));
	CALL(epoll_wait(ep, v, big, 0));
	CALL(epoll_pwait2(ep, v, 2, &ns, NULL));
	CALL(epoll_pwait2(ep, v, 2, &bad, NULL));
	CALL(epoll_pwait2(ep, v, 2, &none, NULL));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	CALL(epoll_pwait2(ep, v, 2, &huge, NULL));
	CALL(epoll_pwait2(ep, v, 2, &bad, NULL));
	CALL(epoll_wait(ep, v, 2, 0x7fffffff));
	CALL(epoll_wait(ep, v, 2, -77));
	CALL(epoll_wait(ep, v, 0, 0));
	CALL(epoll_wait(ep, v, big, 0));
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_pwait2(ep, v, 2, &ns, NULL));
	CALL(epoll_pwait2(ep, v, 2, &none, NULL));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_ctl(fd, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_ctl(fd, EPOLL_CTL_DEL, ep, NULL));
	CALL(lseek(ep, 0, SEEK_CUR));
	CALL(write(ep, "x", 1));
	close(fd);
	close(ep);
}

/* A signal that is blocked outside and let in by the wait. */
static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

static void masks(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec none = {0, 0}, some = {5, 0};
	sigset_t block, empty, old;
	struct epoll_event v[2];
	fd_set r;

	MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal},
		       NULL));
	sigemptyset(&empty);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	MUST(pthread_sigmask(SIG_BLOCK, &block, &old));
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
#define PENDING(expr)                                   \
	do {                                            \
		hits = 0;                               \
		raise(SIGUSR1);                         \
		CALL(expr);                             \
		say("handler ran %d times", (int)hits); \
	} while (0)
	for (int ready = 0; ready < 2; ready++) {
		if (ready) {
			peer("send 0 1");
			t_settle(fd, POLLIN);
		}
		say("ready %d", ready);
		PENDING(epoll_pwait(ep, v, 2, 0, &empty));
		PENDING(epoll_pwait(ep, v, 2, 1000, &empty));
		PENDING(epoll_pwait2(ep, v, 2, &none, &empty));
		PENDING(epoll_pwait2(ep, v, 2, &some, &empty));
		PENDING(epoll_pwait(ep, v, 2, 1, &block));
		PENDING(epoll_pwait(ep, v, 2, 1, NULL));
		PENDING(ppoll(&p, 1, &none, &empty));
		PENDING(ppoll(&p, 1, &some, &empty));
		PENDING(ppoll(&p, 1, &none, &block));
		FD_ZERO(&r);
		FD_SET(fd, &r);
		PENDING(pselect(fd + 1, &r, NULL, NULL, &none, &empty));
		FD_SET(fd, &r);
		PENDING(pselect(fd + 1, &r, NULL, NULL, &some, &empty));
		FD_SET(fd, &r);
		PENDING(pselect(fd + 1, &r, NULL, NULL, &none, &block));
		hits = 0;
		MUST(pthread_sigmask(SIG_UNBLOCK, &block, NULL));
		say("let in at last: %d", (int)hits);
		MUST(pthread_sigmask(SIG_BLOCK, &block, NULL));
	}
#undef PENDING
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL));
	close(fd);
	close(ep);
	peer("close 0");
}

/* A signalfd beside sockets of ours. */
static void signals_as_fds(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0), sfd;
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct signalfd_siginfo info;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(pthread_sigmask(SIG_BLOCK, &set, &old));
	sfd = (int)MUST(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	ctl(ep, EPOLL_CTL_ADD, sfd, EPOLLIN, 2);
	p[0].fd = fd;
	p[1].fd = sfd;
	say_ready("idle", ep, 0);
	raise(SIGUSR2);
	say_ready("signal", ep, -1);
	CALL(poll(p, 2, -1));
	say("%s %s", t_mask((unsigned)p[0].revents),
	    t_mask((unsigned)p[1].revents));
	CALL(read(sfd, &info, sizeof(info)));
	say("signal %d is SIGUSR2: %d", (int)info.ssi_signo > 0,
	    info.ssi_signo == SIGUSR2);
	peer("send 0 1");
	say_ready("socket", ep, -1);
	raise(SIGUSR2);
	CALL(poll(p, 2, -1));
	say("%s %s", t_mask((unsigned)p[0].revents),
	    t_mask((unsigned)p[1].revents));
	CALL(read(sfd, &info, sizeof(info)));
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL));
	close(sfd);
	close(fd);
	close(ep);
	peer("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		rotation(&t_fams[i]);
		copies_of_sets(&t_fams[i]);
		passed_sets(&t_fams[i]);
		copies_of_sockets(&t_fams[i]);
		depth(&t_fams[i]);
		nested_edges(&t_fams[i]);
		nested_both(&t_fams[i]);
		urgent(&t_fams[i]);
		bits(&t_fams[i]);
		odd_arguments(&t_fams[i]);
		masks(&t_fams[i]);
		signals_as_fds(&t_fams[i]);
	}
	return 0;
}
