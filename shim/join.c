/* SPDX-License-Identifier: MIT
 *
 * join.c - this process becomes one of a host's, and stays one after fork
 *
 * The first routed socket of a process asks the keeper of its device, found by
 * name, for a place: it is given the memory, the device and a way to wake the
 * keeper. If there is no keeper one is started (start.c).
 *
 * A forked child has the mapping and every near end. What else it inherits of
 * ours (the connection, sockets to be woken by, near ends in the pool) it
 * closes; it asks for a place of its own when it first does more than close.
 */
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "call_priv.h"
#include "edge/uv.h"
#include "forks.h"
#include "host_priv.h"
#include "join.h"
#include "keeper.h"
#include "knobs.h"
#include "mirror.h"
#include "sigio.h"
#include "sleeper.h"
#include "start.h"
#include "sys.h"
#include "tid.h"

#define REPLY_PATIENCE (10 * SEC)
#define TRIES 200 /* to find or to start a keeper, a nap between */
/* The device may be one of a host whose processes are starting a keeper. */
#define BUSY_TRIES 6
#define CHILD_TRIES 60
#define START_PATIENCE (2 * SEC) /* with who starts one */

enum up_state { UP_NOT_YET, UP_YES, UP_FAILED, UP_FORKED };

static struct {
	pthread_mutex_t lock; /* taken by host_up() and at the gate only */
	int owner;	      /* the process that has it, in host_up() */
	_Atomic int state;
	unsigned uid; /* whose host it is */
	struct sockaddr_un name;
	socklen_t name_len;
	uint8_t secret[16];
} up = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* --- the gate --- */

/* The process is at its exit, and a thread that goes on would see errors that
 * no kernel makes. */
static void park(void)
{
	for (;;)
		sys(nanosleep, &(struct timespec){.tv_sec = 3600}, NULL);
}

static void gate_set(uint32_t bits)
{
	atomic_fetch_or(host.gate, bits);
}

static void gate_clear(uint32_t bits)
{
	uint32_t was = atomic_fetch_and(host.gate, ~(bits | GATE_WAITED));

	if (was & GATE_WAITED)
		sys_futex_wake((uint32_t *)host.gate, INT_MAX);
}

/* Until nobody forks or executes. What the gate says then. */
static uint32_t gate_wait(void)
{
	uint32_t g = atomic_load(host.gate);

	while (g & GATE_FORKING && !fork_is_mine()) {
		if (g & GATE_WAITED || atomic_compare_exchange_strong(
					       host.gate, &g, g | GATE_WAITED))
			sys_futex_wait((uint32_t *)host.gate, g | GATE_WAITED,
				       NULL);
		g = atomic_load(host.gate);
	}
	return g;
}

bool host_notices_fork(void)
{
	if (!host.gate || atomic_load(host.gate))
		return false;
	host_forked();
	return true;
}

static int join_again(void);

static void at_gate(enum host_op op)
{
	uint32_t g;

	host_notices_fork();
	g = gate_wait();
	if (g & GATE_LEAVING && !host_may_go_on)
		park();
	/* who only closes, mostly before it executes another program, is not
	 * worth a place */
	if (g & GATE_JOIN && op != OP_CLOSE)
		join_again();
}

void host_leaving(void)
{
	host_may_go_on = true;
	gate_set(GATE_LEAVING);
}

bool host_has_joined(void)
{
	uint32_t g = atomic_load(host.gate);

	return host_is_up() && g && !(g & GATE_JOIN);
}

/* --- the connection --- */

