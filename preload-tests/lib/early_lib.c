/* SPDX-License-Identifier: MIT
 *
 * early_lib.c - a library whose constructor runs before the preloaded one's
 *
 * What it did and got is printed later, by early_report().
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "early_lib.h"

static struct {
	const char *what;
	long ret;
	int err;
} log_v[64];
static unsigned log_num;
static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

static long note(const char *what, long ret)
{
	log_v[log_num].what = what;
	log_v[log_num].err = ret < 0 ? errno : 0;
	log_v[log_num++].ret = ret;
	return ret;
}

#define NOTE(expr) note(#expr, (long)(expr))

/* What no system call does. */
static void libc_work(void)
{
	struct iovec v = {&(char){0}, 1};
	struct ifaddrs *list;
	struct if_nameindex *names;
	char name[IFNAMSIZ];
	int pipes[2];
	FILE *fp;

	NOTE(pipe(pipes));
	fp = fdopen(pipes[0], "r");
	note("fdopen", fp != NULL && fileno(fp) == pipes[0]);
	NOTE(dprintf(pipes[1], "%s", "xyz"));
	NOTE(fgetc(fp));
	fp = freopen("/dev/null", "r", fp);
	NOTE(fgetc(fp));
	NOTE(fclose(fp));
	NOTE(isatty(pipes[1]));
	NOTE(sockatmark(pipes[1]));
	NOTE(pread(pipes[1], name, 1, 0));
	NOTE(pwritev2(pipes[1], &v, 1, 0, 0));
	NOTE(syscall(SYS_close, pipes[1]));
	NOTE(syscall(SYS_close, pipes[1]));
	NOTE(if_nametoindex("lo"));
	note("if_indextoname", if_indextoname(1, name) != NULL);
	names = if_nameindex();
	note("if_nameindex", names && names[0].if_index == 1);
	if_freenameindex(names);
	NOTE(getifaddrs(&list));
	freeifaddrs(list);
}

__attribute__((constructor)) static void early(void)
{
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct pollfd p = {.events = POLLIN};
	struct timeval tv = {0, 0};
	struct epoll_event e = {.events = EPOLLIN};
	int pipes[2], ep;
	char c;

	NOTE(sigaction(SIGUSR1, &sa, NULL));
	NOTE(sigaction(SIGUSR1, NULL, &old));
	note("the handler reads back", old.sa_handler == on_signal);
	raise(SIGUSR1);
	note("handler ran", hits);
	note("signal", signal(SIGUSR2, on_signal) == SIG_DFL);
	raise(SIGUSR2);
	note("handler ran", hits);
	NOTE(pipe(pipes));
	NOTE(write(pipes[1], "x", 1));
	p.fd = pipes[0];
	NOTE(poll(&p, 1, -1));
	NOTE(select(0, NULL, NULL, NULL, &tv));
	ep = (int)NOTE(epoll_create1(0));
	NOTE(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &e));
	NOTE(epoll_wait(ep, &e, 1, -1));
	NOTE(read(pipes[0], &c, 1));
	NOTE(fcntl(ep, F_SETFD, FD_CLOEXEC));
	NOTE(dup(ep));
	NOTE(close(ep + 1));
	NOTE(close(ep));
	NOTE(close(pipes[0]));
	NOTE(close(pipes[1]));
	NOTE(close(pipes[1]));
	NOTE(send(pipes[1], "x", 1, 0));
	NOTE(accept4(pipes[1], NULL, NULL, SOCK_CLOEXEC));
	libc_work();
}

void early_report(void)
{
	for (unsigned i = 0; i < log_num; i++)
		printf("%s = %ld %s\n", log_v[i].what, log_v[i].ret,
		       log_v[i].err ? strerrorname_np(log_v[i].err) : "");
}
