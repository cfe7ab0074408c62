/* SPDX-License-Identifier: MIT
 *
 * early_lib.c - a library whose constructor runs before the preloaded one's
 *
 * What it did and got is printed later, by early_report().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "early_lib.h"

static struct {
	const char *what;
	long ret;
	int err;
} log_v[32];
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
}

void early_report(void)
{
	for (unsigned i = 0; i < log_num; i++)
		printf("%s = %ld %s\n", log_v[i].what, log_v[i].ret,
		       log_v[i].err ? strerrorname_np(log_v[i].err) : "");
}
