/* SPDX-License-Identifier: MIT
 *
 * spare.c - who goes on if the keeper is killed
 *
 * The keeper has what nobody can make again: far ends that hang up when it
 * dies, the connections of all processes. So there is a second process, the
 * spare, that shares its table of descriptors (CLONE_FILES) and the memory in
 * which it writes down what each of them is, and nothing else. It sleeps until
 * the keeper is gone, takes stock of what there is, goes on where that one was,
 * and makes a spare of its own. Not one descriptor is closed meanwhile, so no
 * process notices. A spare that is killed is made again by the keeper.
 *
 * Killed at any instruction: what is written down may be one step behind what
 * the kernel did. A request is read into the shared memory by the kernel
 * itself and can be done twice; a descriptor that is there and not written down
 * tells by its name what it is (keeper_take_over()).
 */
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "host_priv.h"
#include "keeper_priv.h"
#include "sys.h"
#include "tid.h"

#define SPARE_NAME "tcpshim-spare"
#define AGAIN_AFTER (20 * MSEC)

static int pidfd_of(int pid)
{
	return (int)sys(pidfd_open, pid, 0);
}

/* In the spare. Returns when the keeper was killed. */
static void wait_for_end(int keeper)
{
	struct pollfd p = {.fd = keeper, .events = POLLIN};

	while (sys_ppoll(&p, 1, NULL, NULL) < 0)
		;
	if (me->is_ending)
		sys(exit_group, 0);
}

static void become_spare(int keeper)
{
	sys(prctl, PR_SET_NAME, SPARE_NAME, 0, 0, 0);
	host.pid = (int)sys(getpid);
	if (!tid_fix())
		sys(exit_group, 1);
	wait_for_end(keeper);
	sys(prctl, PR_SET_NAME, KEEPER_NAME, 0, 0, 0);
	sys(close, keeper);
	me->self = me->spare = me->spare_pid = 0;
	keeper_take_over();
}

void spare_make(void)
{
	nsec now = sys_now();
	int pid;

	if (me->spare || me->is_ending || now < me->spare_at)
		return;
	me->spare_at = now + AGAIN_AFTER;
	if (!me->self)
		me->self = pidfd_of((int)sys(getpid));
	if (me->self < 0) {
		me->self = 0;
		return;
	}
	pid = (int)sys(clone, CLONE_FILES, 0, 0, 0, 0);
	if (pid == 0) {
		become_spare(me->self);
		return;
	}
	if (pid < 0)
		return;
	me->spare_pid = pid;
	me->spare = pidfd_of(pid);
	if (!keeper_add(me->spare, SPARE, EPOLLIN))
		me->spare = 0;
}

void spare_gone(void)
{
	keeper_forget(me->spare);
	sys(wait4, me->spare_pid, NULL, __WALL, NULL);
	me->spare = me->spare_pid = 0;
}

void spare_end(void)
{
	if (!me->spare_pid)
		return;
	sys(kill, me->spare_pid, SIGKILL);
	sys(wait4, me->spare_pid, NULL, __WALL, NULL);
}
