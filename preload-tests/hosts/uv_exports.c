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

#define NAMES(X)                                                                   \
	X(uv_loop_init)                                                            \
	X(uv_loop_close)                                                           \
	X(uv_loop_configure)                                                       \
	X(uv_run)                                                                  \
	X(uv_stop) X(uv_now) X(uv_update_time) X(uv_hrtime) X(uv_async_init) X(    \
		uv_async_send) X(uv_poll_init) X(uv_poll_start) X(uv_poll_stop)    \
		X(uv_timer_init) X(uv_timer_start) X(uv_timer_stop) X(             \
			uv_timer_again) X(uv_close) X(uv_ref) X(uv_unref)          \
			X(uv_is_active) X(uv_is_closing) X(uv_backend_fd) X(       \
				uv_backend_timeout) X(uv_default_loop)             \
				X(uv_walk) X(uv_mutex_init) X(uv_mutex_lock) X(    \
					uv_mutex_unlock) X(uv_mutex_destroy)       \
					X(uv_rwlock_init) X(uv_rwlock_wrlock) X(   \
						uv_rwlock_wrunlock) X(uv_once)     \
						X(uv_cond_init) X(uv_cond_wait) X( \
							uv_sem_init)               \
							X(uv_thread_create) X(     \
								uv_fs_poll_stop)   \
								X(uv_version)

#define X(name)                                        \
	void name(void);                               \
	void name(void)                                \
	{                                              \
		fputs(#name " of the host\n", stderr); \
		abort();                               \
	}
NAMES(X)
#undef X

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
