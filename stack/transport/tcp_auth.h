/* SPDX-License-Identifier: MIT
 *
 * tcp_auth.h - the keys of a socket whose segments are signed
 *
 * TCP-MD5 (RFC 2385): a key for each peer or prefix of peers. They belong to
 * the endpoint; a child gets the one that fits its peer.
 */
#ifndef TCPSHIM_TCP_AUTH_H
#define TCPSHIM_TCP_AUTH_H

#include "base/addr.h"
#include "base/list.h"
#include "base/time.h"

struct ep;
struct tcp_conn;
struct tcp_seg;
struct tcp_repr;
struct ip_tx;
struct pkt;

#define TCP_MD5_MAX_KEY 80 /* TCP_MD5SIG_MAXKEYLEN of Linux */

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
	struct list md5; /* struct tcp_md5_key */
	uint32_t bytes;	 /* that keys take */
};

/* What signs one segment; NULL: nothing does. */
struct tcp_sig {
	const struct tcp_md5_key *md5;
};

/* --- tcp_auth.c --- */
struct tcp_auth *tcp_auth_need(struct ep *e); /* made if need be; or NULL */
/* Memory for a key of @e, within net.core.optmem_max; NULL. */
void *tcp_auth_alloc(struct ep *e, uint32_t size);
void tcp_auth_release(struct ep *e, void *key, uint32_t size);
void tcp_auth_fini(struct ep *e);
/* Keys that fit @child's peer. */
void tcp_auth_inherit(struct ep *child, const struct ep *from);
bool tcp_key_id_fits(const struct tcp_key_id *id, const struct ip_addr *addr);
bool tcp_key_id_eq(const struct tcp_key_id *a, const struct tcp_key_id *b);
/* What @e signs its segments to @peer with. */
struct tcp_sig tcp_sig_of(const struct ep *e, const struct ip_addr *peer);
/* Bytes of the option that it needs. */
unsigned tcp_sig_len(const struct tcp_sig *sig);
/* Before tcp_emit(): room for it in @r. */
void tcp_sig_room(const struct tcp_sig *sig, struct tcp_repr *r);
/* After it: @p is whole but for the checksum. */
void tcp_sig_put(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx);
/* Does @s carry what @e asks of it? Else it is counted and to be dropped. */
bool tcp_auth_check(const struct ep *e, const struct tcp_seg *s);

/* --- tcp_md5.c --- */
/* 0 or -ENOMEM; -ENOENT. */
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
