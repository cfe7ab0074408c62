/* SPDX-License-Identifier: MIT
 *
 * call_file.c - opening files, of which a few in /proc are the stack's
 *
 * What is opened is a memfd with the content, sealed: reading, seeking,
 * mapping, handing it on are the kernel's business. One that was opened for
 * writing is a sysctl and has a struct file, so that write() finds it; a write
 * that we do not see (in a program executed with it) fails with EPERM, and is
 * not lost without a word.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aliases.h"
#include "base/log.h"
#include "call_priv.h"
#include "knobs.h"
#include "procfs.h"
#include "real.h"
#include "sys.h"

/* The names of those that are open for writing, by number; never given back,
 * and there are no more of them than sysctls. */
static struct {
	_Atomic unsigned num;
	char name[256][PROCFS_MAX_NAME];
} open_names;

static int name_number(const char *name)
{
	unsigned n = open_names.num;

	for (unsigned i = 0; i < n; i++)
		if (strcmp(open_names.name[i], name) == 0)
			return (int)i;
	if (n == ARRAY_SIZE(open_names.name))
		return -ENFILE;
	log_snprintf(open_names.name[n], PROCFS_MAX_NAME, "%s", name);
	open_names.num = n + 1;
	return (int)n;
}

static uint64_t inode(int fd)
{
	struct stat st;

	return sys(fstat, fd, &st) == 0 ? st.st_ino : 0;
}

/* @fd is to be written to: makes it known. */
static int make_writable(int fd, const char *name)
{
	struct file *f;
	int num;

	host_lock(OP_NEW, 0);
	num = name_number(name);
	host_unlock();
	if (num < 0)
		return num;
	f = file_new(FILE_TEXT);
	if (!f)
		return -ENOMEM;
	f->proto = num;
	f->cookie = inode(fd);
	return fd_install(fd, f);
}

static int open_ours(enum procfs_kind kind, const char *name, int flags)
{
	int fd, r, mode = flags & O_ACCMODE;

	if (mode != O_RDONLY && kind == PROCFS_TABLE)
		return -EACCES; /* 0444, and root has no more of it here */
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	r = host_up();
	if (r < 0)
		return r;
	fd = (int)sys(memfd_create, name,
		      MFD_ALLOW_SEALING |
			      (flags & O_CLOEXEC ? MFD_CLOEXEC : 0));
	if (fd < 0)
		return fd;
	signal_hold();
	r = procfs_write(fd, kind, name);
	sys(lseek, fd, 0, SEEK_SET);
	if (r == 0 && mode != O_RDONLY)
		r = make_writable(fd, name);
	if (r == 0)
		r = (int)sys(fcntl, fd, F_ADD_SEALS,
			     F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW |
				     F_SEAL_SHRINK);
	if (r < 0)
		fd_close(fd);
	signal_release();
	if (r == 0)
		stdio_take(fd);
	return r < 0 ? r : fd;
}

/* The stack's file of that name on @fd: true, and its number or -1. */
static bool opened(const char *path, int flags, int *fd)
{
	char name[PROCFS_MAX_NAME];
	enum procfs_kind kind;
	int r;

	/* a bad pointer is the kernel's to refuse */
	if ((uintptr_t)path < 4096 || path[0] != '/' || path[1] != 'p')
		return false;
	kind = procfs_find(path, name);
	if (kind == PROCFS_NOT_OURS || flags & O_PATH || knobs_proc_of_kernel())
		return false;
	r = open_ours(kind, name, flags);
	if (r == -ENETDOWN && knobs_on_error_kernel())
		return false;
	*fd = (int)shim_ret(r);
	return true;
}

/* --- open(2) --- */

#define HOOK_OPEN(name)                                        \
	EXPORT int name(const char *path, int flags, ...)      \
	{                                                      \
		va_list ap;                                    \
		mode_t mode;                                   \
		int fd;                                        \
                                                               \
		va_start(ap, flags);                           \
		mode = va_arg(ap, mode_t);                     \
		va_end(ap);                                    \
		return opened(path, flags, &fd)                \
			       ? fd                            \
			       : real.name(path, flags, mode); \
	}

HOOK_OPEN(open)
HOOK_OPEN(open64)
HOOK_OPEN(__open)
HOOK_OPEN(__open64)

EXPORT int __open_2(const char *path, int flags)
{
	int fd;

	return opened(path, flags, &fd) ? fd : real.__open_2(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
	int fd;

	return opened(path, flags, &fd) ? fd : real.__open64_2(path, flags);
}

#define HOOK_OPENAT(name)                                           \
	EXPORT int name(int dir, const char *path, int flags, ...)  \
	{                                                           \
		va_list ap;                                         \
		mode_t mode;                                        \
		int fd;                                             \
                                                                    \
		va_start(ap, flags);                                \
		mode = va_arg(ap, mode_t);                          \
		va_end(ap);                                         \
		return opened(path, flags, &fd)                     \
			       ? fd                                 \
			       : real.name(dir, path, flags, mode); \
	}

HOOK_OPENAT(openat)
HOOK_OPENAT(openat64)

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	int fd;

	return opened(path, flags, &fd) ? fd
					: real.__openat_2(dir, path, flags);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
	int fd;

	return opened(path, flags, &fd) ? fd
					: real.__openat64_2(dir, path, flags);
}

