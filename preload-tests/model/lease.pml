/* SPDX-License-Identifier: MIT
 *
 * lease.pml - who reads the device, who wakes whom, and who dies: every order
 *
 * What shim/wait.c, seat.c, sentinel.c and host.c do between threads and
 * processes, step by step, for spin to try in all orders. A step here is what
 * others can't look into there: a stretch under the lock, or one system call.
 * Death comes between any two steps, the ones under the lock too.
 *
 *	process A	threads 0 and 1	    each waits for its own socket
 *	process B	thread 2	    the same
 *	keeper		the sentinel; never dies
 *	device		at most PACKETS packets, any time, for any socket
 *	fate		kills one of A and B, or signals a thread, any time
 *
 * Left out: timers, the program's own fds, packets out, and what the lock's
 * repair does to half-made lists (a list operation is one step here). Time is
 * left out too: a grace is over when it likes, a driver may always be slow.
 *
 * Judged when nothing can happen any more (judge): no packet lies in the device
 * or in a kit, no thread that is alive sleeps on news, nobody is kept from the
 * lock, and who sleeps has somebody who drives. That only one has the lock is
 * judged at each unlock. A run that never comes to rest is not judged.
 *
 * -DWHO=bits: which threads there are; all three take some minutes and 1 GB.
 * -DWITHOUT=n leaves out one step; then spin must object:
 *	1  the sleeper compares its word (futex_wait) or keeps its datagram
 *	2  the sentinel looks again when the grace is over
 *	3  of a dead process, wakes it owed are delivered (wake_marked)
 *	4  of a dead process, the lease and kits are taken back
 *	5  who was nudged and won't drive passes the nudge on
 *	6  the lock of a dead holder can be taken
 *	7  who is told of news is told under the lock, before he sleeps
 *	8  the lock excludes
 */
#ifndef WITHOUT
#define WITHOUT 0
#endif
#ifndef PACKETS
#define PACKETS 2
#endif

#ifndef WHO
#define WHO 7
#endif

#define THREADS 3
#define KEEPER 3
#define NOBODY 4

/* processes: A is 0, B is 1, the keeper 2 */
#define PARTY(t) (t / 2 + (t == KEEPER))

/* a seat's sleep (shared.h) */
#define AWAKE 0
#define SLEEP_FUTEX 1
#define SLEEP_FD 2

/* --- struct shared --- */

byte lock = NOBODY;
byte driver = NOBODY;
bool word[THREADS];	/* seat->word is not 0 */
bool nudged[THREADS];	/* WORD_NUDGED is in it */
byte sleeps[THREADS];	/* seat->sleep; its place on party->seats */
bool asleep[THREADS];	/* its place on shared->asleep: could drive */
bool wakes[THREADS];	/* its place on shared->wakes */
byte kit[4];		/* packets read and not processed, a bit a socket */
bool reading[4];	/* kit->is_reading */
bool epoch_moved;	/* since the sentinel looked */
bool ready[THREADS];	/* of the core: queued for the process that watches */
bool unread[THREADS];	/* of the core: the socket has data */
bool over[THREADS];	/* the thread has called recv() for the last time */

/* --- of each process, or the kernel's --- */

chan device = [PACKETS] of { byte };
bool marked[THREADS];	/* waiter->word */
bool watched[THREADS];	/* a watch of the thread is on its socket */
bool parked[THREADS];	/* in futex_wait(), to be woken */
bool bell[THREADS];	/* a datagram in its wake fd */
bool in_poll[THREADS];
bool signalled[THREADS]; /* waiter->is_interrupted, or its time is up */
bool dead[3];		/* processes */
bool buried[3];

#define GONE(t) (dead[PARTY(t)])

/* seat.c: seat_wake(). The word says that a wake is on its way already. */
inline seat_wake(s)
{
	if
	:: sleeps[s] != AWAKE && !word[s] -> wakes[s] = true
	:: else
	fi;
	word[s] = true
}

/* wait.c: wait_dispatch(), in process @p: what the core queued goes to the
 * watches, which mark their waiters. */
