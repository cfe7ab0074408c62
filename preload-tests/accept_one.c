/* SPDX-License-Identifier: MIT
 *
 * accept_one.c - several processes wait in accept, for a datagram, or in sets
 * of their own with EPOLLEXCLUSIVE: one is woken for each, none is forgotten
 *
 * How often the others were woken is seen in their context switches. Then one
 * that was to be woken is stopped, or killed, or leaves by a signal: another
 * one gets the connection.
 */
#include "t.h"
#include <sys/wait.h>

#define NUM_PROCS 16
#define NUM_CONNS 48
/* Under the shim one of them reads the device for all, at each packet. Were all
 * woken it would be more than NUM_PROCS. */
#define MOST_WAKES 8

static int lfd, told[2];
static pid_t pids[NUM_PROCS];
static bool is_udp, is_epoll;
static int ep;

static bool wait_for_one(void)
{
	struct epoll_event ev;
	char buf[8];
	int fd;

	if (is_udp)
		return recv(lfd, buf, sizeof(buf), 0) > 0;
	do {
		if (is_epoll && epoll_wait(ep, &ev, 1, -1) != 1)
			return false;
		fd = accept(lfd, NULL, NULL);
	} while (fd < 0 && errno == EAGAIN);
	close(fd);
	return fd >= 0;
}

/* A set of its own, as a server's worker makes it. */
static void make_set(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	ep = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev));
}

/* Has the set, but waits for something else, which does not come. */
static void be_away(void)
{
	struct t_addr a = t_addr(US4, 0);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	char c;

	MUST(bind(fd, &a.sa, a.len));
	make_set();
	recv(fd, &c, 1, 0);
	_exit(0);
}

/* Says which one it is for each connection, which it ends. */
static void wait_for_many(int me)
{
	if (is_epoll)
		make_set();
	for (;;) {
		char c = (char)me;

		if (!wait_for_one())
			_exit(1);
		MUST(write(told[1], &c, 1));
	}
}

static void come(int slot, int port)
{
	if (is_udp)
		peer_quiet("sendto 0 4 %d 7", port);
	else
		peer_quiet("connect %d 4 %d", slot, port);
}

static void go(int slot)
{
	if (!is_udp)
		peer_quiet("close %d", slot);
}

static long switches(pid_t pid)
{
	char path[64], line[256];
	long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "voluntary_ctxt_switches:", 24))
			n = atol(line + 24);
	if (f)
		fclose(f);
	return n;
}

static long all_switches(void)
{
	long n = 0;

	for (int i = 0; i < NUM_PROCS; i++)
		n += switches(pids[i]);
	return n;
}

static char state(pid_t pid)
{
	char path[64], line[512], *s = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f))
		s = strrchr(line, ')');
	if (f)
		fclose(f);
	return s ? s[2] : 0;
}

/* All that live wait. */
static void wait_asleep(void)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 3; i++) {
		bool all = true;

		for (int k = 0; k < NUM_PROCS; k++)
			all &= !pids[k] || state(pids[k]) != 'R';
		seen = all ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

/* Who got the next connection; -1: nobody. */
static int connection(int slot, int port)
{
	struct pollfd p = {.fd = told[0], .events = POLLIN};
	char c = -1;

	come(slot, port);
	if (poll(&p, 1, T_PATIENCE) == 1)
		MUST(read(told[0], &c, 1));
	go(slot);
	return c;
}

static bool served(int num, int port)
{
	int n = 0;

	for (int i = 0; i < num; i++) {
		wait_asleep();
		n += connection(0, port) >= 0;
	}
	return n == num;
}

/* Many come before anybody could be awake. */
static int at_once(int num, int port)
{
	struct pollfd p = {.fd = told[0], .events = POLLIN};
	int n = 0;
	char c;

	for (int i = 0; i < num; i++)
		come(i, port);
	while (n < num && poll(&p, 1, T_PATIENCE) == 1)
		n += (int)MUST(read(told[0], &c, 1));
	for (int i = 0; i < num; i++)
		go(i);
	return n;
}

static void with_some_away(int port)
{
	int status;

	for (int i = 0; i < NUM_PROCS; i++) {
		pids[i] = (pid_t)MUST(fork());
		if (!pids[i] && i < NUM_PROCS / 2)
			be_away();
		if (!pids[i])
			wait_for_many(i);
		wait_asleep(); /* these are the first ones */
	}
	say("half of them away: %d", served(NUM_PROCS, port));
	for (int i = 0; i < NUM_PROCS; i++) {
		kill(pids[i], SIGKILL);
		MUST(waitpid(pids[i], &status, 0));
		pids[i] = 0;
	}
}

static void run(void)
{
	int port = t_local_port(lfd), status;
	long before;

	say("%s%s", is_udp ? "datagrams" : "connections",
	    is_epoll ? ", EPOLLEXCLUSIVE" : "");
	if (is_epoll)
		with_some_away(port);
	for (int i = 0; i < NUM_PROCS; i++) {
		pids[i] = (pid_t)MUST(fork());
		if (!pids[i])
			wait_for_many(i);
	}
	say("first ones %d", served(4, port));
	wait_asleep();
	before = all_switches();
	say("more %d", served(NUM_CONNS, port));
	wait_asleep();
	before = all_switches() - before;
	say("woken for each connection: %s",
	    before <= MOST_WAKES * NUM_CONNS ? "one" : "many");
	if (getenv("ACCEPT_SHOW"))
		say("%ld.%ld", before / NUM_CONNS,
		    before * 10 / NUM_CONNS % 10);
	for (int i = 0; i < NUM_PROCS / 2; i++)
		kill(pids[i], SIGSTOP);
	say("half of them stopped: %d", served(NUM_PROCS, port));
	for (int i = 0; i < NUM_PROCS / 2; i++)
		kill(pids[i], SIGCONT);
	say("going on: %d", served(NUM_PROCS, port));
	say("at once: %d", at_once(2 * NUM_PROCS, port));
	for (int i = 0; i < NUM_PROCS - 1; i++) {
		pid_t pid = pids[i];

		pids[i] = 0;
		wait_asleep();
		kill(pid, SIGKILL);
		/* or it takes the connection along: the kernel, too, looks
		 * whether there is one before it looks for signals */
		MUST(waitpid(pid, &status, 0));
		if (!served(1, port))
			say("nobody, when %d are dead", i + 1);
	}
	say("the last one: %d", served(4, port));
	kill(pids[NUM_PROCS - 1], SIGKILL);
	MUST(waitpid(pids[NUM_PROCS - 1], &status, 0));
	close(lfd);
}

int main(void)
{
	struct t_addr a = t_addr(US4, 0);

	t_init();
	MUST(pipe(told));
	lfd = t_listener(&t_fams[0], 64);
	run();
	lfd = t_listener(&t_fams[0], 64);
	MUST(fcntl(lfd, F_SETFL, O_RDWR | O_NONBLOCK));
	is_epoll = true;
	run();
	is_epoll = false;
	peer_quiet("udp 0 4");
	lfd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(lfd, &a.sa, a.len));
	is_udp = true;
	run();
	return 0;
}
