/* SPDX-License-Identifier: MIT
 *
 * A path whose middle swallows large packets and tells nobody (RFC 2923 2.1):
 * what net.ipv4.tcp_mtu_probing is for. Virtual time, seeded.
 */
#include <criterion/criterion.h>

#include "edge/netsim.h"

#define PORT 80
#define BYTES 2000000u

/* How long both ways take; 0: not done in ten minutes. */
static nsec transfer(const char *probing, uint32_t hole, bool is6)
{
	struct sysctl_values sysctl = sysctl_defaults;
	struct netsim_host_cfg cfg = {.addr4 = "10.0.0.1",
				      .addr6 = "fd00::1",
				      .delay = 10 * MSEC,
				      .rate = 50000000,
				      .queue = 200000,
				      .hole = hole,
				      .sysctl = &sysctl};
	struct netsim_stream_cfg sc = {
		.seed = 1, .to_server = BYTES, .to_client = BYTES};
	struct netsim *ns = netsim_new(1, false);
	const char *to = is6 ? "fd00::2" : "10.0.0.2";
	nsec start = netsim_now(ns), took = 0;

	cr_assert(sysctl_set(&sysctl, "net.ipv4.tcp_mtu_probing", probing) ==
		  0);
	cr_assert(netsim_add_host(ns, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.addr6 = "fd00::2";
	cr_assert(netsim_add_host(ns, &cfg) == 1);
	cr_assert(netsim_listen(ns, 1, to, PORT, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, to, PORT, &sc) == 0);
	if (netsim_run(ns, start + 600 * SEC, netsim_all_closed, ns) ==
	    NETSIM_DONE) {
		cr_assert(netsim_all_well(ns));
		took = netsim_now(ns) - start;
		if (hole >= 1300)
			cr_assert(stack_stats(netsim_stack(ns, 0))
					  ->v[STAT_TcpExtTCPMTUPSuccess] > 0);
	}
	netsim_free(ns);
	return took;
}

Test(hole, a_transfer_hangs_without_probing)
{
	cr_assert(transfer("0", 1300, false) == 0);
}

Test(hole, timeouts_begin_a_search)
{
	for (uint32_t hole = 1100; hole < 1500; hole += 130) {
		nsec took = transfer("1", hole, false);

		cr_assert(took && took < 30 * SEC, "%u: %g s", hole,
			  (double)took / SEC);
		took = transfer("1", hole, true);
		cr_assert(took && took < 30 * SEC);
	}
}

/* Below what it begins with: halved again and again. */
Test(hole, a_very_narrow_one)
{
	nsec took = transfer("1", 400, false);

	cr_assert(took && took < 60 * SEC, "%g s", (double)took / SEC);
}

/* A client begins small; only the server's first flight is lost. */
Test(hole, always_on)
{
	nsec took = transfer("2", 1300, false);

	cr_assert(took && took < 10 * SEC, "%g s", (double)took / SEC);
	took = transfer("2", 0, false);
	cr_assert(took && took < 2 * SEC, "%g s", (double)took / SEC);
}