/* A connection to the keeper that is there; -ECONNREFUSED: none is. */
static int call_keeper(char *why, size_t len)
{
	struct ucred peer = {0};
	socklen_t peer_len = sizeof(peer);
	int fd = (int)sys(socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = (int)sys(connect, fd, &up.name, up.name_len);
	if (r == 0)
		r = (int)sys(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer,
			     &peer_len);
	/* a child that has changed its user since knows who it belongs to */
	if (r == 0 && !host.sh && peer.uid != (uid_t)sys(geteuid)) {
		log_snprintf(why, len,
			     "device %s: its name is taken by a program of "
			     "user %u",
			     knobs.dev, (unsigned)peer.uid);
		r = -EPERM;
	}
	if (r == 0)
		return fd;
	sys(close, fd);
	return r;
}

/* @fds may be NULL. Bytes or -errno. */
static long get_reply(int fd, struct keeper_reply *reply, int *fds,
		      unsigned *num_fds)
{
	struct timespec t = sys_timespec(REPLY_PATIENCE);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int none[3];
	unsigned n = 0;
	long r;

	do
		r = sys_ppoll(&p, 1, &t, NULL);
	while (r == -EINTR);
	if (r <= 0)
		return r ? r : -ETIMEDOUT;
	r = keeper_recv(fd, reply, sizeof(*reply), fds ? fds : none,
			fds ? num_fds : &n);
	while (!fds && n)
		sys(close, none[--n]);
	return r == 0 ? -ECONNRESET : r;
}

/* One request and its reply. A keeper that was killed has a successor, which
 * may answer a second time what was answered already. */
static long ask(int fd, struct keeper_req *req, struct keeper_reply *reply,
		int *fds, unsigned *num_fds)
{
	static _Atomic uint32_t last;
	long r;

	req->seq = atomic_fetch_add(&last, 1) + 1;
	r = keeper_send(fd, req, sizeof(*req), NULL, 0);
	if (r < 0)
		return r;
	do
		r = get_reply(fd, reply, fds, num_fds);
	while (r > 0 && reply->seq != req->seq);
	return r;
}

static void kick_keeper(void)
{
	static const uint64_t one = 1;

	sys(write, host.kick_fd, &one, sizeof(one));
}

static bool may_grow(size_t most)
{
	struct rlimit r = {0};

	sys(prlimit64, 0, RLIMIT_FSIZE, NULL, &r);
	return r.rlim_cur >= most;
}

/* What the keeper gave: memory, device, eventfd. */
static int take_place(const struct keeper_reply *reply, int fds[3], char *why,
		      size_t len)
{
	int r = 0;

	for (int i = 0; i < 3; i++) {
		fds[i] = fd_make_internal(fds[i]);
		if (fds[i] < 0)
			r = fds[i];
	}
	host.memfd = fds[0];
	host.kick_fd = fds[2];
	if (r == 0 && !host.sh)
		r = host_map(fds[0], reply->at, reply->len);
	if (r < 0) {
		log_snprintf(why, len,
			     "no room for the host's memory (error %d); it "
			     "needs %zu MiB of address space (ulimit -v)",
			     -r, (size_t)(reply->len >> 20));
		return r;
	}
	host.st = host.sh->st;
	host.tun = host.sh->tun;
	host.tun.fd = fds[1];
	knobs.cfg.link.mtu = host.sh->mtu;
	host.can_grow = may_grow(host.sh->max);
	host.kick = kick_keeper;
	host.party = reply->party;
	host.num_keepers = atomic_load(&host.sh->num_keepers);
	host.bell_fd = fd_internal_socket(SOCK_DGRAM);
	memcpy(up.secret, host.sh->secret, sizeof(up.secret));
	return 0;
}

/* Says hello over @fd and takes the place. -EAGAIN: that keeper is going. */
static int hello(int fd, bool is_child, char *why, size_t len)
{
	struct keeper_req req = {
		.type = KEEPER_HELLO,
		.layout = keeper_layout(),
		.config = knobs_host_hash(),
		.flags = is_child ? HELLO_CHILD : 0,
	};
	struct keeper_reply reply = {0};
	int fds[3] = {-1, -1, -1};
	unsigned num_fds = 0;
	long r;

	if (knobs.has_seed || knobs.pcap[0])
		req.flags |= HELLO_FRESH;
	memcpy(req.secret, up.secret, sizeof(req.secret));
	r = ask(fd, &req, &reply, fds, &num_fds);
	if (r < 0)
		return r == -ECONNRESET || r == -EPIPE ? -EAGAIN : (int)r;
	if (reply.err < 0) {
		log_snprintf(why, len, "%s", reply.why);
		return reply.err;
	}
	if (num_fds != 3)
		return -EPROTO;
	if (reply.is_other_config && !is_child)
		sys_say("the host on %s is there already, with other settings; "
			"they stay",
			knobs.dev);
	return take_place(&reply, fds, why, len);
}

static void nap(int tries)
{
	struct timespec t = sys_timespec(MIN(tries + 1, 50) * (MSEC / 2));

	sys(nanosleep, &t, NULL);
}

static int join(char *why, size_t len)
{
	int r = -EAGAIN, fd, num_busy = 0;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		if (i)
			nap(i);
		fd = call_keeper(why, len);
		if (fd == -ECONNREFUSED)
			fd = start_keeper(false, why, len);
		if (fd < 0) {
			r = fd;
			continue;
		}
		fd = fd_make_internal(fd);
		r = fd < 0 ? fd : hello(fd, false, why, len);
		if (r == 0)
			host.control_fd = fd;
		else if (fd >= 0)
			fd_close_internal(fd);
		if (r == -EBUSY && num_busy++ < BUSY_TRIES)
			r = -EAGAIN;
	}
	if (r < 0 && !why[0])
		log_snprintf(why, len, "the keeper does not answer: error %d",
			     -r);
	return r;
}

