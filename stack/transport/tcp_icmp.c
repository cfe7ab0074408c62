/* SPDX-License-Identifier: MIT
 *
 * tcp_icmp.c - what routers and the peer's host say of our segments
 *
 * Only what quotes a segment in flight is believed (RFC 5927 4): the rest is a
 * guess of somebody who does not see the connection. A path MTU cuts what is
 * in flight anew; a way that is gone takes a doubling of the timeout back (RFC
 * 6069); the rest ends a handshake, and else is only what a later timeout will
 * be told as (RFC 5461).
 */
#include <errno.h>
#include <linux/icmp.h>

#include "transport/errq.h"
#include "transport/tcp_conn.h"

static void conn_mtu(struct tcp_conn *c, uint32_t told, nsec now)
{
	bool is4 = ip_addr_is4(&c->node.key.raddr);
	uint32_t mtu = ip_mtu_told(c->t->tp->ip, &c->node.key.raddr, told, now);

	if ((is4 && c->ep->pmtudisc == IP_PMTUDISC_DONT) || mtu >= c->pmtu)
		return;
	tcp_mss_sync(c, mtu);
	if (TCPS_IN(c, TCPS_CAN_SEND)) {
		tcp_simple_retransmit(c, now);
	} else if (c->state == TCPS_SYN_SENT && c->fo_data) {
		/* the SYN with its data was too large: without, at once */
		c->advmss = (uint16_t)MIN(c->advmss,
					  tcp_mss_of_mtu(&c->node.key, mtu));
		tcp_resend_head(c, now);
	}
}

/* RFC 5461, as tcp_v4_err() of Linux: hard while connecting, else only what a
 * later timeout will be reported as. */
static void conn_error(struct tcp_conn *c, const struct ip_error *e, nsec now)
{
	if (e->err == EMSGSIZE) {
		conn_mtu(c, e->mtu, now);
	} else if (TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD))) {
		/* tcp_v4_err() tells all, tcp_v6_err() who asked */
		if (e->is4 || ep_opt(c->ep, EP_O_RECVERR6))
			errq_icmp(c->ep, e, get_be16(e->l4 + 2), e->l4,
				  e->l4_len);
		tcp_done(c, e->err, now);
		return;
	} else if (ep_opt(c->ep, e->is4 ? EP_O_RECVERR : EP_O_RECVERR6) &&
		   !c->is_orphan) {
		ep_error(c->ep, e->err);
		tcp_ready(c, false, false);
	} else {
		c->ep->err_soft = e->err;
	}
	tcp_timer_sync(c);
	tcp_check(c);
}

void tcp_error(struct tcp *t, const struct ip_error *e, nsec now)
{
	struct tcp_key k = {e->local, e->remote, 0, 0, 0};
	struct tcp_node *n;
	uint32_t seq;

	if (e->l4_len < 8 || !e->err)
		return;
	k.lport = get_be16(e->l4);
	k.rport = get_be16(e->l4 + 2);
	seq = get_be32(e->l4 + 4);
	n = tcp_tuple_find(t, &k);
	if (n && tcp_auth_ignores(n, e)) {
		stat_inc(t->core, STAT_TcpExtTCPAODroppedIcmps);
		drop(t->core, DROP_TCP_AUTH);
		return;
	}
	if (!n || n->kind == TCP_NODE_TW) {
		drop(t->core, DROP_ICMP_NO_SOCK);
		return;
	}
	if (n->kind == TCP_NODE_SYN) {
		tcp_syn_error(t, container_of(n, struct tcp_syn, n), e, seq);
	} else {
		struct tcp_conn *c = container_of(n, struct tcp_conn, node);

		/* RFC 5927 4: only about what is in flight; what comes next
		 * counts with it, as in Linux */
		if (!seq_in(seq, c->snd_una, c->snd_nxt - c->snd_una + 1)) {
			stat_inc(t->core, STAT_TcpExtOutOfWindowIcmps);
			drop(t->core, DROP_ICMP_NO_SOCK);
			return;
		}
		transport_note(t->tp, c->ep);
		if (e->is4 && e->type == ICMP_DEST_UNREACH &&
		    (e->code == ICMP_NET_UNREACH ||
		     e->code == ICMP_HOST_UNREACH))
			tcp_timer_revert(c, seq, now);
		conn_error(c, e, now);
	}
}
