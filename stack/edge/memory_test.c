/* SPDX-License-Identifier: MIT
 *
 * A server whose arena is small for what its clients want: connections get
 * slow, none hangs, and all memory comes back. Where it is far too small, one
 * that its program has closed may be reset, as Linux does (tcp_check_oom()),
 * and that is counted. Virtual time, seeded.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/arena.h"
#include "edge/netsim.h"

#define PORT 80
#define NUM 40u
#define BYTES 400000u
#define SMALL (5u << 20)

struct result {
	nsec took; /* 0: not done in an hour */
	uint64_t pressures, no_mem;
	unsigned num_reset; /* clients that saw one */
};

static struct result transfer(size_t arena, const char *impair, uint64_t seed)
{
	struct netsim_host_cfg cfg = {.addr4 = "10.0.0.1",
				      .delay = 20 * MSEC,
				      .rate = 50000000,
				      .queue = 400000,
				      .impair = impair};
	struct netsim_stream_cfg sc = {
		.seed = seed, .to_server = BYTES, .to_client = BYTES};
	struct netsim *ns = netsim_new(seed, false);
	struct result r = {0};
	nsec start = netsim_now(ns);
	struct stack *st;
	size_t empty;

	cr_assert(netsim_add_host(ns, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.arena = arena;
	cr_assert(netsim_add_host(ns, &cfg) == 1);
	st = netsim_stack(ns, 1);
	empty = arena_used(stack_arena(st));
	cr_assert(netsim_listen(ns, 1, "10.0.0.2", PORT, &sc) == 0);
	for (unsigned i = 0; i < NUM; i++)
		cr_assert(netsim_connect(ns, 0, "10.0.0.2", PORT, &sc) == 0);
	if (netsim_run(ns, start + 3600 * SEC, netsim_all_closed, ns) ==
	    NETSIM_DONE) {
		for (unsigned i = 0; i < netsim_num_streams(ns); i++) {
			const struct netsim_stream *q = netsim_stream(ns, i);

			if (q->err == ECONNRESET && q->host == 0) {
				r.num_reset++;
				continue;
			}
			cr_assert(!q->err && !q->is_wrong,
				  "stream %u of host %d: error %d", i, q->host,
				  q->err);
		}
		cr_assert(r.num_reset || netsim_all_well(ns));
		cr_assert(r.num_reset <=
			  stack_stats(st)->v[STAT_TcpExtTCPAbortOnMemory]);
		r.took = netsim_now(ns) - start;
	}
	r.pressures = stack_stats(st)->v[STAT_TcpExtTCPMemoryPressures];
	r.no_mem = stack_stats(st)->drop[DROP_NO_MEM];
	netsim_unlisten(ns, 1);
	netsim_run(ns, netsim_now(ns) + 200 * SEC, NULL, NULL);
	cr_assert(arena_used(stack_arena(st)) <= empty + (64 << 10),
		  "%zu bytes are left", arena_used(stack_arena(st)) - empty);
	netsim_free(ns);
	return r;
}

Test(memory, plenty)
{
	struct result r = transfer(0, NULL, 1);

	cr_assert(r.took && !r.pressures && !r.no_mem && !r.num_reset);
}

Test(memory, an_arena_that_is_small)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct result r = transfer(SMALL, NULL, seed);

		cr_assert(r.took && r.pressures > 0, "%g s, %lu",
			  (double)r.took / SEC, (unsigned long)r.pressures);
		cr_assert(r.took < 60 * SEC, "%g s", (double)r.took / SEC);
		cr_assert(!r.num_reset);
	}
}

/* And a path that loses: queues out of order have to give way. */
Test(memory, an_arena_that_is_small_and_a_bad_path)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct result r = transfer(SMALL, "loss 2%", seed);

		cr_assert(r.took && r.took < 300 * SEC, "%g s",
			  (double)r.took / SEC);
		cr_assert(!r.num_reset);
	}
}

Test(memory, an_arena_that_is_tiny)
{
	struct result r = transfer(3u << 20, NULL, 1);

	cr_assert(r.took && r.took < 300 * SEC, "%g s", (double)r.took / SEC);
	cr_assert(r.pressures > 0);
	cr_assert(r.num_reset <= NUM / 10);
}
