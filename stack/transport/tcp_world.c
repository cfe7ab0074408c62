/* SPDX-License-Identifier: MIT */
#include "transport/tcp_world.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/csum.h"
#include "base/md5.h"
#include "transport/tcp_conn.h"
#include "wire/ip4.h"

#define START (1000 * SEC)
#define HDR_MAX 120
#define SEEN_MAX 600

struct peer w;

/* What the stack has sent and expect() has not seen. */
static struct seen {
	uint32_t len, gso_size;
	uint8_t *bytes;
} seen[SEEN_MAX];
static unsigned num_seen, first_seen;

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	cr_assert(ip_addr_parse(text, &a) == 0);
	return a;
}

static void init(bool tso)
{
	static const uint8_t seed[32] = {1};
	struct stack_cfg cfg = {
		.link = {.mtu = 1500,
			 .can_tso4 = tso,
			 .can_tso6 = tso,
			 .can_csum = tso},
		.addrs = {{addr("10.0.0.1"), 24}},
		.num_addrs = 1,
		.sysctl = &w.sysctl,
	};

	w = (struct peer){.now = START, .irs = 5000};
	w.sysctl = sysctl_defaults;
	w.arena = arena_new_malloc(256 << 20);
	cfg.sysctl = &w.sysctl;
	w.st = stack_new(w.arena, &cfg, seed, w.now);
	cr_assert(w.st);
	num_seen = first_seen = 0;
}

void peer_init(void)
{
	init(false);
}

void peer_init_tso(void)
{
	init(true);
}

void peer_fini(void)
{
	skip();
	stack_free(w.st);
	cr_assert(arena_used(w.arena) == 0, "%zu bytes are left",
		  arena_used(w.arena));
	arena_destroy_malloc(w.arena);
}

/* --- what the stack sends --- */

static void keep(const struct txv *t)
{
	struct seen *n;
	uint32_t len = 0;

	cr_assert(num_seen < SEEN_MAX);
	n = &seen[num_seen++];
	n->bytes = malloc(t->f.len);
	n->gso_size = t->f.gso ? t->f.gso_size : 0;
	for (unsigned i = 0; i < t->num_v; i++) {
		memcpy(n->bytes + len, t->v[i].iov_base, t->v[i].iov_len);
		len += (uint32_t)t->v[i].iov_len;
	}
	cr_assert(len == t->f.len);
	n->len = len;
}

static void drain(void)
{
	struct txv v[16];
	int res[16] = {0};
	unsigned n;

	while ((n = stack_tx(w.st, v, 16, w.now))) {
		for (unsigned i = 0; i < n; i++)
			keep(&v[i]);
		stack_tx_done(w.st, v, res, n, w.now);
	}
}

static void shift_seen(void)
{
	free(seen[first_seen].bytes);
	if (++first_seen == num_seen)
		first_seen = num_seen = 0;
}

unsigned num_out(void)
{
	drain();
	return num_seen - first_seen;
}

void skip(void)
{
	drain();
	while (num_seen)
		shift_seen();
}

void quiet(void)
{
	drain();
	if (num_seen)
		expect(0xff, 0, 0, 0);
}

/* RFC 2385 2.0 */
static void digest(const struct ip_addr *src, const struct ip_addr *dst,
		   const uint8_t *l4, uint32_t len, uint8_t out[MD5_LEN])
{
	uint8_t v[12] = {[9] = IPPROTO_TCP}, head[TCP_HLEN];
	unsigned hlen = l4[12] / 16 * 4u;
	struct md5 m;

	memcpy(v, src->b + 12, 4);
	memcpy(v + 4, dst->b + 12, 4);
	put_be16(v + 10, (uint16_t)len);
	memcpy(head, l4, sizeof(head));
	head[16] = head[17] = 0;
	md5_init(&m);
	md5_add(&m, v, sizeof(v));
	md5_add(&m, head, sizeof(head));
	md5_add(&m, l4 + hlen, len - hlen);
	md5_add(&m, w.key, strlen(w.key));
	md5_end(&m, out);
}

