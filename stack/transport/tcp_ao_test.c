/* SPDX-License-Identifier: MIT
 *
 * TCP-AO (RFC 5925): handshakes, keys that change, what is dropped, what is
 * answered.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "sock/uapi.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

static struct peer_ao ao;

static void begin(void)
{
	ao = (struct peer_ao){0};
	peer_init();
}

TestSuite(tcp_ao, .init = begin, .fini = peer_fini);

/* --- options --- */

static void set_addr(struct sockaddr_storage *ss, const char *ip)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct ip_addr a;

	cr_assert(ip_addr_parse(ip, &a) == 0);
	memcpy(&sin.sin_addr, a.b + 12, 4);
	memset(ss, 0, sizeof(*ss));
	memcpy(ss, &sin, sizeof(sin));
}

static struct uapi_ao_add new_key(const char *ip, uint8_t prefix, uint8_t sndid,
				  uint8_t rcvid, const char *key)
{
	struct uapi_ao_add v = {.alg_name = "hmac(sha1)",
				.prefix = prefix,
				.sndid = sndid,
				.rcvid = rcvid};

	set_addr(&v.addr, ip);
	v.keylen = (uint8_t)strlen(key);
	memcpy(v.key, key, v.keylen);
	return v;
}

static int add(const struct uapi_ao_add *v)
{
	return sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_ADD_KEY, v,
			   sizeof(*v), w.now);
}

static int add_key(const char *ip, uint8_t prefix, uint8_t sndid, uint8_t rcvid,
		   const char *key)
{
	struct uapi_ao_add v = new_key(ip, prefix, sndid, rcvid, key);

	return add(&v);
}

static int del(struct uapi_ao_del v, uint8_t sndid, uint8_t rcvid)
{
	set_addr(&v.addr, "10.0.0.2");
	v.prefix = 32;
	v.sndid = sndid;
	v.rcvid = rcvid;
	return sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_DEL_KEY, &v,
			   sizeof(v), w.now);
}

static int set_info(struct uapi_ao_info v)
{
	return sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_INFO, &v, sizeof(v),
			   w.now);
}

static struct uapi_ao_info info(void)
{
	struct uapi_ao_info v = {0};
	socklen_t len = sizeof(v);

	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_AO_INFO, &v, &len,
			      w.now) == 0);
	return v;
}

static int set_md5(const char *ip)
{
	struct tcp_md5sig m = {.tcpm_keylen = 1, .tcpm_key = "k"};

	set_addr(&m.tcpm_addr, ip);
	return sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m),
			   w.now);
}

/* The peer's key number @i, and the socket's for it: 100 + i goes out, 200 + i
 * comes in. */
static void both_have(unsigned i, const char *key)
{
	struct tcp_ao_key *k = &ao.key[i];

	*k = (struct tcp_ao_key){.maclen = 12,
				 .sndid = (uint8_t)(200 + i),
				 .rcvid = (uint8_t)(100 + i)};
	k->len = (uint8_t)strlen(key);
	memcpy(k->v, key, k->len);
	cr_assert(add_key("10.0.0.2", 32, (uint8_t)(100 + i),
			  (uint8_t)(200 + i), key) == 0);
	w.ao = &ao;
}