/* --- a keeper that is gone, and its spare with it ---
 * Who finds that out starts another one, and gives it what it can't make: the
 * device, the memory, the eventfd by which it is woken. It finds all else in
 * the memory (again.c), wakes everybody, and each says who he is. There is one
 * keeper, since there is one name; who starts one has a lock, so that not all
 * try at once. */

static bool has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};
	struct timespec zero = {0};

	return sys_ppoll(&p, 1, &zero, NULL) > 0 && p.revents & POLLHUP;
}

static int start_another(void)
{
	struct keeper_req req = {
		.type = KEEPER_REVIVE,
		.layout = keeper_layout(),
		.cookie = (uintptr_t)host.sh,
		.config = host.sh->max,
	};
	int fds[3] = {host.memfd, host.tun.fd, host.kick_fd}, fd;
	char why[384];
	long r;

	/* another user's would have another name */
	if ((unsigned)sys(geteuid) != up.uid)
		return -EPERM;
	fd = start_keeper(true, why, sizeof(why));
	if (fd < 0)
		return fd;
	r = keeper_send(fd, &req, sizeof(req), fds, ARRAY_SIZE(fds));
	if (r >= 0)
		return fd;
	sys(close, fd);
	return -EAGAIN;
}

/* Says who we are to a keeper that came after us. */
static int hello_again(int fd)
{
	struct keeper_req req = {
		.type = KEEPER_HELLO,
		.arg = host.party,
		.layout = keeper_layout(),
		.config = host.sh->config,
		.flags = HELLO_CHILD | HELLO_AGAIN,
	};
	struct keeper_reply reply = {0};
	long r;

	memcpy(req.secret, up.secret, sizeof(req.secret));
	r = ask(fd, &req, &reply, NULL, NULL);
	if (r == -ECONNRESET || r == -EPIPE)
		return -EAGAIN;
	return r < 0 ? (int)r : reply.err;
}

static int find_another(void)
{
	int r = -EAGAIN, fd;
	char why[100];

	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		if (i)
			nap(i);
		fd = call_keeper(why, sizeof(why));
		if (fd == -ECONNREFUSED)
			fd = start_another();
		if (fd >= 0)
			fd = fd_make_internal(fd);
		r = fd < 0 ? fd : hello_again(fd);
		if (r < 0 && fd >= 0)
			fd_close_internal(fd);
	}
	return r < 0 ? r : fd;
}

/* The control lock is held. 0 or -errno. */
static int regain(void)
{
	pthread_mutex_t *l = &host.sh->start_lock;
	int r = host_lock_for(l, START_PATIENCE), fd;

	if (r == EOWNERDEAD)
		pthread_mutex_consistent(l);
	if (host.control_fd >= 0)
		fd_close_internal(host.control_fd);
	fd = find_another();
	host.control_fd = fd < 0 ? -1 : fd;
	host.num_keepers = atomic_load(&host.sh->num_keepers);
	if (r != ETIMEDOUT) /* or its owner is stopped */
		pthread_mutex_unlock(l);
	return fd < 0 ? fd : 0;
}

