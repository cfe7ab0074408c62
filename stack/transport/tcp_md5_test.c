/* SPDX-License-Identifier: MIT
 *
 * Signed segments (RFC 2385): keys, what is dropped, what is answered.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_md5, .init = peer_init, .fini = peer_fini);

#define BY_PREFIX TCP_MD5SIG_FLAG_PREFIX

static int set_key(const char *ip, const char *key, int flags, int prefix)
{
	struct tcp_md5sig m = {.tcpm_flags = (uint8_t)flags,
			       .tcpm_prefixlen = (uint8_t)prefix,
			       .tcpm_keylen = (uint16_t)strlen(key)};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct ip_addr a;

	cr_assert(ip_addr_parse(ip, &a) == 0);
	memcpy(&sin.sin_addr, a.b + 12, 4);
	memcpy(&m.tcpm_addr, &sin, sizeof(sin));
	memcpy(m.tcpm_key, key, strlen(key));
	return sock_setopt(w.st, w.s, IPPROTO_TCP,
			   flags ? TCP_MD5SIG_EXT : TCP_MD5SIG, &m, sizeof(m),
			   w.now);
}

static void use_key(const char *key)
{
	cr_assert(set_key("10.0.0.2", key, 0, 0) == 0);
	w.key = key;
}

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

Test(tcp_md5, keys_come_and_go_with_their_socket)
{
	for (int i = 0; i < 3; i++) {
		new_sock();
		cr_assert(set_key("10.0.0.2", "", 0, 0) == -ENOENT);
		cr_assert(set_key("10.0.0.2", "a", 0, 0) == 0);
		cr_assert(set_key("10.0.0.3", "b", 0, 0) == 0);
		cr_assert(set_key("10.0.0.3", "c", 0, 0) == 0);
		cr_assert(set_key("10.0.0.2", "", 0, 0) == 0);
		cr_assert(set_key("10.0.0.0", "d", BY_PREFIX, 33) == -EINVAL);
		cr_assert(set_key("10.0.0.0", "d", BY_PREFIX, 24) == 0);
		close_now();
	}
}

Test(tcp_md5, a_connection_from_syn_to_time_wait)
{
	new_sock();
	use_key("secret");
	w.sysctl.tcp_timestamps = 1;
	open_active();
	cr_assert(!w.last.has_ts); /* no room in a SYN, Linux finds */
	cr_assert(put(1500, 0) == 1500);
	expect(ACK, 1, 1, MSS - 20); /* the digest counts */
	expect(PSH | ACK, MSS - 19, 1, 1500 - (MSS - 20));
	SEND(.flags = ACK, .seq = 1, .ack = 1501);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1501, .len = 300);
	expect(ACK, 1501, 301, 0);
	cr_assert(get(1000, 0) == 300);
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	expect(FIN | ACK, 1501, 301, 0);
	SEND(.flags = FIN | ACK, .seq = 301, .ack = 1502);
	expect(ACK, 1502, 302, 0);
	/* the socket is gone, its key is not */
	pass(SEC);
	SEND(.flags = FIN | ACK, .seq = 301, .ack = 1502);
	expect(ACK, 1502, 302, 0);
	pass(61 * SEC);
}

Test(tcp_md5, without_a_digest_nothing_is_heard)
{
	new_sock();
	use_key("secret");
	open_active();
	w.key = NULL;
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	SEND(.flags = RST, .seq = 1);
	quiet();
	cr_assert(count(STAT_TcpExtTCPMD5NotFound) == 2);
	w.key = "another";
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	quiet();
	cr_assert(count(STAT_TcpExtTCPMD5Failure) == 1);
	cr_assert(dropped(DROP_TCP_AUTH) == 3);
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	w.key = "secret";
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	cr_assert(conn()->state == TCPS_CLOSED && sock_err() == ECONNRESET);
	close_now();
}

Test(tcp_md5, a_digest_that_nobody_asked_for)
{
	open_active();
	w.key = "secret";
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	quiet();
	cr_assert(count(STAT_TcpExtTCPMD5Unexpected) == 1);
	w.key = NULL;
	close_now();
}

/* Nobody is there at all: no reset either, it would tell too much. */
Test(tcp_md5, no_reset_for_a_digest)
{
	new_sock();
	close_now();
	w.key = "secret";
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	quiet();
	w.key = NULL;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	next();
	cr_assert(w.last.flags == RST);
}