static void open_signed(void)
{
	new_sock();
	both_have(0, "first");
	open_active();
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

static struct ep *accept_child(void)
{
	int err;
	struct ep *e = tcp_accept(sock_find(w.st, w.s), &err, w.now);

	cr_assert(e);
	return e;
}

static void drop_child(struct ep *e)
{
	tcp_disconnect(e, w.now);
	skip();
	e->is_closed = true;
	ep_put(e);
}

/* --- keys --- */

Test(tcp_ao, keys_of_a_closed_socket)
{
	struct uapi_ao_add v;

	new_sock();
	cr_assert(add_key("10.0.0.2", 32, 1, 1, "a") == 0);
	cr_assert(add_key("10.0.0.2", 32, 1, 2, "a") == -EEXIST);
	cr_assert(add_key("10.0.0.2", 32, 2, 1, "a") == -EEXIST);
	cr_assert(add_key("10.0.0.0", 24, 2, 1, "a") == -EEXIST);
	cr_assert(add_key("0.0.0.0", 0, 2, 1, "a") == -EEXIST);
	cr_assert(add_key("10.0.1.0", 24, 1, 1, "a") == 0);
	cr_assert(add_key("10.0.0.2", 24, 9, 9, "a") == -EINVAL);
	cr_assert(add_key("10.0.0.2", 33, 9, 9, "a") == -EINVAL);
	cr_assert(add_key("10.0.0.2", 0, 9, 9, "a") == -EINVAL);
	cr_assert(add_key("0.0.0.0", 8, 9, 9, "a") == -EINVAL);
	v = new_key("10.0.0.2", 32, 9, 9, "a");
	v.reserved = 1;
	cr_assert(add(&v) == -EINVAL);
	v = new_key("10.0.0.2", 32, 9, 9, "a");
	v.keyflags = 4;
	cr_assert(add(&v) == -EINVAL);
	v = new_key("10.0.0.2", 32, 9, 9, "a");
	v.maclen = 17;
	cr_assert(add(&v) == -EMSGSIZE);
	v.maclen = 16;
	strcpy(v.alg_name, "hmac(rot13)");
	cr_assert(add(&v) == -ENOENT);
	strcpy(v.alg_name, "cmac(aes)");
	cr_assert(add(&v) == -EINVAL);
	strcpy(v.alg_name, "cmac(aes128)");
	cr_assert(add(&v) == 0);
	v.keylen = 81;
	cr_assert(add(&v) == -EINVAL);
	cr_assert(del((struct uapi_ao_del){.del_async = 1}, 1, 1) == -EINVAL);
	cr_assert(del((struct uapi_ao_del){0}, 1, 2) == -ENOENT);
	cr_assert(del((struct uapi_ao_del){0}, 1, 1) == 0);
	cr_assert(del((struct uapi_ao_del){0}, 1, 1) == -ENOENT);
	close_now();
}

Test(tcp_ao, keys_are_shown)
{
	struct uapi_ao_get v = {.get_all = 1};
	struct uapi_ao_add cmac = new_key("10.0.0.2", 32, 3, 4, "testvector");
	unsigned i;

	new_sock();
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == -ENOENT);
	cr_assert(add_key("10.0.0.0", 24, 1, 2, "abc") == 0);
	strcpy(cmac.alg_name, "cmac(aes128)");
	cmac.set_current = 1;
	cmac.keyflags = TCP_AO_F_NO_OPTS;
	cr_assert(add(&cmac) == 0);
	for (i = 0; i < 2; i++) {
		struct uapi_ao_get all = {.get_all = 1};

		cr_assert(sock_ao_key(w.st, w.s, &all, sizeof(all), i, &v) ==
			  2);
		cr_assert(v.sndid == (i ? 1 : 3) && v.rcvid == (i ? 2 : 4));
		cr_assert(v.prefix == (i ? 24 : 32) && v.maclen == 12);
		cr_assert(v.is_current == !i && !v.is_rnext);
		/* that of RFC 5926 3.1.1.2 has 16 bytes, whatever it was */
		cr_assert(v.keylen == (i ? 3 : 16));
		cr_assert_str_eq(v.alg_name, i ? "hmac(sha1)" : "cmac(aes)");
	}
	v = (struct uapi_ao_get){.prefix = 32, .sndid = 1, .rcvid = 2};
	set_addr(&v.addr, "10.0.0.77");
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == 0);
	v = (struct uapi_ao_get){.prefix = 24, .sndid = 1, .rcvid = 2};
	set_addr(&v.addr, "10.0.0.0");
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == 1);
	v = (struct uapi_ao_get){.is_current = 1};
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == 1);
	v = (struct uapi_ao_get){.is_current = 1, .get_all = 1};
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == -EINVAL);
	v = (struct uapi_ao_get){0};
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) ==
		  -EAFNOSUPPORT);
	close_now();
}

