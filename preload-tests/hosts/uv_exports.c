/* SPDX-License-Identifier: MIT
 *
 * uv_exports.c - a program that exports uv_* names of its own, as node does
 *
 * They are not libuv's, and whoever calls them has mistaken this program for
 * it: that is said, and is the end. Otherwise one connection is made, and what
 * comes is printed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST(name)                                     \
	void name(void);                               \
	void name(void)                                \
	{                                              \
		fputs(#name " of the host\n", stderr); \
		abort();                               \
	}
HOST(uv_loop_init)
HOST(uv_loop_close)
HOST(uv_loop_configure)
HOST(uv_run)
HOST(uv_stop)
HOST(uv_now)
HOST(uv_update_time)
HOST(uv_hrtime)
HOST(uv_async_init)
HOST(uv_async_send)
HOST(uv_poll_init)
HOST(uv_poll_stop)
HOST(uv_timer_init)
HOST(uv_timer_start)
HOST(uv_timer_stop)
HOST(uv_timer_again)
HOST(uv_close)
HOST(uv_ref)
HOST(uv_is_active)
HOST(uv_is_closing)
HOST(uv_backend_fd)
HOST(uv_backend_timeout)
HOST(uv_default_loop)
HOST(uv_walk)
HOST(uv_mutex_lock)
HOST(uv_mutex_unlock)
HOST(uv_mutex_destroy)
HOST(uv_rwlock_wrlock)
HOST(uv_rwlock_wrunlock)
HOST(uv_once)
HOST(uv_cond_wait)
HOST(uv_sem_init)
HOST(uv_fs_poll_stop)
HOST(uv_version)

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char buf[256];
	ssize_t n;
	int fd;

	if (argc != 3)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("connect");
		return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	close(fd);
	return n < 0;
}
