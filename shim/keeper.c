/* SPDX-License-Identifier: MIT
 *
 * keeper.c - tcpshim-keeper: the process that holds a host's lifetimes
 *
 * It does no more than others can do too, but it is there when they are not.
 * It made the host (make.c), so the device and the memory last until it ends;
 * it is the sentinel (sentinel.c); it lets processes join; and it sees to it
 * that a socket is closed when its last descriptor anywhere is.
 *
 * A near end (fdtab.c) is connected to a listener of its maker's, whose other
 * copy is here. As long as the maker lives, and it alone holds its sockets, it
 * closes them itself and nothing is done here. When it drops a socket that
 * others may have (fork, SCM_RIGHTS), or ends, or becomes another program, the
 * far ends of its listeners are accepted: one that has hung up is closed, of
 * one that has not we are told by the kernel when it does.
 *
 * A process ends with a hang-up of its connection, and its pidfd. Exec hangs
 * up too: the process lives, but the mapping is gone from it.
 *
 * When nobody is left, no far end, and nothing unsent, it stays for a short
 * grace, for the next command of a script, and ends.
 */
#include <linux/if_tun.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call_priv.h"
#include "host_priv.h"
#include "keeper_priv.h"
#include "knobs.h"
#include "relay.h"
#include "sys.h"
#include "tid.h"

#define EVENTS 64
#define FIRST_GRACE (1 * SEC)
#define FORGET_BUDGET 256 /* endpoints in one hold of the lock */
#define STRAYS 64	  /* descriptors that may not be written down yet */

struct keeper *me;

/* --- what the shared files ask of a process --- */

__thread volatile uint32_t signal_num_holds;
__thread volatile bool signal_has_deferred;
__thread bool cancel_is_async;

void signal_undefer(void)
{
}

void cancel_put_off(void)
{
}

void cancel_let_in(void)
{
}

int fd_make_internal(int fd)
{
	return fd;
}

void fdtab_fill_low(void)
{
}

void fdtab_free_low(void)
{
}

/* There is nobody to read our standard error. */
static void say_panic(const char *line, size_t len)
{
	sys_forbidden = false;
	if (host.log_fd >= 0)
		sys(write, host.log_fd, line, len);
}

/* What we did after a turn of the sentinel's is due sooner than it thinks. */
static bool is_kicked;

static void kick_self(void)
{
	is_kicked = true;
}

static void arm_fd(bool on)
{
	struct epoll_event ev = {
		.events = (on ? EPOLLIN : 0) | EPOLLONESHOT,
		.data.fd = host.tun.fd,
	};

	sys(epoll_ctl, me->epoll, EPOLL_CTL_MOD, host.tun.fd, &ev);
}

static void arm_deadline(nsec at)
{
	me->deadline = at;
}

static const struct sentinel_ops ops = {arm_fd, arm_deadline};

/* --- items --- */

struct item *keeper_add(int fd, enum kind kind, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};
	struct item *it;

	if (fd <= 0 || (unsigned)fd >= MAX_FDS) {
		if (fd > 0)
			sys(close, fd);
		return NULL;
	}
	it = &me->items[fd];
	*it = (struct item){.kind = (uint8_t)kind};
	me->highest = MAX(me->highest, (unsigned)fd + 1);
	if (events)
		sys(epoll_ctl, me->epoll, EPOLL_CTL_ADD, fd, &ev);
	return it;
}

void keeper_forget(int fd)
{
	me->items[fd].kind = NONE;
	sys(close, fd);
}

/* --- members --- */

static struct item *find_listener(const struct item *m, uint32_t num, int *out)
{
	for (int fd = m->next; fd; fd = me->items[fd].next)
		if (me->items[fd].num == num) {
			*out = fd;
			return &me->items[fd];
		}
	return NULL;
}

