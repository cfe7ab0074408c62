/* SPDX-License-Identifier: MIT
 *
 * init.c - the constructor: as little as can be
 *
 * Most programs that are run with the preload never make a socket: no thread,
 * no device, no dlopen until the first routed socket (host_up()); unless a
 * socket was handed down to it.
 */
#include "call_priv.h"
#include "forks.h"
#include "real.h"

static void __attribute__((constructor)) init(void)
{
	real_init();
	forks_init();
	proc_init();
	exec_init();
}
