/* SPDX-License-Identifier: MIT
 *
 * call_gai.c - getaddrinfo_a and its kin, when TCPSHIM_DNS has servers
 *
 * libc's own threads would call libc's own getaddrinfo(). Ours are started for
 * a list, at most MAX_WORKERS, take its requests one after the other, and the
 * last one to end tells who wants to hear of it. gai_error() needs no body:
 * the state of a request stands in the request.
 */
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "dns.h"
#include "real.h"
#include "sys.h"

#define MAX_WORKERS 16

struct job {
	struct sigevent event;
	struct gaicb **list;
	int num, next;
	int num_workers; /* and the caller, when it waits */
};

/* Guards all jobs and the states of all requests. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_done = PTHREAD_COND_INITIALIZER;

static void job_free(struct job *j)
{
	free(j->list);
	free(j);
}

static void *run_function(void *arg)
{
	struct sigevent ev = *(struct sigevent *)arg;

	free(arg);
	ev.sigev_notify_function(ev.sigev_value);
	return NULL;
}

/* As libc: a signal with the value, or a function on a thread of its own. */
static void notify(const struct sigevent *ev)
{
	struct sigevent *copy;
	siginfo_t info = {.si_signo = ev->sigev_signo, .si_code = SI_ASYNCNL};
	pthread_t t;

	if (ev->sigev_notify == SIGEV_SIGNAL) {
		info.si_pid = (pid_t)sys(getpid);
		info.si_uid = (uid_t)sys(getuid);
		info.si_value = ev->sigev_value;
		sys(rt_sigqueueinfo, info.si_pid, ev->sigev_signo, &info);
	} else if (ev->sigev_notify == SIGEV_THREAD) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return;
		*copy = *ev;
		if (pthread_create(&t, ev->sigev_notify_attributes,
				   run_function, copy))
			free(copy);
		else if (!ev->sigev_notify_attributes)
			pthread_detach(t);
	}
}

/* The next request of the list; NULL: there are no more. Under the lock. */
static struct gaicb *next_request(struct job *j)
{
	while (j->next < j->num) {
		struct gaicb *r = j->list[j->next++];

		if (r)
			return r;
	}
	return NULL;
}

static void work(struct job *j)
{
	struct gaicb *r;
	int res;

	pthread_mutex_lock(&lock);
	while ((r = next_request(j))) {
		pthread_mutex_unlock(&lock);
		res = getaddrinfo(r->ar_name, r->ar_service, r->ar_request,
				  &r->ar_result);
		pthread_mutex_lock(&lock);
		r->__return = res;
		pthread_cond_broadcast(&is_done);
	}
	j->num_workers--;
	pthread_cond_broadcast(&is_done);
	pthread_mutex_unlock(&lock);
}

static void *worker(void *arg)
{
	struct job *j = arg;
	bool is_last;

	work(j);
	pthread_mutex_lock(&lock);
	is_last = j->num_workers == 0;
	if (is_last)
		j->num_workers = -1; /* nobody else is the last */
	pthread_mutex_unlock(&lock);
	if (is_last) {
		notify(&j->event);
		job_free(j);
	}
	return NULL;
}

static struct job *job_new(struct gaicb *list[], int num, struct sigevent *ev)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->event.sigev_notify = SIGEV_NONE;
	if (ev)
		j->event = *ev;
	j->num = num;
	j->list = calloc((size_t)num + 1, sizeof(*list));
	if (!j->list) {
		free(j);
		return NULL;
	}
	for (int i = 0; i < num; i++) {
		j->list[i] = list[i];
		if (list[i])
			list[i]->__return = EAI_INPROGRESS;
	}
	return j;
}

/* How many were started; no signal of the program is theirs. */
static int start_workers(struct job *j, int num)
{
	sigset_t all, old;
	pthread_t t;
	int n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&lock);
	while (n < num && pthread_create(&t, NULL, worker, j) == 0) {
		pthread_detach(t);
		j->num_workers++;
		n++;
	}
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

static int num_pending(struct gaicb *const list[], int num)
{
	int n = 0;

	for (int i = 0; i < num; i++)
		n += list[i] && list[i]->__return == EAI_INPROGRESS;
	return n;
}

EXPORT int getaddrinfo_a(int mode, struct gaicb *list[], int num,
			 struct sigevent *ev)
{
	struct job *j;

	if (!dns_state())
		return real.getaddrinfo_a(mode, list, num, ev);
	if (mode != GAI_WAIT && mode != GAI_NOWAIT) {
		errno = EINVAL;
		return EAI_SYSTEM;
	}
	j = job_new(list, num, mode == GAI_WAIT ? NULL : ev);
	if (!j)
		return EAI_MEMORY;
	if (!start_workers(j, CLAMP(num, 1, MAX_WORKERS))) {
		job_free(j);
		return EAI_AGAIN;
	}
	if (mode == GAI_NOWAIT)
		return 0;
	pthread_mutex_lock(&lock);
	while (num_pending(list, num))
		pthread_cond_wait(&is_done, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Until one more of them is done. */
static int wait_for_one(struct gaicb *const v[], int num,
			const struct timespec *until)
{
	int before = num_pending(v, num), r = 0;

	if (!before)
		return EAI_ALLDONE;
	while (!r && num_pending(v, num) == before)
		r = until ? pthread_cond_timedwait(&is_done, &lock, until)
			  : pthread_cond_wait(&is_done, &lock);
	return num_pending(v, num) < before ? 0 : EAI_AGAIN;
}

EXPORT int gai_suspend(const struct gaicb *const list[], int num,
		       const struct timespec *timeout)
{
	struct gaicb *const *v = (struct gaicb *const *)(uintptr_t)list;
	struct timespec until;
	int r;

	if (!dns_state())
		return real.gai_suspend(list, num, timeout);
	if (timeout) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += timeout->tv_sec;
		until.tv_nsec += timeout->tv_nsec;
		if (until.tv_nsec >= SEC) {
			until.tv_sec++;
			until.tv_nsec -= SEC;
		}
	}
	pthread_mutex_lock(&lock);
	r = wait_for_one(v, num, timeout ? &until : NULL);
	pthread_mutex_unlock(&lock);
	return r;
}

/* A request that was taken can't be called back, and all are at once. */
EXPORT int gai_cancel(struct gaicb *r)
{
	int res;

	if (!dns_state())
		return real.gai_cancel(r);
	pthread_mutex_lock(&lock);
	res = r->__return == EAI_INPROGRESS ? EAI_NOTCANCELED : EAI_ALLDONE;
	pthread_mutex_unlock(&lock);
	return res;
}
