/* SPDX-License-Identifier: MIT */
#include "sock/step.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

#define PAGE 4096u
#define TRAP_FLAG 0x100
#define STACK_SIZE (1u << 20)

static struct {
	struct step *s;
	uint8_t *shadow; /* what memory is to be */
	uint8_t *page;	 /* of the store under way */
	size_t page_len; /* it may cross into the next one */
	uint64_t old_mask;
	bool is_looking;
	sigjmp_buf out;
} run;

bool step_can(void)
{
	return true;
}

static void protect(bool on)
{
	mprotect(run.s->mem, run.s->len, PROT_READ | (on ? 0 : PROT_WRITE));
}

static void protect_page(bool on)
{
	mprotect(run.page, run.page_len, PROT_READ | (on ? 0 : PROT_WRITE));
}

static void on_store(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uint8_t *p = si->si_addr;
	const struct step *s = run.s;

	if (run.is_looking || p < s->mem || p >= s->mem + s->len) {
		fprintf(stderr, "fault at test + %#lx, store %u\n",
			(unsigned long)uc->uc_mcontext.gregs[REG_RIP] -
				(unsigned long)(uintptr_t)step_run,
			s->num_stores);
		signal(SIGSEGV, SIG_DFL); /* again, and for good */
		return;
	}
	run.page = s->mem + (size_t)(p - s->mem) / PAGE * PAGE;
	run.page_len = (size_t)(s->mem + s->len - run.page);
	if (run.page_len > 2 * PAGE)
		run.page_len = 2 * PAGE;
	protect_page(false);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void restore(void)
{
	for (size_t off = 0; off < run.s->len; off += PAGE)
		if (memcmp(run.s->mem + off, run.shadow + off, PAGE) != 0)
			memcpy(run.s->mem + off, run.shadow + off, PAGE);
}

static void on_trap(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	struct step *s = run.s;
	size_t off = (size_t)(run.page - s->mem);

	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	s->at = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	if (memcmp(run.page, run.shadow + off, run.page_len) != 0) {
		memcpy(run.shadow + off, run.page, run.page_len);
		if (s->num_stores++ % s->stride == s->first % s->stride) {
			s->num_looks++;
			protect(false);
			run.is_looking = true;
			if (!s->look(s->arg))
				siglongjmp(run.out, 1);
			run.is_looking = false;
			restore();
			protect(true);
			return;
		}
	}
	protect_page(true);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *),
		   struct sigaction *old)
{
	struct sigaction sa = {.sa_sigaction = fn,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, old);
}

bool step_run(struct step *s, void (*code)(void *arg), void *arg)
{
	struct sigaction old_segv, old_trap;
	stack_t ss = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE};
	stack_t old_ss;
	bool ok;

	run.s = s;
	run.is_looking = false;
	run.shadow = malloc(s->len);
	memcpy(run.shadow, s->mem, s->len);
	s->num_stores = s->num_looks = 0;
	sigaltstack(&ss, &old_ss);
	handle(SIGSEGV, on_store, &old_segv);
	handle(SIGTRAP, on_trap, &old_trap);
	ok = sigsetjmp(run.out, 1) == 0;
	if (ok) {
		protect(true);
		code(arg);
	}
	protect(false);
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
	sigaltstack(&old_ss, NULL);
	free(ss.ss_sp);
	free(run.shadow);
	return ok;
}

#else

bool step_can(void)
{
	return false;
}

bool step_run(struct step *s, void (*code)(void *arg), void *arg)
{
	return false;
}

#endif
