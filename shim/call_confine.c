/* SPDX-License-Identifier: MIT
 *
 * call_confine.c - programs that give up what they may do
 *
 * A forked child has no place at its host until it needs one; then it calls the
 * keeper. One that is about to change its root or its user, or to lock itself
 * up with seccomp, takes its place before, while it can.
 *
 * A filter of system calls is written for what a program does by itself: read,
 * write, poll, futex. Behind it we make no others. Such a process reads and
 * writes no packets and wakes nobody but by a futex; it tells the keeper that
 * there is something to do (one write to an eventfd), and sleeps on its futex.
 */
#include <grp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "call_priv.h"
#include "host_priv.h"
#include "join.h"
#include "real.h"
#include "sys.h"

/* Takes the place that a child has not taken yet. */
static void take_place(void)
{
	heirs_join();
	if (!host_is_up() || !host.has_keeper || host_has_joined() ||
	    sys_forbidden)
		return;
	host_lock(OP_NONE, 0);
	host_unlock();
}

EXPORT int chroot(const char *path)
{
	take_place();
	return real.chroot(path);
}

EXPORT int setuid(uid_t uid)
{
	take_place();
	return real.setuid(uid);
}

EXPORT int setreuid(uid_t ruid, uid_t euid)
{
	take_place();
	return real.setreuid(ruid, euid);
}

EXPORT int setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	take_place();
	return real.setresuid(ruid, euid, suid);
}

EXPORT int prctl(int op, ...)
{
	unsigned long v[4];
	bool was = host.is_confined;
	va_list ap;
	int r;

	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		v[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (op == PR_SET_SECCOMP || op == PR_SET_NO_NEW_PRIVS) {
		heirs_adopt();
		take_place();
	}
	if (op == PR_SET_SECCOMP && host_is_up())
		host.is_confined = true;
	r = real.prctl(op, v[0], v[1], v[2], v[3]);
	if (r < 0)
		host.is_confined = was;
	return r;
}

/* Which the sanitizers' own start calls before it can be called. */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
/* A limit on the address space is meant for what the program maps: what we have
 * reserved comes on top, as far as the hard limit lets it. */
static rlim_t with_ours(rlim_t limit)
{
	rlim_t ours = host.sh->max + fdtab_reserved();

	return limit > RLIM_INFINITY - ours ? RLIM_INFINITY : limit + ours;
}

static struct rlimit widen(int what, const struct rlimit *r)
{
	struct rlimit w = *r, now;

	if (what != RLIMIT_AS || !host_is_up() || r->rlim_cur > r->rlim_max ||
	    sys(prlimit64, 0, RLIMIT_AS, NULL, &now) < 0)
		return w;
	if (w.rlim_max < now.rlim_max)
		w.rlim_max = MIN(with_ours(w.rlim_max), now.rlim_max);
	w.rlim_cur = MIN(with_ours(w.rlim_cur), w.rlim_max);
	return w;
}

/* Growing the memory's file past the limit would be SIGXFSZ. */
static void before_limit(int what, const struct rlimit *r)
{
	take_place();
	if (what == RLIMIT_NOFILE && r)
		fdnum_limit(r);
	if (what == RLIMIT_FSIZE && r && host_is_up() &&
	    r->rlim_cur < host.sh->max)
		host.can_grow = false;
}

EXPORT int setrlimit(__rlimit_resource_t what, const struct rlimit *r)
{
	struct rlimit w;

	before_limit((int)what, r);
	w = widen((int)what, r);
	return real.setrlimit(what, &w);
}

EXPORT int setrlimit64(__rlimit_resource_t what, const struct rlimit64 *r)
{
	return setrlimit(what, (const struct rlimit *)r);
}
#endif
