/* SPDX-License-Identifier: MIT
 *
 * rebuild_test.c - death at every instruction
 *
 * Two hosts: A in memory that step.h watches, B beside it. An operation runs on
 * A; after each store it makes, A is taken for one whose lock holder has just
 * died: it is rebuilt, checked, and now and then the world goes on, with the
 * connections that nobody was at compared byte for byte. Then all is put back
 * and the operation goes on to its next store.
 *
 * A whole run looks after every store; as a rule only each n-th is looked at,
 * another n-th in each operation (STEP_STRIDE=1 for all of them).
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edge/netsim.h"
#include "sock/rebuild_world.h"
#include "sock/step.h"

/* --- operations --- */

static void op_send(void *arg)
{
	rw_send(A, rw.victim, 4000);
}

static void op_recv(void *arg)
{
	rw_recv(A, rw.victim, 700);
	rw_recv(A, rw.victim, 100000);
}

static void op_rx(void *arg)
{
	rw_rx_held();
}

static void op_accept(void *arg)
{
	sockid s;

	while (sock_accept(rw.a.st, rw.listener, &s, rw.now) == 0)
		sock_set_tag(rw.a.st, s, 99 + s);
}

static void op_connect(void *arg)
{
	sockid s;

	if (sock_new(rw.a.st, AF_INET, SOCK_STREAM, 0, &s, rw.now) == 0) {
		sock_set_tag(rw.a.st, s, 77);
		rw_connect(A, s, "10.0.0.2", 80);
	}
}

static void op_close(void *arg)
{
	sock_close(rw.a.st, rw.victim, rw.now);
}

static void op_close_listener(void *arg)
{
	sock_close(rw.a.st, rw.listener, rw.now);
}

static void op_shutdown(void *arg)
{
	sock_shutdown(rw.a.st, rw.victim, 2, rw.now);
}

static void op_tick(void *arg)
{
	stack_tick(rw.a.st, 100, rw.now);
}

static void op_udp(void *arg)
{
	rw_send_to(A, rw.udp, 500, "10.0.0.2", 53);
	rw_recv(A, rw.udp, 2000);
	rw_send_to(A, rw.udp, 3000, "10.0.0.2", 53); /* in fragments */
}

static void op_options(void *arg)
{
	static const struct sock_filter code = {.code = 6, .k = 0xffff};
	int one = 1;

	sock_setopt(rw.a.st, rw.victim, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one), rw.now);
	for (int i = 0; i < 2; i++)
		cr_assert(sock_setopt(rw.a.st, rw.udp, SOL_SOCKET,
				      SO_ATTACH_FILTER, &code, sizeof(code),
				      rw.now) == 0);
	rw_key(rw.victim, "abc");
	rw_key(rw.victim, "abcd");
	rw_key(rw.victim, "");
	rw_ao_keys(rw.listener, "10.0.0.9");
	sock_setopt(rw.a.st, rw.victim, SOL_SOCKET, SO_RCVBUF, &(int){9999},
		    sizeof(int), rw.now);
}

static void op_groups(void *arg)
{
	rw_group(rw.udp, true, "239.1.2.3");
	rw_group(rw.udp2, true, "239.1.2.3");
	rw_group(rw.udp, false, "239.1.2.3");
	stack_tick(rw.a.st, 100, rw.now);
}

static void op_new(void *arg)
{
	sockid s;

	if (sock_new(rw.a.st, AF_INET6, SOCK_DGRAM, 0, &s, rw.now) == 0) {
		sock_set_tag(rw.a.st, s, 4);
		rw_bind(A, s, "::", 5555);
		sock_close(rw.a.st, s, rw.now);
	}
	if (sock_new(rw.a.st, AF_INET, SOCK_STREAM, 0, &s, rw.now) == 0) {
		sock_set_tag(rw.a.st, s, 5);
		rw_bind(A, s, "10.0.0.1", 8080);
		sock_listen(rw.a.st, s, 5, rw.now);
	}
	if (sock_new(rw.a.st, AF_INET, SOCK_RAW, 250, &s, rw.now) == 0)
		sock_set_tag(rw.a.st, s, 6);
}

