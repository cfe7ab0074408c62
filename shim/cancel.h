/* SPDX-License-Identifier: MIT
 *
 * cancel.h - threads that are cancelled, or exit, inside of us
 */
#ifndef TCPSHIM_CANCEL_H
#define TCPSHIM_CANCEL_H

#include <pthread.h>
#include <stdbool.h>

/* Around a system call that sleeps, with nothing held: here the thread may be
 * cancelled. */
void cancel_open(void);
void cancel_close(void);
/* A handler runs, perhaps inside of such a call: as the program has it
 * meanwhile. What cancel_handler_ends() wants. */
bool cancel_handler_begins(void);
void cancel_handler_ends(bool was_open);

/* The program has said PTHREAD_CANCEL_ASYNCHRONOUS in this thread. */
extern __thread bool cancel_is_async __attribute__((tls_model("initial-exec")));
void cancel_put_off(void);
void cancel_let_in(void);

/* At the start, and once for each thread that sleeps: its exit is heard of. */
void cancel_init(void (*thread_gone)(void *arg));
void cancel_note_thread(void);

#endif
