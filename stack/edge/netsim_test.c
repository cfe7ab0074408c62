/* SPDX-License-Identifier: MIT
 *
 * Streams over two stacks, small ones, under the sanitizers; netsim_grid does
 * the large ones.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "edge/netsim.h"

#define LIMIT (3600 * SEC)

static struct netsim *ns;

static void make(uint64_t seed, const char *impair, nsec delay, bool offload)
{
	struct netsim_host_cfg cfg = {
		.impair = impair,
		.delay = delay,
		.offload = offload,
		.rate = 100000000,
		.queue = 1 << 20,
	};

	ns = netsim_new(seed, true);
	cfg.addr4 = "10.0.0.1";
	cfg.addr6 = "fd00::1";
	cr_assert(netsim_add_host(ns, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.addr6 = "fd00::2";
	cr_assert(netsim_add_host(ns, &cfg) == 1);
}

static void finish(void)
{
	netsim_free(ns);
	ns = NULL;
}

/* Runs to the end of everything, TIME-WAIT included. */
static void run_to_idle(void)
{
	cr_assert(netsim_run(ns, netsim_now(ns) + LIMIT, netsim_all_closed,
			     ns) != NETSIM_TIME);
	cr_assert(netsim_all_well(ns));
	cr_assert(netsim_run(ns, netsim_now(ns) + LIMIT, NULL, NULL) ==
		  NETSIM_IDLE);
	for (int i = 0; i < 2; i++)
		cr_assert(stack_timers_armed(netsim_stack(ns, i)) == 0);
}

static uint64_t both_ways(const char *to, uint64_t bytes)
{
	struct netsim_stream_cfg sc = {
		.seed = 7,
		.to_server = bytes,
		.to_client = bytes,
	};

	cr_assert(netsim_listen(ns, 1, "::", 80, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, to, 80, &sc) == 0);
	run_to_idle();
	netsim_unlisten(ns, 1);
	return netsim_hash(ns);
}

Test(netsim, a_clean_network_of_both_families)
{
	for (int offload = 0; offload < 2; offload++) {
		make(1, NULL, 5 * MSEC, offload);
		both_ways("10.0.0.2", 1 << 20);
		both_ways("fd00::2", 1 << 20);
		finish();
	}
}

Test(netsim, a_bad_network)
{
	static const char *const bad[] = {
		"in: loss 5%",
		"in: loss 20%",
		"in: delay 3ms reorder 25%",
		"in: duplicate 5%",
		"in: corrupt 2%",
		"loss 3% delay 10ms 3ms reorder 10% duplicate 1% corrupt 0.5%",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		make(i, bad[i], 5 * MSEC, i & 1);
		both_ways(i & 2 ? "fd00::2" : "10.0.0.2", 200000);
		finish();
	}
}

Test(netsim, one_seed_one_trace)
{
	const char *bad = "in: loss 5% delay 2ms 1ms reorder 10%";
	uint64_t first, second, other;

	make(3, bad, 5 * MSEC, false);
	first = both_ways("10.0.0.2", 100000);
	finish();
	make(3, bad, 5 * MSEC, false);
	second = both_ways("10.0.0.2", 100000);
	finish();
	make(4, bad, 5 * MSEC, false);
	other = both_ways("10.0.0.2", 100000);
	finish();
	cr_assert(first == second);
	cr_assert(first != other);
}

Test(netsim, nothing_listens)
{
	struct netsim_stream_cfg sc = {.to_server = 1};

	make(1, NULL, MSEC, false);
	cr_assert(netsim_connect(ns, 0, "10.0.0.2", 81, &sc) == 0);
	cr_assert(netsim_run(ns, netsim_now(ns) + SEC, netsim_all_closed, ns) ==
		  NETSIM_DONE);
	cr_assert(netsim_stream(ns, 0)->err == ECONNREFUSED);
	finish();
}

Test(netsim, many_connections_leave_no_memory_behind)
{
	struct netsim_stream_cfg sc = {.to_server = 3000, .to_client = 5000};
	size_t used[2] = {0};

	make(1, NULL, MSEC, false);
	cr_assert(netsim_listen(ns, 1, "::", 80, &sc) == 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 100; i++)
			cr_assert(netsim_connect(ns, 0,
						 i & 1 ? "fd00::2" : "10.0.0.2",
						 80, &sc) == 0);
		run_to_idle();
		for (int h = 0; h < 2; h++) {
			size_t u = arena_used(stack_arena(netsim_stack(ns, h)));

			if (round)
				cr_assert(u == used[h]);
			used[h] = u;
		}
	}
	finish();
}

Test(netsim, loopback_inside_one_stack)
{
	struct netsim_stream_cfg sc = {.to_server = 300000,
				       .to_client = 300000};

	make(1, NULL, MSEC, false);
	cr_assert(netsim_listen(ns, 0, "0.0.0.0", 80, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, "127.0.0.1", 80, &sc) == 0);
	run_to_idle();
	cr_assert(netsim_num_packets(ns) == 0);
	finish();
}

Test(netsim, three_hosts)
{
	struct netsim_host_cfg cfg = {.addr4 = "10.0.0.3", .delay = 20 * MSEC};
	struct netsim_stream_cfg sc = {.to_server = 50000, .to_client = 70000};

	make(1, NULL, MSEC, false);
	cr_assert(netsim_add_host(ns, &cfg) == 2);
	cr_assert(netsim_listen(ns, 1, "::", 80, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, "10.0.0.2", 80, &sc) == 0);
	cr_assert(netsim_connect(ns, 2, "10.0.0.2", 80, &sc) == 0);
	run_to_idle();
	finish();
}
