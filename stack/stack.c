/* SPDX-License-Identifier: MIT
 *
 * stack.c - joins the layers: makes them, feeds them, runs their deadlines
 *
 * Input: a small packet in a large buffer moves to one of its size at once
 * (copy-break), so that the buffer, still hot, is read into again next; what a
 * socket queues is then charged what it really takes. Output: the pkt itself
 * is the cookie of its transmit.
 */
#include "stack.h"

#include <errno.h>

#include "sock/sock.h"

#define RX_LEAVE ((size_t)512 << 10)

enum { /* purposes of random numbers: one more is one more stream */
       RNG_CORE = 1,
       RNG_KEYS = 2,
};

static void init_core(struct stack *st, struct arena *a,
		      const struct stack_cfg *cfg, const uint8_t seed[32])
{
	struct core *c = &st->core;
	struct rng keys;

	st->sysctl = cfg->sysctl ? *cfg->sysctl : sysctl_defaults;
	c->arena = a;
	c->sysctl = &st->sysctl;
	timers_init(&c->timers, a);
	log_init(&c->log, cfg->log);
	rng_init(&c->rng, seed, RNG_CORE);
	rng_init(&keys, seed, RNG_KEYS);
	rng_key(&keys, &c->hash_key);
	rng_key(&keys, &c->iss_key);
	rng_key(&keys, &c->port_key);
}

static int add_addrs(struct stack *st, const struct stack_cfg *cfg)
{
	static const uint8_t lo4[4] = {127, 0, 0, 1};
	struct ip_addr a4 = ip_addr_v4(lo4);
	struct ip_addr a6 = {.b[15] = 1};
	int err = ip_addr_add(&st->ip, &a4, 8);

	if (!err || err == -EEXIST)
		err = ip_addr_add(&st->ip, &a6, 128);
	if (err == -EEXIST)
		err = 0;
	for (unsigned i = 0; i < cfg->num_addrs && !err; i++)
		err = ip_addr_add(&st->ip, &cfg->addrs[i].addr,
				  cfg->addrs[i].plen);
	for (unsigned i = 0; i < cfg->num_routes && !err; i++)
		err = ip_route_tell(&st->ip, &cfg->routes[i]);
	return err;
}

struct stack *stack_new(struct arena *a, const struct stack_cfg *cfg,
			const uint8_t seed[32], nsec now)
{
	struct stack *st = arena_zalloc(a, sizeof(*st));

	if (!st)
		return NULL;
	init_core(st, a, cfg, seed);
	memcpy(st->dev_name, cfg->dev_name, sizeof(st->dev_name));
	if (link_init(&st->link, &st->core, &st->ip, &cfg->link))
		goto no_link;
	if (ip_init(&st->ip, &st->core, &st->link, &st->tp))
		goto no_ip;
	if (transport_init(&st->tp, &st->core, &st->ip, cfg->num_parties))
		goto no_transport;
	if (add_addrs(st, cfg))
		goto no_addrs;
	arena_set_root(a, st);
	return st;
no_addrs:
	transport_fini(&st->tp);
no_transport:
	ip_fini(&st->ip);
no_ip:
	link_fini(&st->link);
no_link:
	timers_fini(&st->core.timers);
	arena_free(a, st);
	return NULL;
}

uint64_t stack_layout(void)
{
	return sizeof(struct stack) * 31 * 31 * 31 +
	       sizeof(struct ep) * 31 * 31 + sizeof(struct pkt) * 31 +
	       tcp_layout();
}

void stack_free(struct stack *st)
{
	struct arena *a = st->core.arena;

	while (st->num_rx_cache)
		frame_put(a, st->rx_cache[--st->num_rx_cache]);
	transport_fini(&st->tp);
	ip_fini(&st->ip);
	link_fini(&st->link);
	timers_fini(&st->core.timers);
	arena_set_root(a, NULL);
	arena_free(a, st);
}

/* --- packets in --- */

/* Ready to be read into, as frame_new() gave it. */
static void reset(struct frame *f)
{
	*f = (struct frame){
		.b = f->b,
		.data = (uint8_t *)(f + 1),
		.room = f->room,
	};
}

static void recycle(struct stack *st, struct frame *f)
{
	if (f->b.ref == 1 && f->room > FRAME_SMALL &&
	    st->num_rx_cache < STACK_RX_CACHE) {
		reset(f);
		st->rx_cache[st->num_rx_cache++] = f;
	} else {
		frame_put(st->core.arena, f);
	}
}

