/* SPDX-License-Identifier: MIT
 *
 * lagging.c - a reader that lags behind: what the default receive buffer holds,
 * in pieces of several sizes, before anything is read
 */
#include "t.h"

#define TOTAL 65160 /* 15 times 4344 */

static void queue_up(const struct t_fam *f, int len)
{
	static unsigned char buf[TOTAL];
	int fd = t_connected(f, 0), have = 0, wrong = 0;
	ssize_t n;

	say("IPv%d, pieces of %d", f->n, len);
	for (int sent = 0; sent < TOTAL; sent += len) {
		peer_quiet("send 0 %d", len);
		t_wait_bytes(fd, sent + len);
	}
	MUST(ioctl(fd, FIONREAD, &have));
	say("FIONREAD %d", have);
	for (have = 0; have < TOTAL; have += (int)n)
		n = MUST(recv(fd, buf + have, 5000, MSG_DONTWAIT));
	for (int i = 0; i < TOTAL; i++)
		wrong += buf[i] != i % 251;
	say("read %d, %d of them wrong", have, wrong);
	peer("close 0");
	close(fd);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		queue_up(&t_fams[i], 4344);
		queue_up(&t_fams[i], 13032);
		queue_up(&t_fams[i], 32580);
	}
	return 0;
}
