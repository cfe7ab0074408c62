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

static bool is_up EVERY_RUN_DATA;
static __thread bool looking_up __attribute__((tls_model("initial-exec")));

static void *look_up_now(const char *name)
{
	void *p;
	int saved = errno;

	if (looking_up)
		return NULL;
	looking_up = true;
	p = dlsym(RTLD_NEXT, name);
	looking_up = false;
	errno = saved;
	return p;
}

static void *look_up(const char *name)
{
	return is_up ? look_up_now(name) : NULL;
}

EVERY_RUN void real_init(void)
{
	is_up = true;
}

static long real_raw_isatty(int fd)
{
	struct kernel_termios { /* larger than the kernel's */
		unsigned char b[64];
	} t;
	long r = sys(ioctl, fd, TCGETS, &t);

	if (r < 0)
		errno = (int)-r;
	return r == 0; /* and not -1: it is a question */
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

/* --- handlers that are installed before libc's sigaction() can be found --- */

struct kernel_sigaction {
	real_handler fn;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* Where a handler returns to. On aarch64 the kernel has one of its own. */
#if defined(__x86_64__)
#define KERNEL_SA_RESTORER 0x04000000ul
void real_sigreturn(void) __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
	".hidden real_sigreturn\n"
	".type real_sigreturn, @function\n"
	"real_sigreturn:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	".size real_sigreturn, . - real_sigreturn\n"
	".popsection\n");
#else
#define KERNEL_SA_RESTORER 0
#define real_sigreturn NULL
#endif

static long real_raw_sigaction(int sig, const struct sigaction *act,
			       struct sigaction *old)
{
	struct kernel_sigaction k = {0}, was = {0};
	long r;

	if (act) {
		k.fn = act->sa_handler;
		k.flags = (unsigned)act->sa_flags | KERNEL_SA_RESTORER;
		k.restorer = real_sigreturn;
		memcpy(&k.mask, &act->sa_mask, sizeof(k.mask));
	}
	r = sys(rt_sigaction, sig, act ? &k : NULL, old ? &was : NULL,
		SYS_KERNEL_SIGSET);
	if (r == 0 && old) {
		memset(old, 0, sizeof(*old));
		old->sa_handler = was.fn;
		old->sa_flags = (int)(was.flags & ~KERNEL_SA_RESTORER);
		memcpy(&old->sa_mask, &was.mask, sizeof(was.mask));
	}
	return r;
}

static long real_raw_signal(int sig, real_handler fn)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = SA_RESTART};
	struct sigaction old = {0};
	long r;

	sigaddset(&sa.sa_mask, sig);
	r = real_raw_sigaction(sig, &sa, &old);
	return r < 0 ? r : (long)old.sa_handler;
}

#define CALL(ret, name, params, args, raw, meaning) \
	static ret first_##name params              \
	{                                           \
		void *p = look_up(#name);           \
                                                    \
		if (!p)                             \
			return (ret)shim_ret(raw);  \
		memcpy(&real.name, &p, sizeof(p));  \
		return real.name args;              \
	}
#define CALL_VOID(name, params, args, raw, meaning) \
	static void first_##name params             \
	{                                           \
		void *p = look_up(#name);           \
                                                    \
		if (!p) {                           \
			(void)(raw);                \
			return;                     \
		}                                   \
		memcpy(&real.name, &p, sizeof(p));  \
		real.name args;                     \
	}
#define CALL_LIBC(ret, name, params, args, fail, meaning) \
	static ret first_##name params                    \
	{                                                 \
		void *p = look_up_now(#name);             \
                                                          \
		if (!p) {                                 \
			errno = ENOSYS;                   \
			return fail;                      \
		}                                         \
		memcpy(&real.name, &p, sizeof(p));        \
		return real.name args;                    \
	}
#include "calls.def"
#undef CALL
#undef CALL_LIBC
#undef CALL_VOID

struct real real = {
#define CALL(ret, name, params, args, raw, meaning) .name = first_##name,
#define CALL_LIBC(ret, name, params, args, fail, meaning) .name = first_##name,
#define CALL_VOID(name, params, args, raw, meaning) .name = first_##name,
#include "calls.def"
#undef CALL
#undef CALL_LIBC
#undef CALL_VOID
};
