/* SPDX-License-Identifier: MIT
 *
 * procfs.c - which files of /proc are the stack's, and what is in them
 *
 * A file is made whole when it is opened, as most of Linux's are when they are
 * read.
 */
#include "procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "edge/procnet.h"
#include "fdtab.h"
#include "host.h"
#include "sys.h"

static int write_all(void *arg, const char *text, size_t len)
{
	const int *fd = arg;
	size_t done = 0;

	while (done < len) {
		long r = sys(write, *fd, text + done, len - done);

		if (r < 0 && r != -EINTR)
			return (int)r;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

static struct stack *lock(void)
{
	return host_lock(OP_NAME, 0);
}

/* What /proc/PID/fd shows, for a socket of this process. */
static unsigned long inode_of(const struct sock_row *r)
{
	struct stat st;
	struct file *f;
	int fd;

	if (!r->s)
		return 0;
	host_lock(OP_NAME, r->s);
	f = file_of_sock(r->s);
	host_unlock();
	fd = f ? file_some_fd(f) : -1;
	return fd >= 0 && sys(fstat, fd, &st) == 0 ? st.st_ino : 0;
}

static int write_sysctl(int fd, const char *name)
{
	char value[SYSCTL_MAX_TEXT + 1];
	int n = stack_sysctl_text(lock(), name, value, SYSCTL_MAX_TEXT);

	host_unlock();
	if (n < 0)
		return n;
	value[n] = '\n';
	return write_all(&fd, value, (size_t)n + 1);
}

int procfs_write(int fd, enum procfs_kind kind, const char *name)
{
	const struct procnet h = {
		.lock = lock,
		.unlock = host_unlock,
		.now = sys_now,
		.inode = inode_of,
		.write = write_all,
		.arg = &fd,
		.uid = (unsigned)sys(geteuid),
	};

	return kind == PROCFS_SYSCTL ? write_sysctl(fd, name)
				     : procnet_print(&h, name);
}

/* --- names --- */

/* Behind "/proc/": "net/", "self/net/", "thread-self/net/" or our own number's;
 * what follows, or NULL. */
static const char *in_net(const char *s)
{
	static const char *const dirs[] = {"net/", "self/net/",
					   "thread-self/net/"};
	char own[32];
	size_t n;

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
		n = strlen(dirs[i]);
		if (strncmp(s, dirs[i], n) == 0)
			return s + n;
	}
	if (*s < '1' || *s > '9')
		return NULL;
	n = log_snprintf(own, sizeof(own), "%d/net/", (int)sys(getpid));
	return strncmp(s, own, n) == 0 ? s + n : NULL;
}

enum procfs_kind procfs_find(const char *path, char name[PROCFS_MAX_NAME])
{
	static const char proc[] = "/proc/", sysctls[] = "sys/net/";
	char value[SYSCTL_MAX_TEXT];
	const char *s = path + sizeof(proc) - 1;
	size_t n;

	if (strncmp(path, proc, sizeof(proc) - 1) != 0)
		return PROCFS_NOT_OURS;
	if (strncmp(s, sysctls, sizeof(sysctls) - 1) == 0) {
		s += sizeof("sys/") - 1;
		n = strlen(s);
		if (n >= PROCFS_MAX_NAME)
			return PROCFS_NOT_OURS;
		for (size_t i = 0; i <= n; i++)
			name[i] = s[i] == '/' ? '.' : s[i];
		return sysctl_text(&sysctl_defaults, name, value,
				   sizeof(value)) >= 0
			       ? PROCFS_SYSCTL
			       : PROCFS_NOT_OURS;
	}
	s = in_net(s);
	if (!s || !procnet_has(s))
		return PROCFS_NOT_OURS;
	log_snprintf(name, PROCFS_MAX_NAME, "%s", s);
	return PROCFS_TABLE;
}
