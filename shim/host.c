/* SPDX-License-Identifier: MIT
 *
 * host.c - the stack of this process: its memory, its lock, what follows it
 *
 * One shared mapping holds it all: a page with the lock and who drives, then
 * the arena. The mapping is reserved in full at a fixed address, its file grows
 * in steps of 1 MiB, outside the lock, when the arena says that it wants more.
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
#include <sys/random.h>
#include <sys/resource.h>

#include "call_priv.h"
#include "sleeper.h"
#include "edge/pcapfile.h"
#include "edge/uv.h"
#include "knobs.h"
#include "sys.h"

#define MAP_STEP ((size_t)1 << 20)
#define MAP_FIRST (2 * MAP_STEP)
#define MAP_MOST ((size_t)8 << 30)
#define MAP_LEAST ((size_t)64 << 20)
#define LOCK_SPINS 200
#define TX_BATCH 64
#define WAKE_BATCH 16

struct host host;
__thread bool host_may_go_on;

enum up_state { UP_NOT_YET, UP_YES, UP_FAILED, UP_FORKED };

static struct {
	pthread_mutex_t lock; /* taken by host_up() only */
	_Atomic int state;
	int memfd, log_fd;
	size_t len, max; /* of the mapping, present and reserved */
	pthread_mutex_t grow_lock;
	_Atomic uint32_t log_token;
	struct pcapfile *pcap;
	struct tx_batch {
		_Atomic bool is_taken;
		struct txv v[TX_BATCH];
		int res[TX_BATCH];
	} tx[4];
} up = {.lock = PTHREAD_MUTEX_INITIALIZER,
	.grow_lock = PTHREAD_MUTEX_INITIALIZER,
	.memfd = -1,
	.log_fd = 2};

/* Tried in turn: the first passes every sanitizer's own layout. */
static const uintptr_t places[] = {0x567000000000, 0x200000000000,
				   0x300000000000, 0x400000000000};

/* --- the lock --- */

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
	if (r == EBUSY)
		r = pthread_mutex_lock(l);
	if (r == EOWNERDEAD) {
		pthread_mutex_consistent(l);
		sock_close(host.st, host.sh->op_sock, host.sh->now);
	}
}

/* The process is at its exit: its sockets are closed, and a thread that goes on
 * would see errors that no kernel makes. */
static void park(void)
{
	for (;;)
		sys(nanosleep, &(struct timespec){.tv_sec = 3600}, NULL);
}

struct stack *host_lock(enum host_op op, sockid s)
{
	nsec now;

	if (__builtin_expect(atomic_load_explicit(&host.is_leaving,
						  memory_order_relaxed),
			     0) &&
	    !host_may_go_on)
		park();
	ASSERT(!sys_forbidden);
	if (__builtin_expect(cancel_is_async, 0))
		cancel_put_off();
	sys_forbidden = true; /* first: a signal handler looks at it */
	atomic_signal_fence(memory_order_seq_cst);
	take_lock();
	host.sh->op = op;
	host.sh->op_sock = s;
	now = sys_now();
	if (now > host.sh->now)
		host.sh->now = now;
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
		uint32_t *word;
		int fd; /* or -1: the futex */
	} wakes[WAKE_BATCH];
};

static void take_wakes(struct after *a)
{
	struct list *l;

	a->num_wakes = 0;
	while (a->num_wakes < WAKE_BATCH && (l = list_pop(&host.wakes))) {
		struct waiter *w = container_of(l, struct waiter, wake_link);

		a->wakes[a->num_wakes].word = &w->word;
		a->wakes[a->num_wakes++].fd =
			w->sleep == SLEEP_FUTEX ? -1 : w->wake_fd;
		list_init(l);
	}
	a->has_more = !list_empty(&host.wakes);
}

/* Must the stack thread be told that something is due sooner than it thinks? */
static bool is_late(bool has_tx)
{
	nsec at = stack_next_at(host.st);

	if (at == TIME_NEVER && !has_tx)
		return false;
	if (host.driver && at != TIME_NEVER)
		at += GRACE_TIMER;
	if (has_tx) /* who should write them may be stopped */
		at = MIN(at, host_now() + GRACE_TIMER);
	if (at >= host.sentinel_at)
		return false;
	host.sentinel_at = at;
	return true;
}

static void leave(struct after *a)
{
	wait_dispatch();
	take_wakes(a);
	a->has_tx = stack_tx_pending(host.st);
	host.had_tx |= a->has_tx;
	a->is_late = is_late(a->has_tx);
	host.sh->op = OP_NONE;
	pthread_mutex_unlock(&host.sh->lock);
	atomic_signal_fence(memory_order_seq_cst);
	sys_forbidden = false;
	signal_run_deferred();
}

