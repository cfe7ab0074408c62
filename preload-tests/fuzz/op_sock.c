/* SPDX-License-Identifier: MIT
 *
 * op_sock.c - operations on sockets as such, and on fds
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* A new fd goes into a slot; its number is not worth a line. */
static void out_fd(struct ctx *c, int fd, unsigned slot)
{
	if (fd >= 0)
		out(c, " = s%u", slot);
	else
		out_ret(c, fd);
	put_slot(slot, fd);
}

void op_socket(struct ctx *c)
{
	int fd = socket((int)arg(c, 2), (int)arg(c, 3), (int)arg(c, 4));

	out_fd(c, fd, arg_slot(c, 1));
}

void op_bind(struct ctx *c)
{
	struct addr a;

	arg_addr(c, 2, &a);
	out_ret(c, bind(arg_fd(c, 1), a.sa, a.len));
}

void op_listen(struct ctx *c)
{
	out_ret(c, listen(arg_fd(c, 1), (int)arg(c, 2)));
}

void op_connect(struct ctx *c)
{
	struct addr a;

	arg_addr(c, 2, &a);
	out_ret(c, connect(arg_fd(c, 1), a.sa, a.len));
}

void op_accept(struct ctx *c)
{
	struct sockaddr_storage ss = {0};
	bool wanted = has_arg(c, 4);
	socklen_t room = (socklen_t)(wanted ? arg(c, 4) : 0), len = room;
	int fd = accept4(arg_fd(c, 1), wanted ? (struct sockaddr *)&ss : NULL,
			 wanted ? &len : NULL, (int)arg(c, 3));

	out_fd(c, fd, arg_slot(c, 2));
	if (fd >= 0 && wanted)
		out_addr(c, &ss, len, room);
}

void op_shutdown(struct ctx *c)
{
	out_ret(c, shutdown(arg_fd(c, 1), (int)arg(c, 2)));
}

static void name(struct ctx *c, int (*fn)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss = {0};
	socklen_t room = (socklen_t)arg(c, 2), len = room;

	if (out_ret(c, fn(arg_fd(c, 1), (struct sockaddr *)&ss, &len)) == 0)
		out_addr(c, &ss, len, room);
}

void op_getsockname(struct ctx *c)
{
	name(c, getsockname);
}

void op_getpeername(struct ctx *c)
{
	name(c, getpeername);
}

void op_close(struct ctx *c)
{
	unsigned slot = arg_slot(c, 1);
	int fd = slots[slot];

	slots[slot] = -1;
	out_ret(c, close(fd));
}

void op_dup(struct ctx *c)
{
	out_fd(c, dup(arg_fd(c, 1)), arg_slot(c, 2));
}

static void same_number(struct ctx *c, int r)
{
	if (r >= 0)
		out(c, " = s%d", slot_of(r));
	else
		out_ret(c, r);
}

void op_dup2(struct ctx *c)
{
	same_number(c, dup2(arg_fd(c, 1), arg_fd(c, 2)));
}

void op_dup3(struct ctx *c)
{
	same_number(c, dup3(arg_fd(c, 1), arg_fd(c, 2), (int)arg(c, 3)));
}

void op_fcntl(struct ctx *c)
{
	int cmd = (int)arg(c, 2), fd = arg_fd(c, 1), r;
	char names[128];

	r = fcntl(fd, cmd, arg(c, 3));
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
		out(c, " %s", r >= arg(c, 3) ? "above" : "below");
		if (r >= 0)
			close(r);
		else
			out_ret(c, r);
		return;
	}
	out_ret(c, r);
	if (cmd == F_GETFL && r >= 0) {
		word_print(W_OFLAG, (unsigned long)r, names, sizeof(names));
		out(c, " %s", names);
	}
}

/* 64 bytes of 0xee as the argument; what comes back is printed. */
void op_ioctl(struct ctx *c)
{
	union {
		int num;
		uint8_t room[64];
	} a;
	unsigned long req = (unsigned long)arg(c, 2);

	memset(&a, 0xee, sizeof(a));
	a.num = (int)arg(c, 3);
	if (out_ret(c, ioctl(arg_fd(c, 1), req, &a)) >= 0)
		out(c, " %d", a.num);
}

void op_file(struct ctx *c)
{
	char buf[3000];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fill(c, buf, sizeof(buf));
	if (fd >= 0 &&
	    (write(fd, buf, sizeof(buf)) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		out(c, " (no file)");
	out_fd(c, fd, arg_slot(c, 1));
}

void op_pipe(struct ctx *c)
{
	int p[2];

	if (out_ret(c, pipe2(p, O_NONBLOCK)) < 0)
		return;
	put_slot(arg_slot(c, 1), p[0]);
	put_slot(arg_slot(c, 2), p[1]);
}

void op_fstat(struct ctx *c)
{
	struct stat st;

	if (out_ret(c, fstat(arg_fd(c, 1), &st)) == 0)
		out(c, " mode %o size %ld links %lu", st.st_mode,
		    (long)st.st_size, (unsigned long)st.st_nlink);
}

void op_lseek(struct ctx *c)
{
	out_ret(c, lseek(arg_fd(c, 1), 0, SEEK_CUR));
}

void op_fsync(struct ctx *c)
{
	out_ret(c, fsync(arg_fd(c, 1)));
}

void op_isatty(struct ctx *c)
{
	int r = isatty(arg_fd(c, 1));

	out(c, " = %d %s", r, strerrorname_np(errno));
}

void op_ftruncate(struct ctx *c)
{
	out_ret(c, ftruncate(arg_fd(c, 1), 10));
}

void op_pread(struct ctx *c)
{
	char buf[256];
	ssize_t r =
		pread(arg_fd(c, 1), buf, (size_t)arg(c, 2) % sizeof(buf), 0);

	out_ret(c, r);
	out_data(c, buf, r);
}

void op_pwrite(struct ctx *c)
{
	char buf[256];

	fill(c, buf, sizeof(buf));
	out_ret(c,
		pwrite(arg_fd(c, 1), buf, (size_t)arg(c, 2) % sizeof(buf), 0));
}