static int add_key6(const char *ip, uint8_t prefix, uint8_t id)
{
	struct uapi_ao_add v = new_key("0.0.0.0", prefix, id, id, "key");
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	struct ip_addr a;

	cr_assert(ip_addr_parse(ip, &a) == 0);
	memcpy(&sin6.sin6_addr, a.b, 16);
	memcpy(&v.addr, &sin6, sizeof(sin6));
	return add(&v);
}

/* A mapped address is an IPv4 one, but has to be some host or net. */
Test(tcp_ao, keys_of_an_ipv6_socket)
{
	struct uapi_ao_get v = {.get_all = 1};
	struct sockaddr_in sin;

	cr_assert(sock_new(w.st, AF_INET6, SOCK_STREAM, 0, &w.s, w.now) == 0);
	cr_assert(add_key("10.0.0.2", 32, 1, 1, "key") == -EINVAL);
	cr_assert(add_key6("fd00::2", 129, 1) == -EINVAL);
	cr_assert(add_key6("fd00::2", 64, 1) == -EINVAL);
	cr_assert(add_key6("fd00::", 64, 1) == 0);
	cr_assert(add_key6("fd00::2", 128, 1) == -EEXIST);
	cr_assert(add_key6("::", 0, 1) == -EEXIST);
	cr_assert(add_key6("10.0.0.2", 33, 1) == -EINVAL);
	cr_assert(add_key6("10.0.0.2", 24, 1) == -EINVAL);
	cr_assert(add_key6("10.0.0.2", 0, 1) == -EINVAL);
	cr_assert(add_key6("10.0.0.0", 24, 1) == 0); /* others' numbers */
	cr_assert(sock_ao_key(w.st, w.s, &v, sizeof(v), 0, &v) == 2);
	memcpy(&sin, &v.addr, sizeof(sin));
	cr_assert(sin.sin_family == AF_INET && v.prefix == 24);
	cr_assert(sin.sin_addr.s_addr == htonl(0x0a000000));
	close_now();
}

Test(tcp_ao, no_peer_has_keys_of_both_kinds)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT),
				  .sin_addr = {htonl(0x0a000002)}};

	new_sock();
	cr_assert(set_md5("10.0.0.2") == 0);
	cr_assert(add_key("10.0.0.2", 32, 1, 1, "a") == -EKEYREJECTED);
	cr_assert(set_info((struct uapi_ao_info){.ao_required = 1}) ==
		  -EKEYREJECTED);
	/* seen only when the peer is known */
	cr_assert(add_key("10.0.0.0", 8, 1, 1, "a") == 0);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == -EKEYREJECTED);
	close_now();
	new_sock();
	cr_assert(add_key("10.0.0.3", 32, 1, 1, "a") == 0);
	cr_assert(set_md5("10.0.0.3") == -EKEYREJECTED);
	cr_assert(set_md5("10.0.0.2") == 0);
	w.key = "k";
	open_active();
	w.key = NULL;
	close_now();
	new_sock();
	cr_assert(add_key("10.0.0.3", 32, 1, 1, "a") == 0);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == -EKEYREJECTED);
	close_now();
}

/* --- connections --- */

Test(tcp_ao, a_connection_from_syn_to_time_wait)
{
	new_sock();
	both_have(0, "secret");
	w.sysctl.tcp_timestamps = 1;
	open_active();
	cr_assert(ao.saw == 100 && ao.saw_rnext == 200);
	cr_assert(put(1500, 0) == 1500);
	expect(ACK, 1, 1, MSS - 16); /* the option counts */
	expect(PSH | ACK, MSS - 15, 1, 1500 - (MSS - 16));
	SEND(.flags = ACK, .seq = 1, .ack = 1501);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1501, .len = 300);
	expect(ACK, 1501, 301, 0);
	cr_assert(get(1000, 0) == 300);
	cr_assert(info().pkt_good == 3);
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
	cr_assert(count(STAT_TcpExtTCPAOGood) == 4);
}

