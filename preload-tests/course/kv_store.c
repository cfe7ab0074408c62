/* SPDX-License-Identifier: MIT
 *
 * kv_store [-i] [PORT] - keeps keys and values, for one client at a time
 *
 * An iterative server: while it serves a client, the others are connected by
 * the system and wait in the queue of the listening socket. With -i it ignores
 * SIGPIPE and outlives a client that does not wait for its answers.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "course.h"
#include "kv_protocol.h"

#define MAX_PAIRS 64

static struct pair {
	char key[KV_MAX_KEY + 1]; /* empty: free */
	char value[KV_MAX_VALUE + 1];
} pairs[MAX_PAIRS];

struct request {
	uint8_t op;
	size_t value_len;
	char key[KV_MAX_KEY + 1], value[KV_MAX_VALUE + 1];
};

/* The pair of that key; "" finds a free one. */
static struct pair *find(const char *key)
{
	for (int i = 0; i < MAX_PAIRS; i++)
		if (strcmp(pairs[i].key, key) == 0)
			return &pairs[i];
	return NULL;
}

static bool receive(int fd, struct request *r)
{
	uint8_t head[KV_REQUEST_LEN];
	size_t key_len;

	if (!kv_recv(fd, head, sizeof(head)))
		return false;
	r->op = head[0];
	key_len = head[1];
	r->value_len = kv_get16(head + 2);
	/* a length from the network is checked before it is believed */
	if (!key_len || key_len > KV_MAX_KEY || r->value_len > KV_MAX_VALUE) {
		printf("nonsense\n");
		return false;
	}
	r->key[key_len] = r->value[r->value_len] = '\0';
	return kv_recv(fd, r->key, key_len) &&
	       (!r->value_len || kv_recv(fd, r->value, r->value_len));
}

static bool reply(int fd, enum kv_status status, const char *value)
{
	uint8_t buf[KV_REPLY_LEN + KV_MAX_VALUE];
	size_t len = strlen(value);

	buf[0] = (uint8_t)status;
	kv_put16(buf + 1, len);
	memcpy(buf + KV_REPLY_LEN, value, len);
	/* in one piece: two small sends would be two packets */
	if (send(fd, buf, KV_REPLY_LEN + len, 0) >= 0)
		return true;
	printf("send: %s\n", strerror(errno));
	/* a reset is told once; what the next send gets is worth seeing */
	return errno == ECONNRESET;
}

static bool obey(int fd, const struct request *r)
{
	struct pair *p = find(r->key);

	switch (r->op) {
	case KV_GET:
		printf("get %s\n", r->key);
		return reply(fd, p ? KV_OK : KV_NO_SUCH_KEY, p ? p->value : "");
	case KV_SET:
		printf("set %s\n", r->key);
		p = p ? p : find("");
		if (!p)
			return reply(fd, KV_FULL, "");
		strcpy(p->key, r->key);
		strcpy(p->value, r->value);
		return reply(fd, KV_OK, "");
	case KV_DEL:
		printf("del %s\n", r->key);
		if (p)
			p->key[0] = '\0';
		return reply(fd, p ? KV_OK : KV_NO_SUCH_KEY, "");
	default:
		printf("nonsense\n");
		return false;
	}
}

static void serve(int fd)
{
	struct request r;

	while (receive(fd, &r) && obey(fd, &r))
		continue;
}

int main(int argc, char **argv)
{
	bool patient = argc > 1 && strcmp(argv[1], "-i") == 0;
	struct sockaddr_in address = make_address(
		"0.0.0.0", argc > 1 + patient ? argv[1 + patient] : KV_PORT);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (patient)
		signal(SIGPIPE, SIG_IGN);
	if (fd < 0)
		fail("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		fail("setsockopt");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	if (listen(fd, 8) < 0)
		fail("listen");
	printf("serving on %s\n", show_address(&address));

	for (;;) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int client = accept(fd, (struct sockaddr *)&peer, &len);

		if (client < 0)
			fail("accept");
		printf("client %s\n", show_address(&peer));
		serve(client);
		close(client);
		printf("client left\n");
	}
}
