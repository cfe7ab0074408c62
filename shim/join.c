/* SPDX-License-Identifier: MIT
 *
 * join.c - this process becomes one of a host's, and stays one after fork
 *
 * The first routed socket of a process asks the keeper of its device, found by
 * name, for a place: it is given the memory, the device and a way to wake the
 * keeper. If there is no keeper one is started. It must be nobody's child: the
 * program may wait for any of its own and count them. So it is made by two
 * clones without an exit signal, the first of which is gone at once, with all
 * signals blocked, since a handler of the program would also run in them.
 *
 * A forked child has the mapping and every near end. What else it inherits of
 * ours (the connection, sockets to be woken by, near ends in the pool) it
 * closes; it asks for a place of its own when it first does more than close.
 */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

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
#include "sys.h"
#include "tid.h"

#define REPLY_PATIENCE (10 * SEC)
#define TRIES 200 /* to find or to start a keeper, a nap between */
#define CLONE_STACK 65536

enum up_state { UP_NOT_YET, UP_YES, UP_FAILED, UP_FORKED };

static struct {
	pthread_mutex_t lock; /* taken by host_up() and at the gate only */
	int owner;	      /* the process that has it, in host_up() */
	_Atomic int state;
	int control; /* connection to the keeper, -1: none */
	struct sockaddr_un name;
	socklen_t name_len;
	uint8_t secret[16];
} up = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.control = -1,
};

extern char **environ;

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

/* --- the keeper's program --- */

/* Where we are: what the loader was told may be relative to a directory that
 * the program has left. */
static bool own_path(char *out, size_t len)
{
	char buf[4096 + 1];
	uintptr_t me = (uintptr_t)&own_path;
	size_t num = 0;
	long n, fd = sys(openat, AT_FDCWD, "/proc/self/maps",
			 O_RDONLY | O_CLOEXEC, 0);
	bool found = false;

	while (fd >= 0 && !found &&
	       (n = sys(read, fd, buf + num, sizeof(buf) - 1 - num)) > 0) {
		char *line = buf, *end, *path;

		num += (size_t)n;
		buf[num] = '\0';
		for (; !found && (end = strchr(line, '\n')); line = end + 1) {
			uintptr_t lo = strtoul(line, &path, 16), hi;

			hi = *path ? strtoul(path + 1, NULL, 16) : 0;
			*end = '\0';
			path = strchr(line, '/');
			found = me >= lo && me < hi && path;
			if (found)
				log_snprintf(out, len, "%s", path);
		}
		num -= (size_t)(line - buf);
		memmove(buf, line, num);
	}
	if (fd >= 0)
		sys(close, fd);
	return found;
}

static bool keeper_path(char *out, size_t len)
{
	char *slash;

	if (!own_path(out, len))
		return false;
	slash = strrchr(out, '/');
	if (!slash || (size_t)(slash - out) + sizeof(KEEPER_NAME) + 1 > len)
		return false;
	log_snprintf(slash + 1, len - (size_t)(slash + 1 - out), KEEPER_NAME);
	return sys(faccessat, AT_FDCWD, out, X_OK) == 0;
}

struct start {
	const char *path;
	char *const *argv, *const *envp;
	int fd;
	char *stack; /* of the second clone */
};

/* In the keeper to be, with our memory and fds of its own: system calls only,
 * and nothing of the program's comes along. */
