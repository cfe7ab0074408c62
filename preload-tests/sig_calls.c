/* SPDX-License-Identifier: MIT
 *
 * sig_calls.c - every call that can sleep, left by a signal handler: with and
 * without SA_RESTART, with and without a timeout on the socket
 *
 * A thread sleeps in the call and gets the signal. Either it is back then, or
 * it goes on, and something happens that ends the call.
 */
#include "blocking.h"

static volatile sig_atomic_t hits;

static struct {
	pthread_t t;
	volatile pid_t tid;
	long (*call)(void);
	long ret;
	int err;
	volatile bool is_back;
} victim;

static void on_signal(int sig)
{
	hits++;
}

static void *victim_main(void *arg)
{
	victim.tid = (pid_t)syscall(SYS_gettid);
	errno = 0;
	victim.ret = victim.call();
	victim.err = errno;
	victim.is_back = true;
	return NULL;
}

/* It sleeps, or is back, and it stays so. */
static void settle(void)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		seen = victim.is_back || (t_sleeps(victim.tid)) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

static void interrupt(size_t i, bool restart, bool has_timeo)
{
	struct sigaction sa = {.sa_handler = on_signal,
			       .sa_flags = restart ? SA_RESTART : 0};
	struct timeval tv = {8, 0};
	bool goes_on;

	if (calls[i].kind == CONNECTING && fam->n == 6)
		return;
	MUST(sigaction(SIGUSR1, &sa, NULL));
	set_up(calls[i].kind);
	if (has_timeo)
		MUST(setsockopt(the_fd, SOL_SOCKET, calls[i].timeo, &tv,
				sizeof(tv)));
	hits = 0;
	victim.tid = 0;
	victim.is_back = false;
	victim.call = calls[i].call;
	if (pthread_create(&victim.t, NULL, victim_main, NULL))
		t_die("pthread_create");
	settle();
	if (victim.is_back)
		say("%s did not wait", calls[i].name);
	pthread_kill(victim.t, SIGUSR1);
	while (!hits)
		poll(NULL, 0, 1);
	settle();
	goes_on = !victim.is_back;
	if (goes_on)
		end_call(calls[i].kind);
	pthread_join(victim.t, NULL);
	say("%s,%s%s %s %ld %s", calls[i].name, restart ? " SA_RESTART" : "",
	    has_timeo ? " timeout" : "",
	    goes_on ? "goes on:" : "is back:", victim.ret,
	    t_err(victim.ret < 0 ? victim.err : 0));
	tear_down(calls[i].kind, goes_on);
}

int main(void)
{
	t_init();
	calls_init();
	for (int f = 0; f < 2; f++) {
		fam = &t_fams[f];
		say("-- IPv%d", fam->n);
		for (size_t i = 0; i < NUM_CALLS; i++) {
			/* the second family is another path for few */
			if (f && i % 3)
				continue;
			interrupt(i, false, false);
			if (calls[i].kind != FULL) /* did a byte fit? */
				interrupt(i, true, false);
			if (calls[i].timeo)
				interrupt(i, true, true);
		}
	}
	return 0;
}