static void wake_them(struct after *a)
{
	static const uint64_t one = 1;

	for (;;) {
		for (unsigned i = 0; i < a->num_wakes; i++)
			if (a->wakes[i].fd >= 0)
				sys(write, a->wakes[i].fd, &one, sizeof(one));
			else
				sys_futex_wake(a->wakes[i].word, 1);
		if (a->is_late)
			uv_loop_kick();
		if (!a->has_more)
			return;
		host_lock(OP_WAIT, 0);
		leave(a);
	}
}

/* --- packets out ---
 * Who writes has the token. It may be stopped in the middle: after a while the
 * token is stolen by a thread with a batch of its own. The old owner finishes
 * the batch that it has, whenever it goes on, and takes no other. */

static struct tx_batch *batch_get(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(up.tx); i++)
		if (!atomic_exchange(&up.tx[i].is_taken, true))
			return &up.tx[i];
	return NULL;
}

/* Those written are handed back, the next ones taken, in one lock round. */
static unsigned tx_exchange(struct tx_batch *b, uint64_t mine,
			    unsigned num_done)
{
	bool is_wanted = signal_has_deferred; /* elsewhere, soon */
	struct after a;
	unsigned n = 0;

	host_lock(OP_TX, 0);
	if (num_done)
		stack_tx_done(host.st, b->v, b->res, num_done, host_now());
	if (!is_wanted && atomic_load(&host.sh->tx_token) == mine) {
		host.sh->tx_at = host_now();
		n = stack_tx(host.st, b->v, TX_BATCH, host_now());
	}
	leave(&a);
	wake_them(&a);
	return n;
}

static void tx_owned(uint64_t mine)
{
	struct tx_batch *b;
	unsigned n;

	signal_hold();
	b = batch_get();
	n = b ? tx_exchange(b, mine, 0) : 0;
	while (n) {
		for (unsigned i = 0; i < n; i++)
			b->res[i] = tun_write(&host.tun, &b->v[i]);
		n = tx_exchange(b, mine, n);
	}
	if (b)
		atomic_store(&b->is_taken, false);
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
	} while (stack_tx_pending(host.st));
}

