/* SPDX-License-Identifier: MIT
 *
 * jumps.c - signal handlers that leave a blocked call by siglongjmp, many times
 * over, and handlers that wait themselves; afterwards all works as before
 */
#include "t.h"
#include <setjmp.h>
#include <sys/select.h>
#include <sys/syscall.h>

#define NUM_JUMPS 12

static sigjmp_buf out;
static volatile sig_atomic_t hits;
static pthread_t main_thread;
static pid_t main_tid;
static int the_fd, the_ep, the_lfd;
static int pipes[2];

static void jump(int sig)
{
	hits++;
	siglongjmp(out, 1);
}

static void *signal_main(void *arg)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 4; i++) {
		seen = t_sleeps(main_tid) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
	pthread_kill(main_thread, SIGUSR1);
	return NULL;
}

static void in_recv(void)
{
	char c;

	recv(the_fd, &c, 1, 0);
}

static void in_poll(void)
{
	struct pollfd v[2] = {{.fd = the_fd, .events = POLLIN},
			      {.fd = pipes[0], .events = POLLIN}};

	poll(v, 2, -1);
}

static void in_select(void)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(the_fd, &r);
	select(the_fd + 1, &r, NULL, NULL, NULL);
}

static void in_epoll(void)
{
	struct epoll_event e;

	epoll_wait(the_ep, &e, 1, -1);
}

static void in_accept(void)
{
	accept(the_lfd, NULL, NULL);
}

/* Has the stack below us written over, as later calls would. */
static void scribble(void)
{
	volatile char junk[16384];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)0xa5;
}

static void jump_out_of(const char *label, void (*call)(void))
{
	hits = 0;
	for (volatile int i = 0; i < NUM_JUMPS; i++) {
		pthread_t t;

		pthread_create(&t, NULL, signal_main, NULL);
		if (!sigsetjmp(out, 1)) {
			call();
			say("%s came back by itself", label);
		}
		scribble();
		pthread_join(t, NULL);
	}
	say("%s: left %d times", label, (int)hits);
}

/* --- a handler that blocks in the middle of a blocked call --- */
static void wait_inside(int sig)
{
	struct pollfd p = {.fd = the_lfd, .events = POLLIN};
	char c;

	hits++;
	poll(&p, 1, 30);
	recv(the_fd, &c, 1, MSG_DONTWAIT);
}

static void *signal_then_send(void *arg)
{
	signal_main(NULL);
	for (int i = 0; i < T_PATIENCE && !hits; i++)
		poll(NULL, 0, 1);
	peer_quiet("send 0 3");
	return NULL;
}

static void nested(const char *label, void (*call)(void))
{
	struct sigaction sa = {.sa_handler = wait_inside,
			       .sa_flags = SA_RESTART};
	pthread_t t;
	char buf[8];

	MUST(sigaction(SIGUSR1, &sa, NULL));
	hits = 0;
	pthread_create(&t, NULL, signal_then_send, NULL);
	call();
	pthread_join(t, NULL);
	t_settle(the_fd, POLLIN);
	say("%s: handler ran %d times", label, (int)hits);
	while (recv(the_fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void still_works(void)
{
	char buf[64];

	for (int i = 0; i < 20; i++) {
		struct pollfd p = {.fd = the_fd, .events = POLLIN};
		struct epoll_event e;

		peer_quiet("send 0 5");
		if (poll(&p, 1, T_PATIENCE) != 1 ||
		    epoll_wait(the_ep, &e, 1, T_PATIENCE) != 1)
			say("not woken");
		if (recv(the_fd, buf, 5, MSG_WAITALL) != 5)
			say("not read");
	}
	say("still works");
}

int main(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	t_init();
	main_thread = pthread_self();
	main_tid = (pid_t)syscall(SYS_gettid);
	MUST(pipe(pipes));
	for (int i = 0; i < 2; i++) {
		struct sigaction sa = {.sa_handler = jump};

		say("-- IPv%d", t_fams[i].n);
		MUST(sigaction(SIGUSR1, &sa, NULL));
		the_fd = t_connected(&t_fams[i], 0);
		the_lfd = t_listener(&t_fams[i], 4);
		the_ep = (int)MUST(epoll_create1(0));
		MUST(epoll_ctl(the_ep, EPOLL_CTL_ADD, the_fd, &e));
		jump_out_of("recv", in_recv);
		still_works();
		jump_out_of("poll", in_poll);
		still_works();
		jump_out_of("select", in_select);
		still_works();
		jump_out_of("epoll_wait", in_epoll);
		still_works();
		jump_out_of("accept", in_accept);
		still_works();
		nested("recv", in_recv);
		nested("poll", in_poll);
		nested("epoll_wait", in_epoll);
		still_works();
		close(the_ep);
		close(the_lfd);
		close(the_fd);
		peer("close 0");
	}
	return 0;
}
