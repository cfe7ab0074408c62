/* SPDX-License-Identifier: MIT
 *
 * tcp_ao_mac.c - deriving traffic keys and computing MACs (RFC 5926)
 *
 * Both algorithms serve for both: a master key and what names the connection
 * make a traffic key, that key and a segment make the MAC.
 */
#include "transport/tcp_ao.h"

#include "base/cmac.h"
#include "base/sha1.h"
#include "transport/tcp_conn.h"

#define AT_CSUM 16 /* in the header: counts as zero */
#define OPT_BASE 4 /* kind, length and IDs of the option */

struct mac {
	uint8_t alg;
	union {
		struct hmac_sha1 sha1;
		struct cmac cmac;
	};
};

static void begin(struct mac *m, uint8_t alg, const uint8_t *key, unsigned len)
{
	m->alg = alg;
	if (alg == TCP_AO_HMAC_SHA1)
		hmac_sha1_init(&m->sha1, key, len);
	else
		cmac_init(&m->cmac, key);
}

static void add(struct mac *m, const void *p, size_t len)
{
	if (m->alg == TCP_AO_HMAC_SHA1)
		hmac_sha1_add(&m->sha1, p, len);
	else
		cmac_add(&m->cmac, p, len);
}

static void end(struct mac *m, uint8_t out[TCP_AO_TRAFFIC])
{
	if (m->alg == TCP_AO_HMAC_SHA1)
		hmac_sha1_end(&m->sha1, out);
	else
		cmac_end(&m->cmac, out);
}

unsigned tcp_ao_traffic_len(const struct tcp_ao_key *k)
{
	return k->alg == TCP_AO_HMAC_SHA1 ? SHA1_LEN : CMAC_LEN;
}

void tcp_ao_fold_key(struct tcp_ao_key *k)
{
	static const uint8_t zero[CMAC_KEY];
	struct cmac m;

	if (k->alg != TCP_AO_AES_CMAC || k->len == CMAC_KEY)
		return;
	cmac_init(&m, zero);
	cmac_add(&m, k->v, k->len);
	memset(k->v, 0, sizeof(k->v));
	cmac_end(&m, k->v);
	k->len = CMAC_KEY;
}

/* --- traffic keys --- */

static void add_addr(struct mac *m, const struct ip_addr *a)
{
	unsigned skip = ip_addr_is4(a) ? 12 : 0;

	add(m, a->b + skip, 16 - skip);
}

/* RFC 5926 3.1.1: counter, label, context (RFC 5925 5.2), length in bits. One
 * round gives as much as is needed. */
void tcp_ao_derive(const struct tcp_ao_key *k, const struct tcp_ao_ends *ends,
		   uint8_t out[TCP_AO_TRAFFIC])
{
	static const uint8_t first[] = {1, 'T', 'C', 'P', '-', 'A', 'O'};
	uint8_t tail[14];
	struct mac m;

	put_be16(tail, ends->sport);
	put_be16(tail + 2, ends->dport);
	put_be32(tail + 4, ends->sisn);
	put_be32(tail + 8, ends->disn);
	put_be16(tail + 12, (uint16_t)(tcp_ao_traffic_len(k) * 8));
	begin(&m, k->alg, k->v, k->len);
	add(&m, first, sizeof(first));
	add_addr(&m, &ends->src);
	add_addr(&m, &ends->dst);
	add(&m, tail, sizeof(tail));
	end(&m, out);
}

/* --- MACs --- */

static void add_pseudo(struct mac *m, const struct tcp_ao_text *t)
{
	uint8_t v[8] = {0};

	add_addr(m, t->src);
	add_addr(m, t->dst);
	if (ip_addr_is4(t->src)) { /* RFC 9293 3.1 */
		v[1] = IPPROTO_TCP;
		put_be16(v + 2, (uint16_t)t->len);
		add(m, v, 4);
	} else { /* RFC 8200 8.1 */
		put_be32(v, t->len);
		v[7] = IPPROTO_TCP;
		add(m, v, 8);
	}
}

static void add_head(struct mac *m, const struct tcp_ao_key *k,
		     const struct tcp_ao_text *t)
{
	uint8_t h[TCP_HLEN + TCP_MAX_OPTS];
	unsigned len = OPT_BASE + k->maclen;

	memcpy(h, t->head, t->hdr_len);
	put_be16(h + AT_CSUM, 0);
	memset(h + t->at + OPT_BASE, 0, k->maclen);
	if (k->flags & TCP_AO_F_NO_OPTS) {
		add(m, h, TCP_HLEN);
		add(m, h + t->at, len);
	} else {
		add(m, h, t->hdr_len);
	}
}

void tcp_ao_mac(const struct tcp_ao_key *k,
		const uint8_t traffic[TCP_AO_TRAFFIC],
		const struct tcp_ao_text *t, uint8_t out[TCP_AO_TRAFFIC])
{
	uint8_t sne[4];
	struct mac m;

	put_be32(sne, t->sne);
	begin(&m, k->alg, traffic, tcp_ao_traffic_len(k));
	add(&m, sne, sizeof(sne));
	add_pseudo(&m, t);
	add_head(&m, k, t);
	if (t->p)
		for (unsigned i = 0; i < t->p->num_v; i++)
			add(&m, t->p->v[i].p, t->p->v[i].len);
	else
		add(&m, t->data, t->len - t->hdr_len);
	end(&m, out);
}
