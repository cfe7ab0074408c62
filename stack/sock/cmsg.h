/* SPDX-License-Identifier: MIT
 *
 * cmsg.h - control data: what recvmsg(2) tells and sendmsg(2) asks beside bytes
 */
#ifndef TCPSHIM_SOCK_CMSG_H
#define TCPSHIM_SOCK_CMSG_H

#include "sock/sock.h"
#include "transport/errq.h"

/* One more. @c NULL: nobody wants to know. */
void cmsg_put(struct sock_ctl *c, int level, int type, const void *data,
	      size_t len);
/* Of a datagram that is read: stamps, drops, UDP_GRO, addresses, TTL, ... */
void cmsg_put_dgram(struct ep *e, const struct dgram_from *f,
		    struct sock_ctl *c, nsec now);
/* Of a note of the error queue. */
void cmsg_put_note(struct ep *e, const struct errq_note *n, struct sock_ctl *c,
		   nsec now);
/* SCM_TIMESTAMP, SCM_TIMESTAMPNS, SCM_TIMESTAMPING, as @e has asked. @at 0: not
 * known, which is now. @is_note: what we sent. */
void cmsg_put_stamps(const struct ep *e, nsec at, bool is_note,
		     struct sock_ctl *c, nsec now);

/* What a datagram is to be sent with; @to->dst is known. 0 or -errno. */
int cmsg_get_dgram(const struct ep *e, const struct sock_ctl *c,
		   struct dgram_to *to);
/* The same for a stream, which hears SOL_SOCKET only. */
int cmsg_get_stream(const struct ep *e, const struct sock_ctl *c,
		    struct dgram_to *to);

#define CMSG_IPOPT_EOL 0 /* RFC 791 3.1 */
#define CMSG_IPOPT_NOP 1
/* Options of IPv4 that a program wants to send: 0, or -errno. */
int cmsg_check_ip_options(const uint8_t *p, size_t len);

#endif
