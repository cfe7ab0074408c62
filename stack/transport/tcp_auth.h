/* SPDX-License-Identifier: MIT
 *
 * tcp_auth.h - the keys of a socket whose segments are signed
 *
 * TCP-MD5 (RFC 2385): a key for each peer or prefix of peers. TCP-AO (RFC 5925,
 * tcp_ao.h): as many as one likes. They belong to the endpoint; a child gets
 * those that fit its peer. No peer can have both. Everybody else signs and
 * checks through this file.
 */
#ifndef TCPSHIM_TCP_AUTH_H
#define TCPSHIM_TCP_AUTH_H

#include "base/addr.h"
#include "base/list.h"
#include "base/time.h"

struct ep;
struct ip_error;
struct ip_tx;
struct pkt;
struct tcp_ao;
struct tcp_ao_key;
struct tcp_conn;
struct tcp_node;
struct tcp_repr;
struct tcp_seg;
struct tcp_syn;
struct tcp_tw;

#define TCP_MD5_MAX_KEY 80 /* TCP_MD5SIG_MAXKEYLEN of Linux */
#define TCP_AO_MAX_KEY 80  /* TCP_AO_MAXKEYLEN of Linux */
#define TCP_AO_TRAFFIC 20  /* bytes of the longest traffic key, and MAC */

/* Whom a key is for. */
struct tcp_key_id {
	struct ip_addr addr;
	uint8_t prefix; /* of 128 bits, also of an IPv4 address */
	bool by_if;	/* TCP_MD5SIG_FLAG_IFINDEX: goes before one without */
};

struct tcp_md5_key {
	struct list node; /* tcp_auth->md5 */
	struct tcp_key_id id;
	uint8_t len;
	uint8_t v[TCP_MD5_MAX_KEY];
};

/* ep->auth; there from the first key on, for good: as in Linux, such a socket
 * sends no frames for the device to cut. */
struct tcp_auth {
	struct list md5;   /* struct tcp_md5_key */
	struct tcp_ao *ao; /* NULL: no option of TCP-AO was ever set */
	uint32_t bytes;	   /* that keys take */
};

/* What signs one segment; both NULL: nothing does. */
struct tcp_sig {
	const struct tcp_md5_key *md5;
	const struct tcp_ao_key *ao;
	uint8_t keyid, rnext; /* RFC 5925 2.2 */
	uint32_t sne;
	uint8_t traffic[TCP_AO_TRAFFIC];
};

/* --- tcp_auth.c --- */
struct tcp_auth *tcp_auth_need(struct ep *e); /* made if need be; or NULL */
/* Memory for a key of @e, within net.core.optmem_max; NULL. */
void *tcp_auth_alloc(struct ep *e, uint32_t size);
void tcp_auth_release(struct ep *e, void *key, uint32_t size);
void tcp_auth_fini(struct ep *e);
bool tcp_key_id_fits(const struct tcp_key_id *id, const struct ip_addr *addr);
/* Can there be a peer that both are for? */
bool tcp_key_id_touches(const struct tcp_key_id *a, const struct tcp_key_id *b);
bool tcp_key_id_eq(const struct tcp_key_id *a, const struct tcp_key_id *b);

/* Before a connection to @e's peer: 0 or -EKEYREJECTED. */
int tcp_auth_connect(struct ep *e);
/* Our initial number is known; the peer's too, unless it is SYN-SENT. */
void tcp_auth_begin(struct tcp_conn *c);
/* Keys that fit @child's peer. 0, -ENOMEM, -EKEYREJECTED. */
int tcp_auth_inherit(struct ep *child, const struct ep *from,
		     const struct tcp_syn *q);

/* Which keys sign what @e sends to @peer: good for its size only. */
struct tcp_sig tcp_sig_of(const struct ep *e, const struct ip_addr *peer);
/* Of a segment of @c with these flags, at @seq. */
struct tcp_sig tcp_sig_conn(struct tcp_conn *c, uint8_t flags, uint32_t seq);
/* Of a SYN-ACK, or what else is sent for @q, at @seq. False: nothing may be. */
bool tcp_sig_synack(const struct ep *e, const struct tcp_syn *q, uint32_t seq,
		    struct tcp_sig *sig);
/* Of the reset at @seq that answers @s, for @n or the listener @e; either may
 * be NULL. False: none may be sent. */
bool tcp_sig_reset(const struct ep *e, const struct tcp_node *n,
		   const struct tcp_seg *s, uint32_t seq, struct tcp_sig *sig);
/* Bytes of the option that it needs. */
unsigned tcp_sig_len(const struct tcp_sig *sig);
/* Before tcp_emit(): room for it in @r. */
void tcp_sig_room(const struct tcp_sig *sig, struct tcp_repr *r);
/* After it: @p is whole but for the checksum. */
void tcp_sig_put(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx);

/* Does @s carry what @e asks of it? Else it is counted and to be dropped. @n: a
 * connection or SYN record, or NULL at a listener. */
bool tcp_auth_check(const struct ep *e, const struct tcp_node *n,
		    const struct tcp_seg *s);
/* RFC 5925 7.8: errors that anybody can make up. */
bool tcp_auth_ignores(const struct tcp_node *n, const struct ip_error *e);

/* TIME-WAIT: a record with what its answers are signed with; *@bits says what
 * it has. Zeroed, or NULL. */
struct tcp_tw *tcp_tw_new(struct tcp_conn *c, uint8_t *bits);
/* Of a segment at @seq. */
struct tcp_sig tcp_tw_sig(const struct tcp_tw *w, uint32_t seq);

/* --- tcp_md5.c --- */
/* 0, -ENOMEM, -EKEYREJECTED: a peer of TCP-AO; -ENOENT. */
int tcp_md5_add(struct ep *e, const struct tcp_key_id *id, const void *key,
		unsigned len);
int tcp_md5_del(struct ep *e, const struct tcp_key_id *id);
/* The one with the longest prefix, or NULL. */
const struct tcp_md5_key *tcp_md5_find(const struct ep *e,
				       const struct ip_addr *peer);
void tcp_md5_sign(const struct tcp_md5_key *k, struct pkt *p, unsigned at,
		  const struct ip_tx *tx);
bool tcp_md5_is_good(const struct tcp_md5_key *k, const struct tcp_seg *s);

#endif
