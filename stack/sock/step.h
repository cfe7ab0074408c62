/* SPDX-License-Identifier: MIT
 *
 * step.h - a look at memory after every store that a piece of code makes
 *
 * A death can happen between any two instructions, but what it leaves differs
 * only where something was stored. So the memory is write-protected while the
 * code runs: each store faults, is made alone with the processor's trap flag
 * set, and then somebody looks; memory is put back afterwards, whatever he did
 * to it, and the code goes on. x86-64 only.
 */
#ifndef TCPSHIM_STEP_H
#define TCPSHIM_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool step_can(void);

struct step {
	uint8_t *mem; /* whole pages */
	size_t len;
	unsigned stride, first; /* every how many stores; beginning where */
	/* Looks, and may write; false ends it all. */
	bool (*look)(void *arg);
	void *arg;
	/* out */
	unsigned num_stores, num_looks;
	uintptr_t at; /* the instruction behind the last store */
};

/* Runs @code under @s->look. False: @look said so, and memory is as it left it.
 */
bool step_run(struct step *s, void (*code)(void *arg), void *arg);

#endif