/* Linux: who listens on the port that the peer uses, too, may have its key. */
Test(tcp_md5, a_reset_signed_with_the_key_of_a_listener)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT)};
	sockid listener;

	cr_assert(sock_new(w.st, AF_INET, SOCK_STREAM, 0, &w.s, w.now) == 0);
	cr_assert(sock_bind(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			    w.now) == 0);
	cr_assert(sock_listen(w.st, w.s, 1, w.now) == 0);
	use_key("secret");
	w.iss = 0;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	listener = w.s;
	w.s = 0; /* its segments are not the listener's */
	expect(RST, 1, 0, 0);
	w.s = listener;
	close_now();
}

Test(tcp_md5, a_child_has_the_key_that_fits_its_peer)
{
	struct ep *e;
	int err;

	open_listener(5);
	cr_assert(set_key("10.0.0.0", "wide", BY_PREFIX, 8) == 0);
	cr_assert(set_key("10.0.0.0", "near", BY_PREFIX, 24) == 0);
	w.key = "near";
	open_passive(PEER_PORT);
	e = tcp_accept(sock_find(w.st, w.s), &err, w.now);
	cr_assert(e && e->auth && e->auth->md5.next == e->auth->md5.prev);
	/* the listener's may go, the child's stays */
	cr_assert(set_key("10.0.0.0", "", BY_PREFIX, 24) == 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	next();
	cr_assert(w.last.flags == ACK && w.last.ack == 11);
	tcp_disconnect(e, w.now);
	next();
	cr_assert(w.last.flags == (RST | ACK));
	e->is_closed = true;
	ep_put(e);
	w.key = NULL;
	close_now();
}

/* packetdrill's md5-only-on-client-ack */
Test(tcp_md5, a_digest_on_the_last_ack_only)
{
	open_listener(5);
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	w.key = "secret";
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	quiet();
	w.key = NULL;
	cr_assert(bits() == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() & EPOLLIN);
	close_now();
}

Test(tcp_md5, timestamps_give_way_to_sack)
{
	open_listener(5);
	use_key("secret");
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .has_ts = true,
	     .ts_val = 1);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.sack_ok && !w.last.has_ts);
	close_now();
	open_listener(5);
	cr_assert(set_key("10.0.0.2", "secret", 0, 0) == 0);
	SEND(.flags = SYN, .mss = MSS, .has_ts = true, .ts_val = 1);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_ts);
	w.key = NULL;
	close_now();
}

Test(tcp_md5, a_signed_syn_cookie)
{
	w.st->sysctl.tcp_syncookies = 2;
	open_listener(5);
	use_key("secret");
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(count(STAT_TcpExtSyncookiesSent) == 1);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() & EPOLLIN);
	w.key = NULL;
	close_now();
}

/* Timestamps stay, for they bring back SACK and the scale; Linux's own SYNs
 * have none beside a digest. */
Test(tcp_md5, a_signed_syn_cookie_with_options)
{
	struct ep *e;
	int err;

	w.st->sysctl.tcp_syncookies = 2;
	w.st->sysctl.tcp_timestamps = 1;
	open_listener(5);
	use_key("secret");
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .has_ts = true,
	     .ts_val = 1, .has_wscale = true, .wscale = 7);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_ts && w.last.sack_ok && w.last.has_wscale);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = w.last.ts_val);
	e = tcp_accept(sock_find(w.st, w.s), &err, w.now);
	cr_assert(e && e->tcp->ts_ok && e->tcp->sack_ok);
	cr_assert(e->tcp->snd_wscale == 7);
	tcp_disconnect(e, w.now);
	skip();
	e->is_closed = true;
	ep_put(e);
	w.key = NULL;
	close_now();
}

/* Two blocks fit beside a digest, not four (RFC 2018 3). */
Test(tcp_md5, sack_blocks_that_fit)
{
	new_sock();
	use_key("secret");
	open_active();
	w.st->sysctl.tcp_comp_sack_nr = 0;
	for (uint32_t i = 1; i < 5; i++) {
		SEND(.flags = ACK, .seq = 1 + 2000 * i, .ack = 1, .len = 500);
		next();
		cr_assert(w.last.num_sack == MIN(i, 2u));
	}
	w.key = NULL;
	close_now();
}

/* The device would copy the digest of a frame into each of its segments. */
Test(tcp_md5, no_frame_is_left_to_the_device)
{
	peer_fini();
	peer_init_tso();
	new_sock();
	use_key("secret");
	open_active();
	cr_assert(put(8000, 0) == 8000);
	for (int i = 0; i < 8; i++) {
		next();
		cr_assert(!w.last.gso_size && w.last.len <= MSS);
	}
	w.key = NULL;
	close_now();
}