static void op_device(void *arg)
{
	struct txv v[8];
	int res[8] = {0};
	struct frame *f[8];
	unsigned n = stack_tx(rw.a.st, v, 8, rw.now);

	stack_tx_done(rw.a.st, v, res, n, rw.now);
	n = stack_rx_alloc(rw.a.st, FRAME_LARGE, f, 3);
	stack_rx_free(rw.a.st, f, n);
	n = stack_rx_alloc(rw.a.st, FRAME_SMALL, f, 8);
	stack_rx_free(rw.a.st, f, n);
}

static void op_watch(void *arg)
{
	struct ready r[4];

	for (uint16_t p = 1; p < 4; p++) {
		stack_set_party(rw.a.st, p);
		sock_watch(rw.a.st, rw.victim, p, r);
		sock_watch(rw.a.st, rw.udp, p, r);
	}
	rw_send(A, rw.victim, 100);
	stack_ready(rw.a.st, r, 4);
	sock_unwatch(rw.a.st, rw.victim);
	while (stack_next_news(rw.a.st) >= 0)
		;
	stack_set_party(rw.a.st, 0);
}

static void op_forget(void *arg)
{
	uint32_t pos = 0;

	while (!stack_forget_party(rw.a.st, 3, &pos, 8, rw.now))
		;
}

static void op_loopback(void *arg)
{
	sockid s;

	if (sock_new(rw.a.st, AF_INET, SOCK_STREAM, 0, &s, rw.now))
		return;
	sock_set_tag(rw.a.st, s, 8);
	rw_connect(A, s, "10.0.0.1", 80);
	for (int i = 0; i < 6; i++)
		stack_tick(rw.a.st, 4, rw.now);
	rw_send(A, s, 100);
	for (int i = 0; i < 6; i++)
		stack_tick(rw.a.st, 4, rw.now);
}

static void go_around(void)
{
	for (int i = 0; i < 6; i++)
		stack_tick(rw.a.st, 4, rw.now);
}

/* TCP-AO from the SYN to TIME-WAIT, with a key that changes. */
static void op_signed(void *arg)
{
	sockid s, child;

	rw_ao_keys(rw.listener, "10.0.0.1");
	if (sock_new(rw.a.st, AF_INET, SOCK_STREAM, 0, &s, rw.now))
		return;
	sock_set_tag(rw.a.st, s, 9);
	rw_ao_keys(s, "10.0.0.1");
	rw_connect(A, s, "10.0.0.1", 80);
	go_around();
	rw_ao_ask(s, 1);
	rw_send(A, s, 100);
	go_around();
	if (sock_accept(rw.a.st, rw.listener, &child, rw.now))
		return;
	sock_set_tag(rw.a.st, child, 10);
	rw_send(A, child, 100);
	go_around();
	sock_close(rw.a.st, s, rw.now);
	go_around();
	sock_close(rw.a.st, child, rw.now);
	go_around();
}

static void op_peek(void *arg)
{
	rw_peek(rw.victim, 3000);
	rw_peek(rw.udp, 100);
}

static void op_notes(void *arg)
{
	rw_notes(rw.udp);
}

/* In pieces, the last one is what sends it. */
static void op_cork(void *arg)
{
	rw_send_more(rw.udp, 400, true);
	rw_send_more(rw.udp, 400, true);
	rw_send_more(rw.udp, 100, false);
}

static void op_disconnect(void *arg)
{
	struct sockaddr sa = {.sa_family = AF_UNSPEC};

	sock_connect(rw.a.st, rw.victim, &sa, sizeof(sa), rw.now);
}

static void op_abort(void *arg)
{
	rw.spares_nobody = true;
	stack_abort_all(rw.a.st, rw.now);
}

static void op_drain(void *arg)
{
	static uint8_t buf[65536];

	rw_send(A, rw.victim, 2000);
	stack_capture_drain(rw.a.st, buf, sizeof(buf));
}

static void op_rebuild(void *arg)
{
	rw_rebuild();
}

/* --- what comes before them --- */

static void nothing(void)
{
}

/* Both ends have sent, nothing was delivered yet. */
static void packets_wait(void)
{
	rw_send(B, rw.victim_b, 5000);
	rw_send(B, rw.safe_b, 3000);
	rw_send_to(B, rw.udp_b, 300, "10.0.0.1", 53);
	rw_hold();
}

/* The first of some segments is lost: data out of order, SACK of ours. */
static void packets_with_holes(void)
{
	rw_send(A, rw.victim, 9000);
	rw_pump_drop(2);
	rw_send(B, rw.victim_b, 9000);
	rw_hold_drop(1);
}

