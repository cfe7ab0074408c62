/* SPDX-License-Identifier: MIT
 *
 * again.c - a keeper of a host that has lost its own
 *
 * The keeper and its spare were killed at once. A process of the host that saw
 * it has started us, and has sent what can't be made: the memory, the device,
 * the eventfd that everybody kicks (join.c). The rest is found in the memory:
 * who takes part (by their process numbers, until they come and say who they
 * are), what the last keeper had of the stack, and which sockets there are; who
 * has them is asked of the kernel (orphan.c). What the last one relayed for
 * strangers has ended, as their near ends have.
 */
#include <stdlib.h>
#include <sys/epoll.h>

#include "host_priv.h"
#include "keeper_priv.h"
#include "knobs.h"
#include "sys.h"

int again_take(void)
{
	struct keeper_req req;
	int fds[3], r;
	unsigned num_fds;

	r = (int)keeper_recv(KEEPER_FD, &req, sizeof(req), fds, &num_fds);
	if (r != sizeof(req) || req.type != KEEPER_REVIVE || num_fds != 3 ||
	    req.layout != keeper_layout())
		return -EPROTO;
	r = host_map(fds[0], req.cookie, req.config);
	if (r < 0)
		return r;
	host.memfd = fds[0];
	host.st = host.sh->st;
	host.tun = host.sh->tun;
	host.tun.fd = fds[1];
	host.can_grow = true;
	me->kick = fds[2];
	me->config = host.sh->config;
	knobs.cfg.link.mtu = host.sh->mtu;
	/* what the program says now may be something else */
	log_snprintf(knobs.dev, sizeof(knobs.dev), "%s", host.sh->tun.name);
	return 0;
}

/* --- who takes part --- */

static bool is_hidden(int pid)
{
	char path[32];
	long fd;

	log_snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		sys(close, fd);
	return fd == -EACCES || fd == -EPERM;
}

/* Are its sockets made where we see them? */
static bool is_near(int pid)
{
	char path[32], its[64] = "", ours[64] = "";

	log_snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return sys(readlinkat, AT_FDCWD, path, its, sizeof(its) - 1) > 0 &&
	       sys(readlinkat, AT_FDCWD, "/proc/self/ns/net", ours,
		   sizeof(ours) - 1) > 0 &&
	       !strcmp(its, ours);
}

static void loner_new(uint16_t party)
{
	int pid = host.sh->parties[party].pid, fd;
	struct item *it;

	if (pid < 0) { /* of another pid namespace */
		me->has_foreign = true;
		return;
	}
	fd = (int)sys(pidfd_open, pid, 0);
	if (fd >= 0 && !keeper_has_mapping(pid) && !is_hidden(pid)) {
		sys(close, fd); /* another has its number */
		fd = -ESRCH;
	}
	it = fd >= 0 ? keeper_add(fd, LONER, EPOLLIN) : NULL;
	if (!it) {
		keeper_party_gone(party);
		return;
	}
	it->party = party;
	it->pid = pid;
	me->num_members++;
	me->has_foreign |= !is_near(pid);
}

static void loner_forget(int fd)
{
	me->num_members--;
	keeper_forget(fd);
}

void loner_gone(int fd)
{
	uint16_t party = me->items[fd].party;

	loner_forget(fd);
	keeper_party_gone(party);
	me->look_at = 0;
}

uint16_t loner_comes(uint16_t party, int pid)
{
	for (unsigned fd = 0; fd < me->highest; fd++) {
		const struct item *it = &me->items[fd];

		if (it->kind != LONER || it->party != party || it->pid != pid)
			continue;
		loner_forget((int)fd);
		return party;
	}
	return 0;
}

void again_begin(void)
{
	host.sh->parties[PARTY_KEEPER].pid = host.pid;
	/* what the last one was writing is lost with it */
	host.sh->is_capturing = false;
	keeper_party_gone(PARTY_KEEPER);
	for (uint16_t i = 1; i < STACK_MAX_PARTIES; i++)
		if (host.sh->parties[i].pid)
			loner_new(i);
	orphans_begin();
	me->num_joined = 1;
}

void again_announce(void)
{
	host_lock(OP_WAIT, 0);
	atomic_fetch_add(&host.sh->num_keepers, 1);
	host.sh->sentinel_at = 0; /* what the last one knew */
	seat_wake_all();
	host_unlock();
}