void host_tx_rescue(void)
{
	struct after a;
	uint64_t t;

	host_lock(OP_TX, 0);
	t = atomic_load(&host.sh->tx_token);
	a.has_tx = stack_tx_pending(host.st) &&
		   ((t & 1) == 0 || host_now() - host.sh->tx_at > GRACE_DRIVEN);
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

	if (sys(ftruncate, up.memfd, to) < 0)
		return -ENOMEM;
	if (sys(madvise, p, to - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	for (size_t at = 0; at < to - from; at += 4096)
		*(volatile char *)(p + at) = 0;
	return 0;
}

/* Caller has the grow lock. False: there is no more. */
static bool grow(size_t want)
{
	size_t to = MIN(ALIGN_UP(up.len + want, MAP_STEP), up.max);
	struct after a;

	if (to <= up.len || populate(up.len, to) < 0)
		return false;
	up.len = to;
	host_lock(OP_NONE, 0);
	arena_extend(stack_arena(host.st), to - SHARED_SIZE);
	leave(&a);
	wake_them(&a);
	return true;
}

static void grow_unless_others_do(size_t want)
{
	if (pthread_mutex_trylock(&up.grow_lock))
		return;
	grow(want);
	pthread_mutex_unlock(&up.grow_lock);
}

bool host_more_memory(void)
{
	size_t want;
	bool more;

	pthread_mutex_lock(&up.grow_lock); /* waits for who is at it */
	want = arena_wants(stack_arena(host.st));
	more = !want || grow(want);
	pthread_mutex_unlock(&up.grow_lock);
	return more;
}

void host_unlock(void)
{
	struct after a;
	size_t want;

	leave(&a);
	wake_them(&a);
	if (a.has_tx)
		tx_drain();
	want = arena_wants(stack_arena(host.st));
	if (__builtin_expect(want && up.len < up.max, 0))
		grow_unless_others_do(want);
	if (__builtin_expect(host.is_logging || host.is_capturing, 0))
		host_drain_logs();
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
	static char buf[SHARED_SIZE + 4096]; /* of the token's owner */
	size_t n;

	if (atomic_exchange(&up.log_token, 1))
		return;
	while ((n = drain_one(buf, sizeof(buf), false)) > 0)
		sys(write, up.log_fd, buf, n);
	while (up.pcap && (n = drain_one(buf, sizeof(buf), true)) > 0)
		pcapfile_write(up.pcap, (const uint8_t *)buf, n);
	atomic_store(&up.log_token, 0);
}

static void say_panic(const char *line, size_t len)
{
	sys_forbidden = false;
	sys(write, 2, line, len);
}

/* --- coming up --- */

static size_t most_memory(void)
{
	struct rlimit r = {0};
	size_t most = MAP_MOST;

	if (sys(prlimit64, 0, RLIMIT_AS, NULL, &r) == 0 &&
	    r.rlim_cur != RLIM_INFINITY)
		most = MIN(most, r.rlim_cur / 4);
	/* past it ftruncate() is SIGXFSZ, death for most programs */
	if (sys(prlimit64, 0, RLIMIT_FSIZE, NULL, &r) == 0 &&
	    r.rlim_cur != RLIM_INFINITY)
		most = MIN(most, r.rlim_cur);
	return most & ~(MAP_STEP - 1);
}

static int map_memory(char *why, size_t len)
{
	size_t most = most_memory();
	long p = -ENOMEM;
	int fd = (int)sys(memfd_create, "tcpshim",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 && fd != -EMFILE)
		fd = (int)sys(memfd_create, "tcpshim", MFD_CLOEXEC);
	if (fd >= 0)
		fd = fd_make_internal(fd);
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(places); i++) {
		p = sys(mmap, places[i], most, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd,
			0);
		if (p == (long)places[i])
			break;
		if (p > 0) { /* an old kernel took it for a hint */
			sys(munmap, p, most);
			p = -EEXIST;
		}
	}
	if (p < 0 || most < MAP_LEAST) {
		log_snprintf(why, len,
			     "no memory for the stack (error %d); it needs %zu "
			     "MiB of address space and of file size (ulimit "
			     "-v, -f)",
			     fd < 0 ? -fd : (int)-p, MAP_LEAST >> 20);
		return -ENOMEM;
	}
	host.sh = (struct shared *)p;
	up.memfd = fd;
	up.max = most;
	sys(madvise, p, most, MADV_DONTDUMP);
	sys(madvise, p, most, MADV_DONTFORK);
	if (populate(0, MAP_FIRST) < 0) {
		log_snprintf(why, len, "no memory for the stack");
		return -ENOMEM;
	}
	sys(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK);
	up.len = MAP_FIRST;
	return 0;
}

static void init_lock(void)
{
	pthread_mutexattr_t at;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&host.sh->lock, &at);
	pthread_mutexattr_destroy(&at);
}

static int open_device(char *why, size_t len)
{
	struct tun_cfg cfg = {
		.name = knobs.dev,
		.offload = knobs.offload,
		.mtu = knobs.mtu,
	};
	const struct stack_cfg *sc = &knobs.cfg;
	int r;

	for (unsigned i = 0; i < knobs.num_gateways; i++) {
		const struct ip_addr *gw = &knobs.gateways[i];

		for (unsigned k = 0; k < sc->num_addrs; k++)
			if (ip_addr_in_prefix(gw, &sc->addrs[k].addr,
					      sc->addrs[k].plen)) {
				cfg.peers[cfg.num_peers].addr = *gw;
				cfg.peers[cfg.num_peers++].plen =
					sc->addrs[k].plen;
				break;
			}
	}
	r = tun_open(&host.tun, &cfg, why, len);
	if (r < 0)
		return r;
	host.tun.fd = fd_make_internal(host.tun.fd);
	if (host.tun.fd < 0)
		log_snprintf(why, len,
			     "no file descriptor left for the device");
	return host.tun.fd < 0 ? host.tun.fd : 0;
}

