/* SPDX-License-Identifier: MIT
 *
 * cancel.c - threads that are cancelled, or exit, inside of us
 *
 * A call that sleeps is a cancellation point. libc's own wrappers are so
 * because they turn asynchronous cancellation on around the system call, and so
 * do we, around those two that sleep (wait.c), where nothing is held. What the
 * call had on the lists of others is cleared away when the thread ends
 * (sleeper.c). The same goes for a thread that leaves by pthread_exit() in a
 * signal handler.
 *
 * A thread may have asynchronous cancellation on all the time. In the stack
 * lock it would leave the stack in the middle of something, so it is put off
 * there.
 */
#include "cancel.h"

#include "call_priv.h"
#include "real.h"

#define FAST_KEYS 32 /* of those pthread_setspecific() never needs memory */

__thread bool cancel_is_async;

static __thread struct {
	bool is_open, is_noted;
	int type; /* the program's, while open */
} me __attribute__((tls_model("initial-exec")));

static pthread_key_t key;
static bool has_key;

EXPORT int pthread_setcanceltype(int type, int *old)
{
	int r = real.pthread_setcanceltype(type, old);

	if (r == 0)
		cancel_is_async = type == PTHREAD_CANCEL_ASYNCHRONOUS;
	return r;
}

void cancel_open(void)
{
	me.is_open = true;
	real.pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &me.type);
}

void cancel_close(void)
{
	real.pthread_setcanceltype(me.type, NULL);
	me.is_open = false;
}

bool cancel_handler_begins(void)
{
	bool was_open = me.is_open;

	if (was_open)
		cancel_close();
	return was_open;
}

void cancel_handler_ends(bool was_open)
{
	if (was_open)
		cancel_open();
}

void cancel_put_off(void)
{
	real.pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
}

void cancel_let_in(void)
{
	real.pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}

void cancel_init(void (*thread_gone)(void *arg))
{
	has_key = pthread_key_create(&key, thread_gone) == 0 && key < FAST_KEYS;
}

void cancel_note_thread(void)
{
	if (me.is_noted || !has_key)
		return;
	me.is_noted = true;
	pthread_setspecific(key, &me);
}
