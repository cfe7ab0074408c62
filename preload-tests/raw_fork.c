/* SPDX-License-Identifier: MIT
 *
 * raw_fork.c - a child made by a system call that libc knows nothing of, which
 * takes over a connection as a server's would; and a limited address space
 */
#include "lib/pair.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void child(int fd)
{
	char buf[16];
	ssize_t n;

	dup2(fd, 0);
	close(fd);
	n = read(0, buf, sizeof(buf));
	if (n > 0)
		n = write(0, buf, (size_t)n);
	_exit(n == 5 ? 7 : 8);
}

static void over(const struct t_fam *f)
{
	int sv[2], status;
	char buf[16];
	pid_t pid;

	t_pair(f, sv);
	pid = (pid_t)MUST(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
	if (pid == 0) {
		close(sv[1]);
		child(sv[0]);
	}
	CALL(close(sv[0]));
	CALL(send(sv[1], "hello", 5, 0));
	CALL(recv(sv[1], buf, sizeof(buf), MSG_WAITALL));
	say("%.5s", buf);
	CALL(waitpid(pid, &status, 0) == pid);
	say("status %#x", status);
	close(sv[1]);
}

static bool can_map(size_t len)
{
	void *p =
		mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, len);
	return true;
}

static void limited(void)
{
	struct rlimit r = {200 << 20, 200 << 20};

	CALL(setrlimit(RLIMIT_AS, &r));
	say("100 MB: %d, 300 MB: %d", can_map(100 << 20), can_map(300 << 20));
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("IPv%d", t_fams[i].n);
		over(&t_fams[i]);
	}
	limited();
	return 0;
}
