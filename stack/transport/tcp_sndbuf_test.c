/* SPDX-License-Identifier: MIT
 *
 * The send buffer: what fits, and when a writer is told of room. The figures
 * are those of Linux 6.18 for the same trace.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_sndbuf, .init = peer_init_tso, .fini = peer_fini);

#define WIN 32896 /* Linux then gathers 16 segments in an skb */

static void open_sndbuf(const char *wmem)
{
	cr_assert(stack_sysctl_set(w.st, "net.ipv4.tcp_wmem", wmem) == 0);
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = true,
				     .win = WIN});
}

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n, .win = WIN);
}

static void end(void) /* all is acknowledged */
{
	while (conn()->snd_una != conn()->write_seq) {
		skip();
		ack(conn()->snd_nxt - w.iss);
	}
	skip();
}

static void is_at(uint32_t sndbuf, uint32_t queued, uint32_t cwnd,
		  uint32_t unsent)
{
	const struct tcp_conn *c = conn();

	cr_assert(c->ep->sndbuf == sndbuf, "sndbuf %u", c->ep->sndbuf);
	cr_assert(tcp_snd_used(c) == queued, "queued %u", tcp_snd_used(c));
	cr_assert(c->cc.cwnd == cwnd, "cwnd %u", c->cc.cwnd);
	cr_assert(tcp_unsent(c) == unsent, "unsent %u", tcp_unsent(c));
}

Test(tcp_sndbuf, counts_skbs_as_linux_does)
{
	open_sndbuf("4096 50000 4194304");
	cr_assert(put(59000, 0) == 58000);
	is_at(50000, 58000 + 5 * 832, 10, 48000);
	cr_assert(put(1, 0) == -EAGAIN);
	/* a writer was refused: the buffer grows with the window */
	ack(10001);
	is_at(92160, 48000 + 4 * 832, 20, 28000);
	ack(26001);
	is_at(92160, 32000 + 3 * 832, 36, 0);
	cr_assert(put(180000, 0) == 64000);
	end();
}

Test(tcp_sndbuf, a_writer_hears_of_a_third)
{
	open_sndbuf("4096 50000 4194304");
	cr_assert(set_opt(SOL_SOCKET, SO_SNDBUF, 25000) == 0);
	cr_assert(put(59000, 0) == 58000);
	cr_assert(!(bits() & EPOLLOUT));
	/* 48000 and four skbs are below 50000, but less than a third is free */
	ack(10001);
	ack(16001);
	cr_assert(!(bits() & EPOLLOUT));
	cr_assert(tcp_snd_used(conn()) < 50000);
	cr_assert(put(16000, 0) == 16000); /* who asks all the same gets it */
	ack(26001);
	cr_assert(!(bits() & EPOLLOUT));
	ack(46001);
	cr_assert(bits() & EPOLLOUT);
	end();
}

Test(tcp_sndbuf, notsent_lowat_ends_a_write_and_wakes_at_half)
{
	open_sndbuf("4096 262144 4194304");
	cr_assert(set_opt(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000) == 0);
	/* the last skb is filled up in any case */
	cr_assert(put(59000, 0) == 26000);
	for (uint32_t i = 2; i <= 6; i += 2) {
		ack(i * MSS + 1);
		cr_assert(!(bits() & EPOLLOUT));
	}
	ack(8 * MSS + 1);
	cr_assert(tcp_unsent(conn()) == 0);
	cr_assert(bits() & EPOLLOUT);
	end();
}

Test(tcp_sndbuf, notsent_lowat_of_the_host)
{
	cr_assert(stack_sysctl_set(w.st, "net.ipv4.tcp_notsent_lowat",
				   "4000") == 0);
	open_sndbuf("4096 262144 4194304");
	cr_assert(put(59000, 0) == 26000);
	end();
}

/* Between two parts of one write there is no PSH, at its end there is, and
 * also where it was refused. */
Test(tcp_sndbuf, push_stands_at_the_end_of_a_write)
{
	open_sndbuf("4096 50000 4194304");
	conn()->cc.cwnd = 100;
	cr_assert(put(20000, 0) == 20000);
	cr_assert(num_out() > 0);
	while (num_out() > 1)
		next();
	next();
	cr_assert(w.last.flags & PSH);
	end();
}

Test(tcp_sndbuf, half_a_window_without_push_is_pushed)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 2400});
	/* skbs of one segment, since half of the window holds no more */
	cr_assert(put(5000, 0) == 5000);
	expect(ACK, 1, 1, 1000);
	expect(PSH | ACK, 1001, 1, 1000);
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .win = 2400);
	expect(ACK, 2001, 1, 1000);
	expect(ACK, 3001, 1, 1000);
	end();
}

Test(tcp_sndbuf, what_eor_ends_takes_an_skb)
{
	open_sndbuf("4096 50000 4194304");
	conn()->cc.cwnd = 1;
	cr_assert(put(1000, 0) == 1000);
	for (int i = 0; i < 10; i++)
		cr_assert(put(100, MSG_EOR) == 100);
	cr_assert(tcp_snd_used(conn()) >= 2000 + 11 * 832);
	end();
	cr_assert(tcp_snd_used(conn()) == 0);
}
