/* SPDX-License-Identifier: MIT
 *
 * keeper.h - what a process and the keeper say to each other
 *
 * Over a SEQPACKET connection, one for each process: it hangs up when the
 * process ends or executes another program. Requests without a reply are not
 * waited for.
 */
#ifndef TCPSHIM_KEEPER_H
#define TCPSHIM_KEEPER_H

#include <sys/un.h>

#include "shared.h"

#define KEEPER_NAME "tcpshim-keeper" /* the program, beside the library */
#define KEEPER_AGAIN "again" /* its argument: for a host that is there */
#define KEEPER_FD 3	     /* the first process's connection, in it */

enum keeper_request {
	KEEPER_HELLO = 1,     /* reply, with memory, device, eventfd */
	KEEPER_LISTENER,      /* @arg: its number; comes with its fd */
	KEEPER_LISTENER_DONE, /* no near end of ours is connected to it */
	KEEPER_DROPPED,	      /* @cookie at @arg: our last copy is closed */
	KEEPER_DROPPED_REPLY, /* the same; reply */
	KEEPER_RELAY, /* @cookie at @arg: a stranger will use it; reply */
	KEEPER_FLUSH, /* the capture is written; reply */
	/* to one that was started for a host that is there: memory, device,
	 * eventfd; the mapping is of @config bytes at @cookie */
	KEEPER_REVIVE,
};

static inline bool keeper_replies(uint32_t type)
{
	return type == KEEPER_DROPPED_REPLY || type == KEEPER_RELAY ||
	       type == KEEPER_FLUSH;
}

#define HELLO_FRESH 1u /* a host that nobody uses is not to be continued */
#define HELLO_CHILD 2u /* has the mapping */
#define HELLO_AGAIN 4u /* has place @arg, from a keeper before */

struct keeper_req {
	uint32_t type, arg;
	uint32_t seq; /* the reply has it again */
	uint64_t cookie;
	/* HELLO */
	uint64_t layout, config;
	uint32_t flags;
	uint8_t secret[16];
};

struct keeper_reply {
	uint32_t seq;
	int32_t err; /* -errno; -EAGAIN: this keeper is going, try again */
	uint16_t party;
	bool is_other_config;
	uint64_t at, len; /* of the mapping */
	char why[384];
};

/* Of everything in shared memory: who joins must have been built alike. */
uint64_t keeper_layout(void);
/* The keeper's name for device @dev and user @uid. Its length. */
socklen_t keeper_addr(struct sockaddr_un *sa, const char *dev, unsigned uid);
/* A listener's for near ends; @secret: of the host. */
socklen_t keeper_far_addr(struct sockaddr_un *sa, const uint8_t secret[16],
			  uint32_t num);
/* Its number, or 0: not of this host. @secret is written if @any. */
uint32_t keeper_far_number(const struct sockaddr_un *sa, socklen_t len);
/* One message with up to 3 fds; @num_fds out of recv. Bytes or -errno. */
long keeper_send(int fd, const void *msg, size_t len, const int *fds,
		 unsigned num_fds);
long keeper_recv(int fd, void *msg, size_t len, int *fds, unsigned *num_fds);

#endif
