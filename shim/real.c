/* SPDX-License-Identifier: MIT
 *
 * real.c - finds the next definition of each interposed name, on first use
 *
 * Every pointer starts at a small function of its own, which looks the name up,
 * stores what it found and calls it. Two things can be in the way. Before our
 * constructor ran, relocation may not be finished. And dlsym() itself may call
 * malloc() the first time, which, in a program with its own malloc, may read a
 * file: a hook inside our own lookup. In both cases the raw system call is made
 * and nothing is stored.
 */
#include "real.h"

#include <dlfcn.h>
#include <string.h>

#include "sys.h"

static bool is_up;
static __thread bool looking_up __attribute__((tls_model("initial-exec")));

void real_init(void)
{
	is_up = true;
}

static void *look_up(const char *name)
{
	void *p;
	int saved = errno;

	if (!is_up || looking_up)
		return NULL;
	looking_up = true;
	p = dlsym(RTLD_NEXT, name);
	looking_up = false;
	errno = saved;
	return p;
}

static long real_raw_poll(struct pollfd *v, nfds_t n, int ms)
{
	struct timespec t = sys_timespec(ms * MSEC);

	return sys_ppoll(v, n, ms < 0 ? NULL : &t, NULL);
}

static long real_raw_pselect(int n, fd_set *r, fd_set *w, fd_set *x,
			     const struct timespec *t, const sigset_t *m)
{
	struct timespec left = {0};
	struct {
		const sigset_t *mask;
		size_t len;
	} pack = {m, SYS_KERNEL_SIGSET};

	if (t)
		left = *t;
	return sys(pselect6, n, r, w, x, t ? &left : NULL, &pack);
}

static long real_raw_select(int n, fd_set *r, fd_set *w, fd_set *x,
			    const struct timeval *tv)
{
	struct timespec t = {0};

	if (tv)
		t = (struct timespec){tv->tv_sec, tv->tv_usec * 1000};
	return real_raw_pselect(n, r, w, x, tv ? &t : NULL, NULL);
}

/* The kernel's own layout needs a restorer from libc: not before it is up. */
static long real_raw_sigaction(int sig, const struct sigaction *act,
			       struct sigaction *old)
{
	(void)sig, (void)act, (void)old;
	return -ENOSYS;
}

static long real_raw_signal(int sig, real_handler fn)
{
	(void)sig, (void)fn;
	return -ENOSYS;
}

#define CALL(ret, name, params, args, raw)         \
	static ret first_##name params             \
	{                                          \
		void *p = look_up(#name);          \
                                                   \
		if (!p)                            \
			return (ret)shim_ret(raw); \
		memcpy(&real.name, &p, sizeof(p)); \
		return real.name args;             \
	}
#define CALL_VOID(name, params, args, raw)         \
	static void first_##name params            \
	{                                          \
		void *p = look_up(#name);          \
                                                   \
		if (!p) {                          \
			(void)(raw);               \
			return;                    \
		}                                  \
		memcpy(&real.name, &p, sizeof(p)); \
		real.name args;                    \
	}
#include "calls.def"
#undef CALL
#undef CALL_VOID

struct real real = {
#define CALL(ret, name, params, args, raw) .name = first_##name,
#define CALL_VOID(name, params, args, raw) .name = first_##name,
#include "calls.def"
#undef CALL
#undef CALL_VOID
};
