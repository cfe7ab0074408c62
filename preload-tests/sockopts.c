/* SPDX-License-Identifier: MIT
 *
 * sockopts.c - every option that programs use, on TCP, a listener, a
 * connection and UDP, of both families: what it is at first, what setting
 * gives, what is read back
 */
#include "t.h"
#include <netinet/udp.h>

#define VARY 1 /* the value depends on the machine: only its length is told */

struct opt {
	int level, name;
	const char *text;
	int num_values;
	int values[6];
	unsigned flags;
};

#define O(level, name, ...)                                                \
	{                                                                  \
		level, name, #name,                                        \
			(int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), \
			{__VA_ARGS__}, 0                                   \
	}
#define V(level, name, ...)                                                \
	{                                                                  \
		level, name, #name,                                        \
			(int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), \
			{__VA_ARGS__}, VARY                                \
	}

static const struct opt sol_socket[] = {
	O(SOL_SOCKET, SO_REUSEADDR, 1, 5, 0),
	O(SOL_SOCKET, SO_REUSEPORT, 1, 7, 0),
	O(SOL_SOCKET, SO_KEEPALIVE, 1, 9, 0),
	O(SOL_SOCKET, SO_BROADCAST, 1, 0),
	O(SOL_SOCKET, SO_OOBINLINE, 1, 0),
	O(SOL_SOCKET, SO_DONTROUTE, 1, 0),
	O(SOL_SOCKET, SO_NO_CHECK, 1, 0),
	O(SOL_SOCKET, SO_PRIORITY, 6, 0),
	O(SOL_SOCKET, SO_RCVLOWAT, 10, 0, -1, 1),
	O(SOL_SOCKET, SO_TIMESTAMP, 1, 0),
	O(SOL_SOCKET, SO_TIMESTAMPNS, 1, 0),
	O(SOL_SOCKET, SO_MARK, 5, 0),
	O(SOL_SOCKET, SO_BUSY_POLL, 0),
	O(SOL_SOCKET, SO_RXQ_OVFL, 1, 0),
	V(SOL_SOCKET, SO_SNDBUF, 0),
	O(SOL_SOCKET, SO_SNDBUF, 4096, 65536, 1, 0),
	V(SOL_SOCKET, SO_RCVBUF, 0),
	O(SOL_SOCKET, SO_RCVBUF, 4096, 65536, 1, 0),
	O(SOL_SOCKET, SO_SNDLOWAT, 1),
	O(SOL_SOCKET, SO_ERROR, 1),
	O(SOL_SOCKET, SO_TYPE, 1),
	O(SOL_SOCKET, SO_PROTOCOL, 1),
	O(SOL_SOCKET, SO_DOMAIN, 1),
	O(SOL_SOCKET, SO_ACCEPTCONN, 1),
	V(SOL_SOCKET, SO_COOKIE, 1),
	O(SOL_SOCKET, 9999, 1),
};

static const struct opt ip[] = {
	O(IPPROTO_IP, IP_TOS, 16, 255, 0),
	O(IPPROTO_IP, IP_TTL, 5, 0, 256, -1, 64),
	O(IPPROTO_IP, IP_MINTTL, 1, 255, 256, 0),
	O(IPPROTO_IP, IP_MTU_DISCOVER, 0, 1, 2, 3, 6),
	O(IPPROTO_IP, IP_RECVERR, 1, 0),
	O(IPPROTO_IP, IP_PKTINFO, 1, 0),
	O(IPPROTO_IP, IP_RECVTTL, 1, 0),
	O(IPPROTO_IP, IP_RECVTOS, 1, 0),
	O(IPPROTO_IP, IP_RECVOPTS, 1, 0),
	O(IPPROTO_IP, IP_FREEBIND, 1, 0),
	O(IPPROTO_IP, IP_TRANSPARENT, 1, 0),
	O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 0),
	O(IPPROTO_IP, IP_MULTICAST_TTL, 5, -1, 256),
	O(IPPROTO_IP, IP_MULTICAST_LOOP, 0, 1),
	O(IPPROTO_IP, IP_MULTICAST_ALL, 0, 1),
	O(IPPROTO_IP, IP_MTU, 1),
	O(IPPROTO_IP, 9999, 1),
};

static const struct opt ip6[] = {
	O(IPPROTO_IPV6, IPV6_V6ONLY, 1, 0),
	O(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5, 0, 256, -1),
	O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 5, 256, -1),
	O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, 1, 2),
	O(IPPROTO_IPV6, IPV6_TCLASS, 16, 256, -1),
	O(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 0, 1, 2, 3, 6),
	O(IPPROTO_IPV6, IPV6_RECVERR, 1, 0),
	O(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 0),
	O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, 0),
	O(IPPROTO_IPV6, IPV6_RECVTCLASS, 1, 0),
	O(IPPROTO_IPV6, IPV6_DONTFRAG, 1, 0),
	O(IPPROTO_IPV6, IPV6_FREEBIND, 1, 0),
	O(IPPROTO_IPV6, 9999, 1),
};

