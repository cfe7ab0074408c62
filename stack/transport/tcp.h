/* SPDX-License-Identifier: MIT
 *
 * tcp.h - TCP as the socket layer and ip see it (RFC 9293)
 *
 * The user's calls of RFC 9293 3.9.1 as functions on an endpoint; what a
 * connection looks like inside is tcp_conn.h, private to this folder. Every
 * call takes @now and never waits: -EAGAIN means "not yet", and ep_ready()
 * will say when.
 */
#ifndef TCPSHIM_TRANSPORT_TCP_H
#define TCPSHIM_TRANSPORT_TCP_H

#include <sys/uio.h>

#include "transport/row.h"
#include "transport/transport.h"

struct tcp_info_all; /* tcp_info.h */

/* Memory lent between begin and commit. The bytes belong to the caller until
 * it commits; other calls on the same socket may come in between. */
#define SPAN_MAX_V 8
struct span {
	struct iovec v[SPAN_MAX_V];
	unsigned num_v;
	bool is_syn;   /* the commit opens the connection (RFC 7413) */
	uint64_t pin;  /* the transport's own */
	uint64_t loan; /* the socket layer's: struct loan */
	nsec at;       /* receiving from a stream: when its last byte came */
	/* sending to a stream: */
	uint32_t stamp; /* SOF_TIMESTAMPING_TX_*, of the last byte */
	bool is_last;	/* the call ends with these bytes */
};

struct tcp *tcp_new(struct transport *tp); /* NULL: no memory */
void tcp_free(struct tcp *t); /* drops every connection, silently */
uint64_t tcp_layout(void);    /* see stack_layout() */

int tcp_ep_init(struct ep *e); /* a new socket(2): defaults from sysctl */
/* The owner is gone (close(2)): FIN, or RST with unread data or SO_LINGER 0
 * (RFC 2525 2.17, RFC 1122 4.2.2.13); the connection may live on by itself. */
void tcp_close(struct ep *e, nsec now);

/* raddr, rport and, if bound, laddr are set in @e; sends the SYN.
 * -EINPROGRESS, or -EADDRNOTAVAIL, -ENETUNREACH, -ENOBUFS. */
int tcp_connect(struct ep *e, nsec now);
/* May be called again to change the backlog. 0, -EADDRINUSE. */
int tcp_listen(struct ep *e, int backlog, nsec now);
/* A child off the accept queue, its reference handed over: NULL with @err
 * -EAGAIN or -EINVAL (not listening). */
struct ep *tcp_accept(struct ep *e, int *err, nsec now);
/* A connection that waits for data to go with its SYN (RFC 7413) waits no more.
 * False: it did not. */
bool tcp_open_now(struct ep *e, nsec now);
bool tcp_is_waiting(const struct ep *e);
/* @how: SHUT_RD, SHUT_WR, SHUT_RDWR. 0 or -ENOTCONN. */
int tcp_shutdown(struct ep *e, int how, nsec now);

/* connect(2) to AF_UNSPEC, and exit's bound: RST if the peer knows of the
 * connection, queued data of both directions dropped, TIME-WAIT none. The
 * endpoint is CLOSED afterwards (->tcp and ->listen NULL) and, unless its owner
 * is gone too, may connect or listen anew. Its port stays as it is. */
void tcp_disconnect(struct ep *e, nsec now);

/* A flag beside MSG_*: bytes of the same call have gone already, so the caller
 * tells of them and not of an error, which stays for the next call. */
#define SOCK_GOES_ON 0x10000000
/* And another: the caller sleeps if it must, so more data comes as soon as
 * there is a connection. */
#define SOCK_WAITS 0x08000000
/* And of a commit: the call goes on, but an skb of Linux could hold no more
 * pieces than these (MSG_ZEROCOPY: one for each page that is touched). It is
 * pushed, and a frame ends with it. */
#define SOCK_SKB_FULL 0x01000000
#define SOCK_SKB_PIECES 17 /* Linux: MAX_SKB_FRAGS */

/* Room for up to @want bytes in @sp; @flags: MSG_OOB, MSG_MORE. How many bytes
 * (> 0), -EAGAIN when the buffer is full, -EPIPE, -ENOTCONN, or the pending
 * error. Never fails for a second caller: each gets memory of its own, and
 * order is the order of commits. */
int tcp_send_begin(struct ep *e, size_t want, int flags, struct span *sp,
		   nsec now);
/* @len of the lent bytes are data; 0 gives all back. */
int tcp_send_commit(struct ep *e, struct span *sp, size_t len, int flags,
		    nsec now);