void host_regain(void)
{
	int cancel;

	if (!host.has_keeper || !host_has_joined() || host.is_confined)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	signal_hold();
	pthread_mutex_lock(&fork_page->control_lock);
	if (host_has_new_keeper() ||
	    (host.control_fd >= 0 && has_hung_up(host.control_fd)))
		regain();
	pthread_mutex_unlock(&fork_page->control_lock);
	signal_release();
	pthread_setcancelstate(cancel, NULL);
}

static long tell(struct keeper_req *req, int fd)
{
	struct keeper_reply reply;

	if (host.control_fd < 0)
		return -EPIPE;
	if (keeper_replies(req->type))
		return ask(host.control_fd, req, &reply, NULL, NULL);
	return keeper_send(host.control_fd, req, sizeof(*req), &fd, fd >= 0);
}

long join_tell(struct keeper_req *req, int fd)
{
	long r;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	signal_hold();
	pthread_mutex_lock(&fork_page->control_lock);
	r = tell(req, fd);
	if ((r == -EPIPE || r == -ECONNRESET) && host_has_joined() &&
	    !host.is_confined && regain() == 0)
		r = tell(req, fd);
	pthread_mutex_unlock(&fork_page->control_lock);
	signal_release();
	pthread_setcancelstate(cancel, NULL);
	return r;
}

void join_tell_anew(struct keeper_req *req)
{
	struct keeper_reply reply;
	char why[100];
	int fd = call_keeper(why, sizeof(why));

	if (fd < 0)
		return;
	memcpy(req->secret, up.secret, sizeof(req->secret));
	ask(fd, req, &reply, NULL, NULL);
	sys(close, fd);
}

/* --- coming up --- */

static void say_panic(const char *line, size_t len)
{
	sys_forbidden = false;
	sys(write, 2, line, len);
}

static void on_uv_turn(void *arg, unsigned what)
{
	sentinel_turn(what & UV_LOOP_FD ? SENTINEL_FD : 0);
}

/* The host is this process alone. */
static int come_up_alone(char *why, size_t len)
{
	static const struct sentinel_ops ops = {uv_loop_arm_fd,
						uv_loop_arm_deadline};
	struct uv_loop_cfg cfg = {.turn = on_uv_turn};
	int r = host_make(why, len);

	if (r < 0)
		return r;
	host.bell_fd = fd_internal_socket(SOCK_DGRAM);
	host.kick = uv_loop_kick;
	cfg.fd = host.tun.fd;
	r = sentinel_init(&ops);
	if (r < 0)
		return r;
	fdtab_fill_low();
	r = uv_loop_start(&cfg, why, len);
	fdtab_free_low();
	return r;
}

/* What a lock round has left that needs no lock. */
static void after_unlock(void)
{
	mirror_flush();
	if (host.has_signals)
		sigio_send();
}

