/* SPDX-License-Identifier: MIT
 *
 * host_priv.h - what the files that turn the crank share
 *
 * host.c, seat.c, sentinel.c and make.c are in the library and in the keeper;
 * the rest is the library's. Everything here is guarded by the stack lock,
 * unless it says otherwise.
 */
#ifndef TCPSHIM_HOST_PRIV_H
#define TCPSHIM_HOST_PRIV_H

#include "host.h"
#include "shared.h"
#include "wait.h"

/* How long frames may lie unread before the sentinel takes them: nobody
 * drives; somebody should. */
#define GRACE_IDLE (1 * MSEC)
#define GRACE_DRIVEN (20 * MSEC)
/* How late a timer may be while somebody drives, before the sentinel takes
 * it. */
#define GRACE_TIMER (20 * MSEC)
/* How long packets may wait for who writes them, and threads for who wakes
 * them: he may be stopped. */
#define GRACE_AFTER (10 * MSEC)

/* This process's view of the host. */
struct host {
	struct shared *sh;
	struct stack *st;
	struct tun tun;
	int pid;
	uint16_t party;
	bool has_keeper;  /* else this process is the host, alone */
	bool is_logging;  /* more than warnings: drained at each unlock */
	bool can_grow;	  /* RLIMIT_FSIZE lets us */
	bool is_guest;	  /* a forked child without a place of its own */
	bool is_confined; /* by a filter: read, write and futex only */
	int memfd, log_fd;
	int bell_fd;	      /* to ring other threads' bells with; -1: none */
	int kick_fd;	      /* the keeper's eventfd */
	int control_fd;	      /* connection to the keeper; -1: none */
	uint32_t num_keepers; /* sh->num_keepers as it was made */
	struct pcapfile *pcap;
	struct list wakes; /* struct waiter: eventfds to write after unlock */
	/* GATE_*: not GATE_OPEN is looked at before the lock is taken. In
	 * memory that reads 0 in a forked child. */
	_Atomic uint32_t *gate;
	_Atomic bool is_up;
	void (*kick)(void);	/* tells the sentinel that something is due */
	void (*dispatch)(void); /* what is new for this process */
	void (*at_gate)(enum host_op op);
	/* then this is called after the unlock; signals, mirrors */
	_Atomic bool has_signals, has_news;
	void (*after)(void);
	void (*touched)(sockid s); /* at the end of a call's lock; or NULL */
};
extern struct host host;

#define GATE_OPEN 1u	/* the process that came up: not a child of it */
#define GATE_LEAVING 2u /* exit: threads that may not go on are parked */
#define GATE_FORKING 4u /* stay out of the lock until the fork is done */
#define GATE_JOIN 8u	/* a child that has yet to join */
#define GATE_WAITED 16u /* somebody sleeps on it */

/* This thread goes on while the process leaves. */
extern __thread bool host_may_go_on;

/* host.c: 0, EOWNERDEAD, or ETIMEDOUT after @patience. */
int host_lock_for(pthread_mutex_t *l, nsec patience);
/* Writes out log lines and captured packets; no lock held. */
void host_drain_logs(void);
/* Writes packets that the token's owner has left lying; no lock held. */
void host_tx_rescue(void);
/* Makes present what the arena wants; no lock held. */
void host_grow(void);
/* Before the lock is first used: process-local parts. */
void host_init(void);

/* fdtab.c; in the keeper every fd is its own. */
int fd_make_internal(int fd);
/* What is opened in between gets a high number, and is marked internal. */
void fdtab_fill_low(void);
void fdtab_free_low(void);

/* nudge.c: the lock was waited for in vain, the @num_times-th time. */
void host_nudge(unsigned num_times);

/* make.c: a host of our own. 0, or -errno with cause and cure in @why. */
int host_make(char *why, size_t len);
/* The log file, if there is one. */
int host_open_log(char *why, size_t len);
int host_map(int fd, uintptr_t at, size_t len);

/* repair.c: a mapping of @most bytes; the lock is ours, its holder died. */
void repair_init(size_t most);
void repair(void);

/* seat.c: who sleeps, who reads. */
void seat_wake(struct seat *s, uint32_t bit);
struct seat *seat_get(void); /* NULL: no memory */
void seat_put(struct seat *s);
void seat_sleep(struct seat *s, uint8_t how, bool could_drive);
/* True: the lease was handed to it. */
bool seat_woke(struct seat *s);
/* Tells other participants that there is something for them. True: the keeper
 * is one, and has to be kicked after the unlock. */
bool seat_tell_news(void);
/* The lease goes to whoever sleeps and could drive. */
void seat_hand_over(void);
struct kit *kit_take(void); /* NULL: all in use */
void kit_give(struct kit *k);
size_t kits_memory(void); /* bytes of empty frames, if nobody reads */
/* Reads a batch; no lock held. */
void kit_read(struct kit *k);
/* Hands what was read to the stack. */
void kit_process(struct kit *k);
/* Has a kit been read and left lying? Its owner is stopped. With @take they are
 * processed. */
bool kits_left(bool take);
/* A free place among the participants, or 0. */
uint16_t party_new(int pid);
/* Those that were marked and still sleep are woken (again) after the unlock:
 * who was to do it may be stopped. With @all (dead) also who was so before. */
void seat_wake_marked(bool all);
/* Everybody who sleeps: it is to look at everything. */
void seat_wake_all(void);
/* @party is dead: what it had of the above is taken back. Not yet free. */
void party_died(uint16_t party);
void party_free(uint16_t party);

/* wait.c */
/* stack_ready() to the watches. */
void wait_dispatch(void);
/* @w drives no longer, if it did. */
void wait_give_up(struct waiter *w);
void wait_forked(void);

/* sentinel.c */
struct sentinel_ops {
	void (*arm_fd)(bool on);
	void (*arm_deadline)(nsec at);
};
#define SENTINEL_FD 1u /* the device has something */
/* Caller holds the lock, or is alone. 0 or -ENOMEM. */
int sentinel_init(const struct sentinel_ops *ops);
void sentinel_turn(unsigned what);
/* Packets that came before now are processed, unless somebody drives. */
void sentinel_drain(void);

/* join.c: in a forked child. */
void host_forked(void);
/* Has the keeper that we knew gone, with its spare? Then there will be another
 * one, and it will know us. No lock held. */
void host_regain(void);
/* Is there one that does not know us yet? */
static inline bool host_has_new_keeper(void)
{
	return __builtin_expect(atomic_load_explicit(&host.sh->num_keepers,
						     memory_order_relaxed) !=
					host.num_keepers,
				0);
}
/* Are we a child that libc did not tell us of (a system call of the program's
 * own), and did not know yet? Then as host_forked(). */
bool host_notices_fork(void);

/* fdtab.c */
int fdtab_init(void);
/* forks.c: the child has its place: what it watches is watched for it. */
void fdtab_watch_again(void);

/* call_signal.c: handlers that are installed already defer from now on. */
void signal_adopt(void);

#endif
