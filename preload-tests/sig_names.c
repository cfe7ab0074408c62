/* SPDX-License-Identifier: MIT
 *
 * sig_names.c - the older names that set a signal handler: what they give back,
 * and whether a sleeping call of a socket is ended or goes on
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "lib/pair.h"

__sighandler_t bsd_signal(int sig, __sighandler_t fn);
__sighandler_t ssignal(int sig, __sighandler_t fn);
__sighandler_t sysv_signal(int sig, __sighandler_t fn);
__sighandler_t __sysv_signal(int sig, __sighandler_t fn);
__sighandler_t sigset(int sig, __sighandler_t fn);
int sigignore(int sig);
int siginterrupt(int sig, int on);

static int sv[2];
static volatile sig_atomic_t hits;

/* The handler itself uses the socket that its thread may be in. */
static void on_signal(int sig)
{
	hits++;
	send(sv[0], "s", 1, 0);
}

static const char *name_of(__sighandler_t fn)
{
	return fn == SIG_DFL	 ? "default"
	       : fn == SIG_IGN	 ? "ignored"
	       : fn == SIG_HOLD	 ? "held"
	       : fn == SIG_ERR	 ? "error"
	       : fn == on_signal ? "ours"
				 : "something else";
}

static pthread_t sleeper;
static pid_t main_tid;

static void *tease(void *arg)
{
	struct pollfd p = {sv[1], POLLIN, 0};

	t_wait_asleep(&main_tid);
	pthread_kill(sleeper, SIGUSR1);
	poll(&p, 1, T_PATIENCE); /* the handler has run */
	send(sv[0], "t", 1, 0);
	/* for a call that goes on: something for it */
	send(sv[1], "u", 1, 0);
	return NULL;
}

static void sleeps(const char *what)
{
	pthread_t t;
	struct sigaction act;
	char buf[8];
	ssize_t n;

	hits = 0;
	sleeper = pthread_self();
	main_tid = getpid();
	MUST(sigaction(SIGUSR1, NULL, &act));
	say("%s: restart %d reset %d nodefer %d", what,
	    !!(act.sa_flags & SA_RESTART), !!(act.sa_flags & (int)SA_RESETHAND),
	    !!(act.sa_flags & SA_NODEFER));
	MUST(pthread_create(&t, NULL, tease, NULL));
	errno = 0;
	n = recv(sv[0], buf, sizeof(buf), 0);
	say("%d %s, the handler ran %d times", (int)n, t_err(n < 0 ? errno : 0),
	    (int)hits);
	pthread_join(t, NULL);
	if (n < 0)
		MUST(recv(sv[0], buf, sizeof(buf), 0));
	t_wait_bytes(sv[1], 2);
	MUST(recv(sv[1], buf, sizeof(buf), 0));
	MUST(sigaction(SIGUSR1, NULL, &act));
	say("now %s", name_of(act.sa_handler));
}

static void held(void)
{
	say("sigset: %s", name_of(sigset(SIGUSR2, on_signal)));
	say("sigset: %s", name_of(sigset(SIGUSR2, SIG_HOLD)));
	hits = 0;
	raise(SIGUSR2);
	say("held: %d", (int)hits);
	say("sigset: %s", name_of(sigset(SIGUSR2, SIG_HOLD)));
	say("sigset: %s", name_of(sigset(SIGUSR2, on_signal)));
	say("let go: %d", (int)hits);
	say("sigset: %s", name_of(sigset(SIGUSR2, SIG_DFL)));
	CALL(sigignore(SIGUSR2));
	raise(SIGUSR2);
	say("signal: %s", name_of(signal(SIGUSR2, SIG_DFL)));
	CALL(sigignore(99));
	say("sigset: %s", name_of(sigset(99, SIG_IGN)));
	CALL(siginterrupt(99, 1));
	say("sysv_signal: %s", name_of(sysv_signal(SIGKILL, on_signal)));
}

int main(void)
{
	t_init();
	t_pair(&t_fams[0], sv);
	say("signal: %s", name_of(signal(SIGUSR1, on_signal)));
	sleeps("signal");
	CALL(siginterrupt(SIGUSR1, 1));
	sleeps("siginterrupt");
	say("signal: %s", name_of(signal(SIGUSR1, on_signal)));
	sleeps("signal after it");
	CALL(siginterrupt(SIGUSR1, 0));
	sleeps("siginterrupt off");
	say("bsd_signal: %s", name_of(bsd_signal(SIGUSR1, on_signal)));
	sleeps("bsd_signal");
	say("ssignal: %s", name_of(ssignal(SIGUSR1, on_signal)));
	sleeps("ssignal");
	say("sysv_signal: %s", name_of(sysv_signal(SIGUSR1, on_signal)));
	sleeps("sysv_signal");
	say("__sysv_signal: %s", name_of(__sysv_signal(SIGUSR1, on_signal)));
	sleeps("__sysv_signal");
	say("sigset: %s", name_of(sigset(SIGUSR1, on_signal)));
	sleeps("sigset");
	held();
	t_close_pair(sv);
	return 0;
}
