/* SPDX-License-Identifier: MIT
 *
 * accept_one.c - several processes wait in accept, or for a datagram: one is
 * woken for each, and none is forgotten
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
static bool is_udp;

static bool wait_for_one(void)
{
	char buf[8];
	int fd;

	if (is_udp)
		return recv(lfd, buf, sizeof(buf), 0) > 0;
	fd = accept(lfd, NULL, NULL);
	close(fd);
	return fd >= 0;
}

/* Says which one it is for each connection, which it ends. */
static void wait_for_many(int me)
{
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

static void run(void)
{
	int port = t_local_port(lfd), status;
	long before;

	say("%s", is_udp ? "datagrams" : "connections");
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
		if (!served(1, port))
			say("nobody, when %d are dead", i + 1);
		MUST(waitpid(pid, &status, 0));
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
	peer_quiet("udp 0 4");
	lfd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(lfd, &a.sa, a.len));
	is_udp = true;
	run();
	return 0;
}