inline dispatch(p)
{
	i = 0;
	do
	:: i < THREADS ->
		if
		:: ready[i] && PARTY(i) == p ->
			ready[i] = false;
			if
			:: watched[i] ->
				marked[i] = true;
				if
				:: sleeps[i] != AWAKE -> seat_wake(i)
				:: else
				fi
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

/* seat.c: seat_tell_news(): one sleeping thread of each other process. */
inline tell_news(p)
{
	i = 0;
	do
	:: i < THREADS ->
		if
		:: ready[i] && PARTY(i) != p ->
			if /* listener_of() */
			:: i < 2 && sleeps[0] != AWAKE -> seat_wake(0)
			:: i < 2 && sleeps[0] == AWAKE && sleeps[1] != AWAKE ->
				seat_wake(1)
			:: i == 2 && sleeps[2] != AWAKE -> seat_wake(2)
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

/* seat.c: seat_hand_over(): to one who sleeps, and is not woken already. */
inline hand_over()
{
	if
	:: asleep[0] && !word[0] -> seat_wake(0); nudged[0] = true
	:: asleep[1] && !word[1] -> seat_wake(1); nudged[1] = true
	:: asleep[2] && !word[2] -> seat_wake(2); nudged[2] = true
	:: else
	fi
}

/* seat.c: kit_process() */
inline kit_process(t)
{
	i = 0;
	do
	:: i < THREADS ->
		if
		:: kit[t] & (1 << i) && !over[i] && !GONE(i) ->
			unread[i] = true;
			ready[i] = true
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	if
	:: kit[t] -> epoch_moved = true
	:: else
	fi;
	kit[t] = 0
}

/* seat.c: kits_left(true) */
inline take_kits_left()
{
	i = 0;
	j = 0;
	do
	:: j < THREADS ->
		if
		:: kit[j] && !reading[j] -> kit_process(j)
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

/* host.c: host_lock(), robust: of a dead holder it can be had. */
#if WITHOUT == 8
#define FREE true
#elif WITHOUT == 6
#define FREE (lock == NOBODY)
#else
#define FREE (lock == NOBODY || (lock < KEEPER && GONE(lock)))
#endif
inline host_lock(t)
{
	lock = t;
	dispatch(PARTY(t))
}

/* host.c: leave(): the lists are emptied into @mine, then the lock is free. */
inline leave(t)
{
	assert(lock == t);
	dispatch(PARTY(t));
	tell_news(PARTY(t));
	i = 0;
	do
	:: i < THREADS ->
		if
		:: wakes[i] -> mine = mine | (1 << i); wakes[i] = false
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	lock = NOBODY
}

/* A seat that slept by then on its futex has no bell's name. Which of the two
 * it was is read under the lock; a wake of the wrong one can't be. */
inline ring(s)
{
	if
	:: sleeps[s] == SLEEP_FUTEX -> parked[s] = false
	:: else -> bell[s] = (WITHOUT != 1) || in_poll[s]
	fi
}

/* host.c: wake_them(): one system call each; he may be dead by then. */
#define WAKE_THEM                                                         \
	:: d_step { mine & 1 -> mine = mine & 6; ring(0) }                \
	:: d_step { mine & 2 && !(mine & 1) -> mine = mine & 4; ring(1) } \
	:: d_step { mine == 4 -> mine = 0; ring(2) }

/* seat.c: kit_read(): a system call a packet, until there is none. */
inline kit_read_one(t)
{
	device ? p;
	kit[t] = kit[t] | (1 << p);
	p = 0
}

/* where a thread is */
#define LOOK 0
#define TURN 1
#define UNLOCK 2
#define READ 3
#define SLEEP 4
#define PARKED 5
#define POLL 6
#define RETURN 7
#define END 8

/* wait.c: take_lease(), or else prepare_sleep() and seat_sleep() */
inline drive_or_sleep(t)
{
	if
	:: !drives && driver == NOBODY ->
		driver = t;
		drives = true;
		epoch_moved = true;
		reading[t] = true;
		next = READ
	:: else ->
		word[t] = false;
		asleep[t] = !drives;
		sleeps[t] = (drives -> SLEEP_FD : SLEEP_FUTEX);
#if WITHOUT == 7
		ready[t] = false;
#endif
		next = SLEEP
	fi
}

/* wait.c: give_lease(), wait_give_up(), at the end of turn() */
inline give_lease(t)
{
	if
	:: driver == t ->
		driver = NOBODY;
		epoch_moved = true;
		hand_over()
#if WITHOUT != 5
	:: driver == NOBODY && was_nudged -> hand_over()
#endif
	:: else
	fi;
	drives = false;
	next = RETURN
}

/* wait.c: turn(), under the lock: woke_up(), process(), what next? */
inline turn(t)
{
	was_nudged = nudged[t];
	sleeps[t] = AWAKE;
	asleep[t] = false;
	wakes[t] = false;
	nudged[t] = false;
	word[t] = false;
	drives = drives && driver == t;
	kit_process(t);
	if
	:: drives -> dispatch(PARTY(t))
	:: else
	fi;
	if
	:: marked[t] || signalled[t] -> give_lease(t)
	:: else -> drive_or_sleep(t)
	fi;
	was_nudged = false
}

/* A program's thread that calls recv() once: block.c's block_on() and wait.c's
 * wait_block(). Then it is busy with something else for ever. */
proctype thread(byte t) provided (!dead[PARTY(t)])
{
	byte mine, i, p, next;
	byte at = LOOK;
	bool drives;	/* waiter->is_driver */
	bool was_nudged;

	do
	WAKE_THEM
	:: d_step { at == LOOK && FREE ->
		/* block_on(): sleeper_get(), watch_add() */
		host_lock(t);
		watched[t] = true;
		marked[t] = unread[t];
		at = TURN;
		leave(t) }
	:: d_step { at == TURN && !mine && FREE ->
		host_lock(t);
		turn(t);
		at = UNLOCK }
	:: d_step { at == UNLOCK ->
		leave(t);
		at = next;
		next = 0 }
	:: d_step { at == READ && !mine && nempty(device) ->
		kit_read_one(t) }
	:: d_step { at == READ && !mine && empty(device) ->
		reading[t] = false;
		at = TURN }
	:: d_step { at == SLEEP && !mine && !drives ->
		/* sleep_futex(): compares, and sleeps, in one step */
		parked[t] = (WITHOUT == 1 || !word[t]);
		at = PARKED }
	:: d_step { at == PARKED && (!parked[t] || signalled[t]) ->
		parked[t] = false;
		at = TURN }
	:: d_step { at == SLEEP && !mine && drives -> /* sleep_poll() */
		in_poll[t] = true;
		at = POLL }
	:: d_step { at == POLL &&
		    (bell[t] || nempty(device) || signalled[t]) ->
		bell[t] = false;
		in_poll[t] = false;
		reading[t] = true;
		at = READ }
	:: d_step { at == RETURN && !mine && FREE ->
		/* block_on(): sleeper_put(), and the socket is read */
		host_lock(t);
		watched[t] = false;
		marked[t] = false;
		unread[t] = false;
		over[t] = true;
		at = END;
		leave(t) }
	od
}

/* sentinel.c, in the keeper's loop */
#define ARMED 0
#define GRACE 1
#define DRIVING 2

#define KITS_LEFT                                                             \
	((kit[0] && !reading[0]) || (kit[1] && !reading[1]) ||                \
	 (kit[2] && !reading[2]))


/* sentinel.c: the first part of drive() */
inline drive(steal)
{
	host_lock(KEEPER);
	if
	:: driver != NOBODY && !steal -> at = TURN
	:: else ->
		driver = KEEPER;
		take_kits_left();
		at = READ
	fi;
	leave(KEEPER)
}

/* sentinel.c: look(), its time being over */
inline look()
{
	if
	:: epoch_moved ->
		epoch_moved = false;
		has_waited = false
	:: !epoch_moved && empty(device) && !KITS_LEFT -> state = ARMED
	:: !epoch_moved && (nempty(device) || KITS_LEFT) ->
		if
		:: driver != NOBODY && !has_waited -> has_waited = true
		:: else ->
			state = DRIVING;
			has_waited = false
		fi
	fi
}

/* keeper.c: member_gone(); seat.c: party_died() */
inline member_gone(q)
{
	host_lock(KEEPER);
	buried[q] = true;
	j = 0;
	do
	:: j < THREADS ->
		if
		:: PARTY(j) == q ->
#if WITHOUT != 4
			kit_process(j);
#endif
			sleeps[j] = AWAKE;
			asleep[j] = false;
			wakes[j] = false
		:: else
		fi;
		j++
	:: else -> break
	od;
#if WITHOUT != 4
	if
	:: driver < KEEPER && PARTY(driver) == q ->
		driver = NOBODY;
		epoch_moved = true
	:: else
	fi;
	if
	:: driver == NOBODY -> hand_over()
	:: else
	fi;
#endif
	j = 0;
#if WITHOUT != 3
	do /* wake_marked() */
	:: j < THREADS ->
		if
		:: sleeps[j] != AWAKE && word[j] -> wakes[j] = true
		:: else
		fi;
		j++
	:: else -> break
	od;
#endif
	j = 0;
	leave(KEEPER)
}

/* At READ and TURN as a thread: TURN is sleep_until(), with the lock once. */
#define LOOP LOOK
#define STEAL UNLOCK
proctype keeper()
{
	byte mine, i, j, p;
	byte state = ARMED, at = LOOP;
	bool has_waited;

	do
	WAKE_THEM
	/* the one-shot: on_fd() */
	:: d_step { at == LOOP && !mine && nempty(device) && state == DRIVING &&
		    !epoch_moved && FREE ->
		drive(false) }
	:: d_step { at == LOOP && !mine && nempty(device) &&
		    (state == ARMED || (state == DRIVING && epoch_moved)) ->
		state = GRACE;
		has_waited = false;
		epoch_moved = false;
		at = TURN }
	/* its time is over */
	:: d_step { at == LOOP && !mine && state == GRACE && WITHOUT != 2 ->
		look();
		at = (state == DRIVING -> STEAL : TURN) }
	:: d_step { at == STEAL && FREE -> drive(true) }
	:: d_step { at == READ && !mine && nempty(device) ->
		kit_read_one(KEEPER) }
	:: d_step { at == READ && !mine && empty(device) && FREE ->
		host_lock(KEEPER);
		kit_process(KEEPER);
		if
		:: driver == KEEPER -> driver = NOBODY; hand_over()
		:: else
		fi;
		epoch_moved = false;
		at = TURN;
		leave(KEEPER) }
	:: d_step { at == TURN && !mine && FREE ->
		host_lock(KEEPER);
		at = LOOP;
		leave(KEEPER) }
	:: d_step { at == LOOP && !mine && dead[0] && !buried[0] && FREE ->
		member_gone(0);
		at = TURN }
	:: d_step { at == LOOP && !mine && dead[1] && !buried[1] && FREE ->
		member_gone(1);
		at = TURN }
	od
}

proctype world()
{
	byte left = PACKETS;

end:	do
	:: d_step { left > 0 && WHO & 1 -> left--; device ! 0 }
	:: d_step { left > 0 && WHO & 2 -> left--; device ! 1 }
	:: d_step { left > 0 && WHO & 4 -> left--; device ! 2 }
	:: break
	od
}

/* One process is killed, or one thread gets a signal, or neither. */
proctype fate()
{
end:	if
	:: dead[0] = true
	:: dead[1] = true
	:: signalled[0] = true
	:: signalled[1] = true
	:: signalled[2] = true
	:: true
	fi
}

/* A thread that is alive and asleep, and would not be if all were well */
#define SLEEPS(t) (!GONE(t) && sleeps[t] != AWAKE)
#define FORGOTTEN(t) (SLEEPS(t) && (unread[t] || marked[t] || ready[t]))
#define WAITS(t) (!GONE(t) && asleep[t])

proctype judge()
{
end:	timeout;
	assert(lock == NOBODY);
	assert(empty(device));
	assert(!kit[0] && !kit[1] && !kit[2] && !kit[3]);
	assert(!FORGOTTEN(0) && !FORGOTTEN(1) && !FORGOTTEN(2));
	/* who sleeps has somebody who drives, without the sentinel's grace */
	assert(driver != KEEPER);
	assert(driver == NOBODY || (!GONE(driver) && in_poll[driver]));
	assert(driver != NOBODY || (!WAITS(0) && !WAITS(1) && !WAITS(2)))
}

init {
	atomic {
		run keeper();
#if WHO & 1
		run thread(0);
#endif
#if WHO & 2
		run thread(1);
#endif
#if WHO & 4
		run thread(2);
#endif
		run world();
		run fate();
		run judge()
	}
}
