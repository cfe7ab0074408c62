/* SPDX-License-Identifier: MIT
 *
 * call_sigold.c - handlers set by older names
 *
 * libc's own would call its sigaction() inside, and the handler would stand in
 * the kernel without ours in front (call_signal.c). So each is what it is in
 * libc, in terms of sigaction(). Until the stack is up they are libc's.
 */
#include <errno.h>

#include "call_priv.h"
#include "real.h"

#define MAX_SIGNAL 64

_Atomic uint64_t signal_interrupts;

static __sighandler_t set(int sig, __sighandler_t fn, int flags)
{
	struct sigaction act = {.sa_handler = fn, .sa_flags = flags}, old;

	return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

__sighandler_t bsd_signal(int sig, __sighandler_t fn);
__sighandler_t __sysv_signal(int sig, __sighandler_t fn);

EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t fn)
{
	return signal(sig, fn);
}

EXPORT __sighandler_t ssignal(int sig, __sighandler_t fn)
{
	return signal(sig, fn);
}

/* What signal() is in a program that asks for X/Open and not for BSD. */
EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t fn)
{
	if (!host_is_up())
		return real.__sysv_signal(sig, fn);
	return set(sig, fn, (int)(SA_RESETHAND | SA_NODEFER));
}

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t fn)
{
	return __sysv_signal(sig, fn);
}

EXPORT int siginterrupt(int sig, int on)
{
	struct sigaction act;
	uint64_t bit = sig > 0 && sig <= MAX_SIGNAL ? 1ull << (sig - 1) : 0;

	if (on)
		atomic_fetch_or(&signal_interrupts, bit);
	else
		atomic_fetch_and(&signal_interrupts, ~bit);
	if (!host_is_up())
		return real.siginterrupt(sig, on);
	if (sigaction(sig, NULL, &act) < 0)
		return -1;
	if (on)
		act.sa_flags &= ~SA_RESTART;
	else
		act.sa_flags |= SA_RESTART;
	return sigaction(sig, &act, NULL);
}

/* --- System V --- */

EXPORT __sighandler_t sigset(int sig, __sighandler_t fn)
{
	__sighandler_t old;
	struct sigaction act;
	sigset_t one, was;

	if (!host_is_up())
		return real.sigset(sig, fn);
	sigemptyset(&one);
	if (sigaddset(&one, sig) < 0)
		return SIG_ERR;
	if (fn == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &one, &was) < 0 ||
		    sigaction(sig, NULL, &act) < 0)
			return SIG_ERR;
		old = act.sa_handler;
	} else {
		old = set(sig, fn, 0);
		if (old == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &was) < 0)
			return SIG_ERR;
	}
	return sigismember(&was, sig) ? SIG_HOLD : old;
}

EXPORT int sigignore(int sig)
{
	if (!host_is_up())
		return real.sigignore(sig);
	return set(sig, SIG_IGN, 0) == SIG_ERR ? -1 : 0;
}