/* How often the numbers of a side have begun again at 0; a little before the
 * first is what a probe has. */
static uint32_t extension(uint32_t first, uint32_t seq)
{
	uint32_t d = seq - first;
	int64_t whole = d < 0xf0000000 ? (int64_t)d : (int32_t)d;

	return (uint32_t)((whole + first) >> 32);
}

/* RFC 5925 5.1: of a segment from the peer, or else to it. */
static void ao_mac(const struct tcp_ao_key *k, const struct ip_addr *src,
		   const struct ip_addr *dst, const struct tcp_repr *r,
		   const uint8_t *l4, uint32_t len, bool from_peer,
		   uint8_t out[TCP_AO_TRAFFIC])
{
	struct tcp_ao_ends ends = {*src,	*dst,  r->src_port,
				   r->dst_port, w.iss, w.irs};
	struct tcp_ao_text t = {
		.src = src,
		.dst = dst,
		.head = l4,
		.hdr_len = r->hdr_len,
		.at = r->ao_at,
		.data = l4 + r->hdr_len,
		.len = len,
		.sne = extension(from_peer ? w.irs : w.iss, r->seq),
	};
	uint8_t traffic[TCP_AO_TRAFFIC];

	if (from_peer) {
		ends.sisn = w.irs;
		ends.disn = w.iss;
	}
	if ((r->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		ends.disn = 0;
	tcp_ao_derive(k, &ends, traffic);
	tcp_ao_mac(k, traffic, &t, out);
}

static void look_ao(const struct ip4_repr *ip, const struct tcp_repr *r,
		    const uint8_t *l4, uint32_t len)
{
	const struct tcp_ao_key *k = &w.ao->key[0];
	uint8_t mac[TCP_AO_TRAFFIC];

	if (k->rcvid != r->ao_key)
		k++;
	cr_assert(k->rcvid == r->ao_key && r->ao_len == 4 + k->maclen);
	ao_mac(k, &ip->src, &ip->dst, r, l4, len, false, mac);
	cr_assert(!memcmp(mac, l4 + r->ao_at + 4, k->maclen), "flags %x",
		  r->flags);
	w.ao->saw = r->ao_key;
	w.ao->saw_rnext = r->ao_rnext;
}

static bool is_ours(const struct ip_addr *src)
{
	struct ip_addr us = addr("10.0.0.1");

	return ip_addr_eq(src, &us);
}

static void look(const struct seen *n, struct peer_seg *s)
{
	uint8_t sum[MD5_LEN];
	struct ip4_repr ip;
	struct tcp_repr r;
	const uint8_t *l4;

	cr_assert(ip4_parse(&ip, n->bytes, n->len) == DROP_NONE);
	l4 = n->bytes + ip.hdr_len;
	cr_assert(tcp_parse(&r, &ip.src, &ip.dst, l4, n->len - ip.hdr_len,
			    w.st->link.can_csum ? CSUM_PARTIAL : CSUM_NONE) ==
		  DROP_NONE);
	cr_assert(is_ours(&ip.src));
	cr_assert(r.src_port == STACK_PORT || !w.s);
	if (r.flags & TCP_SYN) {
		w.iss = r.seq;
		w.has_iss = true;
	}
	cr_assert(r.has_md5 == (w.key != NULL));
	if (w.key) {
		digest(&ip.src, &ip.dst, l4, n->len - ip.hdr_len, sum);
		cr_assert(!memcmp(sum, l4 + r.md5_at, sizeof(sum)));
	}
	cr_assert((r.ao_len != 0) == (w.ao != NULL));
	if (w.ao)
		look_ao(&ip, &r, l4, n->len - ip.hdr_len);
	*s = (struct peer_seg){
		.flags = r.flags,
		.tos = ip.tos,
		.seq = r.seq - w.iss,
		.ack = r.flags & TCP_ACK ? r.ack - w.irs : 0,
		.len = n->len - ip.hdr_len - r.hdr_len,
		.win = r.window,
		.urg = r.urg,
		.mss = r.mss,
		.sack_ok = r.sack_ok,
		.has_ts = r.has_ts,
		.has_wscale = r.has_wscale,
		.wscale = r.wscale,
		.ts_val = r.ts_val,
		.ts_ecr = r.ts_ecr,
		.num_sack = r.num_sack,
		.gso_size = n->gso_size,
		.fo = r.fo,
		.ae = r.ns,
		.accecn = r.accecn,
		.uto = r.uto,
		.df = ip.df,
		.ttl = ip.ttl,
		.sport = r.dst_port,
	};
	for (unsigned i = 0; i < r.num_sack; i++) {
		s->sack[i].start = r.sack[i].start - w.irs;
		s->sack[i].end = r.sack[i].end - w.irs;
	}
	memcpy(w.data, l4 + r.hdr_len, s->len);
}

void next(void)
{
	drain();
	cr_assert(num_seen);
	look(&seen[first_seen], &w.last);
	shift_seen();
}

void expect(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct peer_seg *s = &w.last;

	drain();
	cr_assert(num_seen, "nothing was sent, wanted flags %x seq %u len %u",
		  flags, seq, len);
	look(&seen[first_seen], s);
	cr_assert(s->flags == flags && s->seq == seq && s->ack == ack &&
			  s->len == len,
		  "sent flags %x seq %u ack %u len %u, "
		  "wanted flags %x seq %u ack %u len %u",
		  s->flags, s->seq, s->ack, s->len, flags, seq, ack, len);
	shift_seen();
}

/* --- what the peer sends --- */

static void fill_repr(const struct peer_seg *s, struct tcp_repr *r)
{
	*r = (struct tcp_repr){
		.src_port = s->sport ? s->sport : PEER_PORT,
		.dst_port = STACK_PORT,
		.seq = s->seq + w.irs,
		.ack = s->flags & TCP_ACK ? s->ack + w.iss : 0,
		.flags = s->flags,
		.window = s->win || s->win0 ? s->win : 50000,
		.urg = s->urg,
		.has_mss = s->mss != 0,
		.mss = s->mss,
		.sack_ok = s->sack_ok,
		.has_ts = s->has_ts,
		.has_wscale = s->has_wscale,
		.wscale = s->wscale,
		.ts_val = s->ts_val,
		.ts_ecr = s->ts_ecr,
		.num_sack = s->num_sack,
		.fo = s->fo,
		.ns = s->ae,
		.accecn = s->accecn,
		.uto = s->uto,
	};
	for (unsigned i = 0; i < s->num_sack; i++) {
		r->sack[i].start = s->sack[i].start + w.iss;
		r->sack[i].end = s->sack[i].end + w.iss;
	}
}

/* Byte @i of the peer's stream. */
static uint8_t byte_at(uint32_t seq)
{
	return (uint8_t)(seq * 31 + (seq >> 8));
}

static void sign_ao(const struct ip4_repr *ip, const struct tcp_repr *r,
		    uint8_t *l4, uint32_t len)
{
	const struct tcp_ao_key *k = &w.ao->key[w.ao->use];
	uint8_t mac[TCP_AO_TRAFFIC];

	ao_mac(k, &ip->src, &ip->dst, r, l4, len, true, mac);
	mac[3] ^= w.ao->is_wrong;
	memcpy(l4 + r->ao_at + 4, mac, k->maclen);
}

static struct frame *make_frame(const struct peer_seg *s)
{
	struct frame *f;
	struct tcp_repr r;
	struct ip4_repr ip = {
		.src = addr("10.0.0.2"),
		.dst = addr(s->to ? s->to : "10.0.0.1"),
		.hdr_len = IP4_HLEN,
		.ttl = 64,
		.tos = s->tos,
		.proto = IPPROTO_TCP,
		.df = true,
	};
	uint32_t hlen, room = s->len + HDR_MAX;
	uint64_t sum;
	uint16_t c;

	fill_repr(s, &r);
	r.has_md5 = w.key;
	if (w.ao) {
		r.ao_len = (uint8_t)(4 + w.ao->key[w.ao->use].maclen);
		r.ao_key = w.ao->key[w.ao->use].sndid;
		r.ao_rnext = w.ao->key[w.ao->ask].rcvid;
	}
	hlen = tcp_emit_len(&r);
	cr_assert(stack_rx_alloc(
			  w.st, room <= FRAME_SMALL ? FRAME_SMALL : FRAME_LARGE,
			  &f, 1) == 1);
	ip.total_len = (uint16_t)(IP4_HLEN + hlen + s->len);
	ip4_emit(&ip, f->data);
	tcp_emit(&r, f->data + IP4_HLEN);
	for (uint32_t i = 0; i < s->len; i++)
		f->data[IP4_HLEN + hlen + i] = byte_at(s->seq + i);
	if (w.key)
		digest(&ip.src, &ip.dst, f->data + IP4_HLEN, hlen + s->len,
		       f->data + IP4_HLEN + r.md5_at);
	if (w.ao)
		sign_ao(&ip, &r, f->data + IP4_HLEN, hlen + s->len);
	sum = csum_pseudo(&ip.src, &ip.dst, IPPROTO_TCP, hlen + s->len);
	c = csum_fold(csum_add(sum, f->data + IP4_HLEN, hlen + s->len));
	c ^= s->bad_csum;
	memcpy(f->data + IP4_HLEN + 16, &c, 2);
	f->len = ip.total_len;
	f->gso_size = (uint16_t)s->gso_size;
	f->gso = s->gso_size ? GSO_TCP4 : GSO_NONE;
	return f;
}

void send_seg(const struct peer_seg *s)
{
	send_batch(s, 1);
}

void send_batch(const struct peer_seg *s, unsigned n)
{
	struct frame *f[16];

	cr_assert(n <= ARRAY_SIZE(f));
	for (unsigned i = 0; i < n; i++)
		f[i] = make_frame(&s[i]);
	stack_rx(w.st, f, n, true, w.now);
}

void send_unreach(uint8_t code, uint16_t mtu, uint32_t seq)
{
	uint8_t *p;
	struct frame *f;
	struct ip_addr us, peer;
	struct ip4_repr in, out;
	uint32_t icmp = IP4_HLEN, quote = IP4_HLEN + 8;
	uint16_t c;

	ip_addr_parse("10.0.0.1", &us);
	ip_addr_parse("10.0.0.2", &peer);
	cr_assert(stack_rx_alloc(w.st, FRAME_SMALL, &f, 1) == 1);
	p = f->data;
	memset(p, 0, 100);
	in = (struct ip4_repr){.src = us,
			       .dst = peer,
			       .hdr_len = IP4_HLEN,
			       .total_len = 1040,
			       .ttl = 60,
			       .df = true,
			       .proto = IPPROTO_TCP};
	ip4_emit(&in, p + quote);
	put_be16(p + quote + IP4_HLEN, STACK_PORT);
	put_be16(p + quote + IP4_HLEN + 2, PEER_PORT);
	put_be32(p + quote + IP4_HLEN + 4, seq + w.iss);
	p[icmp] = 3;
	p[icmp + 1] = code;
	put_be16(p + icmp + 6, mtu);
	f->len = quote + IP4_HLEN + 8;
	c = csum_fold(csum_add(0, p + icmp, f->len - icmp));
	memcpy(p + icmp + 2, &c, 2);
	out = (struct ip4_repr){.src = peer,
				.dst = us,
				.hdr_len = IP4_HLEN,
				.total_len = (uint16_t)f->len,
				.ttl = 60,
				.proto = IPPROTO_ICMP};
	ip4_emit(&out, p);
	stack_rx(w.st, &f, 1, true, w.now);
}

/* --- the clock --- */

void pass(nsec t)
{
	nsec end = w.now + t;

	drain();
	for (;;) {
		nsec at = stack_next_at(w.st);

		if (at > end)
			break;
		w.now = MAX(w.now, at);
		stack_tick(w.st, 64, w.now);
		drain();
	}
	w.now = end;
}

void until(nsec at)
{
	cr_assert(START + at >= w.now);
	pass(START + at - w.now);
}

/* --- the user --- */

static struct sockaddr_in sin_of(const char *text, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct ip_addr a = addr(text);

	put_be16(&sin.sin_port, port);
	memcpy(&sin.sin_addr, a.b + 12, 4);
	return sin;
}

sockid new_sock(void)
{
	struct sockaddr_in sin = sin_of("10.0.0.1", STACK_PORT);
	int one = 1;

	cr_assert(sock_new(w.st, AF_INET, SOCK_STREAM, 0, &w.s, w.now) == 0);
	cr_assert(sock_setopt(w.st, w.s, SOL_SOCKET, SO_REUSEADDR, &one,
			      sizeof(one), w.now) == 0);
	cr_assert(sock_bind(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			    w.now) == 0);
	return w.s;
}

int set_opt(int level, int name, int v)
{
	return sock_setopt(w.st, w.s, level, name, &v, sizeof(v), w.now);
}

void open_with(const struct peer_seg *synack)
{
	struct sockaddr_in sin = sin_of("10.0.0.2", PEER_PORT);

	if (!w.s)
		new_sock();
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == -EINPROGRESS);
	if (w.st->sysctl.tcp_ecn == 1 || w.st->sysctl.tcp_ecn == 3 ||
	    w.st->sysctl.tcp_congestion_control == CC_DCTCP)
		expect(SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
	else
		expect(SYN, 0, 0, 0);
	if (!synack)
		return;
	send_seg(synack);
	expect(ACK, 1, 1, 0);
}

void open_active(void)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true});
}