Test(tcp_ao, whatever_the_algorithm_and_the_length)
{
	static const uint8_t lens[] = {4, 10, 12, 16};

	for (unsigned i = 0; i < 8; i++) {
		struct uapi_ao_add v = new_key("10.0.0.2", 32, 1, 2, "key");
		struct tcp_ao_key *k = &ao.key[0];

		new_sock();
		strcpy(v.alg_name, i < 4 ? "hmac(sha1)" : "cmac(aes128)");
		v.maclen = lens[i % 4];
		v.keyflags = i & 1 ? TCP_AO_F_NO_OPTS : 0;
		cr_assert(add(&v) == 0);
		*k = (struct tcp_ao_key){.alg = i < 4 ? TCP_AO_HMAC_SHA1
						      : TCP_AO_AES_CMAC,
					 .maclen = v.maclen,
					 .flags = v.keyflags,
					 .sndid = 2,
					 .rcvid = 1,
					 .len = 3,
					 .v = "key"};
		tcp_ao_fold_key(k);
		w.ao = &ao;
		w.has_iss = false;
		open_active();
		cr_assert(put(100, 0) == 100);
		expect(PSH | ACK, 1, 1, 100);
		close_now();
		pass(SEC);
	}
}

Test(tcp_ao, resent_data_is_signed_too)
{
	open_signed();
	cr_assert(put(100, 0) == 100);
	expect(PSH | ACK, 1, 1, 100);
	pass(300 * MSEC);
	expect(PSH | ACK, 1, 1, 100); /* the loss probe or the timeout */
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	pass(SEC);
	quiet();
	close_now();
}

Test(tcp_ao, without_the_option_nothing_is_heard)
{
	open_signed();
	w.ao = NULL;
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	SEND(.flags = RST, .seq = 1);
	quiet();
	cr_assert(count(STAT_TcpExtTCPAORequired) == 2);
	w.ao = &ao;
	ao.is_wrong = true;
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	quiet();
	ao.is_wrong = false;
	ao.key[0].sndid = 77;
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	ao.key[0].sndid = 200;
	ao.key[0].maclen = 8;
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	ao.key[0].maclen = 12;
	quiet();
	cr_assert(info().pkt_bad == 2 && info().pkt_key_not_found == 1 &&
		  info().pkt_ao_required == 2);
	cr_assert(count(STAT_TcpExtTCPAOBad) == 2);
	cr_assert(count(STAT_TcpExtTCPAOKeyNotFound) == 1);
	cr_assert(dropped(DROP_TCP_AUTH) == 5);
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	SEND(.flags = RST | ACK, .seq = 1, .ack = 1);
	cr_assert(conn()->state == TCPS_CLOSED && sock_err() == ECONNRESET);
	close_now();
}

Test(tcp_ao, an_option_that_nobody_asked_for)
{
	open_active();
	w.ao = &ao;
	ao.key[0].maclen = 12;
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	quiet();
	cr_assert(count(STAT_TcpExtTCPAOKeyNotFound) == 1);
	w.ao = NULL;
	close_now();
}

/* A segment of an earlier connection between the same ports, recorded: other
 * initial numbers, so another traffic key. */
Test(tcp_ao, old_segments_say_nothing)
{
	uint32_t iss;

	open_signed();
	iss = w.iss;
	close_now();
	pass(SEC);
	w.has_iss = false;
	open_signed();
	cr_assert(w.iss != iss);
	w.irs += 1000; /* as it was signed */
	SEND(.flags = PSH | ACK, .seq = 1 - 1000u, .ack = 1, .len = 10);
	w.irs -= 1000;
	quiet();
	cr_assert(count(STAT_TcpExtTCPAOBad) == 1);
	close_now();
}

/* --- keys that change (RFC 5925 6.1) --- */

