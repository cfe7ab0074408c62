/* SPDX-License-Identifier: MIT
 *
 * row.h - a line of a list of sockets, as ss(8) and /proc/net/tcp have it
 *
 * A list is read in pieces, so that the lock is not held for all of it; what
 * comes and goes in between may be missing or be there twice, as in Linux's.
 */
#ifndef TCPSHIM_ROW_H
#define TCPSHIM_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/core.h"

/* Columns "tr" of /proc/net/tcp (proc_net_tcp.rst of Linux) */
enum sock_row_timer {
	SOCK_ROW_IDLE,
	SOCK_ROW_RETRANSMIT,
	SOCK_ROW_KEEPALIVE,
	SOCK_ROW_TIME_WAIT,
	SOCK_ROW_PROBE
};

struct sock_row {
	struct ip_addr laddr, raddr;
	uint16_t lport, rport; /* raw: protocol; ping: identifier */
	uint8_t family;	       /* of the socket; v4-mapped ones are AF_INET6 */
	uint8_t state;	       /* as tcp(7) numbers them: TCP_LISTEN.. */
	uint8_t timer;	       /* enum sock_row_timer */
	uint8_t retransmits, probes; /* that went without an answer */
	bool is_pingpong;
	uint32_t recv_q, send_q; /* bytes; a listener: waiting, backlog */
	uint32_t drops;		 /* datagrams */
	uint32_t cwnd, ssthresh; /* segments; UINT32_MAX: none yet */
	nsec due;		 /* of the timer */
	nsec rto, ato;
	uint64_t s; /* sockid; 0: nobody's */
};

#define SOCK_CURSOR_END UINT32_MAX
struct sock_cursor { /* zero: the beginning */
	bool is_past_listeners;
	uint32_t pos;
};

#endif
