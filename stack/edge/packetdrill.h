/* SPDX-License-Identifier: MIT
 *
 * packetdrill.h - what the files under packetdrill's --so_filename share
 *
 * packetdrill.c has time, packets and the stack; packetdrill_calls.c names and
 * options; packetdrill_io.c bytes; packetdrill_epoll.c sets.
 */
#ifndef TCPSHIM_PACKETDRILL_H
#define TCPSHIM_PACKETDRILL_H

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "stack.h"

/* Members in the order that packetdrill documents (so_testing). */
struct packetdrill_interface {
	void *userdata;
	void (*free)(void *u);
	int (*socket)(void *u, int domain, int type, int protocol);
	int (*bind)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
	int (*listen)(void *u, int fd, int backlog);
	int (*accept)(void *u, int fd, struct sockaddr *sa, socklen_t *len);
	int (*connect)(void *u, int fd, const struct sockaddr *sa,
		       socklen_t len);
	ssize_t (*read)(void *u, int fd, void *buf, size_t n);
	ssize_t (*readv)(void *u, int fd, const struct iovec *v, int n);
	ssize_t (*recv)(void *u, int fd, void *buf, size_t n, int flags);
	ssize_t (*recvfrom)(void *u, int fd, void *buf, size_t n, int flags,
			    struct sockaddr *sa, socklen_t *len);
	ssize_t (*recvmsg)(void *u, int fd, struct msghdr *m, int flags);
	ssize_t (*write)(void *u, int fd, const void *buf, size_t n);
	ssize_t (*writev)(void *u, int fd, const struct iovec *v, int n);
	ssize_t (*send)(void *u, int fd, const void *buf, size_t n, int flags);
	ssize_t (*sendto)(void *u, int fd, const void *buf, size_t n, int flags,
			  const struct sockaddr *sa, socklen_t len);
	ssize_t (*sendmsg)(void *u, int fd, const struct msghdr *m, int flags);
	int (*fcntl)(void *u, int fd, int cmd, ...);
	int (*ioctl)(void *u, int fd, unsigned long request, ...);
	int (*close)(void *u, int fd);
	int (*shutdown)(void *u, int fd, int how);
	int (*getsockopt)(void *u, int fd, int level, int name, void *val,
			  socklen_t *len);
	int (*setsockopt)(void *u, int fd, int level, int name, const void *val,
			  socklen_t len);
	int (*poll)(void *u, struct pollfd *fds, nfds_t n, int timeout);
	int (*netdev_send)(void *u, const void *buf, size_t count);
	int (*netdev_receive)(void *u, void *buf, size_t *count,
			      long long *time_usecs);
	int (*usleep)(void *u, useconds_t usec);
	int (*gettimeofday)(void *u, struct timeval *tv, struct timezone *tz);
	int (*epoll_create)(void *u, int size);
	int (*epoll_ctl)(void *u, int epfd, int op, int fd,
			 struct epoll_event *ev);
	int (*epoll_wait)(void *u, int epfd, struct epoll_event *ev, int max,
			  int timeout);
	int (*pipe)(void *u, int fds[2]);
	int (*splice)(void *u, int in, loff_t *off_in, int out, loff_t *off_out,
		      size_t len, unsigned flags);
};

#define PD_MAX_FD 1024
#define PD_EPOCH_SECS 1700000000 /* what gettimeofday() starts from */

struct pd {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct stack *st;
	struct arena *arena;
	struct ip_addr local;
	uint32_t mtu;
	int unix_fd;
	nsec now;
	struct list outq; /* struct out */
	struct {
		sockid s;
		bool nonblock;
		uint32_t in_seq, out_seq;
	} fds[PD_MAX_FD];
	unsigned num_blocked, num_to_look, epoch;
	bool is_held; /* the clock stands until this thread asks */
	pthread_t held_for;
	bool has_left; /* a thread that slept is through with its call */
	bool is_up;
	char born_cc[32]; /* tcp_congestion_control as the namespace came */
};
extern struct pd pd;

/* A call begins, and the lock is held; pd_leave() ends it with what it gives,
 * a result or -errno, as libc would. */
void pd_enter(void);
int pd_leave(int r);
int pd_ret(int r);  /* the same without a lock */
void pd_turn(void); /* the stack does what is due */

/* Runs @op until it is not -EAGAIN, or once if @nonblock. In @op, slept tells
 * whether this is not the first time. */
#define PD_WAIT_FOR(r, nonblock, op)                       \
	do {                                               \
		bool slept = false;                        \
		for (;;) {                                 \
			(r) = (op);                        \
			if (slept)                         \
				pd_looked((r) != -EAGAIN); \
			if ((r) != -EAGAIN || (nonblock))  \
				break;                     \
			slept = true;                      \
			pd_sleep_a_turn();                 \
		}                                          \
	} while (0)
void pd_sleep_a_turn(void);
void pd_looked(bool is_done);

int pd_come_up(void); /* the stack, at the first socket */
void pd_read_sysctls(void);
bool pd_knows_sysctl(const char *dotted);
int pd_give(sockid s);	/* a number for it, or -errno */
sockid pd_sock(int fd); /* 0: not ours */

void pd_calls_fill(struct packetdrill_interface *ifc);
void pd_io_fill(struct packetdrill_interface *ifc);
/* Would connect(2) end, and how? -EAGAIN: not yet. */
int pd_connect_done(sockid s);

#endif
