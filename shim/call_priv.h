/* SPDX-License-Identifier: MIT
 *
 * call_priv.h - what the files of calls share with each other
 */
#ifndef TCPSHIM_CALL_PRIV_H
#define TCPSHIM_CALL_PRIV_H

#include "cancel.h"
#include "fdtab.h"
#include "host.h"
#include "wait.h"

/* near.c, fdtab.c: sockets. */
/* A near end on the lowest free number, not yet in the table. SOCK_CLOEXEC and
 * SOCK_NONBLOCK of @flags. The number or -errno. */
struct near {
	int fd;
	uint32_t listener;
	uint64_t cookie;
	bool is_nonblock;
};
int near_get(int type, int flags, struct near *out);
void near_put(struct near *n, int type);
/* Makes @n the socket @s. Its number, or -errno (then both are gone). */
int near_install(struct near *n, sockid s, int family, int type, int proto);
/* close(2) of a number that may be ours. 0 or -errno. */
int fd_close(int fd);
/* Forgets @fd, which the kernel has closed or replaced. */
void fd_dropped(int fd);
/* @fd is a new copy of what @f names. 0 or -EMFILE; takes a reference. */
int fd_share(int fd, struct file *f);
unsigned fd_highest(void); /* of ours; 0 if none */
/* Internal numbers from @from on: the first, or -1. */
int fd_next_internal(int from);
/* Makes @f a kernel socket under all its numbers. 0 or -errno. */
int file_hand_over(struct file *f);
/* While numbers of our own are made: true if RLIMIT_NOFILE was raised, and is
 * to be restored. */
struct rlimit;
#define FDNUM_SHORT 64 /* numbers */
/* RLIMIT_NOFILE was, or is, that small: calls that take many ask for it. */
extern _Atomic bool fdnum_is_short;
void fdnum_limit(const struct rlimit *r); /* it is going to be @r */
bool fdtab_raise_limit(struct rlimit *was);
void fdtab_restore_limit(const struct rlimit *was);
/* An AF_UNIX socket. */
int fd_internal_socket(int type);
int fd_internal_eventfd(void);

/* Keeps @f although its numbers may be closed; false: it is gone already. */
bool file_hold(struct file *f);
void file_drop(struct file *f);

/* block.c */
/* Sleeps until one of @want holds for @f. 1, 0 at the deadline, -EINTR when a
 * handler ran that doesn't restart calls (or when @has_timeout). @seq: what is
 * there is known, so only something newer than at that count will do. */
int block_on(struct file *f, uint32_t want, const uint32_t *seq, nsec deadline,
	     bool has_timeout);
/* After block_on() with WATCH_ONE, and what it waited for was taken, or not. */
void block_left(struct file *f);
/* Count of what has come in, for block_on()'s @seq. No lock held. */
uint32_t block_seq(struct file *f);
/* The deadline that SO_RCVTIMEO (or SO_SNDTIMEO) gives a call that begins
 * now. */
nsec block_deadline(sockid s, bool send, bool *has_timeout);
/* close(2) with SO_LINGER: waits until what was sent is acknowledged. */
void block_linger(struct file *f, nsec linger);

/* wait.c; caller holds the stack lock.
 * Tells and drops every watch on @f. */
void watch_gone(struct file *f);
/* Tells those that want one of the bits in @r. */
void watch_news(struct file *f, const struct ready *r);

/* call_signal.c */
extern __thread volatile uint32_t signal_num_eintr
	__attribute__((tls_model("initial-exec")));
extern __thread volatile bool signal_has_deferred
	__attribute__((tls_model("initial-exec")));
extern __thread volatile uint32_t signal_num_holds
	__attribute__((tls_model("initial-exec")));
void signal_undefer(void);
/* Handlers that waited run, unless they still have to. */
static inline void signal_run_deferred(void)
{
	if (__builtin_expect(signal_num_holds, 0))
		return;
	if (__builtin_expect(cancel_is_async, 0))
		cancel_let_in();
	if (__builtin_expect(signal_has_deferred, 0))
		signal_undefer();
}
/* In between handlers wait, as under the stack lock: one that left by longjmp()
 * would leave something taken. Never around a sleep. */
static inline void signal_hold(void)
{
	if (__builtin_expect(cancel_is_async, 0))
		cancel_put_off();
	signal_num_holds++;
	atomic_signal_fence(memory_order_seq_cst);
}
static inline void signal_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	signal_num_holds--;
	signal_run_deferred();
}

/* call_sigold.c: what siginterrupt() says of each, from bit 0 on */
extern _Atomic uint64_t signal_interrupts;

/* call_proc.c */
void proc_init(void);

/* call_stdio.c: @fd is a socket of ours now; if it is 0, 1 or 2, the standard
 * stream of that number works on it from here on. */
void stdio_take(int fd);

/* call_exec.c: takes what was handed down by the program before. */
void exec_init(void);
/* LD_PRELOAD and TCPSHIM_* as they were at the start. */
char *const *exec_saved(unsigned *num);
/* Is there a variable of the name that @var ("NAME=...") has? */
bool exec_has_var(char *const *envp, const char *var);

/* call_stdio.c: writes out what is left in streams on our sockets. */
void stdio_flush(void);

/* call_file.c: sets the sysctl that @fd was opened for, from text of the
 * program's. @len or -errno. */
ssize_t text_write(int fd, struct file *f, const void *buf, size_t len);

/* call_ifaddr.c */
extern _Atomic bool ifaddr_of_kernel; /* show the kernel's interfaces */
/* An ioctl about interfaces on a socket of ours: true, and its answer. */
bool ifaddr_ioctl(struct file *f, unsigned long req, void *arg, int *ret);

/* fdtab.c: forgets @fd if it is no more what it was (closed or replaced by libc
 * without a call that we see). */
void fd_recheck(int fd); /* errno stays */
/* adopt.c: @fd came from somewhere: is it a copy of a socket of ours? 0 or
 * -errno. */
int fd_adopt(int fd);

/* call_opt.c: sets on kernel socket @k what was set on @f. */
void opt_replay(struct file *f, int k);
/* Keys of signed segments, too: without them there is no socket. 0 or -errno.
 */
int opt_replay_keys(struct file *f, int k);

/* Has this thread the capability, CAP_NET_ADMIN for one? call_socket.c */
bool call_may(unsigned cap);

#endif
