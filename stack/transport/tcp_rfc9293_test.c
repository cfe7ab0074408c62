/* SPDX-License-Identifier: MIT
 *
 * RFC 9293's requirements that no other test is about, in the order of its
 * sections. docs/rfc.md says which test shows which.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "base/csum.h"
#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_rfc9293, .init = peer_init, .fini = peer_fini);

static uint8_t state(void)
{
	struct sock_facts f;

	cr_assert(sock_facts(w.st, w.s, &f) == 0);
	return f.state;
}

static sockid accepted(sockid l)
{
	sockid s = 0;

	cr_assert(sock_accept(w.st, l, &s, w.now) == 0);
	return s;
}

/* --- 3.1, 3.2: the header --- */

Test(tcp_rfc9293, windows_are_unsigned)
{
	w.st->sysctl.tcp_init_cwnd = 100;
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 65535});
	put(60000, 0);
	cr_assert(num_out() == 60);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 60001, .win = 0x8000);
	put(32768, 0);
	cr_assert(num_out() == 33);
	skip();
}

Test(tcp_rfc9293, the_largest_window_there_is)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_wscale = true,
				     .wscale = 14});
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 65535);
	cr_assert(conn()->snd_wnd == 65535u << 14);
	put(10000, 0);
	cr_assert(num_out() == 10);
	skip();
}

/* That what the stack sends has a right one is looked at with each packet. */
Test(tcp_rfc9293, a_wrong_checksum_is_noticed)
{
	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10,
	     .bad_csum = true);
	quiet();
	cr_assert(get(10, 0) == -EAGAIN && dropped(DROP_TCP_CSUM) == 1);
	cr_assert(count(STAT_TcpInCsumErrors) == 1);
	SEND(.flags = RST, .seq = 1, .bad_csum = true);
	cr_assert(state() == TCP_ESTABLISHED);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	cr_assert(get(10, 0) == 10);
	expect(ACK, 1, 11, 0);
}

static struct tcp_repr parsed(const uint8_t *opts, size_t n)
{
	struct ip_addr a;
	struct tcp_repr r;
	uint8_t p[60] = {[12] = (uint8_t)((20 + n) << 2), [13] = TCP_SYN};

	ip_addr_parse("10.0.0.1", &a);
	memcpy(p + 20, opts, n);
	cr_assert(tcp_parse(&r, &a, &a, p, 20 + n, CSUM_VALID) == DROP_NONE);
	return r;
}
#define PARSED(...)                            \
	parsed((const uint8_t[]){__VA_ARGS__}, \
	       sizeof((const uint8_t[]){__VA_ARGS__}))

Test(tcp_rfc9293, options_of_every_kind_at_any_place)
{
	struct tcp_repr r;

	/* no-operation, then a size that does not begin on a word */
	r = PARSED(1, 2, 4, 5, 0xb4, 1, 1, 1);
	cr_assert(r.has_mss && r.mss == 1460);
	/* nothing counts after the end, whatever is there */
	r = PARSED(4, 2, 0, 2, 4, 5, 0xb4, 200);
	cr_assert(r.sack_ok && !r.has_mss);
	/* what nobody knows is passed over by its length */
	r = PARSED(200, 5, 2, 4, 9, 2, 4, 5, 0xb4, 253, 2, 1);
	cr_assert(r.has_mss && r.mss == 1460);
	/* and lengths that cannot be end it without harm */
	for (unsigned len = 0; len < 256; len++) {
		r = PARSED(4, 2, 200, (uint8_t)len, 2, 4, 5, 0xb4);
		cr_assert(r.sack_ok && r.has_mss == (len == 2));
	}
}

/* Ours have lengths, end with the header, and are filled with no-operation:
 * there is no end of options, and nothing after it. */
Test(tcp_rfc9293, what_is_sent_is_made_of_whole_options)
{
	for (unsigned i = 0; i < 64; i++) {
		struct tcp_repr r = {.flags = i & 32 ? TCP_SYN : TCP_ACK,
				     .has_ts = i & 1,
				     .num_sack = i & 32 ? 0 : i >> 1 & 3,
				     .has_mss = i & 32 && i & 2,
				     .sack_ok = i & 32 && i & 4,
				     .has_wscale = i & 32 && i & 8};
		unsigned len = tcp_emit_len(&r), at = 20;
		uint8_t p[60] = {0};

		cr_assert(len % 4 == 0 && len <= 60);
		tcp_emit(&r, p);
		cr_assert(p[12] >> 4 == len / 4);
		while (at < len) {
			cr_assert(p[at] != 0);
			at += p[at] == 1 ? 1 : p[at + 1];
		}
		cr_assert(at == len);
	}
}