static void on_listener(int member, uint32_t num, int fd)
{
	struct item *it = keeper_add(fd, LISTENER, 0);

	if (!it)
		return;
	sys(fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	it->num = num;
	it->other = member;
	it->next = me->items[member].next;
	me->items[member].next = fd;
}

static void on_listener_done(struct item *m, uint32_t num)
{
	for (int32_t *p = &m->next; *p; p = &me->items[*p].next) {
		int fd = *p;

		if (me->items[fd].num != num)
			continue;
		*p = me->items[fd].next;
		far_accept(fd);
		keeper_forget(fd);
		return;
	}
}

/* The maker has closed its copy. */
static void on_dropped(const struct item *m, uint32_t num, uint64_t cookie)
{
	int fd = far_find(cookie);

	if (fd)
		far_look(fd);
	else if (find_listener(m, num, &fd))
		far_accept(fd);
	else if (me->num_orphans)
		orphans_look();
}

static void on_relay(uint64_t cookie, uint32_t num)
{
	int fd = far_find(cookie);

	for (int l = 1; !fd && (unsigned)l < me->highest; l++)
		if (me->items[l].kind == LISTENER && me->items[l].num == num) {
			far_accept(l);
			fd = far_find(cookie);
		}
	if (!fd || me->items[fd].relay)
		return;
	me->items[fd].is_relayed = true;
	far_relay(fd);
}

static void pump_news(void)
{
	int fd;

	for (unsigned i = 0; i < EVENTS && relay_next(&fd); i++)
		far_look(fd);
}

static void flush(void)
{
	host_drain_logs();
}

/* Nobody is here, and nothing of anybody. */
static bool is_idle(void)
{
	return !me->num_members && !me->num_far && !me->num_orphans;
}

static bool is_same_device(void)
{
	struct ifreq ifr;

	return sys(ioctl, host.tun.fd, TUNGETIFF, &ifr) >= 0;
}

/* The device before the name: who finds no keeper by that makes one, which
 * wants the device. */
static void leave(void)
{
	sys(close, host.tun.fd);
	sys(close, me->door);
}

/* The next one is to find a new host. What is still on its way is lost. */
static void end_now(void)
{
	host_lock(OP_EXIT, 0);
	stack_abort_all(host.st, host_now());
	host_unlock();
	host_drain_logs();
	me->is_ending = true;
}

static void refuse(struct keeper_reply *r, int err, const char *why)
{
	r->err = err;
	log_snprintf(r->why, sizeof(r->why), why, knobs.dev, (int)sys(getpid));
}

static bool knows_us(const struct keeper_req *req)
{
	return !memcmp(req->secret, host.sh->secret, sizeof(req->secret));
}

/* May it join? ->err says. */
static void judge(int fd, const struct keeper_req *req, struct keeper_reply *r)
{
	struct ucred who = {0};
	socklen_t len = sizeof(who);
	bool is_child =
		(req->flags & HELLO_CHILD) &&
		!memcmp(req->secret, host.sh->secret, sizeof(req->secret));

	sys(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	me->items[fd].pid = who.pid;
	r->is_other_config = req->config != me->config;
	if (!is_child && who.uid != (uid_t)sys(geteuid))
		refuse(r, -EPERM,
		       "the host on %s belongs to another user "
		       "(process %d)");
	else if (req->layout != keeper_layout())
		refuse(r, -EPROTO,
		       "the host on %s is kept by process %d, of "
		       "another version; end it, or use another "
		       "device");
	else if (me->num_joined && is_idle() && !is_child &&
		 (r->is_other_config || (req->flags & HELLO_FRESH) ||
		  !is_same_device()))
		refuse(r, -EAGAIN, "");
}

static void give_place(int fd, const struct keeper_reply *r)
{
	int fds[3] = {host.memfd, host.tun.fd, me->kick};

	keeper_send(fd, r, sizeof(*r), fds, ARRAY_SIZE(fds));
}

static void watch_process(int fd)
{
	struct item *m = &me->items[fd], *p;
	int pidfd = (int)sys(pidfd_open, m->pid, 0);

	p = keeper_add(pidfd, PIDFD, EPOLLIN);
	if (!p)
		return;
	p->other = fd;
	m->other = pidfd;
}

static void on_hello(int fd, const struct keeper_req *req)
{
	struct keeper_reply r = {
		.seq = req->seq,
		.at = (uintptr_t)host.sh,
		.len = host.sh->max,
	};
	struct item *m = &me->items[fd];

	judge(fd, req, &r);
	if (!r.err && req->flags & HELLO_AGAIN) {
		if (knows_us(req))
			r.party = loner_comes((uint16_t)req->arg, m->pid);
		if (!r.party)
			refuse(&r, -ESRCH, "");
	} else if (!r.err) {
		host_lock(OP_EXIT, 0);
		r.party = party_new(m->pid ? m->pid : -1);
		host_unlock();
		if (!r.party)
			refuse(&r, -EUSERS,
			       "too many processes on %s (keeper "
			       "%d)");
	}
	if (r.err == -EAGAIN) {
		end_now();
		leave();
	}
	if (r.err) {
		keeper_send(fd, &r, sizeof(r), NULL, 0);
		sys(shutdown, fd, SHUT_RDWR);
		return;
	}
	m->party = r.party;
	m->is_known = true;
	me->num_members++;
	me->num_joined++;
	watch_process(fd);
	give_place(fd, &r);
}

void keeper_party_gone(uint16_t party)
{
	uint32_t pos = 0;
	bool done = false;

	host_lock(OP_EXIT, 0);
	party_died(party);
	host_unlock();
	while (!done) {
		host_lock(OP_EXIT, 0);
		done = stack_forget_party(host.st, party, &pos, FORGET_BUDGET,
					  host_now());
		if (done && party != PARTY_KEEPER)
			party_free(party);
		host_unlock();
	}
}

static void member_gone(int fd)
{
	struct item *m = &me->items[fd];
	bool was_known = m->is_known;

	if (m->other)
		keeper_forget(m->other);
	m->other = 0;
	while (m->next) {
		int l = m->next;

		m->next = me->items[l].next;
		far_accept(l);
		keeper_forget(l);
	}
	me->look_at = 0;
	/* first: its number may be another's soon */
	m->is_known = false;
	if (was_known) {
		me->num_members--;
		keeper_party_gone(m->party);
	}
	keeper_forget(fd);
}

bool keeper_has_mapping(int pid)
{
	char path[32], buf[4096 + 1];
	size_t num = 0;
	bool found = false;
	long fd, n;

	log_snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	while (fd >= 0 && !found &&
	       (n = sys(read, fd, buf + num, sizeof(buf) - 1 - num)) > 0) {
		num += (size_t)n;
		buf[num] = '\0';
		found = strstr(buf, "memfd:tcpshim") != NULL;
		/* the name may be cut */
		n = (long)MIN(num, 32u);
		memmove(buf, buf + num - n, (size_t)n);
		num = (size_t)n;
	}
	if (fd >= 0)
		sys(close, fd);
	return found;
}

static bool is_dead(const struct item *m)
{
	struct pollfd p = {.fd = m->other, .events = POLLIN};
	struct timespec zero = {0};

	return !m->other || sys_ppoll(&p, 1, &zero, NULL) > 0;
}

/* Dead, another program, or it closed what it should not have: then its end
 * will be seen. */
static void on_hang_up(int fd)
{
	const struct item *m = &me->items[fd];

	if (!m->is_known || is_dead(m) || !keeper_has_mapping(m->pid))
		member_gone(fd);
	else
		sys(epoll_ctl, me->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void answer(int fd, const struct keeper_req *req)
{
	struct item *m = &me->items[fd];
	struct keeper_reply reply = {.seq = req->seq};

	if (req->type == KEEPER_HELLO && !m->is_known)
		on_hello(fd, req);
	if (req->type == KEEPER_RELAY && knows_us(req))
		on_relay(req->cookie, req->arg);
	else if (!m->is_known)
		return;
	switch (req->type) {
	case KEEPER_LISTENER_DONE:
		on_listener_done(m, req->arg);
		break;
	case KEEPER_DROPPED:
	case KEEPER_DROPPED_REPLY:
		on_dropped(m, req->arg, req->cookie);
		break;
	case KEEPER_RELAY:
		break;
	case KEEPER_FLUSH:
		flush();
		break;
	default:
		return;
	}
	if (keeper_replies(req->type))
		keeper_send(fd, &reply, sizeof(reply), NULL, 0);
}

static void on_request(int fd)
{
	struct keeper_req *req = &me->doing;
	struct item *m = &me->items[fd];
	int fds[3];
	unsigned num_fds = 0;
	long n;

	req->type = 0;
	me->doing_fd = fd;
	n = keeper_recv(fd, req, sizeof(*req), fds, &num_fds);
	if (n == sizeof(*req) && req->type == KEEPER_LISTENER && num_fds == 1 &&
	    m->is_known) {
		on_listener(fd, req->arg, fds[--num_fds]);
		req->type = 0;
	}
	while (num_fds)
		sys(close, fds[--num_fds]);
	if (n == sizeof(*req))
		answer(fd, req);
	else if (n != -EAGAIN)
		on_hang_up(fd);
	me->doing_fd = 0;
}

static void on_door(void)
{
	int fd;

	while ((fd = (int)sys(accept4, me->door, NULL, NULL,
			      SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		keeper_add(fd, MEMBER, EPOLLIN);
}

/* --- after another's death --- */

/* @fd is open, and nothing says what it is. */
static void on_stray(int fd)
{
	struct sockaddr_un sa = {0};
	socklen_t len = sizeof(sa), type_len = sizeof(int);
	int type = 0, listens = 0;

	if (sys(getsockname, fd, &sa, &len) < 0 || sa.sun_family != AF_UNIX)
		return;
	sys(getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &type_len);
	sys(getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &type_len);
	if (type == SOCK_DGRAM)
		return; /* to ring with */
	if (!keeper_far_number(&sa, len))
		sys(close, fd); /* who is there tries again */
	else if (!listens)
		keeper_add(fd, FAR, 0);
	else if (me->doing_fd && me->doing.type == KEEPER_LISTENER)
		on_listener(me->doing_fd, me->doing.arg, fd);
	else
		sys(close, fd);
}

/* Lists and counts, anew. */
static void take_stock(void)
{
	memset(me->buckets, 0, sizeof(me->buckets));
	me->num_members = me->num_far = 0;
	for (unsigned fd = 0; fd < me->highest; fd++)
		me->items[fd].next = 0;
	for (int fd = 0; (unsigned)fd < me->highest; fd++) {
		struct item *it = &me->items[fd];

		if (it->kind == NONE || sys(fcntl, fd, F_GETFD) < 0) {
			it->kind = NONE;
			continue;
		}
		it->relay = NULL;
		if (it->kind == MEMBER || it->kind == LONER) {
			me->num_members += it->is_known || it->kind == LONER;
		} else if (it->kind == LISTENER) {
			it->next = me->items[it->other].next;
			me->items[it->other].next = fd;
		} else if (it->kind == FAR && it->cookie) {
			far_note(fd);
		}
	}
}

static void look_again(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	struct item *it = &me->items[fd];
	bool has_owner = it->kind != PIDFD && it->kind != LISTENER;

	if (!has_owner)
		has_owner = me->items[it->other].kind == MEMBER;
	switch ((enum kind)it->kind) {
	case LISTENER:
		if (has_owner)
			return;
		far_accept(fd);
		keeper_forget(fd);
		return;
	case PIDFD:
		if (!has_owner || me->items[it->other].other != fd) {
			keeper_forget(fd);
			return;
		}
		break;
	case SPARE: /* we are it */
		keeper_forget(fd);
		return;
	case FAR:
		me->num_far++;
		if (it->is_relayed && it->cookie)
			far_relay(fd);
		far_look(fd);
		return;
	case MEMBER:
		if (it->is_known && !it->other)
			watch_process(fd);
		break;
	case DEVICE:
		return; /* armed by the sentinel */
	default:
		break;
	}
	if (it->kind)
		sys(epoll_ctl, me->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* A participant of whom no connection tells. */
static void free_places(void)
{
	bool has_owner[STACK_MAX_PARTIES] = {false};

	for (unsigned fd = 0; fd < me->highest; fd++)
		if ((me->items[fd].kind == MEMBER && me->items[fd].is_known) ||
		    me->items[fd].kind == LONER)
			has_owner[me->items[fd].party] = true;
	for (uint16_t i = 1; i < STACK_MAX_PARTIES; i++)
		if (host.sh->parties[i].pid && !has_owner[i])
			keeper_party_gone(i);
}

static void do_again(void)
{
	int fd = me->doing_fd;
	struct keeper_reply r = {
		.seq = me->doing.seq,
		.at = (uintptr_t)host.sh,
		.len = host.sh->max,
	};

	if (!fd || me->items[fd].kind != MEMBER)
		return;
	r.party = me->items[fd].party;
	if (me->doing.type == KEEPER_HELLO && me->items[fd].is_known)
		give_place(fd, &r);
	else
		answer(fd, &me->doing);
}

void keeper_take_over(void)
{
	unsigned most = me->highest + STRAYS;

	relay_forget_all();
	host.sh->parties[PARTY_KEEPER].pid = host.pid;
	keeper_party_gone(PARTY_KEEPER);
	take_stock();
	for (unsigned fd = KEEPER_FD; fd < MIN(most, MAX_FDS); fd++)
		if (me->items[fd].kind == NONE)
			on_stray((int)fd);
	for (unsigned fd = 0; fd < me->highest; fd++)
		look_again((int)fd);
	relay_forget_rest();
	free_places();
	do_again();
	me->doing_fd = 0;
	me->deadline = 0;
	if (sentinel_init(&ops) < 0)
		sys(exit_group, 1);
}

/* --- the loop --- */

static unsigned on_event(const struct epoll_event *ev)
{
	int fd = ev->data.fd;
	uint64_t count;

	switch ((enum kind)me->items[fd].kind) {
	case DOOR:
		on_door();
		break;
	case KICK:
		sys(read, fd, &count, sizeof(count));
		break;
	case DEVICE:
		return SENTINEL_FD;
	case MEMBER:
		on_request(fd);
		break;
	case PIDFD:
		member_gone(me->items[fd].other);
		break;
	case FAR:
		far_look(fd);
		break;
	case SPARE:
		spare_gone();
		break;
	case LONER:
		loner_gone(fd);
		break;
	default:
		break;
	}
	return 0;
}

/* Until when the loop may sleep; sets ->is_ending. */
static nsec next_at(void)
{
	bool is_busy = !is_idle() || stack_num_unfinished(host.st);

	/* or there was more than one round takes */
	if (is_kicked || relay_has_news())
		return 0;
	if (is_busy) {
		me->end_at = TIME_NEVER;
		return me->num_orphans ? MIN(me->deadline, me->look_at)
				       : me->deadline;
	}
	/* who started it has yet to say hello */
	if (me->end_at == TIME_NEVER)
		me->end_at = sys_now() +
			     (me->num_joined ? knobs.grace : FIRST_GRACE);
	if (sys_now() >= me->end_at)
		me->is_ending = true;
	return MIN(me->deadline, me->end_at);
}

static void loop(void)
{
	struct epoll_event ev[EVENTS];

	while (!me->is_ending) {
		nsec at = next_at(), left = MAX(at - sys_now(), 0);
		struct timespec t = sys_timespec(left);
		unsigned what = 0;
		long n = sys(epoll_pwait2, me->epoll, ev, EVENTS,
			     at == TIME_NEVER ? NULL : &t, NULL, 0);

		for (long i = 0; i < n && !me->is_ending; i++)
			what |= on_event(&ev[i]);
		if (me->is_ending)
			break;
		is_kicked = false;
		sentinel_turn(what);
		pump_news();
		if (me->num_orphans && sys_now() >= me->look_at)
			orphans_look();
		host_grow();
		if (me->num_joined)
			spare_make();
	}
}

/* --- coming up --- */

static int open_door(void)
{
	struct sockaddr_un name;
	socklen_t len = keeper_addr(&name, knobs.dev, (unsigned)sys(geteuid));
	int r;

	me->door = (int)sys(socket, AF_UNIX,
			    SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (me->door < 0)
		return me->door;
	r = (int)sys(bind, me->door, &name, len);
	if (r == -EADDRINUSE)
		return -EAGAIN; /* another was faster */
	if (r == 0)
		r = (int)sys(listen, me->door, 1024);
	return r;
}

static void be_nobody(void)
{
	struct rlimit lim;
	sigset_t none;
	struct sigaction def = {.sa_handler = SIG_DFL};

	sigemptyset(&none);
	for (int sig = 1; sig < 65; sig++)
		sigaction(sig, &def, NULL);
	def.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &def, NULL);
	sigaction(SIGXFSZ, &def, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	umask(022);
}

static int come_up(bool again, char *why, size_t len)
{
	int r = knobs_load(why, len);

	tid_init();
	me = mmap(NULL, sizeof(*me), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (me == MAP_FAILED)
		return -ENOMEM;

	host_init();
	host.dispatch = relay_news;
	log_set_panic(say_panic);
	host.kick = kick_self;
	host.log_fd = -1;
	me->config = knobs_host_hash();
	if (r == 0 && again)
		r = again_take();
	if (r == 0)
		r = open_door();
	if (r == 0)
		r = host_open_log(why, len);
	if (r == 0 && !again)
		r = host_make(why, len);
	if (r < 0)
		return r;
	host.bell_fd = (int)sys(socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!again)
		me->kick = (int)sys(eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	me->epoll = (int)sys(epoll_create1, EPOLL_CLOEXEC);
	me->items =
		mmap(NULL, MAX_FDS * sizeof(*me->items), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (me->kick < 0 || me->epoll < 0 || me->items == MAP_FAILED ||
	    relay_init() < 0)
		return -ENOMEM;
	if (chdir("/"))
		return -errno;
	me->end_at = me->deadline = TIME_NEVER;
	keeper_add(me->door, DOOR, EPOLLIN);
	keeper_add(me->kick, KICK, EPOLLIN);
	keeper_add(host.tun.fd, DEVICE, EPOLLONESHOT);
	keeper_add(KEEPER_FD, MEMBER, EPOLLIN);
	if (again)
		again_begin();
	r = sentinel_init(&ops);
	if (r == 0 && again)
		again_announce();
	return r;
}

int main(int argc, char **argv)
{
	struct keeper_reply no = {0};
	struct keeper_req req;
	int fds[3], r;
	unsigned num_fds;

	be_nobody();
	sys(fcntl, KEEPER_FD, F_SETFD, FD_CLOEXEC);
	r = come_up(argc > 1 && !strcmp(argv[1], KEEPER_AGAIN), no.why,
		    sizeof(no.why));
	if (r < 0) { /* it waits for an answer to its hello */
		no.err = r;
		do
			r = (int)keeper_recv(KEEPER_FD, &req, sizeof(req), fds,
					     &num_fds);
		while (r > 0 && req.type != KEEPER_HELLO);
		no.seq = req.seq;
		keeper_send(KEEPER_FD, &no, sizeof(no), NULL, 0);
		return 1;
	}
	sys(fcntl, KEEPER_FD, F_SETFL, O_RDWR | O_NONBLOCK);
	loop();
	leave();
	spare_end();
	return 0;
}
