/* SPDX-License-Identifier: MIT
 *
 * tcp_ao.c - signing and checking segments with TCP-AO (RFC 5925 7.4, 7.5)
 *
 * Rules are those of tcp_inbound_ao_hash() and tcp_ao_transmit_skb() of Linux;
 * where it can't know a connection's initial numbers it answers nothing, for a
 * reset that can't be signed would be believed by nobody.
 *
 * Of the extended sequence numbers only the two are kept that snd_una and
 * rcv_nxt have; what is within 2 GB of them follows from those.
 */
#include "transport/tcp_ao.h"

#include "transport/tcp_conn.h"

#define OPT_BASE 4 /* kind, length and IDs of the option */
/* Traffic keys of the connection hold; TCP_AO_ESTABLISHED of Linux */
#define SYNCED (TCPS_CAN_SEND | TCPS_CAN_RECV)

/* --- sequence numbers --- */

uint32_t tcp_ao_sne(uint32_t sne, uint32_t at, uint32_t seq)
{
	if (seq_lt(seq, at))
		return sne - (seq > at);
	return sne + (seq < at);
}

void tcp_ao_follow(struct tcp_conn *c)
{
	struct tcp_ao *ao = tcp_ao_of(c->ep);

	ao->snd_sne = tcp_ao_sne(ao->snd_sne, ao->snd_at, c->snd_una);
	ao->snd_at = c->snd_una;
	if (c->state == TCPS_SYN_SENT)
		return;
	ao->rcv_sne = tcp_ao_sne(ao->rcv_sne, ao->rcv_at, c->rcv_nxt);
	ao->rcv_at = c->rcv_nxt;
}

/* --- what signs --- */

static struct tcp_ao_ends ends_from(const struct tcp_key *k, uint32_t sisn,
				    uint32_t disn)
{
	return (struct tcp_ao_ends){k->laddr, k->raddr, k->lport,
				    k->rport, sisn,	disn};
}

void tcp_ao_sig_conn(struct tcp_conn *c, uint8_t flags, uint32_t seq,
		     struct tcp_sig *sig)
{
	const struct tcp_ao *ao = tcp_ao_of(c->ep);
	const struct tcp_ao_key *k = ao->current;
	struct tcp_ao_ends syn = ends_from(&c->node.key, ao->lisn, 0);

	tcp_ao_follow(c);
	sig->ao = k;
	sig->keyid = k->sndid;
	sig->rnext = ao->rnext->rcvid;
	sig->sne = tcp_ao_sne(ao->snd_sne, ao->snd_at, seq);
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		tcp_ao_derive(k, &syn, sig->traffic);
	else
		memcpy(sig->traffic, k->snd, sizeof(k->snd));
}

/* The key is the one that the peer has asked for; if it is gone, silence. */
bool tcp_ao_sig_synack(const struct ep *e, const struct tcp_syn *q,
		       uint32_t seq, struct tcp_sig *sig)
{
	const struct tcp_syn_ao *asked =
		container_of(q, const struct tcp_syn_ao, q);
	struct tcp_ao_ends ends = ends_from(&q->n.key, q->iss, q->irs);

	sig->ao = tcp_ao_find(e, &q->n.key.raddr, asked->rnext, TCP_AO_ANY);
	if (!sig->ao)
		return false;
	sig->keyid = asked->rnext;
	sig->rnext = asked->keyid;
	sig->sne = tcp_ao_sne(0, q->iss, seq);
	tcp_ao_derive(sig->ao, &ends, sig->traffic);
	return true;
}

static bool reset_of_conn(struct tcp_conn *c, const struct tcp_seg *s,
			  uint32_t seq, struct tcp_sig *sig)
{
	const struct tcp_ao *ao = tcp_ao_of(c->ep);

	if (!ao || !ao->current || !TCPS_IN(c, SYNCED))
		return false;
	tcp_ao_follow(c);
	sig->ao = tcp_ao_pick(ao, s->r.ao_rnext, TCP_AO_ANY);
	if (!sig->ao)
		return false;
	sig->keyid = sig->ao->sndid;
	sig->rnext = ao->rnext->rcvid;
	sig->sne = tcp_ao_sne(ao->snd_sne, ao->snd_at, seq);
	memcpy(sig->traffic, sig->ao->snd, sizeof(sig->traffic));
	return true;
}

bool tcp_ao_sig_reset(const struct ep *e, const struct tcp_node *n,
		      const struct tcp_seg *s, uint32_t seq,
		      struct tcp_sig *sig)
{
	const struct tcp_syn *q;

	if (!n || n->kind == TCP_NODE_TW)
		return false;
	if (n->kind == TCP_NODE_CONN)
		return reset_of_conn(container_of(n, struct tcp_conn, node), s,
				     seq, sig);
	q = container_of(n, const struct tcp_syn, n);
	return q->has_ao && tcp_ao_sig_synack(e, q, seq, sig);
}

void tcp_ao_sign(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx)
{
	uint8_t *head = pkt_head(p), mac[TCP_AO_TRAFFIC];
	struct tcp_ao_text t = {
		.src = &tx->src,
		.dst = &tx->dst,
		.head = head,
		.hdr_len = (uint8_t)p->hdr_len,
		.at = r->ao_at,
		.p = p,
		.len = p->len,
		.sne = sig->sne,
	};

	tcp_ao_mac(sig->ao, sig->traffic, &t, mac);
	memcpy(head + r->ao_at + OPT_BASE, mac, sig->ao->maclen);
}

