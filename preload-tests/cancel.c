/* SPDX-License-Identifier: MIT
 *
 * cancel.c - threads that are cancelled in each call that can sleep, or exit in
 * a signal handler meanwhile; what they leave behind works as before
 */
#include "blocking.h"

static struct {
	pthread_t t;
	volatile pid_t tid;
	long (*call)(void);
	bool is_async, is_disabled;
	volatile bool is_back, is_cleaned;
} victim;

static void clean_up(void *arg)
{
	victim.is_cleaned = true;
}

static void *victim_main(void *arg)
{
	long ret;

	pthread_cleanup_push(clean_up, NULL);
	if (victim.is_async)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	if (victim.is_disabled)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	victim.tid = (pid_t)syscall(SYS_gettid);
	ret = victim.call();
	victim.is_back = true;
	pthread_cleanup_pop(0);
	return (void *)ret;
}

static void settle(void)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		seen = victim.is_back || (t_sleeps(victim.tid)) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

static void start(long (*call)(void), bool is_async, bool is_disabled)
{
	victim.tid = 0;
	victim.call = call;
	victim.is_async = is_async;
	victim.is_disabled = is_disabled;
	victim.is_back = victim.is_cleaned = false;
	if (pthread_create(&victim.t, NULL, victim_main, NULL))
		t_die("pthread_create");
	settle();
}

static const char *joined(void)
{
	static char num[32];
	void *ret;

	pthread_join(victim.t, &ret);
	if (ret == PTHREAD_CANCELED)
		return "cancelled";
	snprintf(num, sizeof(num), "%ld", (long)ret);
	return num;
}

/* The socket that a thread was cancelled in still works, and its end is seen
 * when it is closed. */
static void still_works(enum kind kind)
{
	char c[8];

	if (kind == DATA) {
		peer_quiet("send 0 8");
		say("  %ld bytes", (long)recv(the_fd, c, 8, MSG_WAITALL));
		close(the_fd);
		say("  the peer sees the end: %ld", peer_quiet("end 0"));
	} else if (kind == LISTENER) {
		int fd;

		peer_quiet("connect 0 %d %d", fam->n, t_local_port(the_fd));
		fd = accept(the_fd, NULL, NULL);
		say("  accepted %d", fd >= 0);
		close(fd);
		close(the_fd);
	} else {
		close(the_fd);
	}
	close(the_ep);
	if (kind != CONNECTING)
		peer_quiet("close 0");
}

static void cancel_in(size_t i, bool is_async)
{
	const char *ret;

	if (calls[i].kind == CONNECTING && fam->n == 6)
		return;
	set_up(calls[i].kind);
	start(calls[i].call, is_async, false);
	if (victim.is_back)
		say("%s did not wait", calls[i].name);
	pthread_cancel(victim.t);
	if (calls[i].call == in_sendfile) { /* no cancellation point */
		settle();
		say("sendfile goes on: %d", !victim.is_back);
		end_call(FULL);
	}
	ret = joined();
	say("%s%s: %s, handler ran %d", calls[i].name,
	    is_async ? ", async" : "", ret, victim.is_cleaned);
	still_works(calls[i].kind);
}

/* A cancellation that is pending takes place although the call would not
 * sleep; one that is switched off does not. */
static volatile bool may_go;

static long recv_when_told(void)
{
	while (!may_go)
		;
	return recv(the_fd, buf, 8, 0);
}

static void pending(void)
{
	set_up(DATA);
	peer_quiet("send 0 8");
	t_settle(the_fd, POLLIN);
	may_go = false;
	victim.tid = 0;
	victim.call = recv_when_told;
	victim.is_async = victim.is_disabled = victim.is_cleaned = false;
	pthread_create(&victim.t, NULL, victim_main, NULL);
	pthread_cancel(victim.t);
	may_go = true;
	say("pending: %s", joined());
	start(in_recv, false, true);
	say("switched off, data: %s", joined());
	start(in_recv, false, true);
	pthread_cancel(victim.t);
	settle();
	say("switched off, came back %d", victim.is_back);
	peer_quiet("send 0 8");
	say("switched off: %s", joined());
	still_works(DATA);
}

static void leave(int sig)
{
	pthread_exit((void *)7);
}

static void exit_in_handler(size_t i)
{
	struct sigaction sa = {.sa_handler = leave};
	const char *ret;

	if (calls[i].kind == CONNECTING && fam->n == 6)
		return;
	MUST(sigaction(SIGUSR1, &sa, NULL));
	set_up(calls[i].kind);
	start(calls[i].call, false, false);
	pthread_kill(victim.t, SIGUSR1);
	ret = joined();
	say("%s, exit in a handler: %s, handler ran %d", calls[i].name, ret,
	    victim.is_cleaned);
	still_works(calls[i].kind);
}

/* Threads that are cancelled anywhere, while others use the same sockets. */
#define NUM_ROUNDS 60

static void *churn(void *arg)
{
	bool is_async = arg != NULL;
	char c[64];

	if (is_async)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;) {
		struct pollfd p = {.fd = the_fd, .events = POLLIN};

		poll(&p, 1, 1);
		recv(the_fd, c, sizeof(c), MSG_DONTWAIT | MSG_PEEK);
		send(the_fd, c, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return NULL;
}

static void anywhere(void)
{
	set_up(DATA);
	for (int i = 0; i < NUM_ROUNDS; i++) {
		pthread_t t[2];

		for (int k = 0; k < 2; k++)
			pthread_create(&t[k], NULL, churn, k ? &t : NULL);
		poll(NULL, 0, i % 3);
		for (int k = 0; k < 2; k++)
			pthread_cancel(t[k]);
		for (int k = 0; k < 2; k++)
			pthread_join(t[k], NULL);
	}
	say("cancelled anywhere");
	still_works(DATA);
}

int main(void)
{
	t_init();
	calls_init();
	for (int f = 0; f < 2; f++) {
		fam = &t_fams[f];
		say("-- IPv%d", fam->n);
		for (size_t i = 0; i < NUM_CALLS; i++) {
			if (f && i % 3)
				continue;
			cancel_in(i, false);
			if (i % 4 == 0)
				cancel_in(i, true);
			if (i % 4 == 1)
				exit_in_handler(i);
		}
		pending();
		anywhere();
	}
	return 0;
}
