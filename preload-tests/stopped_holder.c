/* SPDX-License-Identifier: MIT
 *
 * stopped_holder.c - a process is stopped while it makes calls as fast as it
 * can; another one transfers, and must not notice
 *
 * Under the shim the one that is stopped has the lock of the host in about
 * every third case; in others it is about to wake somebody, or to write. The
 * longest gap between two round trips of the other must stay under 50 ms. The
 * machine has hiccups, so one stop in fifty may be worse.
 *
 * With STOPPED_STOPS=N that many stops are made; a histogram of the gaps is
 * appended to the file STOPPED_SHOW.
 */
#include "t.h"
#include <sys/wait.h>

#define NUM_STOPS 60
#define NUM_TRIPS 30 /* at least, while it is stopped */
#define MOST_US 50000

static const int64_t steps[] = {1000,  2000,  5000,  10000,  15000,    20000,
				30000, 40000, 50000, 100000, INT64_MAX};
#define NUM_STEPS (sizeof(steps) / sizeof(steps[0]))

/* Ends with its parent. */
static void busy_main(int fd)
{
	pid_t parent = getppid();
	char buf[16];

	while (getppid() == parent)
		for (int i = 0; i < 1000; i++)
			if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
				_exit(1);
	_exit(0);
}

static void show(FILE *f, const unsigned *hist, int64_t worst)
{
	for (size_t i = 0; i < NUM_STEPS; i++)
		if (i + 1 < NUM_STEPS)
			fprintf(f, "< %3d ms %u\n", (int)(steps[i] / 1000),
				hist[i]);
		else
			fprintf(f, "  more   %u\n", hist[i]);
	fprintf(f, "worst %.1f ms\n", (double)worst / 1000);
}

int main(void)
{
	const char *stops = getenv("STOPPED_STOPS");
	const char *name = getenv("STOPPED_SHOW");
	FILE *show_in = name ? fopen(name, "a") : NULL;
	int num_stops = stops ? atoi(stops) : NUM_STOPS, num_bad = 0;
	unsigned hist[NUM_STEPS] = {0}, seed = 1;
	int64_t worst = 0;
	int busy_fd, fd, status;
	pid_t pid;

	t_init();
	busy_fd = t_connected(&t_fams[0], 0);
	fd = t_connected(&t_fams[0], 1);
	peer("echo 1");
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		busy_main(busy_fd);
	for (int i = 0; i < num_stops; i++) {
		int64_t gap;
		size_t k = 0;

		seed = seed * 1103515245 + 12345;
		t_worst_gap_us(fd, 1 + (int)(seed >> 16) % 10);
		kill(pid, SIGSTOP);
		gap = t_worst_gap_us(fd, NUM_TRIPS);
		kill(pid, SIGCONT);
		while (gap >= steps[k])
			k++;
		hist[k]++;
		num_bad += gap > MOST_US;
		if (gap > worst)
			worst = gap;
	}
	if (show_in) {
		show(show_in, hist, worst);
		fclose(show_in);
	}
	say("a process was stopped: %s",
	    num_bad <= (num_stops + 49) / 50 ? "the other had no gap over 50 ms"
					     : "the other stalled");
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0));
	say("it was still at it: %d",
	    WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(fd);
	peer("join");
	close(busy_fd);
	peer("close 0");
	return 0;
}
