/* SPDX-License-Identifier: MIT
 *
 * sentinel.c - what nobody does now is done here
 *
 * The sentinel is the keeper, or, without one, a thread of the process.
 *
 * The programs' threads drive while they wait (wait.c). When none does, or the
 * one that does is stopped or computes, packets and timers still have to be
 * served. A second thread that simply polls the device would halve the rate of
 * round trips, so the sentinel is told once, then looks away for a moment:
 *
 *	ARMED	 the device wakes us, once, at the next packet; free while idle
 *	GRACE	 after that: has somebody read in the meantime (has the epoch
 *		 moved)? Then look again, less often. If not, and packets are
 *		 still there, take the lease
 *	DRIVING	 each packet wakes us, until somebody else takes the lease
 *
 * Timers: asleep until the next deadline, plus a grace when somebody drives.
 */
#include "host_priv.h"

#include "sys.h"

#define LOOK_MOST (8 * MSEC)
#define TICK_BUDGET 64
#define BATCHES 16 /* in one turn, before libuv gets a look */

enum state { ARMED, GRACE, DRIVING };

static struct {
	enum state state;
	uint64_t epoch; /* as last seen */
	nsec look_at;	/* GRACE: when to look again */
	nsec since;	/* GRACE: the epoch has not moved since */
	nsec period;
	nsec wakes_at;	   /* when to see to wakes that somebody owes */
	struct seat *seat; /* stands for this thread as the driver */
	const struct sentinel_ops *ops;
} me;

static bool has_frames(void)
{
	struct pollfd p = {.fd = host.tun.fd, .events = POLLIN};
	struct timespec zero = {0};

	return sys_ppoll(&p, 1, &zero, NULL) > 0;
}

/* Reads and processes until the device is empty or the lease was lost. Only
 * with @steal is it taken from somebody who has it. */
static void drive(bool steal)
{
	struct kit *k;

	host_lock(OP_RX, 0);
	k = host.sh->driver && !steal ? NULL : kit_take();
	if (!k) {
		host_unlock();
		return;
	}
	host.sh->driver = me.seat;
	kits_left(true);
	for (unsigned i = 0; i < BATCHES && host.sh->driver == me.seat; i++) {
		host_unlock();
		kit_read(k);
		host_lock(OP_RX, 0);
		kit_process(k);
		if (k->is_drained)
			break;
	}
	kit_give(k);
	if (host.sh->driver == me.seat) {
		host.sh->driver = NULL;
		seat_hand_over();
	}
	me.epoch = host.sh->epoch;
	host_unlock();
}

static void run_timers(void)
{
	unsigned rounds = BATCHES;
	nsec late =
		host.sh->driver && host.sh->driver != me.seat ? GRACE_TIMER : 0;

	while (rounds-- && stack_next_at(host.st) <= host_now() - late)
		if (stack_tick(host.st, TICK_BUDGET, host_now()) < TICK_BUDGET)
			break;
}

static void enter_grace(void)
{
	me.state = GRACE;
	me.period = GRACE_IDLE;
	me.since = sys_now();
	me.look_at = me.since + me.period;
	me.epoch = host.sh->epoch;
}

static bool is_left(void)
{
	bool left;

	host_lock(OP_RX, 0);
	left = kits_left(false);
	host_unlock();
	return left;
}

/* GRACE, and it is time to look. */
static void look(void)
{
	nsec now = sys_now();

	if (me.epoch != host.sh->epoch) {
		me.epoch = host.sh->epoch;
		me.since = now;
		me.period = MIN(me.period * 2, LOOK_MOST);
		me.look_at = now + me.period;
		return;
	}
	if (!has_frames() && !is_left()) {
		me.state = ARMED;
		return;
	}
	if (host.sh->driver && now - me.since < GRACE_DRIVEN) {
		me.look_at = now + GRACE_IDLE;
		return;
	}
	me.state = DRIVING;
	drive(true);
}

static void on_fd(void)
{
	if (me.state == DRIVING && me.epoch == host.sh->epoch)
		drive(false);
	else
		enter_grace();
}

static nsec sleep_until(void)
{
	nsec at;

	host_lock(OP_TICK, 0);
	run_timers();
	at = stack_next_at(host.st);
	if (at != TIME_NEVER && host.sh->driver)
		at += GRACE_TIMER;
	if (me.state == GRACE)
		at = MIN(at, me.look_at);
	/* one more look, so that not each packet has to nudge us */
	if (host.sh->had_tx)
		at = MIN(at, host_now() + GRACE_AFTER);
	if (me.wakes_at <= host_now()) {
		seat_wake_marked(false);
		stack_pass_on(host.st);
		me.wakes_at = TIME_NEVER;
	}
	if (host.sh->had_wakes && me.wakes_at == TIME_NEVER)
		me.wakes_at = host_now() + GRACE_AFTER;
	at = MIN(at, me.wakes_at);
	host.sh->had_tx = host.sh->had_wakes = false;
	host.sh->sentinel_at = at;
	host_unlock();
	return at;
}

void sentinel_turn(unsigned what)
{
	host_may_go_on = true;
	if (what & SENTINEL_FD)
		on_fd();
	else if (me.state == GRACE && sys_now() >= me.look_at)
		look();
	host_tx_rescue();
	me.ops->arm_deadline(sleep_until());
	me.ops->arm_fd(me.state != GRACE);
	host_drain_logs();
}

void sentinel_drain(void)
{
	if (has_frames())
		drive(false);
}

int sentinel_init(const struct sentinel_ops *ops)
{
	me.ops = ops;
	me.state = ARMED;
	me.wakes_at = TIME_NEVER;
	host_lock(OP_NONE, 0);
	me.seat = seat_get();
	host_unlock();
	return me.seat ? 0 : -ENOMEM;
}
