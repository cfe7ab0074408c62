/* SPDX-License-Identifier: MIT
 *
 * tcp_pace.c - when the next frame may leave
 *
 * A paced connection keeps the earliest instant at which its next frame may
 * leave: that of the last one, and as long as its bytes take at the pacing
 * rate. Resends count like new data. Before that instant the output loop stops
 * and a timer goes on with it; this is no limit of the window nor of the
 * application, and neither grows nor ages anything.
 *
 * Sleeps are coarse and come late, and short frames would need one each. So
 * the timer waits a quantum at least, and what it came too late for is sent
 * then, up to a quantum of lateness more: the rate holds on the average, and
 * no burst is longer than two quanta of it. Who comes late for another reason,
 * since there was nothing to send, is credited half a frame, as in Linux.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define QUANTUM (1 * MSEC)
#define UNPACED_SEGS 10u /* Linux: the initial window goes at once */

void tcp_pace_enable(struct tcp_conn *c)
{
	c->is_paced = true;
	c->pacing_rate = MIN(c->pacing_rate, c->ep->max_pacing);
}

bool tcp_pace_holds(struct tcp_conn *c, nsec now)
{
	if (!c->is_paced || c->pace_at <= now)
		return false;
	if (c->at[TCP_T_PACE] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_PACE, MAX(c->pace_at, now + QUANTUM));
	return true;
}

void tcp_pace_sent(struct tcp_conn *c, uint32_t len, nsec now)
{
	uint64_t rate = c->pacing_rate;
	nsec late = now - c->pace_at, took, credit;

	if (!c->is_paced || !rate || rate == ~0ull ||
	    c->data_segs_out < UNPACED_SEGS)
		return;
	took = (nsec)((uint64_t)len * (uint64_t)SEC / rate);
	if (late > 0) {
		credit = c->pace_waits ? 2 * QUANTUM : took / 2;
		took -= MIN(late, credit);
		c->pace_at = now;
	}
	c->pace_at += took;
}

nsec tcp_pace_delay(const struct tcp_conn *c, nsec now)
{
	return c->is_paced && c->pace_at > now ? c->pace_at - now : 0;
}
