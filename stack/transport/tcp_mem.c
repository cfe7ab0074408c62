/* SPDX-License-Identifier: MIT
 *
 * tcp_mem.c - how much memory all connections together may hold
 *
 * Linux's tcp_mem: beyond its second number buffers no longer grow and windows
 * of full queues fall, until less than the first is held; beyond the third a
 * connection gets no more than its tcp_rmem.min and tcp_wmem.min, and one that
 * nobody owns any more is reset. What is held is counted as each entry point
 * ends. The arena has an end of its own: its last part is kept for what is not
 * payload, so that ACKs can be sent and queues can drain.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define PAGE 4096u
#define RESERVE 16 /* a part of the arena: pressure; half of it: the end */

static uint64_t pages(int64_t n)
{
	return (uint64_t)n * PAGE;
}

static void follow(struct tcp *t)
{
	const struct sysctl_values *v = t->core->sysctl;
	struct tcp_mem *m = &t->mem;
	size_t left = arena_left(t->core->arena);
	bool is_short = left < arena_max(t->core->arena) / RESERVE;

	if (!m->is_pressed &&
	    (m->held > pages(v->tcp_mem_pressure) || is_short)) {
		m->is_pressed = true;
		m->pressed_at = m->now;
		stat_inc(t->core, STAT_TcpExtTCPMemoryPressures);
	} else if (m->is_pressed && m->held <= pages(v->tcp_mem_min) &&
		   !is_short) {
		m->is_pressed = false;
		stat_add(t->core, STAT_TcpExtTCPMemoryPressuresChrono,
			 (uint64_t)((m->now - m->pressed_at) / MSEC));
	}
}

void tcp_mem_sync(struct tcp_conn *c)
{
	uint64_t held = (uint64_t)c->snd_mem + c->ep->rx_mem;
	struct tcp *t = c->t;

	t->mem.held += held - c->mem_counted;
	c->mem_counted = held;
	follow(t);
	/* tcp_adjust_rcv_ssthresh(): what has not been promised is not */
	if (t->mem.is_pressed && c->ep->rx_mem > c->ep->rcvbuf / 2)
		c->rcv_ssthresh = MIN(c->rcv_ssthresh, 4u * c->advmss);
}

void tcp_mem_forget(struct tcp_conn *c)
{
	c->t->mem.held -= c->mem_counted;
	c->mem_counted = 0;
	if (c->is_counted)
		c->t->mem.num_orphans--;
	c->is_counted = false;
	follow(c->t);
}

void tcp_mem_recount(struct tcp *t)
{
	struct list *p;

	/* whether there is pressure, and since when, is known */
	t->mem.held = 0;
	t->mem.num_orphans = 0;
	list_for_each (p, &t->conns) {
		struct tcp_conn *c = list_entry(p, struct tcp_conn, link);

		c->mem_counted = 0;
		t->mem.num_orphans += c->is_counted;
		tcp_mem_sync(c);
	}
}

static bool is_at_end(const struct tcp *t)
{
	return t->mem.held > pages(t->core->sysctl->tcp_mem_max) ||
	       arena_left(t->core->arena) <
		       arena_max(t->core->arena) / RESERVE / 2;
}

/* What is left is for frames that come in, or no ACK could free anything. */
static bool is_over(const struct tcp *t)
{
	const struct arena *a = t->core->arena;

	return arena_left(a) < arena_max(a) / RESERVE / 8;
}

bool tcp_mem_may_lend(const struct tcp_conn *c, uint32_t lent)
{
	uint64_t least = (uint64_t)tcp_sysctl(c)->tcp_wmem_min;

	return !is_at_end(c->t) ||
	       (c->snd_mem + lent < least && !is_over(c->t));
}

bool tcp_mem_may_send(const struct tcp_conn *c)
{
	return tcp_mem_may_lend(c, 0);
}

bool tcp_mem_may_recv(const struct tcp_conn *c)
{
	uint64_t least = (uint64_t)tcp_sysctl(c)->tcp_rmem_min;

	return !is_at_end(c->t) || (c->ep->rx_mem < least && !is_over(c->t));
}

/* tcp_check_oom() of Linux; each @shift counts all orphans twice. */
static bool is_too_much(const struct tcp_conn *c, unsigned shift)
{
	const struct tcp_mem *m = &c->t->mem;

	if ((uint64_t)m->num_orphans << shift >
	    (uint64_t)tcp_sysctl(c)->tcp_max_orphans)
		return true;
	return c->snd_mem > TCP_MIN_SNDBUF && is_at_end(c->t);
}

static bool abort_conn(struct tcp_conn *c, bool reset, nsec now)
{
	if (reset)
		tcp_send_rst(c, now);
	stat_inc(c->t->core, STAT_TcpExtTCPAbortOnMemory);
	return tcp_done(c, 0, now);
}

bool tcp_mem_orphaned(struct tcp_conn *c, nsec now)
{
	c->is_counted = true;
	c->t->mem.num_orphans++;
	tcp_mem_sync(c);
	return is_too_much(c, 0) && abort_conn(c, true, now);
}

/* tcp_out_of_resources(): one that gets nowhere goes first. */
bool tcp_mem_orphan_waits(struct tcp_conn *c, bool reset, nsec now)
{
	nsec idle = now - c->last_sent_at;
	unsigned shift = idle > 2 * tcp_rto_max(c) || !reset;

	shift += c->ep->err_soft != 0;
	if (!is_too_much(c, shift))
		return false;
	if (idle <= TCP_TW_LEN || (!c->snd_wnd && !c->packets_out))
		reset = true;
	return abort_conn(c, reset, now);
}
