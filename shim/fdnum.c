/* SPDX-License-Identifier: MIT
 *
 * fdnum.c - the numbers that are the library's own
 *
 * They sit just above 1000 (a high number makes every fork dearer), or lower
 * under a small RLIMIT_NOFILE, and are close-on-exec. close, close_range,
 * closefrom and dup2 of the program leave them alone.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "call_priv.h"
#include "fdtab_priv.h"
#include "host_priv.h"
#include "sys.h"

#define INTERNAL_FROM 1001
#define INTERNAL_MOST 1024 /* the limit is raised to that many more */
#define INTERNAL_ROOM 16   /* the least that we need, libuv's among them */

static _Atomic uint8_t *is_internal; /* a byte a number */
static unsigned internal_from;
static _Atomic unsigned internal_highest;
_Atomic bool fdnum_is_short;
static int low_dup;  /* fills the holes below, see fdtab_fill_low() */
static uint64_t had; /* numbers from internal_from on that were there then */

bool fd_is_internal(int fd)
{
	return is_internal && (unsigned)fd < FD_MAX && !sys_is_own &&
	       atomic_load(&is_internal[fd]);
}

int fd_next_internal(int from)
{
	unsigned most = atomic_load(&internal_highest);

	for (unsigned fd = (unsigned)MAX(from, 0); is_internal && fd <= most;
	     fd++)
		if (atomic_load(&is_internal[fd]))
			return (int)fd;
	return -1;
}

void fd_note_internal(int fd)
{
	unsigned most = atomic_load(&internal_highest);

	if (!is_internal || (unsigned)fd >= FD_MAX)
		return;
	atomic_store(&is_internal[fd], 1);
	while ((unsigned)fd > most &&
	       !atomic_compare_exchange_weak(&internal_highest, &most,
					     (unsigned)fd))
		;
}

void fdnum_limit(const struct rlimit *r)
{
	if (r->rlim_cur < FDNUM_SHORT)
		atomic_store(&fdnum_is_short, true);
}

/* A small RLIMIT_NOFILE is the program's to use up: ours go above it, by
 * raising it for a moment. What is open over a limit stays. */
bool fdtab_raise_limit(struct rlimit *was)
{
	struct rlimit r;

	if (sys(prlimit64, 0, RLIMIT_NOFILE, NULL, was) < 0 ||
	    was->rlim_cur >= INTERNAL_FROM + INTERNAL_MOST)
		return false;
	fdnum_limit(was);
	r.rlim_cur = INTERNAL_FROM + INTERNAL_MOST;
	r.rlim_max = MAX(was->rlim_max, r.rlim_cur); /* more: root may */
	if (sys(prlimit64, 0, RLIMIT_NOFILE, &r, NULL) == 0)
		return true;
	r.rlim_cur = r.rlim_max = was->rlim_max;
	return was->rlim_cur < was->rlim_max &&
	       sys(prlimit64, 0, RLIMIT_NOFILE, &r, NULL) == 0;
}

void fdtab_restore_limit(const struct rlimit *was)
{
	sys(prlimit64, 0, RLIMIT_NOFILE, was, NULL);
}

static int dup_high(int fd)
{
	struct rlimit was;
	int high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, internal_from);

	if ((high != -EINVAL && high != -EMFILE) || !fdtab_raise_limit(&was))
		return high;
	high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, internal_from);
	fdtab_restore_limit(&was);
	return high;
}

static int eventfd_or_socket(int type)
{
	return type ? (int)sys(socket, AF_UNIX, type | SOCK_CLOEXEC, 0)
		    : (int)sys(eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static int internal(int type)
{
	int fd = eventfd_or_socket(type);
	struct rlimit was;

	if (fd == -EMFILE && fdtab_raise_limit(&was)) {
		fd = eventfd_or_socket(type);
		fdtab_restore_limit(&was);
	}
	return fd < 0 ? fd : fd_make_internal(fd);
}

int fd_internal_socket(int type)
{
	return internal(type);
}

int fd_internal_eventfd(void)
{
	return internal(0);
}

/* @fd gets number @high instead, if that is one. */
static int internal_now(int fd, int high)
{
	sys(close, fd);
	if (high >= 0)
		fd_note_internal(high);
	return high;
}

int fd_make_internal(int fd)
{
	unsigned from = internal_from;
	int high = dup_high(fd);

	while (high == -EINVAL && from > 3) { /* over RLIMIT_NOFILE */
		from /= 2;
		high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, from);
	}
	return internal_now(fd, high);
}

/* The same for what we can do without: only where it costs nobody a number. */
int fdnum_make_if_easy(int fd)
{
	return internal_now(
		fd, (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, internal_from));
}

void fd_close_internal(int fd)
{
	if ((unsigned)fd < FD_MAX)
		atomic_store(&is_internal[fd], 0);
	sys(close, fd);
}

/* A library that opens fds (libuv) can't be told where: every hole below is
 * filled while it does. */
void fdtab_fill_low(void)
{
	int fd, src = low_dup;

	had = 0;
	for (unsigned i = 0; i < 64; i++)
		if (sys(fcntl, internal_from + i, F_GETFD) >= 0)
			had |= 1ull << i;
	while ((fd = (int)sys(fcntl, src, F_DUPFD_CLOEXEC, 0)) >= 0 &&
	       (unsigned)fd < internal_from)
		atomic_store(&is_internal[fd], 2);
	if (fd >= 0)
		sys(close, fd);
}

void fdtab_free_low(void)
{
	for (unsigned fd = 0; fd < internal_from; fd++) {
		unsigned first = fd;

		while (fd < internal_from && atomic_load(&is_internal[fd]) == 2)
			atomic_store(&is_internal[fd++], 0);
		if (fd > first)
			sys(close_range, first, fd - 1, 0);
	}
	/* what was opened meanwhile is just above */
	for (unsigned i = 0; i < 64; i++)
		if (!(had >> i & 1) &&
		    sys(fcntl, internal_from + i, F_GETFD) >= 0)
			fd_note_internal((int)(internal_from + i));
}

void fdnum_table(_Atomic uint8_t *v)
{
	is_internal = v;
}

int fdnum_init(void)
{
	struct rlimit r = {0};
	int fd;

	internal_from = INTERNAL_FROM;
	/* host_up() has raised it as far as it may */
	if (sys(prlimit64, 0, RLIMIT_NOFILE, NULL, &r) == 0 &&
	    r.rlim_cur < INTERNAL_FROM + 100)
		internal_from = (unsigned)(r.rlim_cur -
					   MAX(r.rlim_cur / 4, INTERNAL_ROOM));
	if (r.rlim_cur < INTERNAL_ROOM + 12)
		return -EMFILE;
	fd = (int)sys(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	low_dup = fd_make_internal(fd);
	return low_dup < 0 ? low_dup : 0;
}

void fdnum_forked(void)
{
	int fd = -1;

	while ((fd = fd_next_internal(fd + 1)) >= 0)
		if (fd != host.log_fd && fd != low_dup)
			fd_close_internal(fd);
}
