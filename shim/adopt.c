/* SPDX-License-Identifier: MIT
 *
 * adopt.c - numbers of sockets that another process, or another program, made
 *
 * A near end that came over a socket (SCM_RIGHTS) or by pidfd_getfd() is looked
 * up at once: its cookie is the socket's tag. One that came across exec is an
 * heir: its number is noted, and what is behind it is asked when it is first
 * used for more than a close. Only then does the process join the host, so a
 * program that inherits sockets and does not use them (a shell that a server
 * starts) costs no more than one without.
 *
 * While it waits, the heir's near end is what holds the socket: whoever made
 * it knows that there may be copies, since it has started a program, and leaves
 * it to the keeper, which closes the socket when the last near end is closed
 * (near.c).
 */
#include <pthread.h>
#include <sys/un.h>

#include "call_priv.h"
#include "fdtab_priv.h"
#include "forks.h"
#include "host_priv.h"
#include "join.h"
#include "real.h"
#include "sys.h"

#define RELAY_LOOK 255u /* numbers, at least */
#define SCAN_MOST 512u	/* numbers that are tried one by one */

static bool has_heirs; /* ever */

EVERY_RUN bool fd_is_handed_down(int fd)
{
	struct sockaddr_un far = {.sun_family = AF_UNSPEC};
	socklen_t len = sizeof(far);

	return sys(getpeername, fd, &far, &len) == 0 &&
	       keeper_far_number(&far, MIN(len, sizeof(far)));
}

/* In a vfork child the table is its parent's: the kernel is asked. */
void fdtab_relay(void)
{
	unsigned most = MAX(fd_highest(), RELAY_LOOK);

	heirs_join();
	if (!host_is_up() || !host.has_keeper)
		return;
	for (unsigned fd = 0; fd <= most; fd++) {
		struct keeper_req req = {.type = KEEPER_RELAY};
		struct sockaddr_un far = {.sun_family = AF_UNSPEC};
		socklen_t len = sizeof(far);

		if ((sys(fcntl, fd, F_GETFD) & FD_CLOEXEC) ||
		    sys(getpeername, fd, &far, &len) < 0)
			continue;
		req.arg = keeper_far_number(&far, MIN(len, sizeof(far)));
		req.cookie = req.arg ? near_cookie((int)fd) : 0;
		if (req.cookie)
			join_tell_anew(&req);
	}
}

/* --- what is behind it --- */

/* @fd is a near end that another process of the host made, or that this one
 * made before it became this program: @f becomes its socket. */
static int take_foreign(int fd, struct file *f, uint64_t cookie)
{
	struct near n = {.fd = fd, .cookie = cookie, .listener = NO_LISTENER};
	struct sock_facts facts;
	sockid s;
	int r = -ENOENT;

	host_lock(OP_NEW, 0);
	s = sock_by_tag(host.st, cookie);
	if (s)
		r = sock_facts(host.st, s, &facts);
	/* pidfd_getfd() has told its maker nothing */
	sock_set_shared(host.st, s);
	host_unlock();
	if (r < 0)
		return r;
	n.is_nonblock = sys(fcntl, fd, F_GETFL) & O_NONBLOCK;
	return file_become(f, &n, s, &facts,
			   FILE_SHARED |
				   (facts.listening ? FILE_LISTENING : 0));
}

static int adopt_foreign(int fd, uint64_t cookie)
{
	struct file *f = file_new(FILE_FREE);
	int r;

	if (!f)
		return -ENOMEM;
	r = take_foreign(fd, f, cookie);
	if (r == 0)
		r = fd_install(fd, f);
	if (r < 0) {
		host_lock(OP_CLOSE, 0);
		file_free(f);
		host_unlock();
		return r;
	}
	stdio_take(fd);
	return 0;
}

/* A socket that we have already under another number; or NULL. */
static struct file *find_known(uint64_t cookie)
{
	unsigned most = fd_highest();

