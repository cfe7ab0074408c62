/* SPDX-License-Identifier: MIT
 *
 * host.c - the lock of the host, and what follows each round of it
 *
 * One shared mapping holds it all: pages with the lock and who drives
 * (shared.h), then the arena. The mapping is reserved in full at a fixed
 * address, its file grows in steps of 1 MiB, outside the lock, when the arena
 * says that it wants more.
 *
 * The lock is held for well under a microsecond, so who finds it taken tries
 * again for a while before it sleeps: a sleep and a wake of the other core cost
 * thirty times that. It is robust; a holder leaves a note of what it is at.
 *
 * What a lock round causes is done after it, in this order: threads are woken,
 * packets are written, memory is made. Packets are written by whoever gets the
 * token, in the order in which the stack made them; who doesn't get it leaves,
 * since the owner looks again after giving it up.
 */
#include "host_priv.h"

#include <sys/mman.h>
#include <sys/un.h>

#include "call_priv.h"
#include "edge/pcapfile.h"
#include "sleeper.h"
#include "sys.h"

#define MAP_STEP ((size_t)1 << 20)
#define LOCK_SPINS 200
#define WAKE_BATCH 16
#define LOCK_PATIENCE (10 * MSEC)

static _Atomic uint32_t always_open = GATE_OPEN;
struct host host = {
	.memfd = -1,
	.log_fd = 2,
	.bell_fd = -1,
	.kick_fd = -1,
	.control_fd = -1,
	.gate = &always_open,
	.tun.fd = -1,
};
__thread bool host_may_go_on;

void host_init(void)
{
	list_init(&host.wakes);
	host.pid = (int)sys(getpid);
}

/* --- the lock --- */

int host_lock_for(pthread_mutex_t *l, nsec patience)
{
	struct timespec until;

#if defined(__SANITIZE_THREAD__) /* it does not know the other one */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += patience;
	until.tv_sec += until.tv_nsec / SEC;
	until.tv_nsec %= SEC;
	return pthread_mutex_timedlock(l, &until);
#else
	until = sys_timespec(sys_now() + patience);
	return pthread_mutex_clocklock(l, CLOCK_MONOTONIC, &until);
#endif
}

/* A holder that is stopped (Ctrl-Z) would stop everybody. */
static int lock_or_nudge(pthread_mutex_t *l)
{
	int r;

	for (unsigned i = 1;; i++) {
		r = host_lock_for(l, LOCK_PATIENCE);
		if (r != ETIMEDOUT)
			return r;
		sys_forbidden = false; /* it is not ours yet */
		host_nudge(i);
		sys_forbidden = true;
	}
}

static void take_lock(void)
{
	pthread_mutex_t *l = &host.sh->lock;
	int r = EBUSY;

	for (int i = 0; i < LOCK_SPINS && r == EBUSY; i++) {
		r = pthread_mutex_trylock(l);
#if defined(__x86_64__)
		if (r == EBUSY)
			__builtin_ia32_pause();
#endif
	}
	if (r == EBUSY && !host.is_confined)
		r = lock_or_nudge(l);
	else if (r == EBUSY)
		r = pthread_mutex_lock(l);
	if (r == EOWNERDEAD)
		repair();
}

struct stack *host_lock(enum host_op op, sockid s)
{
	nsec now;

	if (__builtin_expect(
		    atomic_load_explicit(host.gate, memory_order_relaxed) !=
			    GATE_OPEN,
		    0))
		host.at_gate(op);
	ASSERT(!sys_forbidden);
	if (__builtin_expect(cancel_is_async, 0))
		cancel_put_off();
	sys_forbidden = true; /* first: a signal handler looks at it */
	atomic_signal_fence(memory_order_seq_cst);
	take_lock();
	stack_set_party(host.st, host.party);
	host.sh->op = op;
	host.sh->op_sock = s;
	now = sys_now();
	if (now > host.sh->now)
		host.sh->now = now;
	/* what others have found for us */
	if (__builtin_expect(stack_has_ready(host.st), 0))
		host.dispatch();
	return host.st;
}

nsec host_now(void)
{
	return host.sh->now;
}

/* What a lock round leaves to be done. */
struct after {
	unsigned num_wakes;
	bool has_more; /* wakes that did not fit */
	bool has_tx, is_late;
	struct {
		uint32_t *word;	  /* a futex, or */
		struct bell bell; /* a thread in ppoll(), or */
		int fd;		  /* an eventfd of this process */
	} wakes[WAKE_BATCH];
};

