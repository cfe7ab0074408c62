/* SPDX-License-Identifier: MIT
 *
 * tcp_count_test.c - every counter that a short exchange moves, and no other
 *
 * That a name means here what it means in Linux is compared with the kernel:
 * bench/counters, preload-tests/counters.c.
 */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

static struct stats before;

static void close_now(void)
{
	struct linger l = {.l_onoff = 1};

	sock_setopt(w.st, w.s, SOL_SOCKET, SO_LINGER, &l, sizeof(l), w.now);
	sock_close(w.st, w.s, w.now);
	skip();
}

static void begin(void)
{
	before = *stack_stats(w.st);
}

static uint64_t wanted(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; (p = strstr(p, name)); p += n)
		if ((p == text || p[-1] == ' ') && p[n] == ' ')
			return strtoull(p + n, NULL, 10);
	return 0;
}

static bool is_judged(const char *name)
{
	return strncmp(name, "Tcp", 3) == 0 || strncmp(name, "Icmp", 4) == 0;
}

/* "TcpInSegs 1 TcpOutSegs 2": since begin(), or since the last moved(). */
static void moved(const char *text)
{
	const struct stats *s = stack_stats(w.st);
	bool ok = true;

	for (unsigned i = 0; i < STAT_NUM; i++) {
		const char *name = stat_name((enum stat_id)i);
		uint64_t n = s->v[i] - before.v[i];

		if (!is_judged(name) || n == wanted(text, name))
			continue;
		ok = false;
		cr_log_error("%s moved by %llu", name, (unsigned long long)n);
	}
	cr_assert(ok, "not as in: %s", text);
	begin();
}

TestSuite(tcp_count, .init = peer_init, .fini = peer_fini);

Test(tcp_count, opened_by_us_and_closed_by_us)
{
	begin();
	open_active();
	moved("TcpActiveOpens 1 TcpInSegs 1 TcpOutSegs 2 TcpExtTCPDelivered 1");
	cr_assert(put(1000, 0) == 1000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTCPHPAcks 1 "
	      "TcpExtTCPOrigDataSent 1 TcpExtTCPDelivered 1");
	sock_close(w.st, w.s, w.now);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1002);
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTW 1 TcpExtTCPPureAcks 1 "
	      "TcpExtTCPOrigDataSent 1 TcpExtTCPDelivered 1");
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1002);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1");
	pass(61 * SEC);
	moved("");
}

Test(tcp_count, opened_and_closed_by_the_peer)
{
	begin();
	open_listener(1);
	SEND(.flags = SYN, .seq = 0, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	moved("TcpInSegs 1 TcpOutSegs 1");
	SEND(.flags = SYN, .seq = 0, .mss = MSS);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpRetransSegs 1 TcpExtTCPSynRetrans "
	      "1");
	SEND(.flags = SYN, .seq = 0, .mss = MSS); /* too soon */
	quiet();
	moved("TcpInSegs 1 TcpExtTCPACKSkippedSynRecv 1");
	pass(1100 * MSEC);
	skip();
	moved("TcpOutSegs 1 TcpRetransSegs 1 TcpExtTCPSynRetrans 1");
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	moved("TcpPassiveOpens 1 TcpInSegs 1 TcpExtTCPPureAcks 1");
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100);
	pass(MSEC);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTCPHPHits 1");
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtDelayedACKLost 1");
	SEND(.flags = FIN | ACK, .seq = 101, .ack = 1);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1");
	SEND(.flags = RST, .seq = 102);
	moved("TcpEstabResets 1 TcpInSegs 1");
	close_now();
}

Test(tcp_count, handshakes_that_end_badly)
{
	begin();
	open_listener(1);
	SEND(.flags = SYN, .seq = 0, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = RST, .seq = 1);
	moved("TcpAttemptFails 1 TcpInSegs 2 TcpOutSegs 1 TcpExtEmbryonicRsts "
	      "1");
	w.has_iss = false;
	SEND(.flags = SYN, .seq = 0, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 77); /* no ACK of ours */
	skip();
	moved("TcpInSegs 2 TcpOutSegs 2 TcpOutRsts 1");
	SEND(.flags = ACK, .seq = 0x40000000, .ack = 1);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1");
	SEND(.flags = ACK, .seq = 0x40000000, .ack = 1);
	quiet();
	moved("TcpInSegs 1 TcpExtTCPACKSkippedSynRecv 1");
	close_now();
}

Test(tcp_count, refused)
{
	begin();
	w.s = new_sock();
	SEND(.flags = SYN, .seq = 0, .mss = MSS); /* nobody listens */
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpOutRsts 1");
	close_now();
}