static const struct opt tcp[] = {
	O(IPPROTO_TCP, TCP_NODELAY, 1, 5, 0),
	O(IPPROTO_TCP, TCP_CORK, 1, 0),
	O(IPPROTO_TCP, TCP_KEEPIDLE, 10, 0, 32767, 32768),
	O(IPPROTO_TCP, TCP_KEEPINTVL, 10, 0, 32768),
	O(IPPROTO_TCP, TCP_KEEPCNT, 3, 0, 127, 128),
	O(IPPROTO_TCP, TCP_SYNCNT, 3, 0, 127, 128),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, -1, 0),
	O(IPPROTO_TCP, TCP_LINGER2, 10, -1, 200, 0),
	O(IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, 5, 0),
	V(IPPROTO_TCP, TCP_WINDOW_CLAMP, 0),
	O(IPPROTO_TCP, TCP_QUICKACK, 1, 0),
	O(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, 0),
	O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1, 2, 0),
	O(IPPROTO_TCP, TCP_SAVE_SYN, 1, 3, 0),
	O(IPPROTO_TCP, TCP_INQ, 1, 2, 0),
	O(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 0),
	O(IPPROTO_TCP, TCP_REPAIR, 0),
	V(IPPROTO_TCP, TCP_MAXSEG, 1000, 10, 65536),
	V(IPPROTO_TCP, TCP_INFO, 1),
	O(IPPROTO_TCP, 9999, 1),
};

static const struct opt udp[] = {
	O(IPPROTO_UDP, UDP_CORK, 1, 0),
	O(IPPROTO_UDP, UDP_NO_CHECK6_TX, 1, 0),
	O(IPPROTO_UDP, UDP_NO_CHECK6_RX, 1, 0),
	O(IPPROTO_UDP, 9999, 1),
};

static const char *value(int fd, const struct opt *o)
{
	static char text[64];
	unsigned char room[512] = {0};
	socklen_t len = o->name == TCP_INFO && o->level == IPPROTO_TCP
				? 8
				: sizeof(room);
	int v;

	if (getsockopt(fd, o->level, o->name, room, &len) < 0) {
		snprintf(text, sizeof(text), "%s", t_err(errno));
		return text;
	}
	memcpy(&v, room, sizeof(v));
	if (len == 1)
		v = room[0];
	if (o->flags & VARY)
		snprintf(text, sizeof(text), "(%u bytes)", len);
	else
		snprintf(text, sizeof(text), "%d (%u bytes)", v, len);
	return text;
}

static void try_opts(int fd, const struct opt *o, size_t num)
{
	for (; num; num--, o++) {
		say("%s: %s", o->text, value(fd, o));
		for (int i = 0; i < o->num_values; i++) {
			int r = setsockopt(fd, o->level, o->name, &o->values[i],
					   sizeof(int));
			const char *res = r < 0 ? t_err(errno) : "ok";

			say("  set %d: %s, then %s", o->values[i], res,
			    value(fd, o));
		}
	}
}

#define TRY(fd, table) try_opts(fd, table, sizeof(table) / sizeof((table)[0]))

static void lengths(int af)
{
	int fd = (int)MUST(socket(af, SOCK_STREAM, 0)), v = 1;
	unsigned char room[16];
	socklen_t len;
	struct linger l = {1, 7};
	char name[32];

	for (socklen_t n = 0; n <= 5; n++) {
		say("len %u", n);
		CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, n));
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, n));
		if (af == AF_INET)
			CALL(setsockopt(fd, IPPROTO_IP, IP_TOS, &v, n));
		memset(room, 0xee, sizeof(room));
		len = n;
		CALL(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, room, &len));
		say("%u bytes, then %#x", len, room[n < 4 ? n : 4]);
		len = n;
		CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, room, &len));
	}
	len = (socklen_t)-1;
	CALL(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, room, &len));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, room, &len));
	CALL(setsockopt(fd, 12345, 1, &v, sizeof(v)));
	len = sizeof(v);
	CALL(getsockopt(fd, 12345, 1, &v, &len));
	CALL(setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
	CALL(setsockopt(1, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));

	CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l) - 1));
	CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	l = (struct linger){0, 0};
	len = sizeof(l);
	CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("linger %d %d", l.l_onoff, l.l_linger);

	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(name);
	memset(name, 0, sizeof(name));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say("congestion control %s, %u bytes", name, len);
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
	close(fd);
}