Test(tcp_rfc9293, a_size_is_told_in_syns_only)
{
	open_with(NULL);
	cr_assert(w.last.mss == 1460);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(ACK, 1, 1, 0);
	cr_assert(!w.last.mss);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(!w.last.mss);
	SEND(.flags = ACK, .seq = 1, .ack = 101, .len = 10);
	expect(ACK, 101, 11, 0);
	cr_assert(!w.last.mss);
	sock_close(w.st, w.s, w.now); /* with unread data */
	expect(RST | ACK, 101, 11, 0);
	cr_assert(!w.last.mss);
}

/* --- 3.4: sequence numbers --- */

static struct tcp_key key_of(const char *l, uint16_t lp, const char *r,
			     uint16_t rp)
{
	struct tcp_key k = {.lport = lp, .rport = rp};

	cr_assert(ip_addr_parse(l, &k.laddr) == 0);
	cr_assert(ip_addr_parse(r, &k.raddr) == 0);
	return k;
}

/* RFC 6528 3: M is a clock; Linux's ticks every 64 ns, not every 4 us. */
Test(tcp_rfc9293, initial_numbers_follow_a_clock)
{
	struct tcp_key k = key_of("10.0.0.1", 4000, "10.0.0.2", 80);
	uint32_t first = tcp_iss(w.st->tp.tcp, &k, w.now);
	uint32_t iss;

	cr_assert(tcp_iss(w.st->tp.tcp, &k, w.now + 64) == first + 1);
	cr_assert(tcp_iss(w.st->tp.tcp, &k, w.now + SEC) == first + 15625000);
	/* once around in 274 s: a new one is beyond what an old one used, at
	 * less than 15 MB a second */
	cr_assert(tcp_iss(w.st->tp.tcp, &k, w.now + (64ll << 32)) == first);

	open_with(NULL);
	iss = w.iss;
	cr_assert(iss == first);
	SEND(.flags = RST | ACK, .ack = 1);
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	pass(SEC);
	open_with(NULL);
	cr_assert(w.iss == first + 15625000);
}

Test(tcp_rfc9293, and_a_hash_of_all_four_under_a_key)
{
	struct tcp *t = w.st->tp.tcp;
	const struct tcp_key k[] = {
		key_of("10.0.0.1", 4000, "10.0.0.2", 80),
		key_of("10.0.0.3", 4000, "10.0.0.2", 80),
		key_of("10.0.0.1", 4001, "10.0.0.2", 80),
		key_of("10.0.0.1", 4000, "10.0.0.4", 80),
		key_of("10.0.0.1", 4000, "10.0.0.2", 81),
	};
	uint32_t v[2 * ARRAY_SIZE(k)], step = 0, n = ARRAY_SIZE(k);

	for (uint32_t i = 0; i < n; i++)
		v[i] = tcp_iss(t, &k[i], w.now);
	w.st->core.iss_key.k0 ^= 1; /* another secret, another host */
	for (uint32_t i = 0; i < n; i++)
		v[n + i] = tcp_iss(t, &k[i], w.now);
	for (uint32_t i = 0; i < 2 * n; i++)
		for (uint32_t j = 0; j < i; j++)
			cr_assert((v[i] - v[j]) + 100000 > 200000);
	/* nor does the next port follow from this one */
	for (uint16_t p = 1; p < 100; p++) {
		struct tcp_key a = k[0], b = k[0];
		uint32_t d;

		a.lport = p;
		b.lport = p + 1;
		d = tcp_iss(t, &b, w.now) - tcp_iss(t, &a, w.now);
		cr_assert(d != step);
		step = d;
	}
}

static void close_window(void)
{
	uint32_t at;

	for (int i = 0; i < 500 && conn()->rcv_wnd; i++) {
		at = conn()->rcv_nxt - w.irs;
		SEND(.flags = ACK, .seq = at, .ack = 1,
		     .len = MIN(MSS, conn()->rcv_wup + conn()->rcv_wnd -
					     conn()->rcv_nxt));
		pass(50 * MSEC);
		skip();
	}
	cr_assert(conn()->rcv_wnd == 0);
}

