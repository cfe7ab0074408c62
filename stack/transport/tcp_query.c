/* SPDX-License-Identifier: MIT
 *
 * tcp_query.c - what others ask of TCP: readiness, queues, lists, names
 */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "transport/errq.h"
#include "transport/tcp_conn.h"

uint8_t tcp_state(const struct ep *e)
{
	if (e->listen)
		return TCPS_LISTEN;
	return e->tcp ? e->tcp->state : TCPS_CLOSED;
}

void tcp_positions(const struct ep *e, uint32_t *written, uint32_t *read)
{
	*written = e->tcp ? e->tcp->write_seq : 0;
	*read = e->tcp ? e->tcp->copied_seq : 0;
}

static uint32_t poll_conn(const struct ep *e, struct tcp_conn *c)
{
	uint32_t bits = 0, target = MAX(e->rcvlowat, 1u);

	if (c->fo_deferred) /* a write opens it */
		return EPOLLOUT | EPOLLWRNORM;
	if (TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD)) &&
	    !tcp_is_early(c))
		return 0;
	if (c->urg_state && c->urg_seq == c->copied_seq &&
	    !ep_opt(e, EP_O_OOBINLINE))
		target++;
	if (c->rcv_nxt - c->copied_seq - c->fin_rcvd >=
	    MIN(target, MAX(e->rcvbuf / 2, 1u)))
		bits |= EPOLLIN | EPOLLRDNORM;
	if (e->shut & EP_SHUT_WR || tcp_snd_is_writeable(c))
		bits |= EPOLLOUT | EPOLLWRNORM;
	else
		c->nospace = true;
	if (c->urg_state == TCP_URG_VALID)
		bits |= EPOLLPRI;
	return bits;
}

uint32_t tcp_poll(const struct ep *e)
{
	uint8_t state = tcp_state(e);
	uint32_t bits = 0;

	if (e->listen)
		return list_empty(&e->listen->acceptq) ? 0
						       : EPOLLIN | EPOLLRDNORM;
	if (e->shut == (EP_SHUT_RD | EP_SHUT_WR) || state == TCPS_CLOSED)
		bits |= EPOLLHUP;
	if (e->shut & EP_SHUT_RD)
		bits |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (e->tcp)
		bits |= poll_conn(e, e->tcp);
	else
		bits |= EPOLLOUT | EPOLLWRNORM;
	if (e->err)
		bits |= EPOLLERR;
	return bits | errq_poll(e);
}

int tcp_ioctl(struct ep *e, unsigned long req)
{
	struct tcp_conn *c = e->tcp;
	bool early;

	if (e->listen)
		return req == SIOCATMARK ? 0 : -EINVAL;
	early = !c || c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RCVD;
	switch (req) {
	case FIONREAD:
		return early ? 0 : (int)tcp_rcv_avail(c);
	case SIOCATMARK:
		return c && c->urg_state && c->urg_seq == c->copied_seq;
	case SIOCOUTQ:
		return early ? 0 : (int)tcp_unacked(c);
	case SIOCOUTQNSD:
		return early ? 0 : (int)tcp_unsent(c);
	default:
		return -EINVAL;
	}
}

/* The peer has said nothing: tcp_v4_connect(), tcp_v6_connect() of Linux take
 * what every host can do (RFC 9293 3.7.1), less the option of each segment. */
static uint16_t mss_of_nobody(const struct ep *e, const struct tcp_conn *c)
{
	uint32_t mss =
		ip_addr_is4(&c->node.key.raddr) ? TCP_DEF_MSS : TCP_DEF_MSS_6;

	if (e->topt.maxseg)
		mss = e->topt.maxseg;
	if (tcp_sysctl(c)->tcp_timestamps)
		mss -= TCP_TS_OPT_LEN;
	return (uint16_t)mss;
}

uint16_t tcp_mss_now(const struct ep *e)
{
	const struct tcp_conn *c = e->tcp;

	if (c && tcp_in_repair(e)) /* what the handshake has agreed on */
		return (uint16_t)c->mss_clamp;
	if (c && !c->was_established &&
	    TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(CLOSED)))
		return mss_of_nobody(e, c);
	if (c) { /* closed or not, it is what it was */
		/* tcp_bound_to_half_wnd() */
		uint32_t half = c->max_window > TCP_DEF_MSS ? c->max_window / 2
							    : UINT32_MAX;

		return (uint16_t)MIN(c->mss_cache + tcp_auth_len(c), half);
	}
	return e->topt.maxseg ? e->topt.maxseg : TCP_DEF_MSS;
}

uint32_t tcp_window_clamp(const struct ep *e)
{
	return e->tcp ? e->tcp->window_clamp : e->topt.window_clamp;
}

bool tcp_is_quick(const struct ep *e)
{
	return e->tcp ? !tcp_is_pingpong(e->tcp) : ep_opt(e, EP_O_QUICKACK);
}

unsigned tcp_num_unfinished(const struct tcp *t)
{
	const struct list *p;
	unsigned n = 0;

	list_for_each (p, &t->conns) {
		const struct tcp_conn *c = list_entry(p, struct tcp_conn, link);

		if (c->state == TCPS_CLOSED)
			continue;
		n += c->state != TCPS_SYN_SENT && tcp_unacked(c);
	}
	return n;
}

uint64_t tcp_memory(const struct tcp *t)
{
	return t->mem.held;
}

