/* SPDX-License-Identifier: MIT
 *
 * tcp_world.h - a stack and, on the other end, a test that writes each segment
 *	        by hand: tests that read like a packet trace
 *
 * Sequence numbers are relative: 0 is the SYN of each side. The clock moves
 * only in pass() and until(). Every packet that the stack sends must be looked
 * at with expect(); quiet() says that there is none.
 */
#ifndef TCPSHIM_TCP_WORLD_H
#define TCPSHIM_TCP_WORLD_H

#include <criterion/criterion.h>

#include "sock/sock.h"
#include "stack.h"
#include "transport/tcp_ao.h"
#include "wire/tcp.h"

#define STACK_PORT 4000
#define PEER_PORT 80
#define MSS 1000u

struct peer_seg { /* a segment, as the peer sends or sees it */
	uint8_t flags;
	uint8_t tos;
	uint32_t seq, ack, len;
	uint16_t win; /* sending: 0 means 50000 unless @win0 */
	bool win0;
	uint16_t urg;
	uint16_t mss; /* options of a SYN, and of all */
	bool sack_ok, has_ts, has_wscale;
	uint8_t wscale;
	uint32_t ts_val, ts_ecr;
	uint8_t num_sack;
	struct tcp_sack_block sack[TCP_MAX_SACK]; /* relative */
	uint32_t gso_size; /* segments joined by, or to be cut by, the device */
	struct tcp_fo_cookie fo;
	bool ae;
	struct tcp_accecn_opt accecn;
	uint16_t uto;
	bool df; /* of what the stack sends: IP's, and its TTL */
	uint8_t ttl;
	uint16_t sport; /* the peer's, 0: PEER_PORT */
	const char *to; /* another address of the stack's */
	bool bad_csum;
};

/* TCP-AO at the peer: IDs in the keys are its own. */
struct peer_ao {
	struct tcp_ao_key key[2];
	uint8_t use;		/* which of them signs */
	uint8_t ask;		/* which it would like */
	uint8_t saw, saw_rnext; /* in the stack's last segment */
	bool is_wrong;		/* a bit of the MAC is */
};

struct peer {
	struct arena *arena;
	struct stack *st;
	nsec now;
	sockid s;     /* the socket under test */
	uint32_t iss; /* the stack's, as seen */
	uint32_t irs; /* the peer's own */
	bool has_iss;
	struct peer_seg last; /* what expect() saw */
	uint8_t data[65536];  /* its payload, or what get() read */
	struct sysctl_values sysctl;
	const char *key;    /* TCP-MD5: the peer signs, and asks for it */
	struct peer_ao *ao; /* the same with TCP-AO */
};

extern struct peer w;

void peer_init(void); /* .init of a test: a stack, no socket */
void peer_init_tso(void);
void peer_fini(void); /* all is given back, no timer is armed */

void send_seg(const struct peer_seg *s);
/* Several that are read at once. */
void send_batch(const struct peer_seg *s, unsigned n);
#define SEND(...) send_seg(&(struct peer_seg){__VA_ARGS__})
/* ICMP destination unreachable about our segment @seq (relative); @mtu: of
 * code 4 */
void send_unreach(uint8_t code, uint16_t mtu, uint32_t seq);
/* The next packet of the stack must have these flags and numbers. */
void expect(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
void next(void); /* whatever it is, into w.last */
void quiet(void);
void skip(void); /* forgets whatever the stack has sent */
unsigned num_out(void);
void pass(nsec t);   /* timers run on the way */
void until(nsec at); /* since the test began */

sockid new_sock(void);
int set_opt(int level, int name, int v);
/* Handshakes: w.s is connected; the peer's window is 50000, MSS 1000. */
void open_active(void);
void open_with(const struct peer_seg *synack);
sockid open_listener(int backlog);
/* A SYN, our SYN-ACK and the ACK, for the peer's port @sport. */
void open_passive(uint16_t sport);

int put(uint32_t len, int flags); /* send(2): bytes or -errno */
int get(uint32_t len, int flags); /* recv(2) into w.data */
uint32_t bits(void);		  /* poll */
int sock_err(void);		  /* SO_ERROR */
uint64_t count(enum stat_id s);
uint64_t dropped(enum drop d);
struct tcp_conn;
struct tcp_conn *conn(void); /* what is behind w.s */

#define FIN TCP_FIN
#define SYN TCP_SYN
#define RST TCP_RST
#define PSH TCP_PSH
#define ACK TCP_ACK
#define URG TCP_URG

#endif