Test(tcp_ao, the_peer_asks_for_another_key)
{
	open_signed();
	both_have(1, "second");
	cr_assert(info().current_key == 100 && info().rnext == 200);
	cr_assert(put(100, 0) == 100);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(ao.saw == 100);
	/* its ACK says so; in flight is what the old one signed */
	ao.ask = 1;
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	cr_assert(info().current_key == 101 && info().rnext == 200);
	cr_assert(put(100, 0) == 100);
	expect(PSH | ACK, 101, 1, 100);
	cr_assert(ao.saw == 101 && ao.saw_rnext == 200);
	/* we ask too: until the peer does so, its old key is as good */
	cr_assert(set_info((struct uapi_ao_info){.set_rnext = 1,
						 .rnext = 201}) == 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 201, .len = 10);
	expect(ACK, 201, 11, 0);
	cr_assert(ao.saw == 101 && ao.saw_rnext == 201);
	ao.use = 1;
	SEND(.flags = PSH | ACK, .seq = 11, .ack = 201, .len = 10);
	expect(ACK, 201, 21, 0);
	/* late: signed with the old one, asking for it */
	ao.use = ao.ask = 0;
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 201, .len = 10);
	cr_assert(info().current_key == 100);
	ao.use = ao.ask = 1;
	skip();
	SEND(.flags = PSH | ACK, .seq = 21, .ack = 201, .len = 10);
	cr_assert(info().current_key == 101);
	skip();
	cr_assert(count(STAT_TcpExtTCPAOBad) == 0);
	/* what is not used any more may go, what is may not */
	cr_assert(del((struct uapi_ao_del){0}, 101, 201) == -EBUSY);
	cr_assert(del((struct uapi_ao_del){0}, 100, 200) == 0);
	ao.use = 0;
	SEND(.flags = PSH | ACK, .seq = 31, .ack = 201, .len = 10);
	quiet();
	cr_assert(count(STAT_TcpExtTCPAOKeyNotFound) == 1);
	close_now();
}

Test(tcp_ao, a_key_is_removed_by_force)
{
	struct uapi_ao_del v = {.set_current = 1, .set_rnext = 1};

	open_signed();
	both_have(1, "second");
	v.current_key = 99;
	cr_assert(del(v, 100, 200) == -ENOENT);
	v.current_key = 101;
	v.rnext = 201;
	cr_assert(del(v, 100, 200) == 0);
	cr_assert(info().current_key == 101 && info().rnext == 201);
	cr_assert(put(10, 0) == 10);
	expect(PSH | ACK, 1, 1, 10);
	cr_assert(ao.saw == 101 && ao.saw_rnext == 201);
	close_now();
}

/* Room for what a longer MAC takes is found again at once. */
Test(tcp_ao, a_longer_mac_makes_segments_shorter)
{
	struct uapi_ao_add v;

	open_signed();
	v = new_key("10.0.0.2", 32, 101, 201, "second");
	v.maclen = 16;
	v.set_current = 1;
	cr_assert(add(&v) == 0);
	ao.key[1] = ao.key[0];
	ao.key[1].sndid = 201;
	ao.key[1].rcvid = 101;
	ao.key[1].maclen = 16;
	ao.key[1].len = 6;
	memcpy(ao.key[1].v, "second", 6);
	cr_assert(put(2000, 0) == 2000);
	expect(ACK, 1, 1, MSS - 20);
	skip();
	close_now();
}

/* --- sequence numbers that begin again --- */

Test(tcp_ao, the_peers_numbers_begin_again)
{
	w.irs = 0xffffff00;
	open_signed();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 200);
	expect(ACK, 1, 201, 0);
	SEND(.flags = PSH | ACK, .seq = 301, .ack = 1, .len = 200); /* beyond */
	expect(ACK, 1, 201, 0);
	SEND(.flags = PSH | ACK, .seq = 201, .ack = 1, .len = 100); /* over 0 */
	expect(ACK, 1, 501, 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 200); /* before */
	expect(ACK, 1, 501, 0);
	cr_assert(get(1000, 0) == 500);
	cr_assert(count(STAT_TcpExtTCPAOBad) == 0);
	close_now();
}

static void set_seq(int queue, uint32_t seq)
{
	cr_assert(set_opt(IPPROTO_TCP, TCP_REPAIR_QUEUE, queue) == 0);
	cr_assert(set_opt(IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq) == 0);
}