/* --- fopen(3) --- */

static int mode_flags(const char *mode)
{
	int flags = *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;

	for (mode += *mode != '\0'; *mode && *mode != ','; mode++) {
		if (*mode == '+')
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		if (*mode == 'e')
			flags |= O_CLOEXEC;
		if (*mode == 'x')
			flags |= O_EXCL;
	}
	return flags;
}

static bool fopened(const char *path, const char *mode, FILE **fp)
{
	int fd;

	if (!mode || !opened(path, mode_flags(mode), &fd))
		return false;
	*fp = fd < 0 ? NULL : fdopen(fd, mode);
	if (fd >= 0 && !*fp)
		close(fd);
	return true;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	FILE *fp;

	return fopened(path, mode, &fp) ? fp : real.fopen(path, mode);
}

EXPORT FILE *_IO_fopen(const char *path, const char *mode)
{
	FILE *fp;

	return fopened(path, mode, &fp) ? fp : real._IO_fopen(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	FILE *fp;

	return fopened(path, mode, &fp) ? fp : real.fopen64(path, mode);
}

/* --- is it there? --- */

/* A file of the same owner and rights as every sysctl. */
#define SOME_SYSCTL "/proc/sys/net/ipv4/ip_forward"

/* The kernel has not that sysctl in this namespace, but the stack has it. */
static bool is_missing(int r, const char *path)
{
	char name[PROCFS_MAX_NAME];

	return r < 0 && errno == ENOENT &&
	       procfs_find(path, name) == PROCFS_SYSCTL &&
	       !knobs_proc_of_kernel();
}

#define HOOK_STAT(name, type)                                                \
	EXPORT int name(const char *path, struct type *st)                   \
	{                                                                    \
		int r = real.name(path, st);                                 \
                                                                             \
		return is_missing(r, path) ? real.name(SOME_SYSCTL, st) : r; \
	}

HOOK_STAT(stat, stat)
HOOK_STAT(stat64, stat64)

EXPORT int access(const char *path, int mode)
{
	int r = real.access(path, mode);

	return is_missing(r, path) ? real.access(SOME_SYSCTL, mode) : r;
}

/* A pattern may be a plain name: sysctl(8) looks for its names that way. */
static int glob_flags(const char *pattern, int flags)
{
	char name[PROCFS_MAX_NAME];

	return procfs_find(pattern, name) == PROCFS_SYSCTL &&
			       !knobs_proc_of_kernel()
		       ? flags | GLOB_NOCHECK
		       : flags;
}

#define HOOK_GLOB(name, type)                                              \
	EXPORT int name(const char *pattern, int flags,                    \
			int (*err)(const char *, int), type *out)          \
	{                                                                  \
		return real.name(pattern, glob_flags(pattern, flags), err, \
				 out);                                     \
	}

HOOK_GLOB(glob, glob_t)
HOOK_GLOB(glob64, glob64_t)

static char *path_itself(const char *path, char *out)
{
	char name[PROCFS_MAX_NAME];

	if (errno != ENOENT || procfs_find(path, name) != PROCFS_SYSCTL ||
	    knobs_proc_of_kernel())
		return NULL;
	return out ? strcpy(out, path) : strdup(path);
}

EXPORT char *realpath(const char *path, char *out)
{
	char *s = real.realpath(path, out);

	return s ? s : path_itself(path, out);
}

EXPORT char *__realpath_chk(const char *path, char *out, size_t room)
{
	char *s = real.__realpath_chk(path, out, room);

	return s ? s : path_itself(path, out);
}

/* --- writing --- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\0';
}

ssize_t text_write(int fd, struct file *f, const void *buf, size_t len)
{
	char value[SYSCTL_MAX_TEXT];
	const char *s = buf;
	size_t n = len;
	struct stack *st;
	int r;

	if (inode(fd) != f->cookie) { /* libc has closed it */
		fd_dropped(fd);
		return sys(write, fd, buf, len);
	}
	while (n && is_space(s[n - 1]))
		n--;
	for (; n && is_space(*s); n--)
		s++;
	if (n >= sizeof(value))
		return -EINVAL;
	memcpy(value, s, n);
	value[n] = '\0';
	st = host_lock(OP_NAME, 0);
	r = n ? stack_sysctl_set(st, open_names.name[f->proto], value) : 0;
	host_unlock();
	/* tcp_set_default_congestion_control() of Linux */
	if (r == -EINVAL && strstr(open_names.name[f->proto], "congestion"))
		r = -ENOENT;
	return r < 0 ? r : (ssize_t)len;
}
