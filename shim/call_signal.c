/* SPDX-License-Identifier: MIT
 *
 * call_signal.c - handlers wait until their thread is out of the lock
 *
 * A handler that arrives while its thread holds the stack lock, and calls
 * send(), would wait for itself. Blocking signals around every lock round costs
 * 256 ns; instead our own function stands in front of each handler. It looks
 * whether the thread is inside: if so the signal is blocked, queued again to
 * this thread as it came, and let through after unlock.
 *
 * That function also counts handlers without SA_RESTART, which is what a call
 * that slept in ppoll() needs to know (block.c).
 *
 * Until the stack is up nothing is changed; then handlers that are there are
 * adopted. Faults of the running instruction (SIGSEGV and its kind) can't wait
 * and are left alone.
 */
#include <stdatomic.h>
#include <ucontext.h>

#include "call_priv.h"
#include "forks.h"
#include "host_priv.h"
#include "real.h"
#include "sleeper.h"
#include "sys.h"

#define NUM_SIGNALS 65

__thread volatile uint32_t signal_num_eintr;
__thread volatile bool signal_has_deferred;
__thread volatile uint32_t signal_num_holds;
static __thread sigset_t deferred __attribute__((tls_model("initial-exec")));

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

static struct slot {
	_Atomic uintptr_t fn; /* the program's; 0: not adopted */
	_Atomic int flags;
} slots[NUM_SIGNALS];

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
	       sig == SIGILL || sig == SIGTRAP || sig == SIGSYS;
}

/* glibc's own two are not in the program's hands. */
static bool is_ours(int sig)
{
	return sig > 0 && sig < NUM_SIGNALS && sig != SIGKILL &&
	       sig != SIGSTOP && sig != 32 && sig != 33 && !is_fault(sig);
}

static void put_off(int sig, siginfo_t *info, ucontext_t *uc)
{
	sigaddset(&uc->uc_sigmask, sig); /* in force when we return */
	sigaddset(&deferred, sig);
	signal_has_deferred = true;
	/* sys() would complain, rightly, about the lock */
	sys_call6_raw(SYS_rt_tgsigqueueinfo, host.pid,
		      sys_call6_raw(SYS_gettid, 0, 0, 0, 0, 0, 0), sig,
		      (long)info, 0, 0);
}

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	struct slot *s = &slots[sig];
	int flags = atomic_load(&s->flags);
	uintptr_t fn = atomic_load(&s->fn);
	int saved = errno;
	bool was_open;

	if (sys_forbidden || signal_num_holds || fork_is_mine()) {
		put_off(sig, info, uc);
		errno = saved;
		return;
	}
	if (!(flags & SA_RESTART))
		signal_num_eintr++;
	sleeper_interrupt();
	was_open = cancel_handler_begins();
	if (flags & (int)SA_RESETHAND) {
		struct sigaction def = {.sa_handler = SIG_DFL};

		atomic_store(&s->fn, 0);
		real.sigaction(sig, &def, NULL);
	}
	if (flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))fn)(sig, info, uc);
	else if (fn)
		((void (*)(int))fn)(sig);
	cancel_handler_ends(was_open);
}

void signal_undefer(void)
{
	sigset_t set = deferred;

	signal_has_deferred = false;
	sigemptyset(&deferred);
	sys(rt_sigprocmask, SIG_UNBLOCK, &set, NULL, SYS_KERNEL_SIGSET);
}

static bool has_handler(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) ||
	       (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

/* What the kernel is told instead of @act. */
static struct sigaction wrapped(const struct sigaction *act)
{
	struct sigaction k = *act;

	k.sa_sigaction = on_signal;
	k.sa_flags = (act->sa_flags | SA_SIGINFO) & (int)~SA_RESETHAND;
	return k;
}

static void slot_set(int sig, const struct sigaction *act)
{
	struct slot *s = &slots[sig];

	atomic_store(&s->flags, act->sa_flags);
	atomic_store(&s->fn, (uintptr_t)act->sa_sigaction);
}

/* What the program is told instead of on_signal. */
static void unwrap(struct sigaction *old, uintptr_t fn, int flags)
{
	if (!(old->sa_flags & SA_SIGINFO) || old->sa_sigaction != on_signal)
		return;
	old->sa_sigaction = (void (*)(int, siginfo_t *, void *))fn;
	old->sa_flags = flags | (old->sa_flags & 0x04000000); /* SA_RESTORER */
}

static int do_sigaction(int sig, const struct sigaction *act,
			struct sigaction *old)
{
	uintptr_t fn = atomic_load(&slots[sig].fn);
	int flags = atomic_load(&slots[sig].flags), r;
	struct sigaction k;

	if (act && has_handler(act)) {
		k = wrapped(act);
		/* either handler may run in between: both are right */
		slot_set(sig, act);
		r = real.sigaction(sig, &k, old);
	} else {
		r = real.sigaction(sig, act, old);
	}
	if (r == 0 && old)
		unwrap(old, fn, flags);
	return r;
}

EXPORT int sigaction(int sig, const struct sigaction *act,
		     struct sigaction *old)
{
	if (!is_ours(sig) || !host_is_up())
		return real.sigaction(sig, act, old);
	return do_sigaction(sig, act, old);
}

EXPORT int __sigaction(int sig, const struct sigaction *act,
		       struct sigaction *old)
{
	if (!is_ours(sig) || !host_is_up())
		return real.__sigaction(sig, act, old);
	return do_sigaction(sig, act, old);
}

EXPORT __sighandler_t signal(int sig, __sighandler_t fn)
{
	struct sigaction act = {.sa_handler = fn, .sa_flags = SA_RESTART}, old;

	if (is_ours(sig) && atomic_load(&signal_interrupts) >> (sig - 1) & 1)
		act.sa_flags = 0;
	if (!is_ours(sig) || !host_is_up())
		return real.signal(sig, fn);
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, sig);
	if (do_sigaction(sig, &act, &old) < 0)
		return SIG_ERR;
	return old.sa_handler;
}

void signal_adopt(void)
{
	for (int sig = 1; sig < NUM_SIGNALS; sig++) {
		struct sigaction act, k;

		if (!is_ours(sig) || real.sigaction(sig, NULL, &act) < 0 ||
		    !has_handler(&act) || act.sa_sigaction == on_signal)
			continue;
		k = wrapped(&act);
		slot_set(sig, &act);
		real.sigaction(sig, &k, NULL);
	}
}