/* Taken down elsewhere after 3.5 GB, set up here; then ours begin again. */
Test(tcp_ao, repaired_and_our_numbers_begin_again)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT),
				  .sin_addr = {htonl(0x0a000002)}};
	struct uapi_ao_repair r = {.snt_isn = htonl(0x20000000),
				   .rcv_isn = htonl(7)};
	struct tcp_repair_win win = {1000, 5000, 5000, 5000, 1000};
	socklen_t len = sizeof(r);

	new_sock();
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_REPAIR, &r,
			      sizeof(r), w.now) == -EPERM);
	cr_assert(set_opt(IPPROTO_TCP, TCP_REPAIR, 1) == 0);
	set_seq(TCP_REPAIR_SEND, 0xffffff80);
	set_seq(TCP_REPAIR_RECV, 1000);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == 0);
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_REPAIR, &r,
			      sizeof(r), w.now) == -ENOENT);
	both_have(0, "secret");
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_AO_REPAIR, &r,
			      sizeof(r), w.now) == 0);
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win,
			      sizeof(win), w.now) == 0);
	cr_assert(set_opt(IPPROTO_TCP, TCP_REPAIR, -1) == 0);
	w.iss = 0x20000000;
	w.irs = 7;
	cr_assert(put(100, 0) == 100);
	expect(PSH | ACK, 0xdfffff80, 993, 100);
	SEND(.flags = ACK, .seq = 993, .ack = 0xdfffff80 + 100);
	cr_assert(put(100, 0) == 100); /* over 0 */
	expect(PSH | ACK, 0xdfffff80 + 100, 993, 100);
	SEND(.flags = ACK, .seq = 993, .ack = 0xdfffff80 + 200);
	cr_assert(put(100, 0) == 100);
	expect(PSH | ACK, 0xdfffff80 + 200, 993, 100);
	SEND(.flags = ACK, .seq = 993, .ack = 0xdfffff80 + 300);
	cr_assert(count(STAT_TcpExtTCPAOGood) == 3);
	cr_assert(set_opt(IPPROTO_TCP, TCP_REPAIR, 1) == 0);
	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_AO_REPAIR, &r, &len,
			      w.now) == 0);
	cr_assert(r.snt_isn == htonl(0x20000000) && r.rcv_isn == htonl(7));
	cr_assert(r.snd_sne == 1 && r.rcv_sne == 0);
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	skip();
}

/* --- listeners --- */

Test(tcp_ao, a_child_has_the_keys_that_fit_its_peer)
{
	const struct tcp_ao *own;
	struct ep *e;

	open_listener(5);
	cr_assert(add_key("10.0.3.0", 24, 1, 1, "other") == 0);
	both_have(0, "first");
	both_have(1, "second");
	cr_assert(set_info((struct uapi_ao_info){.accept_icmps = 1}) == 0);
	cr_assert(set_info((struct uapi_ao_info){.set_rnext = 1}) == -EINVAL);
	ao.ask = 1;
	open_passive(PEER_PORT);
	cr_assert(ao.saw == 101 && ao.saw_rnext == 200);
	e = accept_child();
	own = tcp_ao_of(e);
	cr_assert(own && own->accept_icmps && !own->required);
	cr_assert(own->current->sndid == 101 && own->rnext->rcvid == 200);
	cr_assert(!tcp_ao_pick(own, 1, TCP_AO_ANY));
	/* the listener's may go, the child's stay */
	cr_assert(del((struct uapi_ao_del){.del_async = 1}, 100, 200) == 0);
	cr_assert(del((struct uapi_ao_del){0}, 101, 201) == 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	next();
	cr_assert(w.last.flags == ACK && w.last.ack == 11);
	tcp_disconnect(e, w.now);
	next();
	cr_assert(w.last.flags == (RST | ACK));
	e->is_closed = true;
	ep_put(e);
	w.ao = NULL;
	close_now();
}

Test(tcp_ao, who_may_come_without)
{
	struct ep *e;

	open_listener(5);
	both_have(0, "first");
	w.ao = NULL;
	SEND(.flags = SYN, .mss = MSS);
	quiet();
	cr_assert(count(STAT_TcpExtTCPAORequired) == 1);
	close_now();
	/* the key is somebody else's */
	open_listener(5);
	cr_assert(add_key("10.0.0.3", 32, 1, 1, "a") == 0);
	w.has_iss = false;
	open_passive(PEER_PORT);
	e = accept_child();
	cr_assert(!tcp_ao_of(e));
	drop_child(e);
	cr_assert(set_info((struct uapi_ao_info){.ao_required = 1}) == 0);
	cr_assert(set_md5("10.0.0.9") == -EKEYREJECTED);
	SEND(.flags = SYN, .mss = MSS);
	quiet();
	cr_assert(count(STAT_TcpExtTCPAORequired) == 2);
	cr_assert(info().pkt_ao_required == 1);
	close_now();
}

/* RFC 5925 7.4.1: it is settled by the first segment. */
Test(tcp_ao, a_handshake_goes_on_as_it_began)
{
	open_listener(5);
	both_have(0, "first");
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	w.ao = NULL;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() == 0);
	w.ao = &ao;
	ao.is_wrong = true;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() == 0 && count(STAT_TcpExtTCPAOBad) == 2);
	ao.is_wrong = false;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() & EPOLLIN);
	close_now();
}

