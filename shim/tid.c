/* SPDX-License-Identifier: MIT
 *
 * tid.c - a child of the system call itself, as libc would have made it
 *
 * A mutex is owned by the thread number that libc keeps in the thread's own
 * block, and a robust one is released by the kernel, at death, by a list whose
 * head is there too. fork() of libc sets both in the child. A clone() by
 * system call (a sandbox, a container tool, our own keeper) does not: such a
 * child would lock in its parent's name, and its death would be noticed by
 * nobody.
 *
 * Neither field has a name outside of libc. But in every glibc since 2.4 they
 * are neighbours: the number, another one, a pointer, and the head, which
 * points to itself while the thread has no robust mutex.
 */
#include "tid.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "sys.h"

#define BLOCK_MOST 1800 /* of glibc's 2304 bytes */

struct fields {
	int tid, unused;
	void *prev;
	struct robust_list_head head;
};

static ptrdiff_t fields_at; /* from pthread_self(); 0: not known */

static struct fields *fields(ptrdiff_t at)
{
	return (struct fields *)((uintptr_t)pthread_self() + (size_t)at);
}

/* As libc has it, rightly or not. */
static int noted_tid(void)
{
	pthread_mutexattr_t at;
	pthread_mutex_t m;
	int tid;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_settype(&at, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m, &at);
	pthread_mutex_lock(&m);
	tid = m.__data.__owner;
	pthread_mutex_unlock(&m);
	pthread_mutexattr_destroy(&at);
	return tid;
}

void tid_init(void)
{
	int tid = noted_tid();

	for (ptrdiff_t at = sizeof(void *); at < BLOCK_MOST; at += 8) {
		const struct fields *f = fields(at);

		if (f->tid == tid && f->head.list.next == &f->head.list) {
			fields_at = at;
			return;
		}
	}
}

bool tid_fix(void)
{
	struct fields *f = fields(fields_at);
	int tid = (int)sys(gettid);

	if (!fields_at)
		return false;
	if (f->tid == tid)
		return true;
	f->tid = tid;
	/* what the parent holds is not ours */
	f->head.list.next = &f->head.list;
	f->head.list_op_pending = NULL;
	f->prev = &f->head;
	return sys(set_robust_list, &f->head, sizeof(f->head)) == 0;
}