static void take_wakes(struct after *a)
{
	struct list *l;

	a->num_wakes = 0;
	a->has_more = false;
	/* a child without a place can't ring, and a filter kills who does */
	if (host.bell_fd < 0 || host.is_confined)
		return;
	while (a->num_wakes < WAKE_BATCH && (l = list_pop(&host.sh->wakes))) {
		struct seat *s = list_entry(l, struct seat, wake_link);

		a->wakes[a->num_wakes].word = &s->word;
		a->wakes[a->num_wakes].bell =
			s->sleep == SLEEP_FUTEX ? (struct bell){0} : s->bell;
		a->wakes[a->num_wakes++].fd = -1;
	}
	while (a->num_wakes < WAKE_BATCH && (l = list_pop(&host.wakes)))
		a->wakes[a->num_wakes++].fd =
			list_entry(l, struct waiter, wake_link)->wake_fd;
	a->has_more = !list_empty(&host.sh->wakes) || !list_empty(&host.wakes);
}

/* Must the sentinel be told that something is due sooner than it thinks? */
static bool is_late(bool has_more)
{
	nsec at = stack_next_at(host.st);

	if (at == TIME_NEVER && !has_more)
		return false;
	if (host.sh->driver && at != TIME_NEVER)
		at += GRACE_TIMER;
	if (has_more) /* packets, wakes: whose they are may be stopped */
		at = MIN(at, host_now() + GRACE_AFTER);
	if (at >= host.sh->sentinel_at)
		return false;
	host.sh->sentinel_at = at;
	return true;
}

/* We were stopped in the lock, and nudged out of it. */
static void stop_again(void)
{
	uint32_t me = (uint32_t)sys(gettid);

	if (atomic_compare_exchange_strong(&host.sh->stops_again, &me, 0))
		sys(kill, host.pid, SIGSTOP);
}

static void leave(struct after *a)
{
	bool stops, for_keeper, has_wakes, had_wakes = host.sh->had_wakes;

	if (stack_has_ready(host.st))
		host.dispatch();
	for_keeper = seat_tell_news();
	if (__builtin_expect(host.touched != NULL, 0))
		host.touched(host.sh->op_sock);
	has_wakes =
		!list_empty(&host.sh->wakes) || host.sh->had_wakes != had_wakes;
	take_wakes(a);
	a->has_tx = stack_tx_pending(host.st);
	if (a->has_tx != host.sh->has_tx)
		host.sh->has_tx = a->has_tx;
	host.sh->had_tx |= a->has_tx;
	host.sh->had_wakes |= has_wakes;
	a->is_late = is_late(a->has_tx || has_wakes) || for_keeper;
	if (__builtin_expect(host.is_confined, 0) &&
	    (a->has_tx || !list_empty(&host.sh->wakes)))
		a->is_late = true; /* the keeper's work */
	host.sh->op = OP_NONE;
	stops = host.sh->stops_again != 0;
	pthread_mutex_unlock(&host.sh->lock);
	atomic_signal_fence(memory_order_seq_cst);
	sys_forbidden = false;
	if (__builtin_expect(stops, 0))
		stop_again();
	signal_run_deferred();
}

static void ring(const struct bell *b)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	memcpy(to.sun_path, b->name, BELL_NAME);
	sys(sendto, host.bell_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &to,
	    offsetof(struct sockaddr_un, sun_path) + b->len);
}

static void wake_them(struct after *a)
{
	static const uint64_t one = 1;

	for (;;) {
		for (unsigned i = 0; i < a->num_wakes; i++)
			if (a->wakes[i].fd >= 0)
				sys(write, a->wakes[i].fd, &one, sizeof(one));
			else if (a->wakes[i].bell.len)
				ring(&a->wakes[i].bell);
			else
				sys_futex_wake_shared(a->wakes[i].word, 1);
		if (a->is_late)
			host.kick();
		if (!a->has_more)
			return;
		host_lock(OP_WAIT, 0);
		leave(a);
	}
}

/* --- packets out ---
 * Who writes has the token. It may be stopped in the middle: after a while the
 * token is stolen by a thread with a batch of its own. The old owner finishes
 * the batch that it has, whenever it goes on, and takes no other. What is left
 * of its batch is written by the sentinel, too; the packets stay pinned until
 * both are done with them. */