Test(tcp_rfc9293, a_closed_window_lets_acks_resets_and_urgent_pointers_in)
{
	uint32_t at;

	open_active();
	close_window();
	at = conn()->rcv_nxt - w.irs;
	put(100, 0);
	expect(PSH | ACK, 1, at, 100);
	SEND(.flags = ACK, .seq = at, .ack = 101);
	cr_assert(conn()->snd_una == w.iss + 101);
	cr_assert(!(bits() & EPOLLPRI));
	SEND(.flags = ACK | URG, .seq = at, .ack = 101, .urg = 10);
	cr_assert(conn()->urg_state == TCP_URG_NOTYET);
	cr_assert(conn()->urg_seq == w.irs + at + 9);
	SEND(.flags = RST, .seq = at);
	cr_assert(state() == TCP_CLOSE && sock_err() == ECONNRESET);
	skip();
}

/* --- 3.5: opening --- */

Test(tcp_rfc9293, where_syn_received_goes_back_to)
{
	sockid l;

	/* from SYN-SENT: the user hears of it */
	open_with(NULL);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(state() == TCP_SYN_RECV);
	SEND(.flags = RST, .seq = 1);
	cr_assert(state() == TCP_CLOSE && sock_err() == ECONNRESET);
	sock_close(w.st, w.s, w.now);
	/* from LISTEN: nobody does, and the next one is welcome */
	l = open_listener(1);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = RST, .seq = 1);
	cr_assert(state() == TCP_LISTEN && sock_err() == 0 && !bits());
	open_passive(PEER_PORT);
	sock_close(w.st, accepted(l), w.now);
	skip();
}

/* 3.5.1: the peer still has an old connection. Its ACK shows that; our RST
 * ends it, and the next SYN need not wait for a second. */
Test(tcp_rfc9293, a_half_open_connection_is_found_at_once)
{
	open_with(NULL);
	SEND(.flags = ACK, .seq = 300, .ack = 100);
	expect(RST, 100, 0, 0);
	quiet();
	pass(2 * MSEC);
	expect(SYN, 0, 0, 0);
	SEND(.flags = ACK, .seq = 300, .ack = 100); /* but only once */
	expect(RST, 100, 0, 0);
	pass(SEC - MSEC);
	quiet();
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(state() == TCP_ESTABLISHED);
}

Test(tcp_rfc9293, a_reset_may_have_data)
{
	open_active();
	SEND(.flags = RST, .seq = 1, .len = 20);
	quiet();
	cr_assert(state() == TCP_CLOSE);
	cr_assert(get(100, 0) == -ECONNRESET && get(100, 0) == 0);
}

/* --- 3.6: closing --- */

Test(tcp_rfc9293, the_user_is_told_how_it_ended)
{
	open_active();
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1);
	cr_assert(get(10, 0) == 0 && sock_err() == 0);
	cr_assert(!(bits() & EPOLLERR));
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
	peer_fini();
	peer_init();
	open_active();
	SEND(.flags = RST, .seq = 1);
	cr_assert(bits() & EPOLLERR);
	cr_assert(get(10, 0) == -ECONNRESET);
}

/* --- 3.7: segments --- */

Test(tcp_rfc9293, without_a_size_it_is_536)
{
	sockid l;

	open_with(&(struct peer_seg){.flags = SYN | ACK, .ack = 1});
	put(2000, 0);
	for (uint32_t i = 0; i < 3; i++)
		expect(ACK, 1 + i * 536, 1, 536);
	expect(PSH | ACK, 1609, 1, 392);
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
	peer_fini();
	peer_init();
	l = open_listener(1);
	SEND(.flags = SYN);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	w.s = accepted(l);
	put(1000, 0);
	expect(ACK, 1, 1, 536);
	expect(PSH | ACK, 537, 1, 464);
}

Test(tcp_rfc9293, no_larger_than_the_peer_the_path_and_the_options_allow)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = 9000, .win = 65535});
	put(1460, 0); /* the path: 1500 */
	expect(PSH | ACK, 1, 1, 1460);
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
	peer_fini();
	peer_init();
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = 1000,
				     .has_ts = true,
				     .ts_val = 1});
	put(2000, 0);
	expect(ACK, 1, 1, 988); /* its size is without options */
	cr_assert(w.last.has_ts);
	skip();
}

/* --- 3.8.3, 3.8.4: patience --- */