/* The key is gone in the middle of a handshake: no child, no answer. */
Test(tcp_ao, the_key_of_a_handshake_is_removed)
{
	open_listener(5);
	both_have(0, "first");
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(del((struct uapi_ao_del){0}, 100, 200) == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(bits() == 0 && count(STAT_TcpExtTCPAOKeyNotFound) == 1);
	pass(5 * SEC);
	quiet();
	close_now();
}

Test(tcp_ao, a_signed_syn_cookie)
{
	struct ep *e;

	w.st->sysctl.tcp_syncookies = 2;
	w.sysctl.tcp_timestamps = 1;
	open_listener(5);
	both_have(0, "first");
	both_have(1, "second");
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .has_ts = true,
	     .ts_val = 1, .has_wscale = true, .wscale = 7);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(count(STAT_TcpExtSyncookiesSent) == 1);
	cr_assert(w.last.has_ts && w.last.sack_ok && w.last.has_wscale);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = w.last.ts_val);
	cr_assert(bits() & EPOLLIN);
	e = accept_child();
	cr_assert(tcp_ao_of(e) && e->tcp->sack_ok && e->tcp->snd_wscale == 7);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10, .has_ts = true,
	     .ts_val = 3, .ts_ecr = w.last.ts_val);
	next();
	cr_assert(w.last.ack == 11);
	drop_child(e);
	w.ao = NULL;
	close_now();
}

/* --- resets and errors --- */

/* A reset that can't be signed would be believed by nobody. */
Test(tcp_ao, no_reset_where_nothing_is_known)
{
	new_sock();
	close_now();
	w.ao = &ao;
	ao.key[0].maclen = 12;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	SEND(.flags = SYN, .seq = 0);
	quiet();
	w.ao = NULL;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	next();
	cr_assert(w.last.flags == RST);
}

Test(tcp_ao, a_wrong_ack_of_a_handshake_is_reset)
{
	open_listener(5);
	both_have(0, "first");
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 5);
	expect(RST, 5, 0, 0);
	cr_assert(ao.saw == 100 && ao.saw_rnext == 200);
	close_now();
}

Test(tcp_ao, data_for_a_closed_socket_is_reset)
{
	open_signed();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	next();
	cr_assert(w.last.flags & RST);
}