static struct tx_batch *batch_get(void)
{
	for (unsigned i = 0; i < NUM_TX; i++) {
		struct tx_batch *b = &host.sh->tx[i];

		if (b->is_taken)
			continue;
		b->party = host.party;
		b->num = 0;
		atomic_store_explicit(&b->is_taken, true, memory_order_release);
		return b;
	}
	return NULL;
}

static void batch_done(struct tx_batch *b)
{
	unsigned n = b->num;

	b->num = 0; /* who dies here must not leave them */
	if (n)
		stack_tx_done(host.st, b->v, b->res, n, host_now());
}

/* Those written are handed back, the next ones taken, in one lock round. A
 * batch belongs to who took it until it is empty. */
static unsigned tx_exchange(struct tx_batch **b, uint64_t mine)
{
	bool is_wanted = signal_has_deferred; /* elsewhere, soon */
	struct after a;
	unsigned n = 0;

	host_lock(OP_TX, 0);
	if (*b && (*b)->rescuer) {
		(*b)->is_left = true;
		*b = NULL;
	}
	if (!*b)
		*b = batch_get();
	if (*b)
		batch_done(*b);
	if (*b && !is_wanted && atomic_load(&host.sh->tx_token) == mine) {
		host.sh->tx_at = (*b)->at = host_now();
		atomic_store(&(*b)->num_written, 0);
		n = stack_tx(host.st, (*b)->v, TX_BATCH, host_now());
	}
	if (*b)
		(*b)->num = n;
	if (*b && !n)
		(*b)->is_taken = false;
	leave(&a);
	wake_them(&a);
	return n;
}

/* The owner, or who comes to its rescue: what the other has written is not
 * written again, but for the one that it may be at. */
static void batch_write(struct tx_batch *b)
{
	unsigned i, num = b->num;

	while ((i = atomic_load(&b->num_written)) < num) {
		int r = tun_write(&host.tun, &b->v[i]);

		/* the same one may be written by both */
		__atomic_store_n(&b->res[i], r, __ATOMIC_RELAXED);
		atomic_compare_exchange_strong(&b->num_written, &i, i + 1);
	}
}

static void tx_owned(uint64_t mine)
{
	struct tx_batch *b = NULL;

	signal_hold();
	while (tx_exchange(&b, mine))
		batch_write(b);
	atomic_compare_exchange_strong(&host.sh->tx_token, &mine, mine + 1);
	signal_release();
}

static void tx_drain(void)
{
	uint64_t t;

	do {
		t = atomic_load(&host.sh->tx_token);
		if ((t & 1) || !atomic_compare_exchange_strong(
				       &host.sh->tx_token, &t, t + 1))
			return; /* its owner looks again */
		tx_owned(t + 1);
	} while (host.sh->has_tx);
}

/* One that is not written in time; and: one more look is wanted. */
static struct tx_batch *batch_stuck(void)
{
	for (unsigned i = 0; i < NUM_TX; i++) {
		struct tx_batch *b = &host.sh->tx[i];

		if (!b->is_taken || b->num_written >= b->num)
			continue;
		if (host_now() - b->at >= GRACE_AFTER)
			return b;
		host.sh->had_tx = true;
	}
	return NULL;
}

static void batch_rescue(void)
{
	struct tx_batch *b;

	host_lock(OP_TX, 0);
	b = batch_stuck();
	if (b)
		b->rescuer = host.party + 1;
	host_unlock();
	if (!b)
		return;
	batch_write(b);
	host_lock(OP_TX, 0);
	b->rescuer = 0;
	if (b->is_left) {
		batch_done(b);
		b->is_taken = b->is_left = false;
	}
	host_unlock();
}

void host_tx_rescue(void)
{
	struct after a;
	uint64_t t;

	batch_rescue();
	host_lock(OP_TX, 0);
	t = atomic_load(&host.sh->tx_token);
	a.has_tx = stack_tx_pending(host.st) &&
		   ((t & 1) == 0 || host_now() - host.sh->tx_at > GRACE_AFTER);
	if (a.has_tx && (t & 1) &&
	    atomic_compare_exchange_strong(&host.sh->tx_token, &t, t + 2)) {
		host.sh->tx_at = host_now();
		leave(&a);
		wake_them(&a);
		tx_owned(t + 2);
		return;
	}
	host_unlock();
}