static int open_logs(char *why, size_t len)
{
	int fd;

	host.is_logging = knobs.cfg.log > LOG_WARN;
	if (knobs.log_file[0]) {
		fd = (int)sys(openat, AT_FDCWD, knobs.log_file,
			      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (fd >= 0)
			fd = fd_make_internal(fd);
		if (fd < 0) {
			log_snprintf(why, len,
				     "TCPSHIM_LOG: %s cannot be written: error "
				     "%d",
				     knobs.log_file, -fd);
			return fd;
		}
		up.log_fd = fd;
	}
	if (!knobs.pcap[0])
		return 0;
	fdtab_fill_low();
	up.pcap = pcapfile_open(knobs.pcap, why, len);
	fdtab_free_low();
	host.is_capturing = up.pcap != NULL;
	return up.pcap ? 0 : -ENOENT;
}

static void make_seed(uint8_t seed[32])
{
	memset(seed, 0, 32);
	if (knobs.has_seed)
		memcpy(seed, &knobs.seed, sizeof(knobs.seed));
	else if (sys(getrandom, seed, 32, 0) != 32)
		memcpy(seed, &(nsec){sys_now()}, sizeof(nsec));
}

static int make_stack(char *why, size_t len)
{
	struct stack_cfg *cfg = &knobs.cfg;
	uint8_t seed[32];
	struct arena *a;

	init_lock();
	make_seed(seed);
	cfg->link.mtu = knobs.mtu && knobs.mtu < host.tun.mtu ? knobs.mtu
							      : host.tun.mtu;
	/* without vnet_hdr the edge cuts, outside the lock: the same to the
	 * core, which then sends large */
	cfg->link.can_csum = cfg->link.can_tso4 = cfg->link.can_tso6 = true;
	if (!knobs.offload)
		cfg->link.can_csum = cfg->link.can_tso4 = cfg->link.can_tso6 =
			false;
	cfg->link.capture_ring = knobs.pcap[0] ? 1 << 20 : 0;
	memcpy(cfg->dev_name, host.tun.name, sizeof(cfg->dev_name));
	host.sh->now = sys_now();
	a = arena_init((char *)host.sh + SHARED_SIZE, up.len - SHARED_SIZE,
		       up.max - SHARED_SIZE);
	if (a)
		host.st = stack_new(a, cfg, seed, host.sh->now);
	if (host.st)
		return 0;
	log_snprintf(why, len,
		     "addresses and routes don't fit each other; look at "
		     "TCPSHIM_ADDR, TCPSHIM_GATEWAY and TCPSHIM_ROUTES");
	return -EINVAL;
}

static int come_up(char *why, size_t len)
{
	int r;

	list_init(&host.asleep);
	list_init(&host.wakes);
	host.sentinel_at = TIME_NEVER;
	host.pid = (int)sys(getpid);
	log_set_panic(say_panic);
	r = knobs_load(why, len);
	if (r == 0)
		r = fdtab_init();
	if (r == -EMFILE)
		log_snprintf(why, len,
			     "too few file descriptors; 64 will do (ulimit "
			     "-n)");
	if (r == 0)
		r = open_logs(why, len);
	if (r == 0)
		r = open_device(why, len);
	if (r == 0)
		r = map_memory(why, len);
	if (r == 0)
		r = make_stack(why, len);
	if (r == 0) {
		fdtab_fill_low();
		r = sentinel_start(why, len);
		fdtab_free_low();
	}
	if (r == 0) {
		cancel_init(sleeper_thread_gone);
		signal_adopt();
	}
	return r;
}

static void up_failed(int r, const char *why)
{
	const char *end = knobs_on_error_kernel()
				  ? "sockets are the kernel's"
				  : "no socket for this program";

	if (!why[0])
		sys_say("cannot start: error %d; %s", -r, end);
	else
		sys_say("%s; %s", why, end);
	if (host.tun.fd > 0)
		fd_close_internal(host.tun.fd);
	host.tun.fd = -1;
}

int host_up(void)
{
	char why[384] = "";
	int r, saved, cancel;
	struct rlimit was;
	bool is_raised;

	if (__builtin_expect(atomic_load(&up.state) == UP_YES, 1))
		return 0;
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&up.lock);
	if (atomic_load(&up.state) == UP_NOT_YET) {
		is_raised = fdtab_raise_limit(&was);
		r = come_up(why, sizeof(why));
		if (is_raised)
			fdtab_restore_limit(&was);
		if (r < 0)
			up_failed(r, why);
		atomic_store(&host.is_up, r == 0);
		atomic_store(&up.state, r < 0 ? UP_FAILED : UP_YES);
	} else if (atomic_load(&up.state) == UP_FORKED) {
		sys_say("the device is in use by the parent of this process; "
			"no socket for a forked child yet");
		atomic_store(&up.state, UP_FAILED);
	}
	pthread_mutex_unlock(&up.lock);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return atomic_load(&up.state) == UP_YES ? 0 : -ENETDOWN;
}

bool host_is_up(void)
{
	return atomic_load(&host.is_up);
}

bool host_has_failed(void)
{
	return atomic_load(&up.state) == UP_FAILED;
}

void host_forked(void)
{
	bool was_up = host_is_up();

	sys_forbidden = false;
	pthread_mutex_init(&up.lock, NULL);
	pthread_mutex_init(&up.grow_lock, NULL);
	if (!was_up)
		return;
	atomic_store(&host.is_up, false);
	atomic_store(&up.state, UP_FORKED);
	fdtab_forked();
	wait_forked();
	host.driver = NULL;
	host.tun.fd = -1;
}
