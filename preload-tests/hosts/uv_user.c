/* SPDX-License-Identifier: MIT
 *
 * uv_user.c - a program on the libuv that is installed: the same library that
 * the preloaded one opens for itself
 *
 * Connects, sends a line, prints what comes until the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static uv_tcp_t tcp;
static uv_connect_t connecting;
static uv_write_t writing;
static char room[65536];

static void give_room(uv_handle_t *h, size_t want, uv_buf_t *buf)
{
	*buf = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	if (n > 0)
		fwrite(buf->base, 1, (size_t)n, stdout);
	else if (n == UV_EOF)
		uv_close((uv_handle_t *)s, NULL);
	else if (n < 0)
		exit(1);
}

static void on_connect(uv_connect_t *c, int status)
{
	static char text[] = "from libuv\n";
	uv_buf_t line = uv_buf_init(text, sizeof(text) - 1);

	if (status < 0) {
		fprintf(stderr, "%s\n", uv_strerror(status));
		exit(1);
	}
	uv_read_start(c->handle, give_room, on_read);
	uv_write(&writing, c->handle, &line, 1, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to;

	if (argc != 3 || uv_ip4_addr(argv[1], atoi(argv[2]), &to) < 0)
		return 2;
	uv_tcp_init(uv_default_loop(), &tcp);
	uv_tcp_connect(&connecting, &tcp, (struct sockaddr *)&to, on_connect);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
