/* SPDX-License-Identifier: MIT
 *
 * tcp_info.c - every field of TCP_INFO, beside the kernel's, while a connection
 * is made, sends, receives, waits for a reader and ends
 *
 * Times differ from run to run: they are told as "none", "some" or as an order.
 * Both ends use Reno, a path of 1500 bytes and the same buffers.
 */
#include "t.h"

#include <linux/sockios.h>

/* As of Linux 6.18; libc's struct ends at total_retrans. */
struct info {
	uint8_t state, ca_state, retransmits, probes, backoff, options;
	uint8_t snd_wscale : 4, rcv_wscale : 4;
	uint8_t app_limited : 1, fastopen_fail : 2;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd;
	uint32_t advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in;
	uint32_t notsent, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
	uint16_t total_rto, total_rto_recoveries;
	uint32_t total_rto_time;
};

/* What the peer expects (peer.c). */
static void fill(char *buf, size_t n, uint64_t off)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)((off + i) % 251);
}

static struct info get(int fd)
{
	struct info i;
	socklen_t len = sizeof(i);

	memset(&i, 0, sizeof(i));
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return i;
}

static const char *some(uint64_t v)
{
	return v ? "some" : "none";
}

/* @ends: when the last bytes or a FIN are acknowledged is not to the letter */
static void tell(const char *what, int fd, bool ends)
{
	struct info i = get(fd);

	say("%s", what);
	say("  state %u ca %u retransmits %u probes %u backoff %u options %#x",
	    i.state, i.ca_state, i.retransmits, i.probes, i.backoff, i.options);
	say("  wscale %u %u fastopen_fail %u", i.snd_wscale, i.rcv_wscale,
	    i.fastopen_fail);
	say("  mss %u rcv_mss %u advmss %u pmtu %u", i.snd_mss, i.rcv_mss,
	    i.advmss, i.pmtu);
	say("  unacked %u sacked %u lost %u retrans %u fackets %u", i.unacked,
	    i.sacked, i.lost, i.retrans, i.fackets);
	say("  reordering %u reord_seen %u ooopack %u rehash %u", i.reordering,
	    i.reord_seen, i.rcv_ooopack, i.rehash);
	say("  bytes acked %llu received %llu sent %llu notsent %u",
	    (unsigned long long)i.bytes_acked,
	    (unsigned long long)i.bytes_received,
	    (unsigned long long)(i.bytes_sent - i.bytes_retrans), i.notsent);
	say("  order: retrans %s total_retrans, dsack_dups %s total_retrans",
	    !i.bytes_retrans == !i.total_retrans ? "as" : "not as",
	    i.dsack_dups <= i.total_retrans ? "<=" : ">");
	if (!ends) {
		say("  segs out %u in %u data out %u in %u delivered %u ce %u",
		    i.segs_out, i.segs_in, i.data_segs_out, i.data_segs_in,
		    i.delivered, i.delivered_ce);
		say("  cwnd %u ssthresh %u rcv_ssthresh %u rcv_space %u",
		    i.snd_cwnd, i.snd_ssthresh, i.rcv_ssthresh, i.rcv_space);
		say("  snd_wnd %u rcv_wnd %u", i.snd_wnd, i.rcv_wnd);
	}
	say("  rto %s ato %s rtt %s rttvar %s min_rtt %s rcv_rtt %s",
	    i.rto >= 200000 ? "200 ms and more" : "less",
	    i.ato ? i.ato < 40000 ? "short" : "40 ms and more" : "none",
	    some(i.rtt), some(i.rttvar), some(i.min_rtt), some(i.rcv_rtt));
	say("  order: min_rtt %s rtt, busy %s limits",
	    i.min_rtt <= i.rtt ? "<=" : ">",
	    i.busy_time >= i.rwnd_limited + i.sndbuf_limited ? ">=" : "<");
	say("  pacing %s max %s delivery_rate %s", some(i.pacing_rate),
	    i.max_pacing_rate == ~0ull ? "all" : "less", some(i.delivery_rate));
	say("  total_rto %u recoveries %u time %u last_ack_sent %u",
	    i.total_rto, i.total_rto_recoveries, i.total_rto_time,
	    i.last_ack_sent);
}

