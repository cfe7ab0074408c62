/* SPDX-License-Identifier: MIT
 *
 * forks.c - before a fork, and after it in the parent and in the child
 *
 * Before, no thread of the process may be in the stack lock or hold a lock of
 * ours, so that what these guard in private memory is whole in the child. A
 * gate in front of the lock does that; with one thread there is nobody to wait
 * for.
 *
 * After a fork the first write to a page costs 2 us, since parent and child
 * share it until then. So all that the parent has to write is in one page that
 * is not shared (struct fork_page), and a fork costs a process what its page
 * tables cost.
 *
 * The child has copies of everything. What is its parent's own it closes at
 * once: the connection to the keeper, near ends in the pool, sockets to be
 * woken by. All else waits until it uses a socket (join.c).
 *
 * Our handlers are registered by the constructor, before any of the program's:
 * so they run last before the fork and first after it, and the program's may
 * use sockets. As long as nothing of ours is there they do nothing. A thread
 * may fork while another one brings us up; join.c minds the child of that.
 */
#include "forks.h"

#include <sys/mman.h>
#include <sys/single_threaded.h>

#include "call_priv.h"
#include "fdtab_priv.h"
#include "host_priv.h"
#include "join.h"
#include "sigio.h"
#include "sys.h"

#define MEMORY_TRIES 4
#define GENERATION_SHIFT 40 /* above the copies that a process makes */

static struct fork_page no_page = {.gate = GATE_OPEN};
struct fork_page *fork_page = &no_page;
static uint64_t generation; /* forks between the first process and this one */

uint64_t fork_epoch(void)
{
	return fork_born() + atomic_load(&fork_page->num_copies);
}

uint64_t fork_born(void)
{
	return generation << GENERATION_SHIFT;
}

void fork_begin(void)
{
	signal_hold();
	pthread_mutex_lock(&fork_page->fork_lock);
	atomic_store(&fork_page->forker, (uintptr_t)pthread_self());
	signal_num_holds--; /* the line above holds them, too */
}

void fork_end(void)
{
	uintptr_t me = (uintptr_t)pthread_self();

	pthread_mutex_unlock(&fork_page->fork_lock);
	/* the next one may be at it already */
	atomic_compare_exchange_strong(&fork_page->forker, &me, 0);
	signal_run_deferred();
}

static void on_fork_before(void)
{
	bool is_alone = __libc_single_threaded;

	if (fork_page == &no_page)
		return;
	/* who is alone and comes here holds nothing: handlers would wait */
	if (is_alone)
		atomic_store(&fork_page->forker, (uintptr_t)pthread_self());
	else
		fork_begin();
	fork_page->has_locks = !is_alone;
	fork_copied();
	if (is_alone)
		return;
	pthread_mutex_lock(&fork_page->adopt_lock);
	fork_page->has_up_lock = host_fork_wait();
	pthread_mutex_lock(&fork_page->listen_lock);
	pthread_mutex_lock(&fork_page->control_lock);
	pthread_mutex_lock(&fork_page->files_lock);
	host_fork_before();
}

static void on_fork_parent(void)
{
	if (!fork_is_mine()) /* nothing was there to be minded before */
		return;
	if (!fork_page->has_locks) {
		fork_copied();
		atomic_store(&fork_page->forker, 0);
		signal_run_deferred();
		return;
	}
	host_fork_parent();
	pthread_mutex_unlock(&fork_page->files_lock);
	pthread_mutex_unlock(&fork_page->control_lock);
	pthread_mutex_unlock(&fork_page->listen_lock);
	if (fork_page->has_up_lock)
		host_fork_go();
	pthread_mutex_unlock(&fork_page->adopt_lock);
	fork_copied();
	fork_end();
}

/* Unless another one's handler made a call that noticed the fork. */
static void on_fork_child(void)
{
	host_notices_fork();
}

int forks_page(void)
{
	long p;

	if (fork_page != &no_page)
		return 0;
	p = sys(mmap, NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p < 0 && p >= -4095)
		return (int)p;
	sys(madvise, p, 4096, MADV_WIPEONFORK);
	fork_page = (struct fork_page *)p;
	atomic_store(&fork_page->gate, GATE_OPEN);
	host.gate = &fork_page->gate;
	return 0;
}

void forks_init(void)
{
	pthread_atfork(on_fork_before, on_fork_parent, on_fork_child);
}

/* --- in the child --- */

void forks_child(bool has_keeper)
{
	generation++;
	if (!has_keeper)
		fdtab_num = 0;
	epoll_forked(has_keeper);
	sigio_forked();
	fdnum_forked();
	near_forked();
}

/* Sleeping threads of the parent don't exist here. */
static void drop_waiters(struct file *f)
{
	struct list *l, *next;

	list_for_each_safe (l, next, &f->watches) {
		struct watch *h = list_entry(l, struct watch, node);

		if (h->waiter)
			watch_del(h);
	}
}

/* False: there is no memory for it yet. */
static bool watch_again(struct file *f)
{
	struct ready r;
	int err = 0;

	host_lock(OP_WAIT, f->s);
	drop_waiters(f);
	if (!list_empty(&f->watches))
		err = sock_watch(host.st, f->s, 0, &r);
	/* what came since the fork is news */
	if (!list_empty(&f->watches) && !err) {
		watch_one(f);
		watch_news(f, &r);
	}
	host_unlock();
	return err != -ENOBUFS;
}

void fdtab_watch_again(void)
{
	unsigned most = fd_highest();

	for (unsigned fd = 0; fd <= most; fd++) {
		struct file *f = fd_sock((int)fd);
		unsigned num_tries = 0;

		if (!f || list_empty(&f->watches))
			continue;
		while (!watch_again(f) && num_tries++ < MEMORY_TRIES &&
		       host_more_memory())
			;
	}
}
