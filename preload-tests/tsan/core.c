/* SPDX-License-Identifier: MIT
 *
 * core.c - what the keeper does, in a thread
 *
 * It makes the host (make.c) and is its sentinel (sentinel.c), and answers at
 * the keeper's door, so that copies of the library join as processes do. It
 * holds no lifetimes: nobody here dies, and nobody has copies of a descriptor.
 */
#include "core.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "call_priv.h"
#include "host_priv.h"
#include "keeper.h"
#include "knobs.h"
#include "sys.h"

#define MAX_MEMBERS 16

static struct {
	int door, kick;
	bool is_armed;
	nsec deadline;
	int members[MAX_MEMBERS];
	unsigned num_members;
} core;

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

static void kick(void)
{
	static const uint64_t one = 1;

	sys(write, core.kick, &one, sizeof(one));
}

static void nothing(void)
{
}

static void arm_fd(bool on)
{
	core.is_armed = on;
}

static void arm_deadline(nsec at)
{
	core.deadline = at;
}

/* --- members ---
 * The listeners that come are kept open: their near ends are connected to
 * them. */

static void on_hello(int fd, uint32_t seq)
{
	struct keeper_reply r = {
		.seq = seq,
		.at = (uintptr_t)host.sh,
		.len = host.sh->max,
	};
	int fds[3] = {host.memfd, host.tun.fd, core.kick};

	host_lock(OP_EXIT, 0);
	r.party = party_new(host.pid);
	host_unlock();
	r.err = r.party ? 0 : -EUSERS;
	keeper_send(fd, &r, sizeof(r), fds, r.err ? 0 : 3);
}

static void on_request(int fd)
{
	struct keeper_reply r = {0};
	struct keeper_req req;
	unsigned num_fds = 0;
	int fds[3];

	if (keeper_recv(fd, &req, sizeof(req), fds, &num_fds) != sizeof(req))
		return;
	r.seq = req.seq;
	if (req.type == KEEPER_HELLO)
		on_hello(fd, req.seq);
	else if (keeper_replies(req.type))
		keeper_send(fd, &r, sizeof(r), NULL, 0);
}

static void on_door(void)
{
	int fd = (int)sys(accept4, core.door, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && core.num_members < MAX_MEMBERS)
		core.members[core.num_members++] = fd;
}

/* --- the loop --- */

static void turn(void)
{
	struct pollfd v[3 + MAX_MEMBERS];
	nsec left = MAX(core.deadline - sys_now(), 0);
	struct timespec t = sys_timespec(left);
	unsigned n = core.num_members, what = 0;
	uint64_t count;

	v[0] = (struct pollfd){core.is_armed ? host.tun.fd : -1, POLLIN, 0};
	v[1] = (struct pollfd){core.kick, POLLIN, 0};
	v[2] = (struct pollfd){core.door, POLLIN, 0};
	for (unsigned i = 0; i < n; i++)
		v[3 + i] = (struct pollfd){core.members[i], POLLIN, 0};
	if (sys_ppoll(v, 3 + n, core.deadline == TIME_NEVER ? NULL : &t, NULL) <
	    0)
		return;
	if (v[0].revents) {
		core.is_armed = false;
		what = SENTINEL_FD;
	}
	if (v[1].revents)
		sys(read, core.kick, &count, sizeof(count));
	if (v[2].revents)
		on_door();
	for (unsigned i = 0; i < n; i++)
		if (v[3 + i].revents)
			on_request(core.members[i]);
	sentinel_turn(what);
	host_grow();
}

static void *core_main(void *arg)
{
	for (;;)
		turn();
	return NULL;
}

/* --- coming up --- */

static int come_up(char *why, size_t len)
{
	static const struct sentinel_ops ops = {arm_fd, arm_deadline};
	struct sockaddr_un name;
	socklen_t name_len;
	int r;

	host_init();
	host.dispatch = nothing;
	host.kick = kick;
	host.log_fd = -1;
	r = knobs_load(why, len);
	name_len = keeper_addr(&name, knobs.dev, (unsigned)sys(geteuid));
	core.door = (int)sys(socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	core.kick = (int)sys(eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	core.deadline = TIME_NEVER;
	if (r == 0)
		r = (int)sys(bind, core.door, &name, name_len);
	if (r == 0)
		r = (int)sys(listen, core.door, MAX_MEMBERS);
	if (r == 0)
		r = host_make(why, len);
	host.bell_fd = (int)sys(socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return r < 0 ? r : sentinel_init(&ops);
}

struct shared *core_up(void)
{
	char why[384] = "";
	pthread_t tid;
	int r = come_up(why, sizeof(why));

	if (r < 0) {
		fprintf(stderr, "no host: error %d %s\n", -r, why);
		return NULL;
	}
	pthread_create(&tid, NULL, core_main, NULL);
	return host.sh;
}

void core_count(unsigned long *batches, unsigned long *writers)
{
	*batches = atomic_load(&host.sh->epoch);
	*writers = atomic_load(&host.sh->tx_token) / 2;
}
