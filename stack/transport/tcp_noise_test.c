/* SPDX-License-Identifier: MIT
 *
 * A peer that says anything: segments whose numbers, flags, windows and SACK
 * blocks are random but near what would be right. Nothing is expected of the
 * answers; the invariants of tcp_check(), the sanitizers and the memory that
 * must be back at the end are the test.
 */
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_noise, .init = peer_init, .fini = peer_fini);
TestSuite(tcp_noise_tso, .init = peer_init_tso, .fini = peer_fini);

#define STEPS 3000
#define RUNS 12

static struct rng rng;

static uint32_t below(uint32_t n)
{
	return rng_below(&rng, n);
}

/* A number near @base, mostly on a segment boundary. */
static uint32_t near(uint32_t base, int32_t lo, uint32_t range)
{
	uint32_t v = base + (uint32_t)lo + below(range);

	return below(4) ? base + (v - base) / MSS * MSS : v;
}

static void noise(void)
{
	const struct tcp_conn *c = conn();
	uint32_t una = c->snd_una - w.iss, nxt = c->snd_nxt - w.iss;
	uint32_t rcv = c->rcv_nxt - w.irs;
	struct peer_seg s = {
		.flags = ACK,
		.seq = below(3) ? rcv : near(rcv, -5000, 20000),
		.ack = below(3) ? una + below(MIN(nxt - una, 3 * MSS) + 1)
				: near(una, -3000, nxt - una + 6000),
		.len = below(3) ? 0 : below(2500),
		.win = (uint16_t)below(65536),
		.win0 = below(20) == 0,
		.has_ts = c->ts_ok,
		.ts_val = 1000 + (uint32_t)(w.now / MSEC) - below(3),
		.ts_ecr = tcp_ts_now(c->ts_off, w.now) - below(200),
	};

	if (s.win0)
		s.win = 0;
	if (below(100) == 0)
		s.flags |= (uint8_t)below(64);
	if (below(200) == 0)
		s.flags = (uint8_t)below(256);
	s.flags &= (uint8_t) ~(below(50) ? RST | SYN | FIN : 0);
	s.urg = (uint16_t)below(3000);
	if (below(3) == 0) {
		s.num_sack = (uint8_t)below(c->ts_ok ? 4 : 5);
		for (unsigned i = 0; i < s.num_sack; i++) {
			uint32_t from = near(una, -1000, nxt - una + 2000);

			s.sack[i].start = from;
			s.sack[i].end = near(from, 0, 12000);
		}
	}
	send_seg(&s);
}

static bool is_over(void)
{
	struct ep *e = ep_find(&w.st->tp, w.s);

	return !e || !e->tcp || e->tcp->state == TCPS_CLOSED;
}

static void user(void)
{
	switch (below(8)) {
	case 0:
	case 1:
		put(1 + below(20000), below(8) ? 0 : MSG_MORE);
		break;
	case 2:
		put(1 + below(50), below(10) ? 0 : MSG_OOB);
		break;
	case 3:
		get(1 + below(65000), below(4) ? 0 : MSG_PEEK);
		break;
	case 4:
		get(1, MSG_OOB);
		break;
	default:
		pass(below(50) ? below(20) * MSEC : below(3) * SEC);
	}
	bits();
}

static void one_run(uint64_t seed, void (*reinit)(void))
{
	uint8_t key[32] = {(uint8_t)seed, (uint8_t)(seed >> 8)};

	rng_init(&rng, key, 1);
	if (seed & 1)
		w.st->sysctl.tcp_congestion_control = CC_RENO;
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = seed % 3 != 0,
				     .has_ts = seed & 2,
				     .ts_val = 900,
				     .has_wscale = seed & 4,
				     .wscale = 3});
	for (int i = 0; i < STEPS && !is_over(); i++) {
		noise();
		if (!is_over())
			user();
		skip();
	}
	sock_close(w.st, w.s, w.now);
	pass(3600 * SEC);
	skip();
	cr_assert(stack_timers_armed(w.st) == 0);
	peer_fini();
	reinit();
}

Test(tcp_noise, nothing_breaks, .timeout = 100)
{
	for (uint64_t i = 0; i < RUNS; i++)
		one_run(i, peer_init);
}

Test(tcp_noise_tso, nothing_breaks_with_large_frames, .timeout = 100)
{
	for (uint64_t i = 0; i < RUNS; i++)
		one_run(100 + i, peer_init_tso);
}
