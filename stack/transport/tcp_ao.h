/* SPDX-License-Identifier: MIT
 *
 * tcp_ao.h - the TCP Authentication Option (RFC 5925, 5926): keys and MACs
 *
 * A master key is for peers, like one of TCP-MD5, and has two numbers: what
 * segments that it signs are marked with, and what it answers to. From it and
 * from both ends' addresses, ports and initial sequence numbers come the
 * traffic keys of a connection, one for each direction; a SYN, whose answer is
 * not known yet, has its own. The peer says in each segment which key it would
 * like ours to be signed with.
 *
 * Keys are those of the endpoint; a connection has only such as fit its peer,
 * and always one of them that is current. Semantics are Linux's.
 */
#ifndef TCPSHIM_TCP_AO_H
#define TCPSHIM_TCP_AO_H

#include "transport/ep.h"
#include "transport/tcp_auth.h"

struct tcp_key;
struct tcp_node;
struct tcp_syn;

#define TCP_AO_ANY (-1)	  /* for an ID: whichever */
#define TCP_AO_MAC_DEF 12 /* RFC 5926 2.2: 96 bits */
#define TCP_AO_MAC_MAX                                         \
	16 /* MSS, timestamps and scale fit beside it in a SYN \
	    */

enum tcp_ao_alg {
	TCP_AO_HMAC_SHA1, /* RFC 5926 3.1.1.1, 3.2.1 */
	TCP_AO_AES_CMAC,  /* RFC 5926 3.1.1.2, 3.2.2 */
};

/* TCP_AO_KEYF_* of linux/tcp.h */
#define TCP_AO_F_IFINDEX 1
#define TCP_AO_F_NO_OPTS 2 /* a MAC leaves other options out: RFC 5925 3.1 */

struct tcp_ao_key {
	struct list node; /* tcp_ao->keys */
	struct tcp_key_id id;
	uint8_t alg; /* enum tcp_ao_alg */
	uint8_t flags;
	uint8_t sndid, rcvid;
	uint8_t maclen;
	uint8_t len;
	uint8_t v[TCP_AO_MAX_KEY]; /* as it signs: AES has it in 16 bytes */
	uint64_t num_good, num_bad;
	/* of the connection, when both initial numbers are known */
	uint8_t snd[TCP_AO_TRAFFIC], rcv[TCP_AO_TRAFFIC];
};

/* tcp_auth->ao */
struct tcp_ao {
	struct list keys;	    /* struct tcp_ao_key, the newest first */
	struct tcp_ao_key *current; /* signs; NULL: no connection yet */
	struct tcp_ao_key *rnext;   /* what the peer shall sign with */
	bool required;		    /* of peers without keys, too */
	bool accept_icmps;
	uint32_t lisn, risn; /* initial numbers, ours and theirs */
	/* RFC 5925 6.2: high half of a sequence number, and a number that it
	 * belonged to; these follow snd_una and rcv_nxt */
	uint32_t snd_sne, snd_at, rcv_sne, rcv_at;
	struct tcp_ao_counts {
		uint64_t good, bad, no_key, required, icmps;
	} num;
};

/* What a traffic key is derived from, as in a segment from @src to @dst. */
struct tcp_ao_ends {
	struct ip_addr src, dst;
	uint16_t sport, dport;
	uint32_t sisn, disn;
};

/* A segment as a MAC sees it. */
struct tcp_ao_text {
	const struct ip_addr *src, *dst;
	const uint8_t *head;
	uint8_t hdr_len;
	uint8_t at;	     /* of the option */
	const uint8_t *data; /* in one piece, or those of @p */
	const struct pkt *p;
	uint32_t len; /* all of it */
	uint32_t sne;
};

/* --- tcp_ao_mac.c --- */
unsigned tcp_ao_traffic_len(const struct tcp_ao_key *k);
/* RFC 5926 3.1 */
void tcp_ao_derive(const struct tcp_ao_key *k, const struct tcp_ao_ends *ends,
		   uint8_t out[TCP_AO_TRAFFIC]);