/* What tcp_diag.c and tcp_ipv4.c of Linux show. */
static void conn_timer(const struct tcp_conn *c, struct sock_row *row)
{
	static const struct {
		uint8_t timer, shown;
	} order[] = {
		{TCP_T_RTX, SOCK_ROW_RETRANSMIT},
		{TCP_T_REO, SOCK_ROW_RETRANSMIT},
		{TCP_T_TLP, SOCK_ROW_RETRANSMIT},
		{TCP_T_PROBE, SOCK_ROW_PROBE},
		{TCP_T_KEEP, SOCK_ROW_KEEPALIVE},
		{TCP_T_FIN2, SOCK_ROW_KEEPALIVE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		if (c->at[order[i].timer] != TIME_NEVER) {
			row->timer = order[i].shown;
			row->due = c->at[order[i].timer];
			return;
		}
}

static void conn_row(const struct tcp_conn *c, struct sock_row *row)
{
	bool is_early = TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD));

	row->state = c->state;
	row->recv_q = is_early ? 0 : tcp_rcv_avail(c);
	row->send_q = tcp_unacked(c);
	row->s = c->is_orphan ? 0 : ep_id(c->ep);
	row->family = c->ep->family;
	row->retransmits = c->retransmits;
	row->probes = c->probes_out + c->keep_probes;
	row->is_pingpong = tcp_is_pingpong(c);
	row->rto = c->rto;
	row->ato = c->ato;
	row->cwnd = c->cc.cwnd;
	row->ssthresh = c->cc.ssthresh;
	conn_timer(c, row);
}

/* A record's deadline, of which the low bits are kept: see tcp_stamp(). */
static nsec stamp_due(uint32_t due, nsec now)
{
	return now + (nsec)(int32_t)(due - tcp_stamp(now)) * (1 << 14);
}

static void row_of(const struct tcp_node *n, struct sock_row *row, nsec now)
{
	*row = (struct sock_row){
		.laddr = n->key.laddr,
		.raddr = n->key.raddr,
		.lport = n->key.lport,
		.rport = n->key.rport,
		.family = ip_addr_is4(&n->key.laddr) ? AF_INET : AF_INET6,
	};
	switch (n->kind) {
	case TCP_NODE_CONN:
		conn_row(container_of(n, const struct tcp_conn, node), row);
		return;
	case TCP_NODE_SYN: {
		const struct tcp_syn *q =
			container_of(n, const struct tcp_syn, n);

		row->state = TCPS_SYN_RCVD;
		row->timer = SOCK_ROW_RETRANSMIT;
		row->due = stamp_due(q->due, now);
		row->retransmits = (uint8_t)MAX(q->num_synacks - 1, 0);
		return;
	}
	default:
		row->state = TCPS_TIME_WAIT;
		row->timer = SOCK_ROW_TIME_WAIT;
		row->due = stamp_due(
			container_of(n, const struct tcp_tw, n)->due, now);
	}
}

static unsigned list_listeners(const struct tcp *t, struct sock_cursor *cur,
			       struct sock_row *rows, unsigned n)
{
	const struct list *p;
	unsigned i = 0, k = 0;

	list_for_each (p, &t->listens) {
		const struct tcp_listen *l =
			list_entry(p, struct tcp_listen, link);

		if (i++ < cur->pos)
			continue;
		if (k == n)
			return k;
		cur->pos++;
		rows[k++] = (struct sock_row){
			.laddr = l->ep->laddr,
			.raddr = l->ep->raddr,
			.lport = l->ep->lport,
			.family = l->ep->family,
			.state = TCPS_LISTEN,
			.recv_q = l->num_accept,
			.send_q = l->backlog,
			.s = ep_id(l->ep),
		};
	}
	*cur = (struct sock_cursor){.is_past_listeners = true};
	return k;
}
/* Bucket by bucket: one that has no room any more begins the next piece. */
static unsigned list_tuples(const struct tcp *t, struct sock_cursor *cur,
			    struct sock_row *rows, unsigned n, nsec now)
{
	uint32_t bucket = cur->pos, last = 0;
	struct hnode *h = NULL;
	unsigned k = 0, begin = 0;

	while ((h = htab_walk(&t->tuples, &bucket, h))) {
		if (bucket != last) {
			begin = k;
			last = bucket;
		}
		if (k == n) {
			if (begin) {
				cur->pos = bucket;
				return begin;
			}
			/* one bucket fills it all: the rest of it is left */
			cur->pos = bucket > 1 ? bucket - 1 : SOCK_CURSOR_END;
			return k;
		}
		row_of(container_of(h, struct tcp_node, h), &rows[k++], now);
	}
	cur->pos = SOCK_CURSOR_END;
	return k;
}

unsigned tcp_list(const struct tcp *t, struct sock_cursor *cur,
		  struct sock_row *rows, unsigned n, nsec now)
{
	unsigned k = 0;

	if (!cur->is_past_listeners)
		k = list_listeners(t, cur, rows, n);
	if (!k && cur->is_past_listeners && cur->pos != SOCK_CURSOR_END)
		k = list_tuples(t, cur, rows, n, now);
	return k;
}

int tcp_cc_find(const char *name)
{
	struct cc cc;

	for (cc.id = 0; cc.id < CC_NUM; cc.id++)
		if (strcmp(cc_ops(&cc)->name, name) == 0)
			return cc.id;
	return -ENOENT;
}

const char *tcp_cc_name(unsigned id)
{
	struct cc cc = {.id = (uint8_t)id};

	return id < CC_NUM ? cc_ops(&cc)->name : NULL;
}