static void wait_acked(int fd)
{
	int64_t until = t_now_ms() + T_PATIENCE;
	int left = 1;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left) {
		if (t_now_ms() > until) {
			say("gave up: %d bytes are not acknowledged", left);
			return;
		}
		poll(NULL, 0, 1);
	}
}

static int fresh(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	MUST(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	return fd;
}

static int connected(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 90 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int fd = fresh(f);

	MUST(connect(fd, &a.sa, a.len));
	peer_quiet("accept 90 0");
	peer_quiet("close 90");
	return fd;
}

static void one(const struct t_fam *f)
{
	char buf[4096] = {0};
	int fd = fresh(f), lfd;

	tell("fresh", fd, false);
	close(fd);
	lfd = t_listener(f, 7);
	tell("listening", lfd, false);
	close(lfd);

	fd = connected(f);
	tell("connected", fd, false);
	fill(buf, 100, 0);
	MUST(send(fd, buf, 100, 0));
	peer_quiet("recv 0 100");
	wait_acked(fd);
	tell("100 bytes sent", fd, false);
	peer_quiet("send 0 200");
	t_wait_bytes(fd, 200);
	tell("200 bytes came", fd, false);
	MUST(recv(fd, buf, sizeof(buf), 0));
	fill(buf, 4000, 100);
	MUST(send(fd, buf, 4000, 0));
	peer_quiet("recv 0 4000");
	wait_acked(fd);
	tell("4000 bytes sent", fd, true);
	peer_quiet("shut 0 1");
	t_settle(fd, POLLRDHUP);
	tell("the peer has closed", fd, true);
	MUST(shutdown(fd, SHUT_WR));
	t_settle(fd, POLLHUP);
	tell("both have", fd, true);
	close(fd);
	peer_quiet("close 0");

	fd = connected(f);
	peer_quiet("rst 0");
	t_settle(fd, POLLHUP);
	tell("reset", fd, true);
	close(fd);
}

/* A reader that does not read, and then does. */
static void stalled(const struct t_fam *f)
{
	static char buf[65536];
	int fd = connected(f);
	long long sent = 0;
	ssize_t n;

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	for (int idle = 0; idle < 3;) {
		fill(buf, sizeof(buf), (uint64_t)sent);
		n = send(fd, buf, sizeof(buf), 0);
		if (n > 0) {
			sent += n;
			idle = 0;
		} else {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1,
			     50);
			idle++;
		}
	}
	{
		struct info i = get(fd);

		say("stalled: notsent %s, rwnd_limited %s, snd_wnd %s",
		    some(i.notsent), some(i.rwnd_limited),
		    i.snd_wnd < 1448 ? "shut" : "open");
		say("  sent and not: %s",
		    (long long)(i.bytes_sent - i.bytes_retrans + i.notsent) ==
				    sent
			    ? "all"
			    : "not all");
	}
	peer_quiet("recv 0 %lld", sent);
	wait_acked(fd);
	{
		struct info i = get(fd);

		say("drained: acked %s, delivered %s data_segs_out, "
		    "notsent %u, rwnd_limited %s busy",
		    (long long)i.bytes_acked == sent	   ? "all"
		    : (long long)i.bytes_acked == sent + 1 ? "all and the SYN"
							   : "not all",
		    i.delivered <= i.data_segs_out + 1 ? "<=" : ">", i.notsent,
		    i.rwnd_limited <= i.busy_time ? "<=" : ">");
	}
	close(fd);
	peer_quiet("close 0");
}

int main(void)
{
	t_init();
	one(&t_fams[0]);
	one(&t_fams[1]);
	stalled(&t_fams[0]);
	return 0;
}
