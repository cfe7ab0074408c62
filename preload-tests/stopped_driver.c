/* SPDX-License-Identifier: MIT
 *
 * stopped_driver.c - one thread of the process is stopped while another one
 * transfers: the other must not notice
 *
 * SIGSTOP stops all threads of a process, so a debugger does it: a child made
 * at the start seizes the one thread and interrupts it. That thread sits in
 * recv(), where under the shim it may be the one that reads the device for all.
 * The longest gap between two round trips of the other thread must stay under
 * 50 ms; of some tries the best one counts, since the machine has hiccups.
 */
#include "t.h"
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NUM_TRIES 5
#define NUM_TRIPS 300
#define MOST_US 50000
#define BULK (4 << 20)

static int sleeper_fd;
static volatile pid_t sleeper_tid;

/* --- the debugger: 's' TID stops a thread, 'c' lets it go on --- */
static int to_tracer[2], from_tracer[2];

struct order {
	char what;
	pid_t tid;
};

static bool obey(struct order o)
{
	int status;

	if (o.what == 'c')
		return ptrace(PTRACE_DETACH, o.tid, 0, 0) == 0;
	return ptrace(PTRACE_SEIZE, o.tid, 0, 0) == 0 &&
	       ptrace(PTRACE_INTERRUPT, o.tid, 0, 0) == 0 &&
	       waitpid(o.tid, &status, __WALL) == o.tid && WIFSTOPPED(status);
}

static void tracer_main(void)
{
	struct order o;

	close(to_tracer[1]);
	close(from_tracer[0]);
	while (read(to_tracer[0], &o, sizeof(o)) == sizeof(o)) {
		char ok = obey(o);

		if (write(from_tracer[1], &ok, 1) != 1)
			break;
	}
	_exit(0);
}

static bool order(char what, pid_t tid)
{
	struct order o = {.what = what, .tid = tid};
	char ok = 0;

	MUST(write(to_tracer[1], &o, sizeof(o)));
	MUST(read(from_tracer[0], &ok, 1));
	return ok;
}

static void start_tracer(void)
{
	pid_t pid;

	MUST(pipe(to_tracer));
	MUST(pipe(from_tracer));
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		tracer_main();
	close(to_tracer[0]);
	close(from_tracer[1]);
	prctl(PR_SET_PTRACER, pid, 0, 0, 0);
}

/* --- the thread that is stopped --- */
static void *sleeper_main(void *arg)
{
	char c;
	long n;

	sleeper_tid = (pid_t)syscall(SYS_gettid);
	n = recv(sleeper_fd, &c, 1, 0);
	return (void *)n;
}

/* --- the thread that transfers --- */
static void bulk(int fd)
{
	static char buf[65536];
	long sent = 0, got = 0;

	while (got < BULK) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (sent < BULK)
			p.events |= POLLOUT;
		MUST(poll(&p, 1, -1));
		if (p.revents & POLLOUT && sent < BULK) {
			size_t len = BULK - sent < (long)sizeof(buf)
					     ? (size_t)(BULK - sent)
					     : sizeof(buf);
			ssize_t n = send(fd, buf, len, MSG_DONTWAIT);

			sent += n > 0 ? n : 0;
		}
		if (p.revents & POLLIN)
			got += MUST(recv(fd, buf, sizeof(buf), 0));
	}
	say("bulk done %d", got == sent);
}

static void run(const struct t_fam *f)
{
	int64_t best = INT64_MAX;
	pthread_t t;
	void *ret;
	int fd;

	sleeper_fd = t_connected(f, 0);
	fd = t_connected(f, 1);
	peer("echo 1");
	sleeper_tid = 0;
	pthread_create(&t, NULL, sleeper_main, NULL);
	t_wait_asleep(&sleeper_tid);
	t_worst_gap_us(fd, NUM_TRIPS);
	for (int i = 0; i < NUM_TRIES && best > MOST_US; i++) {
		int64_t gap;

		t_wait_asleep(
			&sleeper_tid); /* all is quiet: it is in its wait */
		if (!order('s', sleeper_tid))
			say("could not stop the thread");
		gap = t_worst_gap_us(fd, NUM_TRIPS);
		if (gap < best)
			best = gap;
		if (best <= MOST_US)
			bulk(fd);
		order('c', sleeper_tid);
	}
	say("while a thread is stopped: %s",
	    best <= MOST_US ? "no gap over 50 ms" : "stalls");
	if (best > MOST_US)
		say("best of the longest gaps: %ld us", (long)best);
	peer("send 0 1");
	pthread_join(t, &ret);
	say("the stopped thread got %ld", (long)ret);
	close(fd);
	close(sleeper_fd);
	peer("join");
	peer("close 0");
}

int main(void)
{
	start_tracer();
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		run(&t_fams[i]);
	}
	return 0;
}
