/* SPDX-License-Identifier: MIT
 *
 * tcp_md5.c - the TCP MD5 signature option (RFC 2385)
 *
 * A digest over pseudo-header, header without options, payload and key goes
 * into every segment. The keys that a socket has say for which peers: a segment
 * without a digest from one of those is dropped, and so is one with a digest
 * from anybody else. Nobody is told, since a reset would be a way in.
 */
#include "transport/tcp_auth.h"

#include <errno.h>

#include "base/md5.h"
#include "transport/tcp_ao.h"
#include "transport/tcp_conn.h"

#define AT_CSUM 16 /* in the header: counts as zero */

/* --- keys --- */

static struct tcp_md5_key *key_of(struct list *n)
{
	return list_entry(n, struct tcp_md5_key, node);
}

static struct tcp_md5_key *find_exact(const struct ep *e,
				      const struct tcp_key_id *id)
{
	struct list *n;

	if (!e->auth)
		return NULL;
	list_for_each (n, &e->auth->md5)
		if (tcp_key_id_eq(&key_of(n)->id, id))
			return key_of(n);
	return NULL;
}

int tcp_md5_add(struct ep *e, const struct tcp_key_id *id, const void *key,
		unsigned len)
{
	struct tcp_md5_key *k = find_exact(e, id);

	ASSERT(len <= TCP_MD5_MAX_KEY);
	if (tcp_ao_is_due(e, &id->addr))
		return -EKEYREJECTED;
	if (!k) {
		k = tcp_auth_alloc(e, sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->id = *id;
		list_push(&e->auth->md5, &k->node);
	}
	memcpy(k->v, key, len);
	k->len = (uint8_t)len;
	return 0;
}

int tcp_md5_del(struct ep *e, const struct tcp_key_id *id)
{
	struct tcp_md5_key *k = find_exact(e, id);

	if (!k)
		return -ENOENT;
	list_remove(&k->node);
	tcp_auth_release(e, k, sizeof(*k));
	return 0;
}

/* better_md5_match() of Linux */
const struct tcp_md5_key *tcp_md5_find(const struct ep *e,
				       const struct ip_addr *peer)
{
	const struct tcp_md5_key *best = NULL;
	struct list *n;

	if (!e->auth)
		return NULL;
	list_for_each (n, &e->auth->md5) {
		const struct tcp_md5_key *k = key_of(n);

		if (!tcp_key_id_fits(&k->id, peer))
			continue;
		if (!best || k->id.prefix > best->id.prefix)
			best = k;
	}
	return best;
}

/* --- digests --- */

static void add_head(struct md5 *m, const struct ip_addr *src,
		     const struct ip_addr *dst, uint32_t len,
		     const uint8_t *head)
{
	uint8_t pseudo[40] = {0}, bare[TCP_HLEN];

	if (ip_addr_is4(src)) { /* RFC 9293 3.1 */
		memcpy(pseudo, src->b + 12, 4);
		memcpy(pseudo + 4, dst->b + 12, 4);
		pseudo[9] = IPPROTO_TCP;
		put_be16(pseudo + 10, (uint16_t)len);
		md5_add(m, pseudo, 12);
	} else { /* RFC 8200 8.1 */
		memcpy(pseudo, src->b, 16);
		memcpy(pseudo + 16, dst->b, 16);
		put_be32(pseudo + 32, len);
		pseudo[39] = IPPROTO_TCP;
		md5_add(m, pseudo, 40);
	}
	memcpy(bare, head, TCP_HLEN);
	put_be16(bare + AT_CSUM, 0);
	md5_add(m, bare, TCP_HLEN);
}

void tcp_md5_sign(const struct tcp_md5_key *k, struct pkt *p, unsigned at,
		  const struct ip_tx *tx)
{
	uint8_t *head = pkt_head(p);
	struct md5 m;

	md5_init(&m);
	add_head(&m, &tx->src, &tx->dst, p->len, head);
	for (unsigned i = 0; i < p->num_v; i++)
		md5_add(&m, p->v[i].p, p->v[i].len);
	md5_add(&m, k->v, k->len);
	md5_end(&m, head + at);
}

bool tcp_md5_is_good(const struct tcp_md5_key *k, const struct tcp_seg *s)
{
	uint8_t sum[MD5_LEN], differs = 0;
	struct md5 m;

	md5_init(&m);
	add_head(&m, &s->rx->src, &s->rx->dst, s->rx->l4_len, s->rx->l4);
	md5_add(&m, s->rx->l4 + s->r.hdr_len, s->rx->l4_len - s->r.hdr_len);
	md5_add(&m, k->v, k->len);
	md5_end(&m, sum);
	for (unsigned i = 0; i < MD5_LEN; i++)
		differs |= sum[i] ^ s->rx->l4[s->r.md5_at + i];
	return !differs;
}
