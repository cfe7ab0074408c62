/* SPDX-License-Identifier: MIT
 *
 * rebuild_world.h - two hosts with sockets in every state, for rebuild_test.c
 *
 * A is 10.0.0.1, B 10.0.0.2. The victim is a connection that operations are
 * done with; the safe one has bytes everywhere, and is compared.
 */
#ifndef TCPSHIM_REBUILD_WORLD_H
#define TCPSHIM_REBUILD_WORLD_H

#include <linux/filter.h>
#include <netinet/tcp.h>

#include "base/util.h"
#include "stack.h"

enum { A, B };

struct rw_host {
	struct stack *st;
	uint8_t *mem;
	size_t len;
};

extern struct rw {
	struct rw_host a, b;
	nsec now;
	sockid victim, victim_b, safe, safe_b, listener, listener_b;
	sockid udp, udp2, udp_b;
	bool spares_nobody; /* the safe one is not, either */
	unsigned num_resets;
	const char *why; /* rw_check() objects */
} rw;

void rw_init(bool is_impaired);
void rw_fini(void);

/* Who holds the lock has died. */
void rw_rebuild(void);
/* The operation begins: what is so now is to be so afterwards. */
void rw_begin(void);
/* Is A sound, does the safe connection have its bytes, and does nothing stay
 * when all is closed? Destroys both hosts' state; B's is put back. */
bool rw_check(void);

sockid rw_new(int h, int family, int type);
int rw_bind(int h, sockid s, const char *addr, uint16_t port);
int rw_connect(int h, sockid s, const char *addr, uint16_t port);
void rw_send(int h, sockid s, size_t len);
void rw_send_to(int h, sockid s, size_t len, const char *addr, uint16_t port);
void rw_recv(int h, sockid s, size_t len);
void rw_lend(sockid s, bool is_send); /* and dies */
void rw_peek(sockid s, size_t len);
void rw_notes(sockid s); /* reads the error queue */
void rw_send_more(sockid s, size_t len, bool more);
void rw_key(sockid s, const char *key); /* TCP-MD5 */
/* TCP-AO: two keys come for @peer, and one goes again. */
void rw_ao_keys(sockid s, const char *peer);
/* The peer is to sign with key @id. */
void rw_ao_ask(sockid s, uint8_t id);
void rw_group(sockid s, bool join, const char *addr);

/* Packets: both ways until there are none, but the first @drop of A's. */
void rw_pump(void);
void rw_pump_drop(unsigned drop);
void rw_pump_to_b(void);
void rw_drop_out(void);
/* B's packets are held in frames of A's; then A gets them. */
void rw_hold(void);
void rw_hold_drop(unsigned drop);
void rw_rx_held(void);

#endif
