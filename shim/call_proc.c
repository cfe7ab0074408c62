/* SPDX-License-Identifier: MIT
 *
 * call_proc.c - leaving
 *
 * A process that has a keeper just leaves: its near ends are closed by the
 * kernel, and the keeper closes the sockets and sends what is left. All that is
 * done here is not to die in the lock, which other threads might be in. libc
 * may still write to a stream after this; the sockets serve until the end.
 *
 * Without a keeper there is nobody who would send what a process leaves behind,
 * so it stays until it is sent: its sockets are closed as the kernel would, and
 * for a bounded time it waits until data and FIN are acknowledged.
 *
 * exit() comes here through on_exit(), which the constructor registers and
 * which therefore runs last; libc's own call from exit() to _exit() can't be
 * seen from outside.
 */
#include <stdlib.h>

#include "call_priv.h"
#include "host_priv.h"
#include "join.h"
#include "knobs.h"
#include "real.h"
#include "sys.h"

#define EXIT_WAIT (5 * SEC)

static _Atomic bool has_left;

static void close_all(void)
{
	unsigned most = fd_highest();

	for (unsigned fd = 0; fd <= most; fd++) {
		struct file *f = fd_sock((int)fd);

		if (!f)
			continue;
		host_lock(OP_CLOSE, f->s);
		sock_close(host.st, f->s, host_now());
		host_unlock();
	}
}

static bool is_sent(void *arg)
{
	return stack_num_unfinished(host.st) == 0;
}

static void wait_sent(void)
{
	nsec deadline = sys_now() + EXIT_WAIT;
	struct waiter w;
	int r;

	waiter_init(&w);
	do {
		/* no event says "all sent": look now and then */
		nsec until = MIN(sys_now() + 10 * MSEC, deadline);

		r = wait_block(&w, NULL, 0, until, NULL, is_sent, NULL);
	} while (r != 1 && sys_now() < deadline);
	host_lock(OP_EXIT, 0);
	waiter_fini(&w);
	if (r != 1)
		stack_abort_all(host.st, host_now());
	host_unlock();
}

static size_t stats_text(char *out, size_t len)
{
	const struct stats *s = stack_stats(host.st);
	size_t n;

	n = log_snprintf(out, len, "TcpshimSockets %u\nTcpshimMemory %zu\n",
			 stack_num_sockets(host.st),
			 stack_memory(host.st) - kits_memory());
	if (host.sh->num_forced)
		n += log_snprintf(out + n, len - n,
				  "TcpshimDiedInLock %llu\n"
				  "TcpshimResetByDeath %llu\n"
				  "TcpshimBrokenByDeath %llu\n",
				  (unsigned long long)host.sh->num_forced,
				  (unsigned long long)host.sh->num_reset,
				  (unsigned long long)host.sh->num_broken);
	for (unsigned i = 0; i < STAT_NUM && n < len - 100; i++)
		if (s->v[i])
			n += log_snprintf(out + n, len - n, "%s %llu\n",
					  stat_name((enum stat_id)i),
					  (unsigned long long)s->v[i]);
	for (unsigned i = 1; i < DROP_NUM && n < len - 100; i++)
		if (s->drop[i])
			n += log_snprintf(out + n, len - n, "drop.%s %llu\n",
					  drop_name((enum drop)i),
					  (unsigned long long)s->drop[i]);
	return n;
}

static void write_stats(void)
{
	static char text[16384];
	int fd = 2;
	size_t n;

	if (!knobs.stats[0])
		return;
	host_lock(OP_EXIT, 0);
	n = stats_text(text, sizeof(text));
	host_unlock();
	if (strcmp(knobs.stats, "-"))
		fd = (int)sys(openat, AT_FDCWD, knobs.stats,
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	sys(write, fd, text, n);
	if (fd != 2)
		sys(close, fd);
}

EVERY_RUN static void leave(void)
{
	struct keeper_req req = {.type = KEEPER_FLUSH};

	/* a vfork child has our memory but is not us; a forked one may not have
	 * a place to leave */
	if (!atomic_load(&host.is_up) || host.pid != (int)sys(getpid) ||
	    sys_forbidden || (host.has_keeper && !host_has_joined()) ||
	    atomic_exchange(&has_left, true))
		return;
	host_leaving();
	if (!host.has_keeper) {
		close_all();
		wait_sent();
	}
	write_stats();
	/* once through the lock: no other thread is in it then, to die there */
	host_lock(OP_EXIT, 0);
	host_unlock();
	host_drain_logs();
	if (host.has_keeper && host.sh->is_capturing)
		join_tell(&req, -1);
}

EVERY_RUN static void on_leave(int status, void *arg)
{
	stdio_flush(); /* libc's turn comes only after this */
	leave();
}

EXPORT void _exit(int status)
{
	leave();
	real._exit(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	leave();
	real._Exit(status);
	__builtin_unreachable();
}

EVERY_RUN static void on_quick_exit(void *arg)
{
	leave();
}

/* at_quick_exit() is this; but libc links its copy of that into a page of its
 * own. */
int __cxa_at_quick_exit(void (*fn)(void *), void *dso);
extern void *__dso_handle __attribute__((visibility("hidden")));

EVERY_RUN void proc_init(void)
{
	on_exit(on_leave, NULL);
	__cxa_at_quick_exit(on_quick_exit, __dso_handle);
}
