/* SPDX-License-Identifier: MIT */
#include "sock/rebuild_world.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/rebuild.h"
#include "edge/netsim.h"
#include "sock/sock.h"
#include "sock/uapi.h"
#include "transport/loan.h"
#include "transport/tcp_conn.h"

#define MEM_LEN ((size_t)2 << 20)
#define START (1000 * SEC)
#define MAX_HELD 64
#define HALF_LIFE 4 /* of its seconds, at which what is safe must be there */

struct rw rw;

static struct {
	struct frame *held[MAX_HELD]; /* A's, with what B has sent */
	unsigned num_held;
	uint8_t *shadow_b;
	uint8_t *scratch[2]; /* a rebuild may itself be interrupted */
	unsigned depth;
	/* the safe connection, by direction: bytes written, bytes read */
	struct bytes {
		uint32_t sent, read;
	} to_a, to_b;
	struct span lent; /* a thread is about to commit it */
	bool was_safe;	  /* nobody was at the safe one */
	bool is_running;
	nsec began_at;
} me;

/* --- two hosts --- */

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	cr_assert(ip_addr_parse(text, &a) == 0);
	return a;
}

static void host_init(struct rw_host *h, const char *a4, bool is_impaired)
{
	static const struct impair_cfg impair = {
		.delay = 5 * MSEC,
		.loss = 0.02,
		.duplicate = 0.02,
		.reorder = 0.1,
	};
	uint8_t seed[32] = {(uint8_t)a4[strlen(a4) - 1]};
	struct sysctl_values sysctl = sysctl_defaults;
	struct stack_cfg cfg = {
		.link = {.mtu = 1500},
		.addrs = {{addr(a4), 24}},
		.num_addrs = 1,
		.routes = {{.dst = addr("239.0.0.0"),
			    .gw = addr("0.0.0.0"),
			    .plen = 8}},
		.num_routes = 1,
		.sysctl = &sysctl,
		.dev_name = "tun0",
		.num_parties = 8,
		.log = LOG_OFF,
	};
	struct arena *a;

	if (is_impaired) {
		cfg.link.impair_in = cfg.link.impair_out = &impair;
		cfg.link.capture_ring = 40000;
	}
	h->len = MEM_LEN;
	h->mem = mmap(NULL, h->len + 65536, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	cr_assert(h->mem != MAP_FAILED);
	h->mem = (uint8_t *)ALIGN_UP((uintptr_t)h->mem, (uintptr_t)65536);
	a = arena_init(h->mem, h->len, h->len);
	h->st = stack_new(a, &cfg, seed, rw.now);
	cr_assert(h->st);
}

static struct rw_host *host(int h)
{
	return h == A ? &rw.a : &rw.b;
}

sockid rw_new(int h, int family, int type)
{
	sockid s;

	cr_assert(sock_new(host(h)->st, family, type, 0, &s, rw.now) == 0);
	sock_set_tag(host(h)->st, s, 1000 + s);
	return s;
}

int rw_bind(int h, sockid s, const char *text, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(text, port, &ss);

	return sock_bind(host(h)->st, s, (struct sockaddr *)&ss, len, rw.now);
}

int rw_connect(int h, sockid s, const char *text, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(text, port, &ss);

	return sock_connect(host(h)->st, s, (struct sockaddr *)&ss, len,
			    rw.now);
}

static sockid listen_on(int h)
{
	sockid s = rw_new(h, AF_INET, SOCK_STREAM);

	cr_assert(rw_bind(h, s, "0.0.0.0", 80) == 0);
	cr_assert(sock_listen(host(h)->st, s, 3, rw.now) == 0);
	return s;
}

static void connect_pair(sockid *at_a, sockid *at_b)
{
	*at_a = rw_new(A, AF_INET, SOCK_STREAM);
	rw_connect(A, *at_a, "10.0.0.2", 80);
	rw_pump();
	cr_assert(sock_accept(rw.b.st, rw.listener_b, at_b, rw.now) == 0);
	sock_set_tag(rw.b.st, *at_b, 1000 + *at_b);
}

static sockid udp_on(int h, uint16_t port)
{
	sockid s = rw_new(h, AF_INET, SOCK_DGRAM);

	cr_assert(rw_bind(h, s, "0.0.0.0", port) == 0);
	return s;
}

/* --- bytes --- */

static uint8_t byte_at(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

/* What was lent, filled; of a stream from byte @at on. */
static void fill(const struct span *sp, uint32_t at, size_t len)
{
	for (unsigned i = 0; i < sp->num_v && len; i++) {
		uint8_t *p = sp->v[i].iov_base;
		size_t n = MIN(sp->v[i].iov_len, len);

		for (size_t k = 0; k < n; k++)
			p[k] = byte_at(at++);
		len -= n;
	}
}

static bool is_right(const struct span *sp, uint32_t at)
{
	for (unsigned i = 0; i < sp->num_v; i++) {
		const uint8_t *p = sp->v[i].iov_base;

		for (size_t k = 0; k < sp->v[i].iov_len; k++)
			if (p[k] != byte_at(at++))
				return false;
	}
	return true;
}

void rw_send(int h, sockid s, size_t len)
{
	struct bytes *b = s == rw.safe && h == A     ? &me.to_b
			  : s == rw.safe_b && h == B ? &me.to_a
						     : NULL;
	struct span sp;

	while (len) {
		int n = sock_send_begin(host(h)->st, s, len, 0, NULL, &sp,
					rw.now);

		if (n <= 0)
			return;
		if (b)
			fill(&sp, b->sent, (size_t)n);
		n = sock_send_commit(host(h)->st, s, &sp, (size_t)n, 0, rw.now);
		if (n <= 0)
			return;
		if (b)
			b->sent += (uint32_t)n;
		len -= (size_t)n;
	}
}

void rw_send_to(int h, sockid s, size_t len, const char *text, uint16_t port)
{
	struct sock_msg m = {0};
	struct span sp;
	int n;

	m.name_len = netsim_addr(text, port, &m.name);
	n = sock_send_begin(host(h)->st, s, len, 0, &m, &sp, rw.now);
	if (n < 0)
		return;
	fill(&sp, 0, len);
	sock_send_commit(host(h)->st, s, &sp, len, 0, rw.now);
}

void rw_recv(int h, sockid s, size_t len)
{
	struct span sp;
	int n;

	while (len) {
		n = sock_recv_begin(host(h)->st, s, len, MSG_DONTWAIT, NULL,
				    &sp, rw.now);
		if (n < 0)
			return;
		sock_recv_commit(host(h)->st, s, &sp, (size_t)n, MSG_DONTWAIT,
				 rw.now);
		if (!n)
			return;
		len -= (size_t)n;
	}
}

/* Of the safe connection: all there is. False: a wrong byte. */
static bool read_safe(int h, sockid s, struct bytes *b)
{
	struct span sp;
	bool ok = true;
	int n;

	while ((n = sock_recv_begin(host(h)->st, s, 100000, 0, NULL, &sp,
				    rw.now)) > 0) {
		ok &= is_right(&sp, b->read);
		b->read += (uint32_t)n;
		sock_recv_commit(host(h)->st, s, &sp, (size_t)n, 0, rw.now);
	}
	return ok;
}

void rw_lend(sockid s, bool is_send)
{
	struct sock_msg m = {0};
	struct span sp;

	m.name_len = netsim_addr("10.0.0.2", 53, &m.name);
	if (is_send)
		sock_send_begin(rw.a.st, s, 100, 0, &m, &sp, rw.now);
	else
		sock_recv_begin(rw.a.st, s, 100, 0, NULL, &sp, rw.now);
}

void rw_peek(sockid s, size_t len)
{
	struct span sp;
	int n = sock_recv_begin(rw.a.st, s, len, MSG_PEEK, NULL, &sp, rw.now);

	if (n > 0)
		sock_recv_commit(rw.a.st, s, &sp, (size_t)n, MSG_PEEK, rw.now);
}

void rw_notes(sockid s)
{
	struct span sp;
	int n;

	while ((n = sock_recv_begin(rw.a.st, s, 100, MSG_ERRQUEUE, NULL, &sp,
				    rw.now)) >= 0)
		sock_recv_commit(rw.a.st, s, &sp, (size_t)n, MSG_ERRQUEUE,
				 rw.now);
}

void rw_send_more(sockid s, size_t len, bool more)
{
	int flags = more ? MSG_MORE : 0, n;
	struct sock_msg m = {0};
	struct span sp;

	m.name_len = netsim_addr("10.0.0.2", 53, &m.name);
	n = sock_send_begin(rw.a.st, s, len, flags, &m, &sp, rw.now);
	if (n >= 0)
		sock_send_commit(rw.a.st, s, &sp, (size_t)n, flags, rw.now);
}

void rw_key(sockid s, const char *key)
{
	struct tcp_md5sig sig = {.tcpm_keylen = (uint16_t)strlen(key)};

	netsim_addr("10.0.0.2", 0, (struct sockaddr_storage *)&sig.tcpm_addr);
	memcpy(sig.tcpm_key, key, strlen(key));
	sock_setopt(rw.a.st, s, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof(sig),
		    rw.now);
}

void rw_ao_keys(sockid s, const char *peer)
{
	struct uapi_ao_add k = {.alg_name = "hmac(sha1)",
				.prefix = 32,
				.keylen = 3,
				.key = "abc"};
	struct uapi_ao_del gone = {.prefix = 32, .sndid = 3, .rcvid = 3};

	netsim_addr(peer, 0, &k.addr);
	gone.addr = k.addr;
	for (uint8_t id = 1; id < 4; id++) {
		k.sndid = k.rcvid = id;
		sock_setopt(rw.a.st, s, IPPROTO_TCP, TCP_AO_ADD_KEY, &k,
			    sizeof(k), rw.now);
	}
	sock_setopt(rw.a.st, s, IPPROTO_TCP, TCP_AO_DEL_KEY, &gone,
		    sizeof(gone), rw.now);
}

void rw_ao_ask(sockid s, uint8_t id)
{
	struct uapi_ao_info v = {.set_rnext = 1, .rnext = id};

	sock_setopt(rw.a.st, s, IPPROTO_TCP, TCP_AO_INFO, &v, sizeof(v),
		    rw.now);
}

void rw_group(sockid s, bool join, const char *text)
{
	struct ip_mreqn r = {0};
	struct ip_addr a = addr(text);

	memcpy(&r.imr_multiaddr, a.b + 12, 4);
	r.imr_address.s_addr = htonl(0x0a000001);
	sock_setopt(rw.a.st, s, IPPROTO_IP,
		    join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &r,
		    sizeof(r), rw.now);
}

/* --- packets --- */

static void copy(struct frame *f, const struct txv *v)
{
	f->len = 0;
	for (unsigned i = 0; i < v->num_v; i++) {
		memcpy(f->data + f->len, v->v[i].iov_base, v->v[i].iov_len);
		f->len += (uint32_t)v->v[i].iov_len;
	}
	f->at = rw.now;
	f->l4_off = v->f.l4_off;
	f->hdr_len = v->f.hdr_len;
	f->csum = v->f.csum;
}

/* From @from's device into frames of @to's, leaving out the first @drop. */
static unsigned carry(struct rw_host *from, struct rw_host *to, unsigned *drop,
		      struct frame *f[], unsigned most)
{
	struct txv v[1];
	int res[1] = {0};
	unsigned n = 0;

	while (n < most && stack_tx(from->st, v, 1, rw.now)) {
		if (*drop)
			--*drop;
		else if (stack_rx_alloc(to->st, FRAME_SMALL, &f[n], 1))
			copy(f[n++], v);
		stack_tx_done(from->st, v, res, 1, rw.now);
	}
	return n;
}

static void ticks(struct rw_host *h)
{
	for (int i = 0; i < 100 && stack_next_at(h->st) <= rw.now; i++)
		stack_tick(h->st, 64, rw.now);
}

static unsigned give(struct rw_host *from, struct rw_host *to, unsigned *drop)
{
	struct frame *f[MAX_HELD];
	unsigned n = carry(from, to, drop, f, MAX_HELD);

	if (n)
		stack_rx(to->st, f, n, true, rw.now);
	ticks(to);
	return n;
}

void rw_pump_drop(unsigned drop)
{
	unsigned none = 0;

	for (int i = 0, quiet = 0; i < 400 && quiet < 3; i++) {
		bool any =
			give(&rw.a, &rw.b, &drop) + give(&rw.b, &rw.a, &none);

		quiet = any ? 0 : quiet + 1;
		if (!any && rw.a.st->link.impair[0]) { /* it takes its time */
			rw.now += 5 * MSEC;
			ticks(&rw.a);
		}
	}
}

void rw_pump(void)
{
	rw_pump_drop(0);
}

void rw_pump_to_b(void)
{
	unsigned none = 0;

	give(&rw.a, &rw.b, &none);
}

void rw_drop_out(void)
{
	unsigned all = UINT32_MAX;
	struct frame *f[1];

	carry(&rw.a, &rw.b, &all, f, 1);
}

void rw_hold_drop(unsigned drop)
{
	unsigned none = 0;

	give(&rw.a, &rw.b, &none);
	me.num_held += carry(&rw.b, &rw.a, &drop, me.held + me.num_held,
			     MAX_HELD - me.num_held);
}

void rw_hold(void)
{
	rw_hold_drop(0);
}

/* Where they were held is forgotten first, as the crank does. */
void rw_rx_held(void)
{
	struct frame *f[MAX_HELD];
	unsigned n = me.num_held;

	memcpy(f, me.held, n * sizeof(f[0]));
	if (!me.is_running)
		me.num_held = 0;
	stack_rx(rw.a.st, f, n, true, rw.now);
}

/* --- the world --- */

static void make_safe(void)
{
	connect_pair(&rw.safe, &rw.safe_b);
	rw_send(B, rw.safe_b, 2000);
	rw_pump();
	rw_send(A, rw.safe, 3000); /* on its way */
	sock_send_begin(rw.a.st, rw.safe, 500, 0, NULL, &me.lent, rw.now);
}

static void say(const char *line, size_t len)
{
	fwrite(line, 1, len, stderr);
}

void rw_init(bool is_impaired)
{
	struct ready r;

	log_set_panic(say);

	memset(&me, 0, sizeof(me));
	memset(&rw, 0, sizeof(rw));
	rw.now = START;
	host_init(&rw.a, "10.0.0.1", is_impaired);
	host_init(&rw.b, "10.0.0.2", false);
	me.shadow_b = malloc(MEM_LEN);
	for (int i = 0; i < 2; i++)
		me.scratch[i] = malloc(ARENA_MARKS_SIZE(MEM_LEN));
	rw.listener = listen_on(A);
	rw.listener_b = listen_on(B);
	rw.udp = udp_on(A, 53);
	rw.udp2 = udp_on(A, 54);
	rw.udp_b = udp_on(B, 53);
	connect_pair(&rw.victim, &rw.victim_b);
	rw_connect(A, rw_new(A, AF_INET, SOCK_STREAM), "10.0.0.9", 80);
	make_safe();
	rw_send(B, rw.victim_b, 1000);
	rw_send(A, rw.victim, 1000);
	sock_watch(rw.a.st, rw.victim, 1, &r);
	sock_watch(rw.a.st, rw.safe, 2, &r);
}

void rw_fini(void)
{
	free(me.shadow_b);
	for (int i = 0; i < 2; i++)
		free(me.scratch[i]);
	munmap(rw.a.mem, MEM_LEN);
	munmap(rw.b.mem, MEM_LEN);
}

void rw_begin(void)
{
	memcpy(me.shadow_b, rw.b.mem, MEM_LEN);
	me.is_running = true;
	me.began_at = rw.now;
	stack_set_party(rw.a.st, 0);
}

void rw_rebuild(void)
{
	struct rebuild rb;
	struct ep *safe = ep_find(&rw.a.st->tp, rw.safe);
	unsigned num;

	me.was_safe = safe && rw.a.st->tp.hand != safe && !safe->is_broken;
	stack_rebuild_begin(rw.a.st, &rb, me.scratch[me.depth++], rw.now);
	num = stack_rebuild_end(rw.a.st, &rb);
	me.depth--;
	stack_set_party(rw.a.st, 0);
	rw.num_resets += num;
	rw.why = NULL;
	if (num > 1)
		rw.why = "more than one was reset";
	if (rb.num_lost)
		rw.why = "something untouched was broken";
}

/* --- is it sound? --- */

#define HOLDS(cond)                     \
	do {                            \
		if (!(cond)) {          \
			rw.why = #cond; \
			return false;   \
		}                       \
	} while (0)

static bool is_chain(const struct list *head, unsigned num)
{
	const struct list *p;
	unsigned n = 0;

	list_for_each (p, head) {
		if (p->next->prev != p || n++ > 10000)
			return false;
	}
	return num == UINT32_MAX || n == num;
}

static bool is_heap(const struct timers *ts)
{
	uint32_t armed = 0;

	for (uint32_t i = 0; i < ts->num; i++) {
		const struct timer_slot *s = &ts->v[i / 1024][i % 1024];
		const struct timer_slot *up =
			&ts->v[(i - !!i) / 2 / 1024][(i - !!i) / 2 % 1024];

		if (s->t->slot != i + 1 || up->at > s->at || s->at > s->t->at)
			return false;
		armed += s->t->at != TIME_NEVER;
	}
	return armed == ts->num_armed;
}

static uint32_t num_loans(const struct ep *e)
{
	uint32_t n = 0;

	for (struct loan_block *b = e->tp->loans; b; b = b->next)
		for (unsigned i = 0; i < LOAN_BLOCK; i++)
			n += b->v[i].kind && b->v[i].e == e;
	return n;
}

static uint32_t charge_of(const struct list *head)
{
	const struct list *p;
	uint32_t sum = 0;

	list_for_each (p, head)
		sum += list_entry(p, struct tcp_rslice, node)->charge;
	return sum;
}

static bool is_conn(const struct tcp_conn *c)
{
	struct list *p;
	uint32_t lent = 0, sent = 0;
	nsec at = TIME_NEVER;

	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++)
		at = MIN(at, c->at[i]);
	HOLDS(at == c->timer.at);
	list_for_each (p, &c->t->lends) {
		const struct tcp_lend *l = list_entry(p, struct tcp_lend, link);

		lent += l->conn == c ? charge_of(&l->slices) : 0;
		sent += l->conn == c && !l->is_recv ? l->bytes : 0;
	}
	list_for_each (p, &c->stream) {
		const struct tcp_slice *sl =
			list_entry(p, struct tcp_slice, node);

		sent += sl->len + (sl->eor ? TCP_SKB_COST : 0);
	}
	HOLDS(is_chain(&c->stream, UINT32_MAX));
	HOLDS(is_chain(&c->recs, c->num_recs));
	HOLDS(is_chain(&c->sent, UINT32_MAX));
	HOLDS(is_chain(&c->rcvq, UINT32_MAX));
	HOLDS(is_chain(&c->ofo, c->num_ofo));
	HOLDS(is_chain(&c->marks, UINT32_MAX));
	HOLDS(!c->in_table || tcp_tuple_find(c->t, &c->node.key) == &c->node);
	HOLDS(c->ep->rx_mem == charge_of(&c->rcvq) + charge_of(&c->ofo) + lent);
	HOLDS(sent == c->snd_mem);
	return true;
}

static bool are_loans(const struct transport *tp)
{
	uint32_t num = 0;

	for (const struct loan_block *b = tp->loans; b; b = b->next)
		for (unsigned i = 0; i < LOAN_BLOCK; i++)
			num += !b->v[i].kind;
	for (const struct loan *l = tp->free_loans; l && num; l = l->next)
		num -= !l->kind;
	return num == 0;
}

static bool is_ep(struct ep *e)
{
	HOLDS(e->refs == (uint32_t)!e->is_closed + !!e->tcp + num_loans(e));
	HOLDS(!e->tag || ep_by_tag(e->tp, e->tag) == e);
	HOLDS(!e->listen ||
	      is_chain(&e->listen->acceptq, e->listen->num_accept));
	HOLDS(is_chain(&e->errq, UINT32_MAX));
	HOLDS(is_chain(&e->more, UINT32_MAX));
	HOLDS(e->kind != EP_UDP || is_chain(&e->rxq, e->num_rxq));
	return !e->tcp || is_conn(e->tcp);
}

static bool is_sound(struct stack *st)
{
	struct transport *tp = &st->tp;
	struct tcp *t = tp->tcp;
	uint32_t num = t->num_tw, bound = 0, tags = 0, conns = 0;
	struct ep *e;

	for (uint32_t pos = 0; (e = ep_table_walk(&tp->eps, &pos));) {
		if (!is_ep(e))
			return false;
		num += e->tcp && e->tcp->in_table;
		num += e->listen ? e->listen->num_syn : 0;
		conns += e->tcp != NULL;
		bound += e->is_bound;
		tags += e->tag != 0;
	}
	HOLDS(num == t->tuples.num);
	HOLDS(bound == tp->ports.num);
	HOLDS(tags == tp->tags.num);
	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++)
		HOLDS(is_chain(&t->synq[i], UINT32_MAX));
	for (unsigned i = 0; i < tp->num_parties; i++)
		HOLDS(is_chain(&tp->parties[i].subs, UINT32_MAX));
	HOLDS(is_chain(&t->tw, t->num_tw));
	HOLDS(is_chain(&t->conns, conns));
	HOLDS(are_loans(tp));
	HOLDS(is_chain(&t->owed, UINT32_MAX));
	HOLDS(is_chain(&t->wait, UINT32_MAX));
	HOLDS(is_chain(&t->listens, UINT32_MAX));
	HOLDS(is_chain(&tp->news, UINT32_MAX));
	HOLDS(is_chain(&tp->raws, UINT32_MAX));
	HOLDS(is_chain(&st->link.txq, st->link.num_txq));
	HOLDS(is_chain(&st->link.loq, st->link.num_loq));
	HOLDS(is_heap(&st->core.timers));
	HOLDS(arena_is_sound(st->core.arena));
	return true;
}

