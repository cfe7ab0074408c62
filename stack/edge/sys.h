/* SPDX-License-Identifier: MIT
 *
 * sys.h - raw system calls: the only way out of this library
 *
 * Nothing here goes through libc: our own close() would be caught by our own
 * hook, errno would change under a program that did nothing wrong, and before
 * initialisation (inside dlsym, inside a malloc that is being set up) libc may
 * not be ready. Each returns the kernel's value: >= 0 or a negative errno.
 *
 * Under the stack lock no system call may be made. Debug builds check it:
 * sys_forbidden is set while this thread holds the lock.
 */
#ifndef TCPSHIM_EDGE_SYS_H
#define TCPSHIM_EDGE_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "base/time.h"
#include "base/util.h"

/* This thread holds the stack lock. Also what a signal handler looks at. */
extern __thread volatile bool sys_forbidden
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* This thread is inside a library that works for us, whose calls may come
 * through our own hooks: our own fds are its to use. */
extern __thread bool sys_is_own
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#ifdef TCPSHIM_DEBUG_CHECKS
#define SYS_CHECK() ASSERT(!sys_forbidden)
#else
#define SYS_CHECK() ((void)0)
#endif

#define SYS_KERNEL_SIGSET 8 /* bytes of the kernel's sigset_t */

#if defined(__x86_64__)
/* Unchecked: for a signal handler that came while its thread has the lock. */
static inline long sys_call6_raw(long nr, long a, long b, long c, long d,
				 long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys_call6_raw(long nr, long a, long b, long c, long d,
				 long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "raw system calls are written for x86-64 and aarch64"
#endif

static inline long sys_call6(long nr, long a, long b, long c, long d, long e,
			     long f)
{
	SYS_CHECK();
	return sys_call6_raw(nr, a, b, c, d, e, f);
}

/* sys(read, fd, buf, len): up to six arguments, integers or pointers. */
#define SYS_ARG(a) ((long)(a))
#define SYS_PICK(_0, _1, _2, _3, _4, _5, _6, n, ...) n
#define SYS_0(nr) sys_call6(nr, 0, 0, 0, 0, 0, 0)
#define SYS_1(nr, a) sys_call6(nr, SYS_ARG(a), 0, 0, 0, 0, 0)
#define SYS_2(nr, a, b) sys_call6(nr, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define SYS_3(nr, a, b, c) \
	sys_call6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define SYS_4(nr, a, b, c, d) \
	sys_call6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define SYS_5(nr, a, b, c, d, e)                                      \
	sys_call6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), \
		  SYS_ARG(e), 0)
#define SYS_6(nr, a, b, c, d, e, f)                                   \
	sys_call6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), \
		  SYS_ARG(e), SYS_ARG(f))
#define SYS_NUM(...) \
	SYS_PICK(__VA_ARGS__, SYS_6, SYS_5, SYS_4, SYS_3, SYS_2, SYS_1, SYS_0, )
#define sys_nr(...) SYS_NUM(__VA_ARGS__)(__VA_ARGS__)
#define sys(...) sys_nr(SYS_##__VA_ARGS__)

static inline int sys_ppoll(struct pollfd *v, nfds_t n,
			    const struct timespec *timeout,
			    const sigset_t *mask)
{
	struct timespec left = {0};

	if (timeout) /* the kernel writes back what is left */
		left = *timeout;
	return (int)sys(ppoll, v, n, timeout ? &left : NULL, mask,
			SYS_KERNEL_SIGSET);
}

static inline int sys_futex_wait(uint32_t *word, uint32_t val,
				 const struct timespec *timeout)
{
	return (int)sys(futex, word, FUTEX_WAIT_PRIVATE, val, timeout, 0, 0);
}

static inline int sys_futex_wake(uint32_t *word, int num)
{
	return (int)sys(futex, word, FUTEX_WAKE_PRIVATE, num, 0, 0, 0);
}

/* The same on a word that processes share. */
static inline int sys_futex_wait_shared(uint32_t *word, uint32_t val,
					const struct timespec *timeout)
{
	return (int)sys(futex, word, FUTEX_WAIT, val, timeout, 0, 0);
}

static inline int sys_futex_wake_shared(uint32_t *word, int num)
{
	return (int)sys(futex, word, FUTEX_WAKE, num, 0, 0, 0);
}

/* CLOCK_MONOTONIC through the vDSO: no system call, allowed under the lock. */
static inline nsec sys_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (nsec)ts.tv_sec * SEC + ts.tv_nsec;
}

static inline struct timespec sys_timespec(nsec t)
{
	struct timespec ts = {.tv_sec = t / SEC, .tv_nsec = t % SEC};

	return ts;
}

/* One line to stderr, no stdio: "tcpshim: " in front, newline behind. */
void sys_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
