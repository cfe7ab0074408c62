/* SPDX-License-Identifier: MIT
 *
 * packetdrill_epoll.h - sets of sockets for the scripts that use epoll
 *
 * Just what scripts need: a set of few sockets, level or edge triggered. It
 * knows neither stack nor time: readiness is asked for with a function.
 */
#ifndef TCPSHIM_PACKETDRILL_EPOLL_H
#define TCPSHIM_PACKETDRILL_EPOLL_H

#include <stdint.h>
#include <sys/epoll.h>

struct pd_state { /* EPOLL* bits that hold now; how often each side became so */
	uint32_t bits, in_seq, out_seq;
};
typedef struct pd_state (*pd_state_fn)(int fd);

/* The number of a new set, or -errno; pd_epoll_close() gives it back. */
int pd_epoll_new(void);
int pd_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *ev);
/* How many are ready, or -EAGAIN: none. */
int pd_epoll_look(int epfd, struct epoll_event *ev, int max, pd_state_fn state);
void pd_epoll_close(int fd); /* a set, or a socket that leaves every set */

#endif