/* --- and does it go on? --- */

static const char *safe_goes_on(void)
{
	struct bytes to_a = me.to_a, to_b = me.to_b;
	struct bytes was_a = me.to_a, was_b = me.to_b;
	struct span sp = me.lent;
	const char *why = NULL;
	int n = (int)sp.v[0].iov_len;

	fill(&sp, me.to_b.sent, (size_t)n);
	n = sock_send_commit(rw.a.st, rw.safe, &sp, (size_t)n, 0, rw.now);
	me.to_b.sent += n > 0 ? (uint32_t)n : 0;
	rw_send(A, rw.safe, 2000);
	rw_send(B, rw.safe_b, 2000);
	to_b.sent = me.to_b.sent;
	to_a.sent = me.to_a.sent;
	for (int i = 0; i < 40 && !why; i++) {
		rw_pump();
		if (!read_safe(A, rw.safe, &to_a) ||
		    !read_safe(B, rw.safe_b, &to_b))
			why = "a wrong byte";
		if (to_a.read == to_a.sent && to_b.read == to_b.sent)
			break;
		rw.now += 50 * MSEC;
		ticks(&rw.a);
		ticks(&rw.b);
	}
	if (!why && (to_a.read != to_a.sent || to_b.read != to_b.sent))
		why = "bytes are missing";
	me.to_a = was_a;
	me.to_b = was_b;
	return why;
}

