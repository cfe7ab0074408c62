/* SPDX-License-Identifier: MIT
 *
 * uv.c - libuv turns the crank: a loop on a thread of its own
 *
 * libuv is opened as dl.h says: its calls don't pass through our hooks.
 */
#include "edge/uv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>
#undef MIN /* of sys/param.h */
#undef MAX

#include "base/log.h"
#include "edge/dl.h"
#include "edge/sys.h"

#define UV_CALLS(X)       \
	X(uv_loop_init)   \
	X(uv_run)         \
	X(uv_async_init)  \
	X(uv_async_send)  \
	X(uv_poll_init)   \
	X(uv_poll_start)  \
	X(uv_poll_stop)   \
	X(uv_timer_init)  \
	X(uv_timer_start) \
	X(uv_timer_stop)  \
	X(uv_update_time)

static struct {
#define X(name) __typeof__(&name) name;
	UV_CALLS(X)
#undef X
} lib;

static struct {
	struct uv_loop_cfg cfg;
	uv_loop_t loop;
	uv_async_t async;
	uv_poll_t poll;
	uv_timer_t timer;
	pthread_t thread;
	bool is_armed; /* the device */
} me;

static const char *const lib_names[] = {
#define X(name) #name,
	UV_CALLS(X)
#undef X
		NULL,
};

static const struct dl_lib lib_file = {
	.name = "libuv.so.1",
	.cure = "libuv.so.1 not found; install libuv1",
	.fn = lib_names,
};

static void on_async(uv_async_t *h)
{
	me.cfg.turn(me.cfg.arg, UV_LOOP_KICK);
}

static void on_fd(uv_poll_t *h, int status, int events)
{
	uv_loop_arm_fd(false);
	me.cfg.turn(me.cfg.arg, UV_LOOP_FD);
}

static void on_timer(uv_timer_t *h)
{
	me.cfg.turn(me.cfg.arg, UV_LOOP_DEADLINE);
}

static void *run(void *arg)
{
	sys_is_own = true;
	pthread_setname_np(pthread_self(), "tcpshim");
	me.cfg.turn(me.cfg.arg, UV_LOOP_KICK);
	for (;;) /* the async handle keeps the loop alive for ever */
		lib.uv_run(&me.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start_thread(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&me.thread, &attr, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int uv_loop_start(const struct uv_loop_cfg *cfg, char *why, size_t len)
{
	int r = dl_open(&lib_file, &lib, why, len);

	if (r < 0)
		return r;
	me.cfg = *cfg;
	sys_is_own = true;
	r = lib.uv_loop_init(&me.loop);
	if (!r)
		r = lib.uv_async_init(&me.loop, &me.async, on_async);
	if (!r)
		r = lib.uv_poll_init(&me.loop, &me.poll, cfg->fd);
	if (!r)
		r = lib.uv_timer_init(&me.loop, &me.timer);
	if (!r)
		r = start_thread();
	sys_is_own = false;
	if (r < 0)
		log_snprintf(why, len,
			     "the stack's thread cannot be started: error %d; "
			     "look at the limits on files and processes",
			     -r);
	return r;
}

void uv_loop_kick(void)
{
	lib.uv_async_send(&me.async);
}

void uv_loop_arm_fd(bool on)
{
	if (on == me.is_armed)
		return;
	me.is_armed = on;
	if (on)
		lib.uv_poll_start(&me.poll, UV_READABLE, on_fd);
	else
		lib.uv_poll_stop(&me.poll);
}

void uv_loop_arm_deadline(nsec at)
{
	nsec left = at - sys_now();

	if (at == TIME_NEVER) {
		lib.uv_timer_stop(&me.timer);
		return;
	}
	lib.uv_update_time(&me.loop);
	lib.uv_timer_start(&me.timer, on_timer,
			   left <= 0 ? 0 : (uint64_t)DIV_ROUND_UP(left, MSEC),
			   0);
}