sockid open_listener(int backlog)
{
	new_sock();
	cr_assert(sock_listen(w.st, w.s, backlog, w.now) == 0);
	return w.s;
}

void open_passive(uint16_t sport)
{
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .sport = sport);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .sport = sport);
}

static int put_part(uint32_t len, int flags)
{
	struct span sp;
	int n = sock_send_begin(w.st, w.s, len, flags, NULL, &sp, w.now);
	uint32_t done = 0;

	if (n <= 0)
		return n;
	for (unsigned i = 0; i < sp.num_v; i++) {
		memset(sp.v[i].iov_base, 'x', sp.v[i].iov_len);
		done += (uint32_t)sp.v[i].iov_len;
	}
	cr_assert((int)done == n);
	return sock_send_commit(w.st, w.s, &sp, done, flags, w.now);
}

/* As a write that does not wait. */
int put(uint32_t len, int flags)
{
	int done = 0, n;

	do {
		n = put_part(len - (uint32_t)done,
			     done ? flags | SOCK_GOES_ON : flags);
		done += MAX(n, 0);
	} while (n > 0 && done < (int)len);
	return done ? done : n;
}

int get(uint32_t len, int flags)
{
	struct span sp;
	int n = sock_recv_begin(w.st, w.s, len, flags, NULL, &sp, w.now);
	uint32_t done = 0;

	if (n <= 0)
		return n;
	for (unsigned i = 0; i < sp.num_v; i++) {
		memcpy(w.data + done, sp.v[i].iov_base, sp.v[i].iov_len);
		done += (uint32_t)sp.v[i].iov_len;
	}
	cr_assert((int)done == n);
	return sock_recv_commit(w.st, w.s, &sp, done, flags, w.now);
}

uint32_t bits(void)
{
	uint32_t b = 0;

	cr_assert(sock_poll(w.st, w.s, &b) == 0);
	return b;
}

int sock_err(void)
{
	socklen_t len = sizeof(int);
	int v = 0;

	cr_assert(sock_getopt(w.st, w.s, SOL_SOCKET, SO_ERROR, &v, &len,
			      w.now) == 0);
	return v;
}

uint64_t count(enum stat_id s)
{
	return stack_stats(w.st)->v[s];
}

uint64_t dropped(enum drop d)
{
	return stack_stats(w.st)->drop[d];
}

struct tcp_conn *conn(void)
{
	struct ep *e = ep_find(&w.st->tp, w.s);

	cr_assert(e && e->tcp);
	return e->tcp;
}