/* Up to @want readable bytes; MSG_PEEK, MSG_OOB, MSG_TRUNC honoured. How many,
 * 0 at end of file, -EAGAIN, -ENOTCONN, -EINVAL (no urgent byte), or the
 * pending error once what came before it was read. @oob_inline_stop: never
 * reads across the urgent mark, as Linux. @skip: MSG_PEEK begins behind so many
 * bytes. */
int tcp_recv_begin(struct ep *e, size_t want, int flags, uint32_t skip,
		   struct span *sp, nsec now);
int tcp_recv_commit(struct ep *e, struct span *sp, size_t used, int flags,
		    nsec now);
/* FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK: value >= 0 or -EINVAL. */
int tcp_ioctl(struct ep *e, unsigned long req);

/* EPOLL* bits that hold now, as tcp_poll() of Linux computes them. */
/* How much of SO_SNDBUF is used, as Linux counts. */
uint32_t tcp_wmem_queued(const struct ep *e);
uint32_t tcp_poll(const struct ep *e);
uint8_t tcp_state(
	const struct ep *e); /* enum of netinet/tcp.h: TCP_ESTABLISHED.. */
/* How far its user has written and read, modulo 2^32; what is lent counts as
 * read. Zero if there is no connection. */
void tcp_positions(const struct ep *e, uint32_t *written, uint32_t *read);
/* True values only; what does not apply is 0. */
void tcp_get_info(const struct ep *e, struct tcp_info_all *info, nsec now);
/* Where SOF_TIMESTAMPING_OPT_ID begins to count: what is written (OPT_ID_TCP),
 * or what is acknowledged. */
uint32_t tcp_stamp_key(const struct ep *e, bool written);
uint16_t tcp_mss_now(const struct ep *e); /* TCP_MAXSEG reads back this */
uint32_t tcp_window_clamp(const struct ep *e);
bool tcp_is_quick(const struct ep *e); /* TCP_QUICKACK: not yet delaying */
/* An option of ep->topt, ->opts or a buffer size has changed: act on it (cork
 * released, nodelay set, keepalive armed, congestion control switched, ...). */
void tcp_opt_changed(struct ep *e, int level, int name, nsec now);
/* Congestion controls by name. -ENOENT; NULL. */
int tcp_cc_find(const char *name);
const char *tcp_cc_name(unsigned id);
/* The route to the peer says which, and that it stays so. */
bool tcp_cc_is_locked(const struct ep *e);

/* From ip, through demux.c. Sends the RST of RFC 9293 3.10.7.1 itself, so it
 * always takes the segment. */
void tcp_in(struct tcp *t, const struct ip_rx *rx, nsec now);
void tcp_error(struct tcp *t, const struct ip_error *e, nsec now);
/* The end of an input batch: send the ACKs that are owed when input is drained
 * or two frames are owed; deliver readiness. */
void tcp_batch_end(struct tcp *t, bool drained, nsec now);
/* TIMER_TCP_CONN and TIMER_TCP_TABLE came up. */
void tcp_conn_timer(struct timer *tm, nsec now);
void tcp_table_timer(struct tcp *t, struct timer *tm, nsec now);
/* @p, with a byte that was asked about, was queued or has left: SCM_TSTAMP_*.
 */
void tcp_mark_sent(struct ep *e, uint32_t type, const struct pkt *p, nsec now);
/* A send ends before its time: the last byte there is is the one it asks
 * about. */
void tcp_stamp_end(struct ep *e, uint32_t stamp);
/* The txq has room again: go on with who was refused, in order. */
void tcp_tx_room(struct tcp *t, nsec now);

/* Is the 4-tuple of @e taken by a connection, a SYN record or a TIME-WAIT that
 * may not be reused (RFC 6191)? For port_bind_connect(). */
bool tcp_tuple_taken(struct tcp *t, const struct ep *e, uint16_t lport,
		     nsec now);
/* Is the local port held by a connection or a TIME-WAIT that forbids binding it
 * again without SO_REUSEADDR on both? For port_bind(). */
bool tcp_port_taken(struct tcp *t, const struct ep *e,
		    const struct ip_addr *addr, uint16_t port);
/* Connections that still have something to send or to get acknowledged: what
 * exit waits for. */
unsigned tcp_num_unfinished(const struct tcp *t);
void tcp_forget_cookies(struct tcp *t);	  /* of Fast Open, other hosts\' */
uint64_t tcp_memory(const struct tcp *t); /* bytes, as tcp_mem counts them */
/* Listeners, then each connection, SYN record and TIME-WAIT: the next @n at
 * most (16 or more), 0 at the end. @cur is zero at first. */
unsigned tcp_list(const struct tcp *t, struct sock_cursor *cur,
		  struct sock_row *rows, unsigned n, nsec now);

#endif
