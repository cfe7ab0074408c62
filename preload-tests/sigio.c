/* SPDX-License-Identifier: MIT
 *
 * sigio.c - signals instead of polling: O_ASYNC and FIOASYNC, F_SETOWN,
 * F_SETOWN_EX, F_SETSIG, what siginfo says, SIGURG; SIGPIPE
 */
#include "t.h"
#include <linux/sockios.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define QUIET_MS 60

static sigset_t wanted;
static int rt;

static const char *name_of(int sig)
{
	return sig == SIGIO    ? "SIGIO"
	       : sig == SIGURG ? "SIGURG"
	       : sig == rt     ? "RT"
			       : "?";
}

static const char *code_of(int code)
{
	static const char *names[] = {"?",	  "POLL_IN",  "POLL_OUT",
				      "POLL_MSG", "POLL_ERR", "POLL_PRI",
				      "POLL_HUP"};

	if (code == SI_KERNEL)
		return "SI_KERNEL";
	return code > 0 && code <= 6 ? names[code] : "?";
}

/* What comes, until nothing does. Of several alike that come in a row one is
 * shown: packets may come together. */
static void say_signals(const char *label, int fd)
{
	struct timespec first = {1, 0}, more = {0, QUIET_MS * 1000000};
	siginfo_t info, last = {0};
	int num = 0;

	while (sigtimedwait(&wanted, &info, num ? &more : &first) > 0) {
		bool has_fd = info.si_signo == rt;

		num++;
		if (num > 1 && last.si_signo == info.si_signo &&
		    last.si_code == info.si_code)
			continue;
		last = info;
		say("%s: %s %s fd %s band %s", label, name_of(info.si_signo),
		    code_of(info.si_code),
		    !has_fd	       ? "-"
		    : info.si_fd == fd ? "right"
				       : "wrong",
		    has_fd ? t_mask((unsigned)info.si_band) : "-");
	}
	if (!num)
		say("%s: no signal", label);
}

static void say_none(const char *label)
{
	struct timespec quiet = {0, QUIET_MS * 1000000};
	siginfo_t info;
	int sig = sigtimedwait(&wanted, &info, &quiet);

	say("%s: %s", label, sig < 0 ? "nothing" : name_of(sig));
}

static void async_on(int fd, int sig)
{
	MUST(fcntl(fd, F_SETOWN, getpid()));
	MUST(fcntl(fd, F_SETSIG, sig));
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static void values(const struct t_fam *f)
{
	struct f_owner_ex own = {F_OWNER_TID, 0};
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), val = 0;
	pid_t pid = getpid();

	CALL(fcntl(fd, F_GETOWN));
	CALL(fcntl(fd, F_GETSIG));
	CALL(fcntl(fd, F_GETFL) & O_ASYNC ? 1 : 0);
	CALL(fcntl(fd, F_SETOWN, pid));
	say("owner %d", fcntl(fd, F_GETOWN) == pid);
	CALL(ioctl(fd, FIOGETOWN, &val));
	say("owner %d", val == pid);
	CALL(ioctl(fd, SIOCGPGRP, &val));
	CALL(fcntl(fd, F_SETSIG, rt) < 0);
	say("signal %d", fcntl(fd, F_GETSIG) == rt);
	CALL(fcntl(fd, F_SETSIG, 65));
	CALL(fcntl(fd, F_SETSIG, -1));
	CALL(fcntl(fd, F_SETSIG, 0));
	own.pid = pid;
	CALL(fcntl(fd, F_SETOWN_EX, &own));
	CALL(fcntl(fd, F_GETOWN_EX, &own));
	say("type %d pid %d", own.type, own.pid == pid);
	own.type = 77;
	CALL(fcntl(fd, F_SETOWN_EX, &own));
	own = (struct f_owner_ex){F_OWNER_PID, 0x3ffffff};
	CALL(fcntl(fd, F_SETOWN_EX, &own));
	CALL(fcntl(fd, F_SETOWN, 0));
	CALL(fcntl(fd, F_GETOWN));
	val = 1;
	CALL(ioctl(fd, FIOASYNC, &val));
	CALL(fcntl(fd, F_GETFL) & O_ASYNC ? 1 : 0);
	val = 0;
	CALL(ioctl(fd, FIOASYNC, &val));
	CALL(fcntl(fd, F_GETFL) & O_ASYNC ? 1 : 0);
	val = pid;
	CALL(ioctl(fd, FIOSETOWN, &val));
	CALL(ioctl(fd, SIOCSPGRP, &val));
	say("owner %d", fcntl(fd, F_GETOWN) == pid);
	close(fd);
}

