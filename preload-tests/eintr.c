/* SPDX-License-Identifier: MIT
 *
 * eintr.c - signals that arrive in blocking calls, with and without SA_RESTART
 *
 * A second thread sends the signal once the main thread is seen to sleep in
 * the kernel. With SA_RESTART the call goes on: the handler makes the peer do
 * what the call waits for (through the second thread), and the call must then
 * succeed. poll, select, epoll_wait never restart; nor does recv with a
 * timeout set.
 */
#include "t.h"
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>

static pthread_t main_thread;
static pid_t main_tid;
static volatile sig_atomic_t hits;
static const char *after_signal; /* command for the peer, once it was seen */

static void on_signal(int sig)
{
	hits++;
}

static void handle(bool restart)
{
	struct sigaction sa = {.sa_handler = on_signal,
			       .sa_flags = restart ? SA_RESTART : 0};

	MUST(sigaction(SIGUSR1, &sa, NULL));
}

static void *interrupt_main(void *arg)
{
	int seen = 0;

	/* asleep in ten looks running: it is where it will stay */
	for (int i = 0; i < T_PATIENCE && seen < 10; i++) {
		seen = t_sleeps(main_tid) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
	pthread_kill(main_thread, SIGUSR1);
	for (int i = 0; i < T_PATIENCE && !hits; i++)
		poll(NULL, 0, 1);
	if (after_signal)
		peer_quiet("%s", after_signal);
	return NULL;
}

static pthread_t arm(bool restart, const char *then)
{
	pthread_t t;

	fflush(stdout);
	handle(restart);
	hits = 0;
	after_signal = then;
	if (pthread_create(&t, NULL, interrupt_main, NULL))
		t_die("pthread_create");
	return t;
}

#define INTERRUPTED(restart, then, expr)                               \
	do {                                                           \
		pthread_t t_ = arm(restart, then);                     \
		long r_;                                               \
		errno = 0;                                             \
		r_ = (long)(expr);                                     \
		int err_ = errno;                                      \
		pthread_join(t_, NULL);                                \
		t_say_call(#expr, r_, err_);                           \
		say("restart %d: handler ran %d", restart, (int)hits); \
	} while (0)

static void receiving(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct timeval tv = {5, 0};
	char buf[64];

	INTERRUPTED(false, NULL, recv(fd, buf, sizeof(buf), 0));
	INTERRUPTED(false, NULL, read(fd, buf, sizeof(buf)));
	INTERRUPTED(true, "send 0 3", recv(fd, buf, sizeof(buf), 0));
	INTERRUPTED(true, "send 0 4", read(fd, buf, sizeof(buf)));
	peer("send 0 5");
	t_settle(fd, POLLIN);
	INTERRUPTED(false, NULL, recv(fd, buf, 16, MSG_WAITALL));
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	INTERRUPTED(true, NULL, recv(fd, buf, sizeof(buf), 0));
	close(fd);
	peer("close 0");
}

static void waiting(const struct t_fam *f)
{
	int fd = t_connected(f, 0), ep = (int)MUST(epoll_create1(0));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	fd_set set;

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	INTERRUPTED(true, NULL, poll(&p, 1, -1));
	INTERRUPTED(true, NULL, epoll_wait(ep, &ev, 1, -1));
	FD_ZERO(&set);
	FD_SET(fd, &set);
	INTERRUPTED(true, NULL, select(fd + 1, &set, NULL, NULL, NULL));
	say("select left the set %s", FD_ISSET(fd, &set) ? "alone" : "empty");
	INTERRUPTED(false, NULL, poll(NULL, 0, -1));
	close(ep);
	close(fd);
	peer("close 0");
}

static void accepting(const struct t_fam *f)
{
	int fd = t_listener(f, 1);
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "connect 1 %d %d", f->n, t_local_port(fd));
	INTERRUPTED(false, NULL, accept(fd, NULL, NULL));
	INTERRUPTED(true, cmd, (accept(fd, NULL, NULL) > 0));
	close(fd);
	peer("close 1");
}

static void sending(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	static char buf[1 << 16];

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	for (int quiet = 0; quiet < 2;) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		while (send(fd, buf, sizeof(buf), 0) > 0)
			;
		quiet = poll(&p, 1, 300) ? 0 : 2;
	}
	MUST(fcntl(fd, F_SETFL, 0));
	/* how much fitted before is nobody's promise */
	INTERRUPTED(false, NULL,
		    (send(fd, buf, sizeof(buf), 0) > 0 || errno == EINTR));
	close(fd);
	peer("close 0");
}

/* The mask is changed for the wait alone, and atomically. */
static void masks(const struct t_fam *f)
{
	int fd = t_connected(f, 0), ep = (int)MUST(epoll_create1(0));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	struct timespec now = {0, 0};
	sigset_t usr1, none;
	fd_set set;

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	handle(true);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	hits = 0;
	raise(SIGUSR1);
	say("pending, handler ran %d", (int)hits);
	CALL(ppoll(&p, 1, &now, NULL));
	CALL(ppoll(&p, 1, &now, &usr1));
	say("handler ran %d", (int)hits);
	CALL(ppoll(&p, 1, NULL, &none));
	say("handler ran %d", (int)hits);
	raise(SIGUSR1);
	CALL(epoll_pwait(ep, &ev, 1, -1, &none));
	say("handler ran %d", (int)hits);
	raise(SIGUSR1);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	CALL(pselect(fd + 1, &set, NULL, NULL, NULL, &none));
	say("handler ran %d", (int)hits);

	/* ready at once: the signal stays pending */
	raise(SIGUSR1);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	CALL(ppoll(&p, 1, NULL, &usr1));
	say("handler ran %d", (int)hits);
	CALL(epoll_pwait(ep, &ev, 1, -1, &usr1));
	say("handler ran %d", (int)hits);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	say("handler ran %d", (int)hits);
	close(ep);
	close(fd);
	peer("close 0");
}

int main(void)
{
	t_init();
	main_thread = pthread_self();
	main_tid = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		receiving(&t_fams[i]);
		waiting(&t_fams[i]);
		accepting(&t_fams[i]);
		masks(&t_fams[i]);
	}
	sending(&t_fams[0]);
	return 0;
}