static int become_keeper(void *arg)
{
	struct start *s = arg;
	int null;

	sys(setsid);
	if (s->fd != KEEPER_FD)
		sys(dup3, s->fd, KEEPER_FD, 0);
	else
		sys(fcntl, s->fd, F_SETFD, 0);
	sys(close_range, KEEPER_FD + 1, ~0u, 0);
	for (int fd = 0; fd < KEEPER_FD; fd++)
		sys(close, fd);
	null = (int)sys(openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (int fd = 0; null >= 0 && fd < KEEPER_FD; fd++)
		if (fd != null)
			sys(dup3, null, fd, 0);
	sys(execve, s->path, s->argv, s->envp);
	sys(exit_group, 127);
	return 0;
}

static int clone_again(void *arg)
{
	struct start *s = arg;

	clone(become_keeper, s->stack + CLONE_STACK, CLONE_VM | CLONE_VFORK, s);
	sys(exit_group, 0);
	return 0;
}

/* A subreaper (containers' init programs, service managers) would become the
 * parent of the keeper when the first clone is gone, and wait for it. Whether
 * we are one. */
static bool set_subreaper(bool on)
{
	int was = 0;

	sys(prctl, PR_GET_CHILD_SUBREAPER, &was, 0, 0, 0);
	if (was != on)
		sys(prctl, PR_SET_CHILD_SUBREAPER, on, 0, 0, 0);
	return was;
}

static int start_clones(struct start *s)
{
	bool was_subreaper;
	sigset_t all, old;
	long p = sys(mmap, NULL, 2 * CLONE_STACK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	char *stacks = (char *)p;
	int pid, saved = errno;

	if (p < 0 && p >= -4095)
		return (int)p;
	s->stack = stacks + CLONE_STACK;
	memset(&all, 0xff, sizeof(all));
	sys(rt_sigprocmask, SIG_SETMASK, &all, &old, SYS_KERNEL_SIGSET);
	was_subreaper = set_subreaper(false);
	pid = clone(clone_again, stacks + CLONE_STACK, CLONE_VM | CLONE_VFORK,
		    s);
	if (pid < 0)
		pid = -errno;
	else
		sys(wait4, pid, NULL, __WCLONE, NULL);
	set_subreaper(was_subreaper);
	sys(rt_sigprocmask, SIG_SETMASK, &old, NULL, SYS_KERNEL_SIGSET);
	sys(munmap, stacks, 2 * CLONE_STACK);
	errno = saved;
	return pid < 0 ? pid : 0;
}

#define MAX_ENV 1024

/* Starts a keeper; the connection to it, or -errno. */
static int start_keeper(char *why, size_t len)
{
	static char path[PATH_MAX], *envp[MAX_ENV + 1];
	static char name[] = KEEPER_NAME, *argv[] = {name, NULL};
	struct start s = {.path = path, .argv = argv, .envp = envp};
	unsigned num = 0;
	int sv[2], r;

	if (!keeper_path(path, sizeof(path))) {
		log_snprintf(why, len,
			     "no program " KEEPER_NAME " beside the library; "
			     "install it there, or set TCPSHIM_KEEPER=off");
		return -ENOENT;
	}
	for (char **e = environ; e && *e && num < MAX_ENV; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11))
			envp[num++] = *e;
	envp[num] = NULL;
	r = (int)sys(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv);
	if (r < 0)
		return r;
	s.fd = sv[1];
	r = start_clones(&s);
	sys(close, sv[1]);
	if (r == 0)
		return sv[0];
	sys(close, sv[0]);
	log_snprintf(why, len,
		     KEEPER_NAME " cannot be started (error %d); look at the "
				 "limit on processes, or set "
				 "TCPSHIM_KEEPER=off",
		     -r);
	return r;
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
	int r = -EAGAIN, fd;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		if (i)
			nap(i);
		fd = call_keeper(why, len);
		if (fd == -ECONNREFUSED)
			fd = start_keeper(why, len);
		if (fd < 0) {
			r = fd;
			continue;
		}
		fd = fd_make_internal(fd);
		r = fd < 0 ? fd : hello(fd, false, why, len);
		if (r == 0)
			up.control = fd;
		else if (fd >= 0)
			fd_close_internal(fd);
	}
	if (r < 0 && !why[0])
		log_snprintf(why, len, "the keeper does not answer: error %d",
			     -r);
	return r;
}

long join_tell(struct keeper_req *req, int fd)
{
	struct keeper_reply reply;
	long r;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	signal_hold();
	pthread_mutex_lock(&fork_page->control_lock);
	if (up.control < 0)
		r = -ENOTCONN;
	else if (keeper_replies(req->type))
		r = ask(up.control, req, &reply, NULL, NULL);
	else
		r = keeper_send(up.control, req, sizeof(*req), &fd, fd >= 0);
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
	up.name_len = keeper_addr(&up.name, knobs.dev, (unsigned)sys(geteuid));
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
	up.control = -1;
	host.tun.fd = host.memfd = host.bell_fd = host.kick_fd = -1;
	host.pcap = NULL;
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
	fd = call_keeper(why, sizeof(why));
	if (fd >= 0)
		fd = fd_make_internal(fd);
	r = fd < 0 ? fd : hello(fd, true, why, sizeof(why));
	if (r < 0)
		sys_say("this process cannot take part in its parent's host: "
			"%s (error %d)",
			why[0] ? why : "the keeper does not answer", -r);
	up.control = r < 0 ? -1 : fd;
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