static void events(const struct t_fam *f, int sig)
{
	int port = (int)peer_quiet("listen 3 %d", f->n), fd, lfd, a;
	int bad = (int)peer_quiet("refuse 4 %d", f->n);
	struct t_addr to = t_addr(f->peer, port);
	char buf[64];

	fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	async_on(fd, sig);
	CALL(connect(fd, &to.sa, to.len));
	say_signals("connected", fd);
	peer_quiet("accept 3 0");
	peer("send 0 1");
	say_signals("data", fd);
	peer("send 0 1");
	say_signals("more, unread", fd);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_none("read");
	peer("oob 0 65");
	say_signals("urgent", fd);
	CALL(recv(fd, buf, 1, MSG_OOB));
	CALL(send(fd, "x", 1, 0));
	peer("recv 0 1");
	say_none("sent");
	peer("shut 0 1");
	say_signals("end", fd);
	CALL(shutdown(fd, SHUT_WR));
	say_none("shut");
	close(fd);
	peer("close 0");
	say_none("closed");

	fd = t_connected(f, 0);
	async_on(fd, sig);
	say_none("idle");
	peer("rst 0");
	say_signals("reset", fd);
	close(fd);

	fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	async_on(fd, sig);
	to = t_addr(f->peer, bad);
	CALL(connect(fd, &to.sa, to.len));
	say_signals("refused", fd);
	close(fd);

	lfd = t_listener(f, 4);
	async_on(lfd, sig);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	say_signals("somebody to accept", lfd);
	a = (int)MUST(accept(lfd, NULL, NULL));
	CALL(fcntl(a, F_GETFL) & O_ASYNC ? 1 : 0);
	peer("send 0 1");
	say_none("the accepted one inherits nothing");
	close(a);
	close(lfd);
	peer("close 0");
	peer("close 3");
	peer("close 4");
}

/* It was full, and now there is room. */
static void room(const struct t_fam *f, int sig)
{
	static char buf[65536];
	int fd = t_connected(f, 0), full = 0;

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	async_on(fd, sig);
	while (!full) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		while (send(fd, buf, sizeof(buf), 0) > 0)
			;
		full = poll(&p, 1, 100) == 0;
	}
	while (sigtimedwait(&wanted, NULL, &(struct timespec){0, 0}) > 0)
		;
	peer_quiet("sink 0 %ld", -1L);
	say_signals("room", fd);
	close(fd);
}

static void datagrams(const struct t_fam *f, int sig)
{
	struct t_addr a = t_addr(f->us, 0), dead;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	char buf[8];

	MUST(bind(fd, &a.sa, a.len));
	peer_quiet("udp 0 %d", f->n);
	async_on(fd, sig);
	peer_quiet("sendto 0 %d %d 4", f->n, t_local_port(fd));
	say_signals("datagram", fd);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(send(fd, "x", 1, 0));
	dead = t_addr(f->peer, (int)peer_quiet("refuse 4 %d", f->n));
	CALL(connect(fd, &dead.sa, dead.len));
	CALL(send(fd, "x", 1, 0));
	say_signals("nobody there", fd);
	close(fd);
	peer("close 0");
	peer("close 4");
}

/* --- to whom --- */
static volatile pid_t waiter_tid;
static volatile bool got_it;

static void *wait_signal(void *arg)
{
	struct timespec ts = {3, 0};
	siginfo_t info;

	waiter_tid = (pid_t)syscall(SYS_gettid);
	got_it = sigtimedwait(&wanted, &info, &ts) == rt;
	return NULL;
}

