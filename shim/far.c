/* SPDX-License-Identifier: MIT
 *
 * far.c - far ends that the keeper has accepted
 *
 * Each tells when the last descriptor of its near end, in whatever process, is
 * closed: then the socket is.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "host_priv.h"
#include "keeper_priv.h"
#include "relay.h"
#include "sys.h"

static int32_t *bucket(uint64_t cookie)
{
	return &me->buckets[cookie * 0x9e3779b97f4a7c15 >> 32 &
			    (NUM_BUCKETS - 1)];
}

void far_note(int fd)
{
	struct item *it = &me->items[fd];

	it->hash = *bucket(it->cookie);
	*bucket(it->cookie) = fd;
}

int far_find(uint64_t cookie)
{
	for (int fd = *bucket(cookie); fd; fd = me->items[fd].hash)
		if (me->items[fd].cookie == cookie)
			return fd;
	return 0;
}

static void drop_far(int fd)
{
	struct item *it = &me->items[fd];

	for (int32_t *p = bucket(it->cookie); it->cookie && *p;
	     p = &me->items[*p].hash)
		if (*p == fd) {
			*p = it->hash;
			break;
		}
	if (it->relay)
		relay_free(it->relay);
	me->num_far--;
	keeper_forget(fd);
}

/* Has the near end's last copy been closed? */
static bool has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};
	struct timespec zero = {0};

	return sys_ppoll(&p, 1, &zero, NULL) > 0 && (p.revents & POLLHUP);
}

void far_close_socket(uint64_t cookie)
{
	sockid s;

	sentinel_drain(); /* data that nobody has read makes the FIN an RST */
	host_lock(OP_CLOSE, 0);
	s = sock_by_tag(host.st, cookie);
	host.sh->op_sock = s;
	if (s)
		sock_close(host.st, s, host_now());
	host_unlock();
}

static void watch_far(int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (sys(epoll_ctl, me->epoll, EPOLL_CTL_ADD, fd, &ev) == -EEXIST)
		sys(epoll_ctl, me->epoll, EPOLL_CTL_MOD, fd, &ev);
}

/* Has the program written something that is not sent yet? */
static bool has_left(int fd)
{
	char byte;

	return sys(recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL,
		   NULL) == 1;
}

static void pump(int fd)
{
	uint32_t events = relay_pump(me->items[fd].relay);

	/* a far end that hung up would wake us for ever; news of the socket
	 * does */
	if (has_hung_up(fd) && !(events & EPOLLIN))
		events = EPOLLET;
	watch_far(fd, events & ~(uint32_t)EPOLLRDHUP);
}

void far_relay(int fd)
{
	struct item *it = &me->items[fd];

	it->relay = relay_new(fd, it->cookie);
	if (it->relay)
		pump(fd);
}

/* An accepted far end, or one with news. */
void far_look(int fd)
{
	struct item *it = &me->items[fd];
	uint64_t cookie;
	long n;

	if (!it->cookie) {
		/* right into what the next keeper has, too: it is there once */
		n = sys(recvfrom, fd, &it->cookie, sizeof(it->cookie),
			MSG_DONTWAIT, NULL, NULL);
		if (n == -EAGAIN && !has_hung_up(fd)) {
			watch_far(fd, EPOLLIN);
			return;
		}
		if (n != sizeof(it->cookie)) {
			it->cookie = 0;
			drop_far(fd);
			return;
		}
		far_note(fd);
	}
	if (it->relay) {
		pump(fd);
		if (has_left(fd) || relay_has_left(it->relay))
			return;
	}
	if (!has_hung_up(fd)) {
		if (!it->relay)
			watch_far(fd, EPOLLRDHUP);
		return;
	}
	cookie = it->cookie;
	drop_far(fd);
	far_close_socket(cookie);
}

void far_accept(int listener)
{
	int fd;

	while ((fd = (int)sys(accept4, listener, NULL, NULL,
			      SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		if (!keeper_add(fd, FAR, 0))
			continue;
		me->num_far++;
		far_look(fd);
	}
}