static void fin_waits(void)
{
	rw_send(B, rw.victim_b, 2000);
	sock_shutdown(rw.b.st, rw.victim_b, 1, rw.now);
	rw_hold();
}

static void reset_waits(void)
{
	int on[2] = {1, 0};

	sock_setopt(rw.b.st, rw.victim_b, SOL_SOCKET, SO_LINGER, on, sizeof(on),
		    rw.now);
	sock_close(rw.b.st, rw.victim_b, rw.now);
	rw_hold();
}

static void syns_wait(void)
{
	for (int i = 0; i < 5; i++) {
		sockid s = rw_new(B, AF_INET, SOCK_STREAM);

		rw_connect(B, s, "10.0.0.1", 80);
	}
	rw_hold();
}

static void acks_wait(void)
{
	syns_wait();
	rw_rx_held();
	rw_pump_to_b();
	rw_hold();
}

static void children_wait(void)
{
	acks_wait();
	rw_rx_held();
	syns_wait(); /* and SYNs that were not answered */
	rw_rx_held();
}

static void data_unread(void)
{
	rw_send(B, rw.victim_b, 20000);
	rw_pump();
}

static void data_unsent(void)
{
	data_unread();
	rw_send(A, rw.victim, 400000);
}

static void timeout_is_due(void)
{
	rw_send(A, rw.victim, 5000);
	rw_drop_out();
	rw.now += 3 * SEC;
}

/* The peer doesn't read: its window is closed, and asked for. */
static void probe_is_due(void)
{
	for (int i = 0; i < 40; i++) {
		rw_send(A, rw.victim, 100000);
		rw_pump();
	}
	rw.now += 3 * SEC;
}

static void patience_ends(void)
{
	sock_setopt(rw.a.st, rw.victim, IPPROTO_TCP, TCP_USER_TIMEOUT,
		    &(int){1000}, sizeof(int), rw.now);
	rw_send(A, rw.victim, 5000);
	rw_drop_out();
	for (int i = 0; i < 3; i++) {
		rw.now += SEC;
		stack_tick(rw.a.st, 100, rw.now);
		rw_drop_out();
	}
	rw.now += 3 * SEC;
}

static void time_waits_end(void)
{
	for (int i = 0; i < 3; i++) {
		sockid s = rw_new(A, AF_INET, SOCK_STREAM), t;

		rw_connect(A, s, "10.0.0.2", 80);
		rw_pump();
		cr_assert(sock_accept(rw.b.st, rw.listener_b, &t, rw.now) == 0);
		sock_close(rw.a.st, s, rw.now);
		rw_pump();
		sock_close(rw.b.st, t, rw.now);
		rw_pump();
	}
	rw.now += 61 * SEC;
}

static void closing(void)
{
	rw_pump();
	rw_recv(A, rw.victim, 100000);
	sock_close(rw.a.st, rw.victim, rw.now);
	rw_pump();
	sock_close(rw.b.st, rw.victim_b, rw.now);
	rw_hold();
}

static void fragments_wait(void)
{
	rw_send_to(B, rw.udp_b, 4000, "10.0.0.1", 53);
	rw_hold();
}

static void datagrams_wait(void)
{
	for (int i = 0; i < 3; i++)
		rw_send_to(B, rw.udp_b, 300, "10.0.0.1", 53);
	rw_pump();
}

static void port_is_closed(void)
{
	sock_setopt(rw.a.st, rw.udp, IPPROTO_IP, IP_RECVERR, &(int){1},
		    sizeof(int), rw.now);
	rw_send_to(A, rw.udp, 40, "10.0.0.2", 9);
	rw_hold();
}

static void frames_wait(void)
{
	rw_send(A, rw.victim, 9000);
	rw_send_to(A, rw.udp, 400, "10.0.0.2", 53);
}

static void notes_wait(void)
{
	port_is_closed();
	rw_rx_held();
	rw_send_to(A, rw.udp, 50, "10.0.0.2", 9);
	rw_hold();
	rw_rx_held();
}

static void packets_wait_long(void)
{
	frames_wait();
	packets_wait();
	rw_rx_held();
	rw.now += SEC;
}

static void much_is_lent(void)
{
	datagrams_wait();
	data_unread();
	stack_set_party(rw.a.st, 3);
	rw_lend(rw.victim, true);
	rw_lend(rw.victim, false);
	rw_lend(rw.udp, true);
	rw_lend(rw.udp, false);
	op_watch(NULL);
	stack_set_party(rw.a.st, 0);
}

