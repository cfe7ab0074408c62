/* SPDX-License-Identifier: MIT
 *
 * kv_client ADDRESS PORT - commands for kv_store, one a line
 *
 *	set KEY VALUE, get KEY, del KEY, quit
 *	fire	sends 5,000 requests and leaves without reading an answer
 */
#include <errno.h>
#include <unistd.h>

#include "course.h"
#include "kv_protocol.h"

#define NUM_FIRE 5000

/* A request in @buf, its length; 0 when it does not fit the protocol. */
static size_t build(uint8_t *buf, enum kv_op op, const char *key,
		    const char *value)
{
	size_t key_len = strlen(key), value_len = strlen(value);

	if (key_len > KV_MAX_KEY || value_len > KV_MAX_VALUE)
		return 0;
	buf[0] = (uint8_t)op;
	buf[1] = (uint8_t)key_len;
	kv_put16(buf + 2, value_len);
	memcpy(buf + KV_REQUEST_LEN, key, key_len);
	memcpy(buf + KV_REQUEST_LEN + key_len, value, value_len);
	return KV_REQUEST_LEN + key_len + value_len;
}

static void send_all(int fd, const uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, 0);

		if (n < 0)
			fail("send");
		buf += n;
		len -= (size_t)n;
	}
}

static void ask(int fd, enum kv_op op, const char *key, const char *value)
{
	uint8_t buf[KV_REQUEST_LEN + KV_MAX_KEY + KV_MAX_VALUE];
	uint8_t head[KV_REPLY_LEN];
	char answer[KV_MAX_VALUE + 1];
	size_t len = build(buf, op, key, value);

	if (!len) {
		printf("too long\n");
		return;
	}
	send_all(fd, buf, len);
	printf("sent %zu bytes\n", len);
	errno = 0;
	if (!kv_recv(fd, head, sizeof(head)))
		fail(errno ? "recv" : "the server has closed");
	len = kv_get16(head + 1);
	if (len > KV_MAX_VALUE || (len && !kv_recv(fd, answer, len)))
		fail("recv");
	answer[len] = '\0';
	printf("%s%s%s\n",
	       head[0] == KV_OK	    ? "ok"
	       : head[0] == KV_FULL ? "full"
				    : "no such key",
	       len ? ": " : "", answer);
}

static void fire(int fd)
{
	static uint8_t buf[NUM_FIRE * (KV_REQUEST_LEN + KV_MAX_KEY)];
	size_t len = 0;

	for (int i = 0; i < NUM_FIRE; i++)
		len += build(buf + len, KV_GET, "nobody", "");
	send_all(fd, buf, len);
	printf("fired %d requests\n", NUM_FIRE);
	close(fd);
	exit(EXIT_SUCCESS);
}

static void obey(int fd, char *line)
{
	char word[8] = "", key[64] = "", value[512] = "";

	sscanf(line, "%7s %63s %511[^\n]", word, key, value);
	if (strcmp(word, "fire") == 0)
		fire(fd);
	else if (strcmp(word, "set") == 0 && *key)
		ask(fd, KV_SET, key, value);
	else if (strcmp(word, "get") == 0 && *key)
		ask(fd, KV_GET, key, "");
	else if (strcmp(word, "del") == 0 && *key)
		ask(fd, KV_DEL, key, "");
	else
		printf("set KEY VALUE, get KEY, del KEY, fire, quit\n");
}

int main(int argc, char **argv)
{
	struct sockaddr_in server;
	char line[1024];
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: kv_client ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	server = make_address(argv[1], argv[2]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect");
	printf("connected to %s\n", show_address(&server));
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4))
		obey(fd, line);
	close(fd);
	return EXIT_SUCCESS;
}