Test(tcp_rfc9293, keepalive_is_asked_for)
{
	open_active();
	pass(24 * 3600 * SEC);
	quiet();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	/* so long without a word: at once; then every 75 s */
	pass(MSEC);
	expect(ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	pass(7200 * SEC - MSEC);
	quiet();
	pass(2 * MSEC);
	expect(ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 0);
	pass(24 * 3600 * SEC);
	quiet();
}

Test(tcp_rfc9293, keepalive_is_for_the_silent_and_forgives)
{
	nsec heard;

	open_active();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_opt(IPPROTO_TCP, TCP_KEEPINTVL, 2);
	set_opt(IPPROTO_TCP, TCP_KEEPCNT, 3);
	pass(8 * SEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 5);
	expect(ACK, 1, 6, 0);
	heard = w.now;
	pass(10 * SEC - MSEC);
	quiet();
	for (int round = 0; round < 3; round++) {
		/* two probes are lost, or their answers */
		for (int i = 0; i < 3; i++) {
			pass(heard + (10 + 2 * i) * SEC + MSEC - w.now);
			expect(ACK, 0, 6, 0);
		}
		SEND(.flags = ACK, .seq = 6, .ack = 1);
		heard = w.now;
		cr_assert(state() == TCP_ESTABLISHED);
	}
	pass(heard + 16 * SEC + 2 * MSEC - w.now);
	skip();
	cr_assert(sock_err() == ETIMEDOUT);
}

/* --- 3.8.5: urgent data --- */

/* The pointer is to the byte behind the last urgent one: read so and sent so.
 * (tcp_stdurg=1 is RFC 1122's other reading.) */
Test(tcp_rfc9293, urgent_data_of_any_length)
{
	int mark = 0;

	open_active();
	SEND(.flags = ACK | URG, .seq = 1, .ack = 1, .len = MSS, .urg = 3000);
	SEND(.flags = ACK | URG, .seq = 1001, .ack = 1, .len = MSS,
	     .urg = 2000);
	skip();
	cr_assert(get(5000, 0) == 2000); /* on the way to the mark */
	cr_assert(sock_ioctl(w.st, w.s, SIOCATMARK, &mark) == 0 && !mark);
	SEND(.flags = ACK | URG, .seq = 2001, .ack = 1, .len = MSS,
	     .urg = 1000);
	SEND(.flags = ACK, .seq = 3001, .ack = 1, .len = MSS);
	cr_assert(get(5000, 0) == 999);
	cr_assert(sock_ioctl(w.st, w.s, SIOCATMARK, &mark) == 0 && mark);
	cr_assert(get(1, MSG_OOB) == 1);
	cr_assert(w.data[0] == (uint8_t)(3000 * 31 + (3000 >> 8)));
	cr_assert(get(5000, 0) == 1000);
	skip();

	put(2500, MSG_OOB);
	for (uint32_t i = 0; i < 3; i++) {
		next();
		cr_assert(w.last.flags & URG);
		cr_assert(w.last.seq + w.last.urg == 2501);
	}
}

Test(tcp_rfc9293, a_pointer_that_moves_on_is_told_again)
{
	open_active();
	SEND(.flags = PSH | ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 5);
	cr_assert(bits() & EPOLLPRI);
	cr_assert(get(1, MSG_OOB) == 1 && !(bits() & EPOLLPRI));
	/* the same again is nothing new */
	SEND(.flags = PSH | ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 5);
	cr_assert(!(bits() & EPOLLPRI));
	SEND(.flags = PSH | ACK | URG, .seq = 11, .ack = 1, .len = 10,
	     .urg = 5);
	cr_assert(bits() & EPOLLPRI);
	cr_assert(get(1, MSG_OOB) == 1);
	cr_assert(w.data[0] == (uint8_t)(15 * 31));
	skip();
}

/* --- 3.8.6: windows --- */

Test(tcp_rfc9293, a_closed_window_is_probed_as_long_as_it_is_answered)
{
	nsec last = 0, gap = 0;
	unsigned n = 0;

	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	put(500, 0);
	last = w.now;
	for (nsec end = w.now + 20 * 3600 * SEC; w.now < end; n++) {
		while (!num_out())
			pass(SEC / 10);
		expect(ACK, 0, 1, 0);
		cr_assert(w.now - last + SEC / 5 >= gap && gap < 121 * SEC);
		gap = w.now - last;
		last = w.now;
		SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	}
	cr_assert(n > 590 && gap > 119 * SEC); /* two minutes at most */
	cr_assert(state() == TCP_ESTABLISHED);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	expect(PSH | ACK, 1, 1, 500);
}

Test(tcp_rfc9293, our_closed_window_answers_probes_for_ever)
{
	uint32_t at;

	open_active();
	close_window();
	at = conn()->rcv_nxt - w.irs;
	for (int i = 0; i < 100; i++) {
		pass(120 * SEC);
		SEND(.flags = ACK, .seq = at - 1, .ack = 1); /* Linux's */
		expect(ACK, 1, at, 0);
		cr_assert(w.last.win == 0);
		pass(SEC);
		SEND(.flags = ACK, .seq = at, .ack = 1, .len = 1); /* BSD's */
		expect(ACK, 1, at, 0);
		cr_assert(w.last.win == 0);
	}
}

/* Readers of a few bytes don't open it by a few bytes. */
Test(tcp_rfc9293, no_silly_window_is_offered)
{
	uint32_t at, got = 0;

	open_active();
	close_window();
	at = conn()->rcv_nxt - w.irs;
	while (!num_out()) {
		cr_assert(get(100, 0) == 100);
		got += 100;
	}
	expect(ACK, 1, at, 0);
	cr_assert(w.last.win >= MSS && got >= MSS);
}

/* --- 3.9.1: what the user may ask for --- */

/* While one of the same port and address is on its way */
Test(tcp_rfc9293, listening_beside_a_connect)
{
	sockid c, l, child;

	open_with(NULL);
	c = w.s;
	l = open_listener(2);
	cr_assert(state() == TCP_LISTEN);
	w.s = c;
	cr_assert(state() == TCP_SYN_SENT);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	cr_assert(state() == TCP_ESTABLISHED && get(10, 0) == 10);
	skip();
	/* and the listener hears all but that peer's port */
	open_passive(81);
	child = accepted(l);
	/* nor does another listener touch what there is */
	sock_close(w.st, l, w.now);
	l = open_listener(1);
	w.s = child;
	cr_assert(state() == TCP_ESTABLISHED);
	sock_close(w.st, l, w.now);
	cr_assert(state() == TCP_ESTABLISHED);
	sock_close(w.st, child, w.now);
	w.s = c;
	skip();
	cr_assert(state() == TCP_ESTABLISHED);
}

/* IP is asked once; that every packet is from that address is looked at with
 * each. */
Test(tcp_rfc9293, the_local_address_stays)
{
	struct sockaddr_in peer = {.sin_family = AF_INET}, us = {0};
	struct ip_addr better, dst, src;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	put_be16(&peer.sin_port, PEER_PORT);
	put_be32(&peer.sin_addr, 0x0a000002);
	put_be16(&us.sin_port, STACK_PORT);
	us.sin_family = AF_INET;
	cr_assert(sock_new(w.st, AF_INET, SOCK_STREAM, 0, &w.s, w.now) == 0);
	cr_assert(sock_bind(w.st, w.s, (struct sockaddr *)&us, sizeof(us),
			    w.now) == 0);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&peer,
			       sizeof(peer), w.now) == -EINPROGRESS);
	expect(SYN, 0, 0, 0);
	cr_assert(sock_name(w.st, w.s, false, &ss, &len) == 0);
	memcpy(&us, &ss, sizeof(us));
	cr_assert(get_be32(&us.sin_addr) == 0x0a000001);
	/* one that lies nearer, and would be chosen now */
	cr_assert(ip_addr_parse("10.0.0.3", &better) == 0);
	cr_assert(ip_addr_add(w.st->tp.ip, &better, 30) == 0);
	cr_assert(ip_addr_parse("10.0.0.2", &dst) == 0);
	cr_assert(ip_source(w.st->tp.ip, &dst, &src) == 0);
	cr_assert(ip_addr_eq(&src, &better));
	pass(SEC);
	expect(SYN, 0, 0, 0);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	sock_close(w.st, w.s, w.now);
	expect(FIN | ACK, 101, 1, 0);
}