/* --- what is checked --- */

static bool refuse(const struct ep *e, enum stat_id why, uint64_t *count)
{
	stat_inc(e->tp->core, why);
	drop(e->tp->core, DROP_TCP_AUTH);
	if (count)
		++*count;
	return false;
}

static bool no_key(const struct ep *e, struct tcp_ao *ao)
{
	return refuse(e, STAT_TcpExtTCPAOKeyNotFound,
		      ao ? &ao->num.no_key : NULL);
}

static bool is_good(const struct tcp_ao_key *k, const struct tcp_seg *s,
		    const uint8_t traffic[TCP_AO_TRAFFIC], uint32_t sne)
{
	const uint8_t *got = s->rx->l4 + s->r.ao_at + OPT_BASE;
	uint8_t mac[TCP_AO_TRAFFIC], differs = 0;
	struct tcp_ao_text t = {
		.src = &s->rx->src,
		.dst = &s->rx->dst,
		.head = s->rx->l4,
		.hdr_len = s->r.hdr_len,
		.at = s->r.ao_at,
		.data = s->data,
		.len = s->rx->l4_len,
		.sne = sne,
	};

	if (s->r.ao_len != OPT_BASE + k->maclen)
		return false;
	tcp_ao_mac(k, traffic, &t, mac);
	for (unsigned i = 0; i < k->maclen; i++)
		differs |= mac[i] ^ got[i];
	return !differs;
}

static bool verify(const struct ep *e, struct tcp_ao_key *k,
		   const struct tcp_seg *s,
		   const uint8_t traffic[TCP_AO_TRAFFIC], uint32_t sne)
{
	struct tcp_ao *ao = tcp_ao_of(e);

	if (!is_good(k, s, traffic, sne)) {
		k->num_bad++;
		return refuse(e, STAT_TcpExtTCPAOBad, &ao->num.bad);
	}
	k->num_good++;
	ao->num.good++;
	stat_inc(e->tp->core, STAT_TcpExtTCPAOGood);
	return true;
}

/* The same with a key for these initial numbers. */
static bool verify_with(const struct ep *e, struct tcp_ao_key *k,
			const struct tcp_seg *s, uint32_t sisn, uint32_t disn,
			uint32_t sne)
{
	struct tcp_ao_ends ends = {s->rx->src,	  s->rx->dst, s->r.src_port,
				   s->r.dst_port, sisn,	      disn};
	uint8_t traffic[TCP_AO_TRAFFIC];

	tcp_ao_derive(k, &ends, traffic);
	return verify(e, k, s, traffic, sne);
}

static bool is_syn(const struct tcp_seg *s)
{
	return (s->r.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* RFC 5925 7.5.2.e: the peer has a new key and asks for it. */
static void rotate(struct tcp_conn *c, uint8_t asked)
{
	struct tcp_ao *ao = tcp_ao_of(c->ep);
	struct tcp_ao_key *k;

	if (asked == ao->current->sndid)
		return;
	k = tcp_ao_pick(ao, asked, TCP_AO_ANY);
	if (k)
		tcp_ao_choose(c->ep, k, NULL);
}

static bool check_synced(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_ao *ao = tcp_ao_of(c->ep);
	struct tcp_ao_key *k = tcp_ao_pick(ao, TCP_AO_ANY, s->r.ao_key);
	uint32_t sne;

	if (!k || !ao->current)
		return no_key(c->ep, ao);
	if (is_syn(s)) /* sent again, and late */
		return verify_with(c->ep, k, s, s->seq, 0, 0);
	tcp_ao_follow(c);
	sne = tcp_ao_sne(ao->rcv_sne, ao->rcv_at, s->seq);
	if (!verify(c->ep, k, s, k->rcv, sne))
		return false;
	rotate(c, s->r.ao_rnext);
	return true;
}

/* In a handshake, or at a listener. */
bool tcp_ao_check(const struct ep *e, const struct tcp_node *n,
		  const struct tcp_seg *s)
{
	struct tcp_conn *c = NULL;
	const struct tcp_syn *q;
	struct tcp_ao *ao = tcp_ao_of(e);
	struct tcp_ao_key *k;

	if (!ao)
		return no_key(e, NULL);
	if (n && n->kind == TCP_NODE_CONN)
		c = container_of(n, struct tcp_conn, node);
	if (c && TCPS_IN(c, SYNCED))
		return check_synced(c, s);
	k = tcp_ao_find(e, &s->rx->src, TCP_AO_ANY, s->r.ao_key);
	if (!k)
		return no_key(e, ao);
	if (is_syn(s))
		return verify_with(e, k, s, s->seq, 0, 0);
	if (c && s->r.flags & (TCP_SYN | TCP_RST))
		return verify_with(e, k, s, s->seq, ao->lisn, 0);
	if (c)
		return verify_with(e, k, s, ao->risn, ao->lisn,
				   tcp_ao_sne(0, ao->risn, s->seq));
	if (n) {
		q = container_of(n, const struct tcp_syn, n);
		return verify_with(e, k, s, q->irs, q->iss,
				   tcp_ao_sne(0, q->irs, s->seq));
	}
	/* the ACK of a SYN cookie, if anything */
	if (s->r.flags & TCP_ACK)
		return verify_with(e, k, s, s->seq - 1, s->r.ack - 1,
				   tcp_ao_sne(0, s->seq - 1, s->seq));
	drop(e->tp->core, DROP_TCP_BAD_FLAGS);
	return false;
}