static void owners(const struct t_fam *f)
{
	int fd = t_connected(f, 0), copy, other, on = 1, off = 0;
	struct f_owner_ex own = {F_OWNER_TID, 0};
	char buf[64];
	pthread_t t;

	async_on(fd, rt);
	MUST(fcntl(fd, F_SETOWN, 0));
	peer("send 0 1");
	say_none("no owner");
	waiter_tid = 0;
	pthread_create(&t, NULL, wait_signal, NULL);
	while (!waiter_tid)
		poll(NULL, 0, 1);
	own.pid = waiter_tid;
	CALL(fcntl(fd, F_SETOWN_EX, &own));
	peer("send 0 1");
	pthread_join(t, NULL);
	say("the thread got it: %d", got_it);
	say_none("nobody else");
	MUST(fcntl(fd, F_SETOWN, -getpgrp()));
	say("group %d", fcntl(fd, F_GETOWN) == -getpgrp());
	MUST(fcntl(fd, F_SETOWN, getpid()));
	peer("send 0 1");
	say_signals("the process", fd);
	MUST(fcntl(fd, F_SETFL, 0));
	peer("send 0 1");
	say_none("O_ASYNC off");
	CALL(ioctl(fd, FIOASYNC, &on));
	peer("send 0 1");
	say_signals("FIOASYNC", fd);
	CALL(ioctl(fd, FIOASYNC, &off));
	peer("send 0 1");
	say_none("FIOASYNC off");
	/* the number that said so is the one that is told */
	copy = (int)MUST(dup(fd));
	MUST(fcntl(copy, F_SETFL, O_ASYNC));
	say("seen by the other %d", fcntl(fd, F_GETFL) & O_ASYNC ? 1 : 0);
	peer("send 0 1");
	say_signals("by a copy", copy);
	close(copy);
	peer("send 0 1");
	say_signals("the copy is closed", copy);
	MUST(fcntl(fd, F_SETSIG, 0));
	peer("send 0 1");
	say_signals("plain", fd);
	/* without O_ASYNC: only urgent data */
	MUST(fcntl(fd, F_SETFL, 0));
	peer("send 0 1");
	say_none("plain data");
	peer("oob 0 65");
	say_signals("urgent", fd);
	MUST(recv(fd, buf, sizeof(buf), 0));
	other = t_connected(f, 1);
	MUST(fcntl(other, F_SETOWN, getpid()));
	peer("oob 1 65");
	say_signals("urgent, an owner is enough", other);
	close(other);
	close(fd);
	peer("close 0");
	peer("close 1");
}

/* --- SIGPIPE --- */
static volatile sig_atomic_t num_pipe;
static volatile pid_t pipe_tid;

static void on_pipe(int sig)
{
	num_pipe++;
	pipe_tid = (pid_t)syscall(SYS_gettid);
}

#define PIPE(expr)                                  \
	do {                                        \
		num_pipe = 0;                       \
		CALL(expr);                         \
		say("  SIGPIPE %d", (int)num_pipe); \
	} while (0)

static void broken(const struct t_fam *f, int fd)
{
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	struct t_addr a = t_addr(f->peer, 9);

	PIPE(send(fd, "x", 1, 0));
	PIPE(send(fd, "x", 1, MSG_NOSIGNAL));
	PIPE(send(fd, "x", 1, MSG_DONTWAIT));
	PIPE(send(fd, "x", 0, 0));
	PIPE(write(fd, "x", 1));
	PIPE(writev(fd, &v, 1));
	PIPE(sendmsg(fd, &m, 0));
	PIPE(sendmsg(fd, &m, MSG_NOSIGNAL));
	PIPE(sendmmsg(fd, &mm, 1, 0));
	PIPE(sendto(fd, "x", 1, 0, &a.sa, a.len));
	PIPE(sendfile(fd, file, NULL, 16));
	say("to this thread %d", pipe_tid == (pid_t)syscall(SYS_gettid));
	close(file);
}

static void pipes(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	signal(SIGPIPE, on_pipe);
	MUST(shutdown(fd, SHUT_WR));
	broken(f, fd);
	close(fd);
	peer("close 0");
	fd = t_connected(f, 0);
	peer("rst 0");
	t_settle(fd, POLLERR);
	CALL(send(fd, "x", 1, 0));
	broken(f, fd);
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	PIPE(send(fd, "x", 1, 0));
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	PIPE(send(fd, "x", 1, 0));
	shutdown(fd, SHUT_WR);
	PIPE(send(fd, "x", 1, 0));
	close(fd);
}

int main(void)
{
	t_init();
	rt = SIGRTMIN + 3;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGIO);
	sigaddset(&wanted, SIGURG);
	sigaddset(&wanted, rt);
	MUST(pthread_sigmask(SIG_BLOCK, &wanted, NULL));
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		values(&t_fams[i]);
		events(&t_fams[i], i ? 0 : rt);
		datagrams(&t_fams[i], rt);
		pipes(&t_fams[i]);
		if (i) /* the same code for both */
			continue;
		room(&t_fams[i], rt);
		owners(&t_fams[i]);
	}
	return 0;
}