Test(tcp_count, a_timeout_and_what_follows)
{
	open_active();
	begin();
	cr_assert(put(4000, 0) == 4000);
	skip();
	moved("TcpOutSegs 4 TcpExtTCPOrigDataSent 4");
	pass(3 * SEC);
	skip();
	moved("TcpRetransSegs 4 TcpExtTCPTimeouts 3 TcpExtTCPLostRetransmit 2 "
	      "TcpExtTCPLossProbes 1");
	SEND(.flags = ACK, .seq = 1, .ack = 4001);
	skip();
	moved("TcpInSegs 1 TcpExtTCPHPAcks 1 TcpExtTCPSpuriousRTOs 1 "
	      "TcpExtTCPLossUndo 1 TcpExtTCPDelivered 4");
	close_now();
}

Test(tcp_count, holes_at_both_ends)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .seq = 0,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = true});
	begin();
	cr_assert(put(6000, 0) == 6000);
	skip();
	pass(10 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {{1001, 6001}});
	skip();
	moved("TcpInSegs 1 TcpOutSegs 6 TcpRetransSegs 2 TcpExtTCPPureAcks 1 "
	      "TcpExtTCPOrigDataSent 6 TcpExtTCPFastRetrans 1 "
	      "TcpExtTCPSackRecovery 1 TcpExtTCPLossProbes 1 "
	      "TcpExtTCPDelivered 5");
	SEND(.flags = ACK, .seq = 1, .ack = 6001, .num_sack = 1,
	     .sack = {{1, 1001}}); /* the first came, too */
	skip();
	moved("TcpInSegs 1 TcpExtTCPPureAcks 1 TcpExtTCPDSACKRecv 1 "
	      "TcpExtTCPDSACKRecvSegs 1 TcpExtTCPFullUndo 1 TcpExtTCPDelivered "
	      "1");
	SEND(.flags = ACK, .seq = 1, .ack = 6001, .num_sack = 1,
	     .sack = {{0x50000000, 0x50001000}});
	skip();
	moved("TcpInSegs 1 TcpExtTCPPureAcks 1 TcpExtTCPSACKDiscard 1");
	SEND(.flags = ACK, .seq = 1001, .ack = 6001, .len = 1000);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTCPOFOQueue 1");
	SEND(.flags = ACK, .seq = 1001, .ack = 6001, .len = 1000);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTCPOFOQueue 1 TcpExtTCPOFOMerge "
	      "1 TcpExtTCPDSACKOfoSent 1");
	SEND(.flags = ACK, .seq = 1, .ack = 6001, .len = 1000);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1");
	close_now();
}

Test(tcp_count, windows_that_close)
{
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	skip();
	begin();
	cr_assert(put(1000, 0) == 1000);
	pass(SEC);
	skip();
	moved("TcpOutSegs 2 TcpExtTCPWinProbe 2");
	close_now();
}

Test(tcp_count, nonsense)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .seq = 0,
				     .ack = 1,
				     .mss = MSS,
				     .has_ts = true,
				     .ts_val = 1000});
	begin();
	SEND(.flags = SYN, .seq = 1, .has_ts = true, .ts_val = 1000);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtTCPChallengeACK 1 "
	      "TcpExtTCPSYNChallenge 1");
	SEND(.flags = RST, .seq = 100);
	quiet();
	moved("TcpInSegs 1 TcpExtTCPACKSkippedChallenge 1");
	SEND(.flags = ACK, .seq = 0x40000000, .ack = 1, .has_ts = true,
	     .ts_val = 1000);
	quiet();
	moved("TcpInSegs 1 TcpExtTCPACKSkippedSeq 1");
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1, .has_ts = true,
	     .ts_val = 1);
	skip();
	moved("TcpInSegs 1 TcpOutSegs 1 TcpExtPAWSEstab 1");
	pass(SEC);
	SEND(.flags = ACK, .seq = 0, .ack = 1, .has_ts = true, .ts_val = 1);
	quiet();
	moved("TcpInSegs 1 TcpExtPAWSOldAck 1");
	close_now();
}

Test(tcp_count, aborted)
{
	open_active();
	begin();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 10);
	sock_close(w.st, w.s, w.now);
	skip();
	moved("TcpEstabResets 1 TcpInSegs 1 TcpOutSegs 2 TcpOutRsts 1 "
	      "TcpExtTCPHPHits 1 TcpExtTCPAbortOnClose 1");
}

Test(tcp_count, aborted_by_linger)
{
	open_active();
	begin();
	close_now();
	moved("TcpEstabResets 1 TcpOutSegs 1 TcpOutRsts 1 TcpExtTCPAbortOnData "
	      "1");
}