/* RFC 5925 7.8 */
Test(tcp_ao, hard_errors_of_icmp)
{
	new_sock();
	both_have(0, "first");
	open_active();
	set_opt(IPPROTO_IP, IP_RECVERR, 1);
	cr_assert(put(100, 0) == 100);
	skip();
	send_unreach(3, 0, 1);
	send_unreach(4, 600, 1);
	cr_assert(sock_err() == 0 && conn()->pmtu == 1500);
	cr_assert(count(STAT_TcpExtTCPAODroppedIcmps) == 2);
	cr_assert(info().pkt_dropped_icmp == 2);
	cr_assert(set_info((struct uapi_ao_info){.accept_icmps = 1}) == 0);
	send_unreach(4, 600, 1);
	cr_assert(conn()->pmtu == 600);
	send_unreach(3, 0, 1);
	cr_assert(sock_err() == ECONNREFUSED);
	cr_assert(set_info((struct uapi_ao_info){.set_counters = 1}) == 0);
	cr_assert(info().pkt_dropped_icmp == 0 && info().pkt_good == 0);
	skip();
	close_now();
}

/* While it connects it may be told, as in Linux. */
Test(tcp_ao, connecting_is_refused_by_icmp)
{
	new_sock();
	both_have(0, "first");
	open_with(NULL);
	send_unreach(3, 0, 0);
	cr_assert(sock_err() == ECONNREFUSED);
	close_now();
}

/* --- options that make no sense --- */

static bool is_bad(const uint8_t *opts, unsigned len)
{
	uint8_t head[TCP_HLEN + TCP_MAX_OPTS] = {0};
	struct ip_addr a = {0};
	struct tcp_repr r;

	memset(head + TCP_HLEN, 1, TCP_MAX_OPTS);
	memcpy(head + TCP_HLEN, opts, len);
	head[12] = sizeof(head) / 4 << 4;
	cr_assert(tcp_parse(&r, &a, &a, head, sizeof(head), CSUM_VALID) ==
		  DROP_NONE);
	return r.auth_bad;
}

Test(tcp_ao, two_signatures_are_none)
{
	static const uint8_t md5[18] = {19, 18}, ao12[16] = {29, 16, 1, 1};
	uint8_t both[34];

	cr_assert(!is_bad(ao12, 16) && !is_bad(md5, 18));
	memcpy(both, ao12, 16);
	memcpy(both + 16, md5, 18);
	cr_assert(is_bad(both, 34));
	memcpy(both + 16, ao12, 16);
	cr_assert(is_bad(both, 32));
	memcpy(both, md5, 18);
	memcpy(both + 18, ao12, 16);
	cr_assert(is_bad(both, 34));
	/* no MAC in it */
	cr_assert(is_bad((const uint8_t[]){29, 4, 1, 1}, 4));
	cr_assert(is_bad((const uint8_t[]){29, 2}, 2));
}

/* --- room --- */

/* One block beside timestamps, two without (RFC 5925 7.6). */
Test(tcp_ao, sack_blocks_that_fit)
{
	for (int ts = 0; ts < 2; ts++) {
		new_sock();
		both_have(0, "first");
		w.st->sysctl.tcp_timestamps = ts;
		w.st->sysctl.tcp_comp_sack_nr = 0;
		w.has_iss = false;
		open_with(&(struct peer_seg){.flags = SYN | ACK,
					     .ack = 1,
					     .mss = MSS,
					     .sack_ok = true,
					     .has_ts = ts,
					     .ts_val = 1});
		for (uint32_t i = 1; i < 5; i++) {
			SEND(.flags = ACK, .seq = 1 + 2000 * i, .ack = 1,
			     .len = 500, .has_ts = ts, .ts_val = 2);
			next();
			cr_assert(w.last.num_sack == (ts ? 1 : MIN(i, 2u)));
			cr_assert(w.last.has_ts == ts);
		}
		close_now();
		pass(SEC);
	}
}

/* The device would copy the MAC of a frame into each of its segments. */
Test(tcp_ao, no_frame_is_left_to_the_device)
{
	peer_fini();
	peer_init_tso();
	open_signed();
	cr_assert(put(8000, 0) == 8000);
	for (int i = 0; i < 8; i++) {
		next();
		cr_assert(!w.last.gso_size && w.last.len <= MSS);
	}
	skip();
	close_now();
}
