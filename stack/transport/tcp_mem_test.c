/* SPDX-License-Identifier: MIT
 *
 * The memory of all connections together (tcp_mem), in pages of 4 KiB.
 */
#include <errno.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_mem, .init = peer_init, .fini = peer_fini);

static void limit(int64_t min, int64_t pressure, int64_t max)
{
	w.st->sysctl.tcp_mem_min = min;
	w.st->sysctl.tcp_mem_pressure = pressure;
	w.st->sysctl.tcp_mem_max = max;
}

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
	cr_assert(w.st->tp.tcp->mem.held == 0);
}

static bool is_pressed(void)
{
	return w.st->tp.tcp->mem.is_pressed;
}

Test(tcp_mem, what_is_queued_is_counted)
{
	const struct tcp_mem *m = &w.st->tp.tcp->mem;

	open_active();
	cr_assert(m->held == 0);
	put(3000, 0);
	cr_assert(m->held == conn()->snd_mem && m->held >= 3000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 3001);
	cr_assert(m->held == 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 3001, .len = 500);
	cr_assert(m->held == conn()->ep->rx_mem && m->held >= 500);
	cr_assert(get(1000, 0) == 500);
	cr_assert(m->held == 0);
	close_now();
}

Test(tcp_mem, under_pressure_nothing_grows)
{
	uint32_t sndbuf;

	limit(1, 3, 1000);
	open_active();
	for (uint32_t i = 0; i < 8; i++)
		SEND(.flags = ACK, .seq = 1 + i * 1000, .ack = 1, .len = 1000);
	skip();
	cr_assert(is_pressed() && count(STAT_TcpExtTCPMemoryPressures) == 1);
	cr_assert(count(STAT_TcpExtTCPMemoryPressuresChrono) == 0);
	pass(20 * MSEC);
	sndbuf = conn()->ep->sndbuf;
	while (put(10000, 0) > 0)
		skip();
	SEND(.flags = ACK, .seq = 8001, .ack = 10001);
	cr_assert(conn()->ep->sndbuf == sndbuf);
	/* over when less than the first number is held, not before */
	skip();
	SEND(.flags = ACK, .seq = 8001, .ack = conn()->snd_nxt - conn()->iss);
	skip();
	SEND(.flags = ACK, .seq = 8001, .ack = conn()->snd_nxt - conn()->iss);
	cr_assert(is_pressed());
	while (get(1000, 0) > 0)
		skip();
	while (conn()->snd_mem) {
		SEND(.flags = ACK, .seq = 8001,
		     .ack = conn()->snd_nxt - conn()->iss);
		skip();
	}
	cr_assert(!is_pressed());
	cr_assert(count(STAT_TcpExtTCPMemoryPressures) == 1);
	cr_assert(count(STAT_TcpExtTCPMemoryPressuresChrono) == 20);
	close_now();
}

/* At the end each still has its tcp_wmem.min. */
Test(tcp_mem, a_writer_at_the_end)
{
	limit(0, 0, 0);
	open_active();
	cr_assert(put(1000, 0) == 1000);
	while (put(1000, 0) > 0)
		;
	cr_assert(conn()->snd_mem >= 4096 && conn()->snd_mem < 6000);
	cr_assert(!(bits() & EPOLLOUT));
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = conn()->snd_nxt - conn()->iss);
	cr_assert(bits() & EPOLLOUT);
	cr_assert(put(1000, 0) == 1000);
	skip();
	close_now();
}

Test(tcp_mem, a_reader_at_the_end)
{
	uint32_t seq = 1;

	limit(0, 0, 0);
	open_active();
	for (int i = 0; i < 20; i++, seq += 1000) {
		SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1000);
		skip();
	}
	cr_assert(conn()->ep->rx_mem < 2 * 4096 + 2048);
	cr_assert(count(STAT_TcpExtTCPRcvQDrop) > 0);
	cr_assert(w.st->tp.tcp->mem.held == conn()->ep->rx_mem);
	/* what was refused is taken when it comes again */
	while (get(1000, 0) > 0)
		skip();
	seq = conn()->rcv_nxt - conn()->irs;
	pass(SEC);
	skip();
	SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1000);
	cr_assert(get(1000, 0) == 1000);
	skip();
	close_now();
}

Test(tcp_mem, an_orphan_at_the_end_is_reset)
{
	open_active();
	put(8000, 0);
	skip();
	limit(0, 0, 0);
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	skip();
	cr_assert(count(STAT_TcpExtTCPAbortOnMemory) == 1);
	cr_assert(w.st->tp.tcp->mem.held == 0);
}