static const struct {
	const char *name;
	void (*before)(void);
	void (*op)(void *arg);
	bool is_impaired; /* and captured */
} ops[] = {
	{"send", nothing, op_send},
	{"send into a full buffer", data_unsent, op_send},
	{"receive", data_unread, op_recv},
	{"segments come in", packets_wait, op_rx},
	{"segments with holes come in", packets_with_holes, op_rx},
	{"a FIN comes in", fin_waits, op_rx},
	{"a RST comes in", reset_waits, op_rx},
	{"SYNs come in", syns_wait, op_rx},
	{"handshakes end", acks_wait, op_rx},
	{"the last ACK comes in", closing, op_rx},
	{"fragments come in", fragments_wait, op_rx},
	{"an ICMP error comes in", port_is_closed, op_rx},
	{"accept", children_wait, op_accept},
	{"connect", nothing, op_connect},
	{"close", nothing, op_close},
	{"close with data unread", data_unread, op_close},
	{"close with data unsent", data_unsent, op_close},
	{"close a listener", children_wait, op_close_listener},
	{"shutdown", data_unread, op_shutdown},
	{"a timeout", timeout_is_due, op_tick},
	{"a probe", probe_is_due, op_tick},
	{"patience", patience_ends, op_tick},
	{"TIME-WAIT ends", time_waits_end, op_tick},
	{"datagrams", datagrams_wait, op_udp},
	{"options", nothing, op_options},
	{"groups", nothing, op_groups},
	{"new sockets", nothing, op_new},
	{"the device", frames_wait, op_device},
	{"readiness", datagrams_wait, op_watch},
	{"a dead participant", much_is_lent, op_forget},
	{"loopback", nothing, op_loopback},
	{"signed", nothing, op_signed},
	{"peek", much_is_lent, op_peek},
	{"notes", notes_wait, op_notes},
	{"cork", nothing, op_cork},
	{"disconnect", data_unsent, op_disconnect},
	{"all is aborted", children_wait, op_abort},
	{"impaired: send", data_unread, op_send, true},
	{"impaired: segments come in", packets_with_holes, op_rx, true},
	{"impaired: time passes", packets_wait_long, op_tick, true},
	{"impaired: capture", nothing, op_drain, true},
	{"impaired: a rebuild", packets_wait, op_rebuild, true},
	{"a rebuild", children_wait, op_rebuild},
	{"a rebuild with loans", much_is_lent, op_rebuild},
};

/* --- the test --- */

static unsigned stride(void)
{
	const char *text = getenv("STEP_STRIDE");

	return text && atoi(text) > 0 ? (unsigned)atoi(text) : 23;
}

static bool look(void *arg)
{
	rw_rebuild();
	return rw_check();
}

static bool run_one(unsigned i, struct step *total)
{
	struct step s = {.stride = stride(), .first = i, .look = look};
	bool ok;

	rw_init(ops[i].is_impaired);
	ops[i].before();
	s.mem = rw.a.mem;
	s.len = rw.a.len;
	rw_begin();
	ok = step_run(&s, ops[i].op, NULL);
	if (!ok)
		fprintf(stderr, "%s: store %u, at test + %#lx: %s\n",
			ops[i].name, s.num_stores,
			(unsigned long)(s.at - (uintptr_t)step_run), rw.why);
	if (getenv("STEP_VERBOSE"))
		fprintf(stderr, "%-30s %6u stores, %6u looks, %u resets\n",
			ops[i].name, s.num_stores, s.num_looks, rw.num_resets);
	total->num_stores += s.num_stores;
	total->num_looks += s.num_looks;
	if (ok) {
		rw_rebuild();
		ok = rw_check();
	}
	rw_fini();
	return ok;
}

Test(rebuild, death_at_every_store)
{
	const char *only = getenv("STEP_ONLY");
	struct step total = {0};
	unsigned num_bad = 0;

	if (!step_can())
		cr_skip_test("needs x86-64 and no sanitizer");
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		if (num_bad && getenv("STEP_FAIL_FAST"))
			break;
		else if (!only || strcmp(only, ops[i].name) == 0)
			num_bad += !run_one(i, &total);
	fprintf(stderr, "%u stores, %u deaths\n", total.num_stores,
		total.num_looks);
	cr_assert(num_bad == 0);
}
