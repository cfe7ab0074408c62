/* SPDX-License-Identifier: MIT
 *
 * start.c - a process becomes a keeper
 *
 * It must be nobody's child: the program may wait for any of its own and count
 * them. So it is made by two clones without an exit signal, the first of which
 * is gone at once, with all signals blocked, since a handler of the program
 * would also run in them.
 */
#include "start.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "call_priv.h"
#include "keeper.h"
#include "sys.h"

#define CLONE_STACK 65536

extern char **environ;

/* Where we are: what the loader was told may be relative to a directory that
 * the program has left. */
static bool own_path(char *out, size_t len)
{
	char buf[4096 + 1];
	uintptr_t me = (uintptr_t)&own_path;
	size_t num = 0;
	long n, fd = sys(openat, AT_FDCWD, "/proc/self/maps",
			 O_RDONLY | O_CLOEXEC, 0);
	bool found = false;

	while (fd >= 0 && !found &&
	       (n = sys(read, fd, buf + num, sizeof(buf) - 1 - num)) > 0) {
		char *line = buf, *end, *path;

		num += (size_t)n;
		buf[num] = '\0';
		for (; !found && (end = strchr(line, '\n')); line = end + 1) {
			uintptr_t lo = strtoul(line, &path, 16), hi;

			hi = *path ? strtoul(path + 1, NULL, 16) : 0;
			*end = '\0';
			path = strchr(line, '/');
			found = me >= lo && me < hi && path;
			if (found)
				log_snprintf(out, len, "%s", path);
		}
		num -= (size_t)(line - buf);
		memmove(buf, line, num);
	}
	if (fd >= 0)
		sys(close, fd);
	return found;
}

static bool keeper_path(char *out, size_t len)
{
	char *slash;

	if (!own_path(out, len))
		return false;
	slash = strrchr(out, '/');
	if (!slash || (size_t)(slash - out) + sizeof(KEEPER_NAME) + 1 > len)
		return false;
	log_snprintf(slash + 1, len - (size_t)(slash + 1 - out), KEEPER_NAME);
	return sys(faccessat, AT_FDCWD, out, X_OK) == 0;
}

struct start {
	const char *path;
	char *const *argv, *const *envp;
	int fd;
	char *stack; /* of the second clone */
};

/* In the keeper to be, with our memory and fds of its own: system calls only,
 * and nothing of the program's comes along. */
static int become_keeper(void *arg)
{
	struct start *s = arg;
	int null;

	sys(setsid);
	if (s->fd != KEEPER_FD)
		sys(dup3, s->fd, KEEPER_FD, 0);
	else
		sys(fcntl, s->fd, F_SETFD, 0);
	sys(close_range, KEEPER_FD + 1, ~0u, 0);
	for (int fd = 0; fd < KEEPER_FD; fd++)
		sys(close, fd);
	null = (int)sys(openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (int fd = 0; null >= 0 && fd < KEEPER_FD; fd++)
		if (fd != null)
			sys(dup3, null, fd, 0);
	sys(execve, s->path, s->argv, s->envp);
	sys(exit_group, 127);
	return 0;
}

static int clone_again(void *arg)
{
	struct start *s = arg;

	clone(become_keeper, s->stack + CLONE_STACK, CLONE_VM | CLONE_VFORK, s);
	sys(exit_group, 0);
	return 0;
}

/* A subreaper (containers' init programs, service managers) would become the
 * parent of the keeper when the first clone is gone, and wait for it. Whether
 * we are one. */
static bool set_subreaper(bool on)
{
	int was = 0;

	sys(prctl, PR_GET_CHILD_SUBREAPER, &was, 0, 0, 0);
	if (was != on)
		sys(prctl, PR_SET_CHILD_SUBREAPER, on, 0, 0, 0);
	return was;
}

static int start_clones(struct start *s)
{
	bool was_subreaper;
	sigset_t all, old;
	long p = sys(mmap, NULL, 2 * CLONE_STACK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	char *stacks = (char *)p;
	int pid, saved = errno;

	if (p < 0 && p >= -4095)
		return (int)p;
	s->stack = stacks + CLONE_STACK;
	memset(&all, 0xff, sizeof(all));
	sys(rt_sigprocmask, SIG_SETMASK, &all, &old, SYS_KERNEL_SIGSET);
	was_subreaper = set_subreaper(false);
	pid = clone(clone_again, stacks + CLONE_STACK, CLONE_VM | CLONE_VFORK,
		    s);
	if (pid < 0)
		pid = -errno;
	else
		sys(wait4, pid, NULL, __WCLONE, NULL);
	set_subreaper(was_subreaper);
	sys(rt_sigprocmask, SIG_SETMASK, &old, NULL, SYS_KERNEL_SIGSET);
	sys(munmap, stacks, 2 * CLONE_STACK);
	errno = saved;
	return pid < 0 ? pid : 0;
}

#define MAX_ENV 1024

/* What the program has taken out of its environment since is there again. */
static void make_environ(char **out, unsigned most)
{
	unsigned num = 0, num_saved;
	char *const *saved = exec_saved(&num_saved);

	for (char **e = environ; e && *e && num < most; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11))
			out[num++] = *e;
	out[num] = NULL;
	for (unsigned i = 0; i < num_saved && num < most; i++)
		if (strncmp(saved[i], "LD_PRELOAD=", 11) &&
		    !exec_has_var(out, saved[i])) {
			out[num++] = saved[i];
			out[num] = NULL;
		}
}

int start_keeper(bool again, char *why, size_t len)
{
	static char path[PATH_MAX], *envp[MAX_ENV + 1];
	static char name[] = KEEPER_NAME, mode[] = KEEPER_AGAIN;
	static char *argv[3] = {name};
	struct start s = {.path = path, .argv = argv, .envp = envp};
	int sv[2], r;

	if (!keeper_path(path, sizeof(path))) {
		log_snprintf(why, len,
			     "no program " KEEPER_NAME " beside the library; "
			     "install it there, or set TCPSHIM_KEEPER=off");
		return -ENOENT;
	}
	argv[1] = again ? mode : NULL;
	make_environ(envp, MAX_ENV);
	r = (int)sys(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv);
	if (r < 0)
		return r;
	s.fd = sv[1];
	r = start_clones(&s);
	sys(close, sv[1]);
	if (r == 0)
		return sv[0];
	sys(close, sv[0]);
	log_snprintf(why, len,
		     KEEPER_NAME " cannot be started (error %d); look at the "
				 "limit on processes, or set "
				 "TCPSHIM_KEEPER=off",
		     -r);
	return r;
}