/* Large empty buffers must not take the last memory from sockets: the arena
 * grows soon, but not at once. (An arena of malloc's has no room to tell.) */
static bool is_low(const struct arena *a)
{
	size_t room = arena_room(a);

	return room && room < RX_LEAVE;
}

unsigned stack_rx_alloc(struct stack *st, uint32_t room, struct frame *v[],
			unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		unsigned last = st->num_rx_cache - 1;

		if (room > FRAME_SMALL && st->num_rx_cache &&
		    st->rx_cache[last]->room >= room) {
			v[i] = st->rx_cache[last];
			st->num_rx_cache = last;
			continue;
		}
		if (i && is_low(st->core.arena))
			break;
		v[i] = frame_new(st->core.arena, room);
		if (!v[i])
			break;
	}
	return i;
}

void stack_rx_free(struct stack *st, struct frame *const v[], unsigned n)
{
	while (n--) /* the first of @v is handed out first again */
		recycle(st, v[n]);
}

/* A copy of @f in a buffer of its size, or NULL: keep @f. */
static struct frame *copy_break(struct stack *st, const struct frame *f)
{
	struct frame *s;

	if (f->len > FRAME_SMALL || f->room <= FRAME_SMALL)
		return NULL;
	s = frame_new(st->core.arena, MAX(f->len, 1u));
	if (!s)
		return NULL;
	memcpy(s->data, f->data, f->len);
	s->len = f->len;
	s->at = f->at;
	s->l4_off = f->l4_off;
	s->hdr_len = f->hdr_len;
	s->gso_size = f->gso_size;
	s->gso_segs = f->gso_segs;
	s->gso = f->gso;
	s->csum = f->csum;
	s->flags = f->flags;
	return s;
}

static void rx_one(struct stack *st, struct frame *f, nsec now)
{
	struct frame *small = copy_break(st, f);

	f->link = LINK_DEV;
	if (small) {
		recycle(st, f);
		small->link = LINK_DEV;
		link_rx(&st->link, small, now);
		return;
	}
	frame_get(f);
	link_rx(&st->link, f, now);
	recycle(st, f);
}

unsigned stack_rx(struct stack *st, struct frame *const v[], unsigned n,
		  bool drained, nsec now)
{
	for (unsigned i = 0; i < n; i++)
		rx_one(st, v[i], now);
	tcp_batch_end(st->tp.tcp, drained, now);
	return n;
}

/* --- packets out --- */

static void fill_txv(struct txv *t, struct pkt *p)
{
	*t = (struct txv){
		.f = {.data = pkt_head(p),
		      .len = p->len,
		      .at = p->at,
		      .l4_off = p->l4_off,
		      .hdr_len = p->hdr_len,
		      .gso_size = p->gso_size,
		      .gso_segs = p->gso_segs,
		      .gso = p->gso,
		      .csum = p->csum,
		      .link = p->link,
		      .flags = p->flags},
		.cookie = (uintptr_t)p,
	};
	t->v[0] = (struct iovec){pkt_head(p), pkt_head_len(p)};
	t->num_v = 1;
	for (unsigned i = 0; i < p->num_v; i++)
		t->v[t->num_v++] = (struct iovec){p->v[i].p, p->v[i].len};
}

unsigned stack_tx(struct stack *st, struct txv v[], unsigned n, nsec now)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct pkt *p = link_take(&st->link, now);

		if (!p)
			break;
		fill_txv(&v[i], p);
	}
	return i;
}

bool stack_tx_pending(const struct stack *st)
{
	return st->link.num_txq > 0;
}

void stack_tx_done(struct stack *st, const struct txv v[], const int res[],
		   unsigned n, nsec now)
{
	for (unsigned i = 0; i < n; i++)
		link_taken_done(&st->link, (struct pkt *)(uintptr_t)v[i].cookie,
				res[i], now);
}

/* --- time --- */

static void on_ip(struct stack *st, struct timer *t, nsec now)
{
	ip_timer(&st->ip, now);
}

static void on_tcp_conn(struct stack *st, struct timer *t, nsec now)
{
	tcp_conn_timer(t, now);
}

static void on_tcp_table(struct stack *st, struct timer *t, nsec now)
{
	tcp_table_timer(st->tp.tcp, t, now);
}

static void on_link(struct stack *st, struct timer *t, nsec now)
{
	link_timer(&st->link, now);
}