/* DSCP and TTL of each segment, also changed on the way */
Test(tcp_rfc9293, dscp_and_ttl_are_the_users)
{
	new_sock();
	set_opt(IPPROTO_IP, IP_TOS, 0xb8);
	set_opt(IPPROTO_IP, IP_TTL, 33);
	open_with(NULL);
	cr_assert(w.last.tos == 0xb8 && w.last.ttl == 33);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.tos == 0xb8 && w.last.ttl == 33);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(w.last.tos == 0xb8 && w.last.ttl == 33);
	set_opt(IPPROTO_IP, IP_TOS, 0x20);
	set_opt(IPPROTO_IP, IP_TTL, 200);
	pass(SEC);
	next(); /* sent again */
	cr_assert(w.last.tos == 0x20 && w.last.ttl == 200);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 101, .len = 10);
	expect(ACK, 101, 11, 0);
	cr_assert(w.last.tos == 0x20 && w.last.ttl == 200);
}

/* --- 3.9.2.2: ICMP --- */

/* Codes 0, 1 and 5 are soft; Linux takes the hard ones 2, 3 and 13 so as well
 * once a connection is open (RFC 5461). SO_ERROR tells of them; who asks with
 * IP_RECVERR is woken. */
Test(tcp_rfc9293, no_error_of_a_router_ends_a_connection)
{
	static const struct {
		uint8_t code;
		int err;
	} rows[] = {
		{0, ENETUNREACH}, {1, EHOSTUNREACH}, {5, EOPNOTSUPP},
		{2, ENOPROTOOPT}, {3, ECONNREFUSED}, {13, EHOSTUNREACH},
	};

	open_active();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_opt(IPPROTO_IP, IP_RECVERR, 0);
		send_unreach(rows[i].code, 0, 1);
		cr_assert(state() == TCP_ESTABLISHED);
		cr_assert(!(bits() & EPOLLERR));
		cr_assert(sock_err() == rows[i].err && sock_err() == 0);
		set_opt(IPPROTO_IP, IP_RECVERR, 1);
		send_unreach(rows[i].code, 0, 1);
		cr_assert(state() == TCP_ESTABLISHED && bits() & EPOLLERR);
		cr_assert(sock_err() == rows[i].err && sock_err() == 0);
	}
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
}