static int come_up(char *why, size_t len)
{
	int r;

	tid_init();
	tid_fix();
	host_init();
	host.dispatch = wait_dispatch;
	host.after = after_unlock;
	log_set_panic(say_panic);
	host.at_gate = at_gate;
	r = knobs_load(why, len);
	if (r == 0)
		r = forks_page();
	if (r == 0)
		r = fdtab_init();
	if (r == -EMFILE)
		log_snprintf(why, len,
			     "too few file descriptors; 64 will do (ulimit "
			     "-n)");
	if (r == 0)
		r = host_open_log(why, len);
	if (r < 0)
		return r;
	if (knobs.is_mirror)
		r = mirror_init();
	if (r < 0)
		return r;
	host.has_keeper = knobs.keeper && !knobs.is_mirror;
	up.uid = (unsigned)sys(geteuid);
	up.name_len = keeper_addr(&up.name, knobs.dev, up.uid);
	r = host.has_keeper ? join(why, len) : come_up_alone(why, len);
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
	sigset_t all, mask;
	struct rlimit was;
	bool is_raised;

	if (__builtin_expect(atomic_load(&up.state) == UP_YES, 1))
		return 0;
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	/* a handler that makes a socket would wait for us */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	if (up.owner && up.owner != (int)sys(getpid)) {
		/* forked while another thread was at it */
		up.owner = 0;
		pthread_mutex_init(&up.lock, NULL);
	}
	pthread_mutex_lock(&up.lock);
	if (atomic_load(&up.state) == UP_NOT_YET) {
		up.owner = (int)sys(getpid);
		is_raised = fdtab_raise_limit(&was);
		r = come_up(why, sizeof(why));
		if (is_raised)
			fdtab_restore_limit(&was);
		if (r < 0)
			up_failed(r, why);
		atomic_store(&host.is_up, r == 0);
		atomic_store(&up.state, r < 0 ? UP_FAILED : UP_YES);
		up.owner = 0;
	} else if (atomic_load(&up.state) == UP_FORKED) {
		sys_say("the device is in use by the parent of this process; "
			"without a keeper (TCPSHIM_KEEPER) a forked child has "
			"no socket");
		atomic_store(&up.state, UP_FAILED);
	}
	pthread_mutex_unlock(&up.lock);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
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

/* --- exec, fork --- */

void host_exec_before(void)
{
	fork_begin();
	gate_set(GATE_FORKING);
	host_lock(OP_EXIT, 0);
	host_unlock();
}

void host_exec_failed(void)
{
	gate_clear(GATE_FORKING);
	fork_end();
}

/* It is taken by who comes up and who joins, and by nobody afterwards. */
bool host_fork_wait(void)
{
	bool is_wanted = !host_is_up() || !host_has_joined();

	if (is_wanted)
		pthread_mutex_lock(&up.lock);
	return is_wanted;
}

void host_fork_go(void)
{
	pthread_mutex_unlock(&up.lock);
}

void host_fork_before(void)
{
	if (!host_is_up())
		return;
	/* no thread of ours is in the lock then, and what it guards in our own
	 * memory is whole */
	gate_set(GATE_FORKING);
	host_lock(OP_CLOSE, 0);
	host_unlock();
}

void host_fork_parent(void)
{
	gate_clear(GATE_FORKING);
}

static void not_ours(void)
{
}

void host_forked(void)
{
	sys_forbidden = false;
	if (host_is_up())
		tid_fix();
	pthread_mutex_init(&up.lock, NULL);
	host.pid = (int)sys(getpid);
	if (!host_is_up()) {
		atomic_store(host.gate, GATE_OPEN);
		return;
	}
	host.party = PARTY_KEEPER; /* until it has one; watches nothing, */
	host.dispatch = not_ours;  /* and takes nothing of the keeper's */
	host.is_guest = true;
	atomic_store(host.gate, GATE_OPEN | GATE_JOIN);
	if (!host.has_keeper) {
		atomic_store(host.gate, GATE_OPEN);
		atomic_store(&host.is_up, false);
		atomic_store(&up.state, UP_FORKED);
	}
	forks_child(host.has_keeper);
	wait_forked();
	list_init(&host.wakes);
	host.control_fd = -1;
	host.tun.fd = host.memfd = host.bell_fd = host.kick_fd = -1;
	host.pcap = NULL;
}

/* If the keeper is gone somebody may be starting another one; a child has not
 * what that needs. */
static int call_again(int *out, char *why, size_t len)
{
	int r = -EAGAIN, fd;

	for (int i = 0; i < CHILD_TRIES && r == -EAGAIN; i++) {
		if (i)
			nap(i);
		fd = call_keeper(why, len);
		if (fd == -ECONNREFUSED)
			fd = -EAGAIN;
		if (fd >= 0)
			fd = fd_make_internal(fd);
		r = fd < 0 ? fd : hello(fd, true, why, len);
		if (r < 0 && fd >= 0)
			fd_close_internal(fd);
	}
	*out = fd;
	return r;
}

/* A child's first use of what it has inherited. */
static int join_again(void)
{
	char why[384] = "";
	int fd, r = 0;

	pthread_mutex_lock(&up.lock);
	if (!(atomic_load(host.gate) & GATE_JOIN)) {
		pthread_mutex_unlock(&up.lock);
		return 0;
	}
	r = call_again(&fd, why, sizeof(why));
	if (r < 0)
		sys_say("this process cannot take part in its parent's host: "
			"%s (error %d)",
			why[0] ? why : "the keeper does not answer", -r);
	host.control_fd = r < 0 ? -1 : fd;
	if (r == 0) {
		host.dispatch = wait_dispatch;
		host.is_guest = false;
	}
	gate_clear(GATE_JOIN);
	if (r == 0)
		fdtab_watch_again();
	pthread_mutex_unlock(&up.lock);
	return r;
}
