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

uint16_t tcp_mss_now(const struct ep *e)
{
	const struct tcp_conn *c = e->tcp;

	if (c && !TCPS_IN(c, TCPS_BIT(CLOSED))) {
		/* tcp_bound_to_half_wnd() */
		uint32_t half = c->max_window > TCP_DEF_MSS ? c->max_window / 2
							    : UINT32_MAX;

		return (uint16_t)MIN(c->mss_cache + tcp_auth_len(c), half);
	}
	return e->topt.maxseg ? e->topt.maxseg : TCP_DEF_MSS;
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

static bool row_of(const struct tcp *t, const struct tcp_node *n,
		   struct tcp_row *row)
{
	*row = (struct tcp_row){.laddr = n->key.laddr,
				.raddr = n->key.raddr,
				.lport = n->key.lport,
				.rport = n->key.rport};
	switch (n->kind) {
	case TCP_NODE_CONN: {
		const struct tcp_conn *c =
			container_of(n, const struct tcp_conn, node);

		row->state = c->state;
		row->recv_q = c->rcv_nxt - c->copied_seq;
		row->send_q = tcp_unacked(c);
		row->s = c->is_orphan ? 0 : ep_id(c->ep);
		return true;
	}
	case TCP_NODE_SYN:
		row->state = TCPS_SYN_RCVD;
		return true;
	default:
		row->state = TCPS_TIME_WAIT;
		return true;
	}
}

unsigned tcp_list(const struct tcp *t, struct tcp_row *rows, unsigned n)
{
	struct hnode *h = NULL;
	uint32_t bucket = 0;
	const struct list *p;
	unsigned k = 0;

	list_for_each (p, &t->listens) {
		const struct tcp_listen *l =
			list_entry(p, struct tcp_listen, link);

		if (k == n)
			return k;
		rows[k++] = (struct tcp_row){.laddr = l->ep->laddr,
					     .raddr = l->ep->raddr,
					     .lport = l->ep->lport,
					     .state = TCPS_LISTEN,
					     .recv_q = l->num_accept,
					     .send_q = l->backlog,
					     .s = ep_id(l->ep)};
	}
	while (k < n && (h = htab_walk(&t->tuples, &bucket, h)))
		k += row_of(t, container_of(h, struct tcp_node, h), &rows[k]);
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