static const char *newcomer_is_served(void)
{
	sockid s = rw_new(A, AF_INET, SOCK_STREAM), t;

	if (rw_connect(A, s, "10.0.0.2", 80) != -EINPROGRESS)
		return "connect fails";
	for (int i = 0; i < 200; i++) { /* its SYN may be lost on purpose */
		rw_pump();
		if (sock_accept(rw.b.st, rw.listener_b, &t, rw.now) == 0)
			return NULL;
		rw.now += 50 * MSEC;
		ticks(&rw.a);
		ticks(&rw.b);
	}
	return "no connection";
}

static const char *nothing_stays(void)
{
	struct arena *a = rw.a.st->core.arena;
	struct ep *e;

	for (uint16_t p = 0; p < 8; p++) {
		uint32_t pos = 0;

		while (!stack_forget_party(rw.a.st, p, &pos, 8, rw.now))
			;
	}
	for (uint32_t pos = 0; (e = ep_table_walk(&rw.a.st->tp.eps, &pos));)
		sock_close(rw.a.st, ep_id(e), rw.now);
	stack_abort_all(rw.a.st, rw.now);
	rw_drop_out();
	if (rw.a.st->tp.eps.num)
		return "an endpoint stays";
	stack_free(rw.a.st);
	if (arena_used(a))
		return "memory stays";
	return arena_is_sound(a) ? NULL : "the arena is broken at the end";
}

static void put_back_b(void)
{
	for (size_t off = 0; off < MEM_LEN; off += 4096)
		if (memcmp(rw.b.mem + off, me.shadow_b + off, 4096) != 0)
			memcpy(rw.b.mem + off, me.shadow_b + off, 4096);
}

bool rw_check(void)
{
	static unsigned turn;

	if (!rw.why)
		is_sound(rw.a.st);
	if (!rw.why && turn++ % 4 == 0) {
		if (me.was_safe && !rw.spares_nobody)
			rw.why = safe_goes_on();
		if (!rw.why)
			rw.why = newcomer_is_served();
	}
	if (!rw.why)
		rw.why = nothing_stays();
	put_back_b();
	rw.now = me.began_at;
	return !rw.why;
}