static void (*const on_timer[TIMER_NUM_KINDS])(struct stack *, struct timer *,
					       nsec) = {
	[TIMER_IP] = on_ip,
	[TIMER_TCP_CONN] = on_tcp_conn,
	[TIMER_TCP_TABLE] = on_tcp_table,
	[TIMER_LINK] = on_link,
};

unsigned stack_tick(struct stack *st, unsigned budget, nsec now)
{
	unsigned num = link_tick(&st->link, budget, now);

	if (num)
		tcp_batch_end(st->tp.tcp, st->link.num_loq == 0, now);
	while (num < budget) {
		struct timer *t = timers_pop(&st->core.timers, now);

		if (!t)
			break;
		ASSERT(on_timer[t->kind]);
		transport_note(&st->tp, NULL);
		on_timer[t->kind](st, t, now);
		num++;
	}
	return num;
}

nsec stack_next_at(struct stack *st)
{
	return MIN(link_next_at(&st->link), timers_next_at(&st->core.timers));
}

/* --- the host --- */

bool stack_is_local(const struct stack *st, const struct ip_addr *a)
{
	return ip_scope(&st->ip, a) == IP_SCOPE_LOCAL;
}

bool stack_has_listener(struct stack *st, int type, const struct ip_addr *a,
			uint16_t port)
{
	enum ep_kind kind = type == SOCK_STREAM ? EP_TCP : EP_UDP;
	struct ip_addr none = {0};

	return port_lookup(&st->tp, kind, a, port, &none, 0, 0, 0) != NULL;
}

int stack_route_set(struct stack *st, const struct ip_addr *dst, unsigned plen,
		    const struct ip_addr *gw, const struct ip_metrics *m)
{
	struct ip_route r = {.dst = *dst, .gw = *gw, .m = *m};

	r.plen = (uint8_t)MIN(plen, 255u);
	return ip_route_set(&st->ip, &r);
}

void stack_forget_cookies(struct stack *st)
{
	tcp_forget_cookies(st->tp.tcp);
}

void stack_set_refusing(struct stack *st, bool on)
{
	link_set_refusing(&st->link, on);
}

bool stack_route_known(const struct stack *st, const struct ip_addr *dst)
{
	return ip_route_lookup(&st->ip, dst) != NULL;
}

unsigned stack_num_unfinished(const struct stack *st)
{
	return tcp_num_unfinished(st->tp.tcp);
}

unsigned stack_num_sockets(const struct stack *st)
{
	return st->tp.eps.num;
}

size_t stack_memory(const struct stack *st)
{
	size_t kept = 0;

	for (unsigned i = 0; i < st->num_rx_cache; i++)
		kept += st->rx_cache[i]->b.size;
	return arena_used(st->core.arena) - kept;
}

void stack_abort_all(struct stack *st, nsec now)
{
	uint32_t pos = 0;
	struct ep *e;

	while ((e = ep_table_walk(&st->tp.eps, &pos))) {
		if (e->kind != EP_TCP || e->listen)
			continue;
		transport_note(&st->tp, e);
		ep_get(e); /* an orphan would go away under us */
		tcp_disconnect(e, now);
		ep_put(e);
	}
}

const struct stats *stack_stats(const struct stack *st)
{
	return &st->core.stats;
}

struct arena *stack_arena(const struct stack *st)
{
	return st->core.arena;
}

uint32_t stack_timers_armed(const struct stack *st)
{
	return timers_num_armed(&st->core.timers);
}

size_t stack_log_drain(struct stack *st, char *out, size_t len)
{
	return log_drain(&st->core.log, out, len);
}

size_t stack_capture_drain(struct stack *st, uint8_t *out, size_t len)
{
	return link_capture_drain(&st->link, out, len);
}

uint64_t stack_tcp_memory(const struct stack *st)
{
	return tcp_memory(st->tp.tcp);
}

unsigned stack_list(const struct stack *st, enum ep_kind kind,
		    struct sock_cursor *cur, struct sock_row *rows, unsigned n,
		    nsec now)
{
	return kind == EP_TCP ? tcp_list(st->tp.tcp, cur, rows, n, now)
			      : dgram_list(&st->tp, kind, cur, rows, n);
}

int stack_sysctl_get(const struct stack *st, const char *name, int64_t *out)
{
	return sysctl_get(&st->sysctl, name, out);
}

int stack_sysctl_set(struct stack *st, const char *name, const char *value)
{
	return sysctl_set(&st->sysctl, name, value);
}

int stack_sysctl_text(const struct stack *st, const char *name, char *out,
		      size_t len)
{
	return sysctl_text(&st->sysctl, name, out, len);
}