/* --- memory --- */

static int populate(size_t from, size_t to)
{
	char *p = (char *)host.sh + from;

	if (sys(ftruncate, host.memfd, to) < 0)
		return -ENOMEM;
	if (sys(madvise, p, to - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	for (size_t at = 0; at < to - from; at += 4096)
		*(volatile char *)(p + at) = 0;
	return 0;
}

/* Caller has the grow lock. False: there is no more. */
static bool grow(void)
{
	struct shared *sh = host.sh;
	size_t len = atomic_load(&sh->len);
	size_t to = ALIGN_UP(len + arena_wants(stack_arena(host.st)), MAP_STEP);
	struct after a;

	to = MIN(to, sh->max);
	if (to <= len || populate(len, to) < 0)
		return false;
	host_lock(OP_NONE, 0);
	atomic_store(&sh->len, to);
	arena_extend(stack_arena(host.st), to - SHARED_SIZE);
	leave(&a);
	wake_them(&a);
	return true;
}

static void grow_unlock(void)
{
	pthread_mutex_unlock(&host.sh->grow_lock);
}

void host_grow(void)
{
	struct shared *sh = host.sh;
	int r;

	if (!arena_wants(stack_arena(host.st)) ||
	    atomic_load(&sh->len) >= sh->max)
		return;
	if (!host.can_grow || host.is_confined) {
		host.kick();
		return;
	}
	r = pthread_mutex_trylock(&sh->grow_lock);
	if (r == EBUSY)
		return; /* somebody is at it */
	if (r == EOWNERDEAD)
		pthread_mutex_consistent(&sh->grow_lock);
	grow();
	grow_unlock();
}

bool host_wants_memory(void)
{
	return arena_wants(stack_arena(host.st)) > 0;
}

bool host_more_memory(void)
{
	struct timespec t = sys_timespec(MSEC);
	bool more;

	if (!host.can_grow || host.is_confined) {
		host.kick();
		sys(nanosleep, &t, NULL);
		return atomic_load(&host.sh->len) < host.sh->max;
	}
	signal_hold();
	/* waits for who is at it */
	if (pthread_mutex_lock(&host.sh->grow_lock) == EOWNERDEAD)
		pthread_mutex_consistent(&host.sh->grow_lock);
	more = !arena_wants(stack_arena(host.st)) || grow();
	grow_unlock();
	signal_release();
	return more;
}

void host_unlock(void)
{
	struct after a;

	signal_hold(); /* who leaves by longjmp() would leave others asleep */
	leave(&a);
	wake_them(&a);
	if (host.tun.fd < 0) { /* a child that has no place yet: others will */
		signal_release();
		return;
	}
	if (a.has_tx && !host.is_confined)
		tx_drain();
	if (__builtin_expect(arena_wants(stack_arena(host.st)) != 0, 0))
		host_grow();
	if (__builtin_expect(host.is_logging || host.sh->is_capturing, 0))
		host_drain_logs();
	if (__builtin_expect(host.has_signals || host.has_news, 0))
		host.after();
	signal_release();
}

/* --- what is written for people --- */

static size_t drain_one(char *buf, size_t len, bool capture)
{
	struct after a;
	size_t n;

	host_lock(OP_NONE, 0);
	n = capture ? stack_capture_drain(host.st, (uint8_t *)buf, len)
		    : stack_log_drain(host.st, buf, len);
	leave(&a);
	wake_them(&a);
	return n;
}

void host_drain_logs(void)
{
	static char buf[65536 + 4096]; /* of the token's owner */
	uint32_t nobody = 0;
	size_t n;

	if (host.sh->is_capturing && !host.pcap)
		host.kick(); /* the capture is the keeper's to write */
	if (!atomic_compare_exchange_strong(&host.sh->log_token, &nobody,
					    host.party + 1u))
		return;
	while (host.log_fd >= 0 && (n = drain_one(buf, sizeof(buf), false)) > 0)
		sys(write, host.log_fd, buf, n);
	while (host.pcap && (n = drain_one(buf, sizeof(buf), true)) > 0)
		pcapfile_write(host.pcap, (const uint8_t *)buf, n);
	atomic_store(&host.sh->log_token, 0);
}