	for (unsigned i = 0; cookie && i <= most; i++) {
		struct file *f = fd_file((int)i);

		if (f && f->kind == FILE_SOCK && f->cookie == cookie)
			return f;
	}
	return NULL;
}

int fd_adopt(int fd)
{
	struct file *f;
	uint64_t c;
	int r;

	if (!host_is_up() && (!fd_is_handed_down(fd) || host_up() < 0))
		return 0;
	if (fd_is_internal(fd))
		return 0;
	c = near_cookie(fd);
	f = fd_any(fd);
	if (f && f->kind == FILE_SOCK && f->cookie == c)
		return 0;
	fd_dropped(fd);
	f = find_known(c);
	if (f) {
		r = fd_share(fd, f);
		if (r == 0)
			stdio_take(fd);
		return r;
	}
	if (c && host.has_keeper && fd_is_handed_down(fd))
		adopt_foreign(fd, c);
	return 0;
}

/* --- heirs --- */

/* And not a vfork child. */
static bool is_us(void)
{
	return host.pid == (int)sys(getpid) || host_notices_fork();
}

/* What @fd names is asked for. fork_page->adopt_lock is held. */
static void heir_look(int fd, struct file *f)
{
	uint64_t c = near_cookie(fd);
	struct file *known = find_known(c);

	if (c == f->cookie && known)
		fd_share(fd, known);
	else if (c != f->cookie || take_foreign(fd, f, c) < 0)
		fd_dropped(fd);
}

struct file *fd_adopt_heir(int fd)
{
	struct file *f = NULL;
	int saved = errno;

	/* a vfork child, whose table is its parent's, has the kernel's socket
	 * only */
	if (!is_us())
		return NULL;
	if (host_up() == 0 && host.has_keeper) {
		signal_hold();
		pthread_mutex_lock(&fork_page->adopt_lock);
		f = fd_file(fd);
		if (f && f->kind == FILE_HEIR)
			heir_look(fd, f);
		pthread_mutex_unlock(&fork_page->adopt_lock);
		signal_release();
		f = fd_file(fd);
	}
	errno = saved;
	return f && f->kind != FILE_HEIR ? f : NULL;
}

void heirs_join(void)
{
	if (has_heirs && !host_is_up() && is_us())
		host_up();
}

void heirs_adopt(void)
{
	unsigned most = fd_highest();

	for (unsigned fd = 0; has_heirs && fd <= most; fd++)
		fd_any((int)fd);
}

EVERY_RUN static void heir_note(int fd)
{
	struct file *f;

	if (!fd_is_handed_down(fd))
		return;
	if (!has_heirs && (forks_page() < 0 || fdtab_tables() < 0))
		return;
	f = file_new_early(FILE_HEIR);
	if (!f)
		return;
	host.pid = (int)sys(getpid);
	has_heirs = true;
	f->cookie = near_cookie(fd);
	fd_install(fd, f);
	fdtab_hands_down();
	stdio_take(fd);
}

struct dirent64_head { /* linux_dirent64, getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Without opendir(), which would make the heap of a program that has none. */
static bool scan_proc(void)
{
	char buf[2048] __attribute__((aligned(8)));
	int dir = (int)sys(openat, AT_FDCWD, "/proc/self/fd",
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long n = dir;

	while (dir >= 0 && (n = sys(getdents64, dir, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			struct dirent64_head *d = (struct dirent64_head *)p;
			int fd = 0;

			for (char *c = d->name; *c >= '0' && *c <= '9'; c++)
				fd = fd * 10 + (*c - '0');
			if (d->name[0] != '.' && fd != dir)
				heir_note(fd);
			p += d->len;
		}
	if (dir >= 0)
		sys(close, dir);
	return n >= 0;
}

EVERY_RUN void heirs_init(unsigned num_fds)
{
	if (num_fds > SCAN_MOST && scan_proc())
		return;
	for (int fd = 0; fd < (int)MAX(num_fds, 3u); fd++)
		if (!fd_file(fd))
			heir_note(fd);
}
