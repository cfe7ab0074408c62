/* SPDX-License-Identifier: MIT
 *
 * rebuild.h - the transports after a death under the lock, see base/rebuild.h
 *
 * In this order: find, with everything of the other layers, and the sweep after
 * it; refill; revive, which acts: sends resets, ends what was being closed.
 */
#ifndef TCPSHIM_TRANSPORT_REBUILD_H
#define TCPSHIM_TRANSPORT_REBUILD_H

#include "base/rebuild.h"
#include "transport/tcp_conn.h"

/* Marks whatever endpoints hold. False: one more was found broken; begin again
 * with new marks. */
bool transport_find(struct transport *tp, struct rebuild *rb);
/* A packet that somebody will write, or deliver, is charged to @cookie. */
void transport_charge(struct transport *tp, uint64_t cookie, uint32_t charge);
void transport_refill(struct transport *tp, struct rebuild *rb);
/* Connections that were broken are reset; how many. */
unsigned transport_revive(struct transport *tp, nsec now);

/* tcp_rebuild.c */
void tcp_find(struct tcp *t, struct rebuild *rb);
/* What hangs on @e alone. False: it is broken. */
bool tcp_find_ep(struct ep *e, struct rebuild *rb);
/* Memory with a caller. False: it is none. */
bool tcp_find_lend(struct ep *e, struct tcp_lend *l, struct rebuild *rb);
/* Records and accept queues, when all endpoints are known. */
void tcp_find_rest(struct tcp *t, struct rebuild *rb);
void tcp_refill(struct tcp *t, struct rebuild *rb);
void tcp_revive_ep(struct ep *e, nsec now);
/* What may have been lost on its way is said again. */
void tcp_revive(struct tcp *t, nsec now);

/* tcp_auth.c, tcp_fastopen.c, group.c */
void tcp_auth_find(struct ep *e, struct rebuild *rb);
void tcp_fo_find(struct tcp *t, struct rebuild *rb);
void group_find(struct ep *e, struct rebuild *rb);
void group_refill(struct ep *e);

#endif