/* If it is given up later, that is what it is told as. */
Test(tcp_rfc9293, a_soft_error_is_told_at_the_end)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	put(100, 0);
	skip();
	send_unreach(1, 0, 1);
	pass(10 * SEC);
	skip();
	cr_assert(sock_err() == EHOSTUNREACH);
}

/* --- 3.9.2.3: who may be spoken to --- */

Test(tcp_rfc9293, nothing_that_was_meant_for_many_is_answered)
{
	static const char *const many[] = {"10.0.0.255", "255.255.255.255",
					   "224.0.0.1", "239.1.2.3"};
	struct sockaddr_in any = {.sin_family = AF_INET};

	put_be16(&any.sin_port, STACK_PORT);
	cr_assert(sock_new(w.st, AF_INET, SOCK_STREAM, 0, &w.s, w.now) == 0);
	cr_assert(sock_bind(w.st, w.s, (struct sockaddr *)&any, sizeof(any),
			    w.now) == 0);
	cr_assert(sock_listen(w.st, w.s, 5, w.now) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		SEND(.flags = SYN, .mss = MSS, .to = many[i]);
		SEND(.flags = ACK, .seq = 1, .ack = 1, .to = many[i]);
		SEND(.flags = FIN, .seq = 1, .to = many[i]);
		quiet();
	}
	cr_assert(stack_timers_armed(w.st) == 0);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = RST, .seq = 1);
}

/* --- 3.10.7.4: seventh, behind a FIN there is nothing --- */

Test(tcp_rfc9293, what_comes_behind_a_fin_is_passed_over)
{
	open_active();
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 10);
	expect(ACK, 1, 12, 0);
	SEND(.flags = PSH | ACK, .seq = 12, .ack = 1, .len = 10);
	quiet();
	/* but an old copy is answered: our ACK may be lost */
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 10);
	expect(ACK, 1, 12, 0);
	cr_assert(w.last.num_sack == 1 && w.last.sack[0].end == 12);
	cr_assert(get(100, 0) == 10 && get(100, 0) == 0);
}

/* --- 3.10.7.4: what is read together --- */

Test(tcp_rfc9293, all_that_has_come_is_taken_before_the_ack)
{
	struct peer_seg s[12] = {0};

	open_active();
	for (uint32_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = (struct peer_seg){
			.flags = ACK, .seq = 1 + i * MSS, .ack = 1, .len = MSS};
	send_batch(s, ARRAY_SIZE(s));
	expect(ACK, 1, 1 + ARRAY_SIZE(s) * MSS, 0);
	quiet();
	cr_assert(conn()->rcv_nxt == w.irs + 1 + ARRAY_SIZE(s) * MSS);
	/* a FIN in it is acknowledged by the same */
	for (uint32_t i = 0; i < 4; i++)
		s[i].seq += 12000;
	s[3].flags |= FIN;
	send_batch(s, 4);
	next();
	while (num_out())
		next();
	cr_assert(w.last.ack == 16002);
}