/* RFC 5925 5.1; @k->maclen bytes count. */
void tcp_ao_mac(const struct tcp_ao_key *k,
		const uint8_t traffic[TCP_AO_TRAFFIC],
		const struct tcp_ao_text *t, uint8_t out[TCP_AO_TRAFFIC]);
/* The key that AES is given: RFC 5926 3.1.1.2. @k->v and @k->len change. */
void tcp_ao_fold_key(struct tcp_ao_key *k);

/* --- tcp_ao_key.c --- */
static inline struct tcp_ao *tcp_ao_of(const struct ep *e)
{
	return e->auth ? e->auth->ao : NULL;
}
struct tcp_ao *tcp_ao_need(struct ep *e); /* made if need be; or NULL */
void tcp_ao_fini(struct ep *e);
/* For @peer with these numbers, which may be TCP_AO_ANY; NULL. */
struct tcp_ao_key *tcp_ao_find(const struct ep *e, const struct ip_addr *peer,
			       int sndid, int rcvid);
/* The same where all keys fit. */
struct tcp_ao_key *tcp_ao_pick(const struct tcp_ao *ao, int sndid, int rcvid);
/* Is a segment from @peer nothing without the option? */
bool tcp_ao_is_due(const struct ep *e, const struct ip_addr *peer);
/* 0, or -EKEYREJECTED: a peer of TCP-MD5, or -EEXIST: numbers are taken. */
int tcp_ao_may_add(const struct ep *e, const struct tcp_ao_key *k);
/* A copy of @k. 0 or -ENOMEM. */
int tcp_ao_add(struct ep *e, const struct tcp_ao_key *k, bool set_current,
	       bool set_rnext);
/* With keys to use from now on, or NULL. 0, -ENOENT or -EBUSY: it is in use. */
int tcp_ao_del(struct ep *e, const struct tcp_ao_key *like,
	       struct tcp_ao_key *current, struct tcp_ao_key *rnext);
/* To be used from now on; or NULL. */
void tcp_ao_choose(struct ep *e, struct tcp_ao_key *current,
		   struct tcp_ao_key *rnext);
/* 0, or -EKEYREJECTED: it has keys but none that fits, or of both kinds. */
int tcp_ao_connect(struct ep *e);
/* Its initial numbers are known: ours, and the peer's unless it is SYN-SENT. */
void tcp_ao_begin(struct tcp_conn *c);
/* 0, -ENOMEM, -EKEYREJECTED */
int tcp_ao_inherit(struct ep *child, const struct ep *from,
		   const struct tcp_syn *q);
/* TCP_AO_REPAIR */
struct tcp_ao_repair_state {
	uint32_t lisn, risn, snd_sne, rcv_sne;
};
void tcp_ao_set_repair(struct ep *e, const struct tcp_ao_repair_state *r);
void tcp_ao_get_repair(const struct ep *e, struct tcp_ao_repair_state *r);

/* --- tcp_ao.c --- */
void tcp_ao_follow(struct tcp_conn *c);
void tcp_ao_sig_conn(struct tcp_conn *c, uint8_t flags, uint32_t seq,
		     struct tcp_sig *sig);
bool tcp_ao_sig_synack(const struct ep *e, const struct tcp_syn *q,
		       uint32_t seq, struct tcp_sig *sig);
bool tcp_ao_sig_reset(const struct ep *e, const struct tcp_node *n,
		      const struct tcp_seg *s, uint32_t seq,
		      struct tcp_sig *sig);
void tcp_ao_sign(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx);
bool tcp_ao_check(const struct ep *e, const struct tcp_node *n,
		  const struct tcp_seg *s);
/* The extension of @seq, from one that @at had. */
uint32_t tcp_ao_sne(uint32_t sne, uint32_t at, uint32_t seq);

#endif