/* The kernel's, which goes on where libc's ends. */
struct long_info {
	struct tcp_info i;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
};

static struct long_info long_info_of(int fd)
{
	struct long_info i = {.bytes_acked = 0};
	socklen_t len = sizeof(i);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return i;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return i;
}

/* What TCP_INFO says of a connection that moved some bytes. */
static void info(const struct t_fam *f)
{
	int fd = t_connected(f, 0), lfd = t_listener(f, 5), mss, v;
	struct long_info li;
	struct tcp_info i;
	socklen_t len = sizeof(mss);
	char buf[4000];

	for (size_t k = 0; k < sizeof(buf); k++)
		buf[k] = (char)(k % 251);
	CALL(send(fd, buf, sizeof(buf), 0));
	peer("recv 0 4000");
	peer("send 0 1000");
	t_wait_bytes(fd, 1000);
	for (int k = 0; k < T_PATIENCE && (ioctl(fd, TIOCOUTQ, &v), v); k++)
		poll(NULL, 0, 1);
	i = info_of(fd);
	/* a tail loss probe, when the machine is busy */
	say("state %d ca %d retransmits %d unacked %u lost %u retrans %s",
	    i.tcpi_state, i.tcpi_ca_state, i.tcpi_retransmits, i.tcpi_unacked,
	    i.tcpi_lost, i.tcpi_total_retrans <= 1 ? "few" : "many");
	say("options %#x wscale %d", i.tcpi_options, i.tcpi_snd_wscale > 0);
	say("rtt %s, rto %s, cwnd %s, pmtu %u",
	    i.tcpi_rtt > 0 && i.tcpi_rtt < 1000000 ? "sane" : "odd",
	    i.tcpi_rto >= 200000 && i.tcpi_rto <= 3000000 ? "sane" : "odd",
	    i.tcpi_snd_cwnd >= 10 ? "sane" : "odd", i.tcpi_pmtu);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &len));
	say("mss %d, snd_mss %u", mss, i.tcpi_snd_mss);
	li = long_info_of(fd);
	say("acked %llu received %llu", (unsigned long long)li.bytes_acked,
	    (unsigned long long)li.bytes_received);
	peer("shut 0 1");
	t_settle(fd, POLLRDHUP);
	say("state %d", info_of(fd).tcpi_state);
	shutdown(fd, SHUT_WR);
	t_settle(fd, POLLHUP);
	i = info_of(lfd);
	say("listener: state %d queue %u of %u", i.tcpi_state, i.tcpi_unacked,
	    i.tcpi_sacked);
	peer_quiet("connect 1 %d %d", f->n, t_local_port(lfd));
	t_settle(lfd, POLLIN);
	i = info_of(lfd);
	say("listener: queue %u of %u", i.tcpi_unacked, i.tcpi_sacked);
	close(fd);
	close(lfd);
	peer("close 0");
	peer("close 1");
}

/* What an accepted socket has from its listener. */
static void inherited(const struct t_fam *f)
{
	int lfd = t_listener(f, 1), fd, v = 1;
	socklen_t len = sizeof(v);
	static const struct opt some[] = {
		O(SOL_SOCKET, SO_KEEPALIVE, 1),
		O(SOL_SOCKET, SO_REUSEADDR, 1),
		O(IPPROTO_TCP, TCP_NODELAY, 1),
		O(IPPROTO_TCP, TCP_KEEPIDLE, 33),
		O(IPPROTO_TCP, TCP_USER_TIMEOUT, 4444),
		O(SOL_SOCKET, SO_RCVLOWAT, 2),
		O(SOL_SOCKET, SO_OOBINLINE, 1),
	};

	TRY(lfd, some);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		say("inherited %s: %s", some[i].text, value(fd, &some[i]));
	MUST(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	say("SO_ACCEPTCONN %d", v);
	close(fd);
	close(lfd);
	peer("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];
		int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

		say("-- IPv%d", f->n);
		TRY(fd, sol_socket);
		TRY(fd, ip);
		TRY(fd, ip6);
		TRY(fd, tcp);
		TRY(fd, udp);
		close(fd);
		say("- connected");
		fd = t_connected(f, 0);
		TRY(fd, ip);
		TRY(fd, ip6);
		TRY(fd, tcp);
		close(fd);
		peer("close 0");
		say("- UDP");
		fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
		TRY(fd, sol_socket);
		TRY(fd, ip);
		TRY(fd, ip6);
		TRY(fd, tcp);
		TRY(fd, udp);
		close(fd);
		lengths(f->af);
		info(f);
		inherited(f);
	}
	return 0;
}
