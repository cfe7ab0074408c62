/* SPDX-License-Identifier: MIT
 *
 * counters.c - what a few exchanges move in /proc/net/snmp and netstat
 *
 * Segments that depend on when somebody is scheduled (ACKs, and what counts
 * them) are left out; what remains has one right figure.
 */
#include "t.h"
#include <netinet/tcp.h>
#include <stdlib.h>

static const char *const names[] = {
	"Tcp ActiveOpens",
	"Tcp PassiveOpens",
	"Tcp AttemptFails",
	"Tcp EstabResets",
	"Tcp CurrEstab",
	"Tcp RetransSegs",
	"Tcp InErrs",
	"Tcp OutRsts",
	"Tcp InCsumErrors",
	"TcpExt TW",
	"TcpExt TWRecycled",
	"TcpExt TWKilled",
	"TcpExt ListenOverflows",
	"TcpExt ListenDrops",
	"TcpExt EmbryonicRsts",
	"TcpExt TCPAbortOnData",
	"TcpExt TCPAbortOnClose",
	"TcpExt TCPAbortOnTimeout",
	"TcpExt TCPAbortOnLinger",
	"TcpExt TCPTimeouts",
	"TcpExt TCPSynRetrans",
	"TcpExt TCPOFOQueue",
	"TcpExt TCPChallengeACK",
	"TcpExt TCPKeepAlive",
	"TcpExt TCPDSACKRecv",
	"TcpExt SyncookiesSent",
	"Udp NoPorts",
	"Udp InDatagrams",
	"Udp OutDatagrams",
};
#define NUM (sizeof(names) / sizeof(names[0]))

static void read_table(const char *path, long v[NUM])
{
	static char head[8192], row[8192];
	FILE *f = fopen(path, "r");

	if (!f)
		say("no %s", path);
	while (f && fgets(head, sizeof(head), f) &&
	       fgets(row, sizeof(row), f)) {
		char *a, *b, *group = strtok_r(head, ": ", &a);

		strtok_r(row, ": ", &b);
		for (;;) {
			char name[80], *h = strtok_r(NULL, " :\n", &a),
				       *x = strtok_r(NULL, " :\n", &b);

			if (!h || !x)
				break;
			snprintf(name, sizeof(name), "%s %s", group, h);
			for (unsigned i = 0; i < NUM; i++)
				if (strcmp(name, names[i]) == 0)
					v[i] = atol(x);
		}
	}
	if (f)
		fclose(f);
}

static long before[NUM];

static void look(long v[NUM])
{
	memset(v, 0, NUM * sizeof(*v));
	read_table("/proc/net/snmp", v);
	read_table("/proc/net/netstat", v);
}

static void moved(const char *what)
{
	long v[NUM];

	look(v);
	say("%s:", what);
	for (unsigned i = 0; i < NUM; i++)
		if (v[i] != before[i])
			say("  %s %+ld", names[i], v[i] - before[i]);
	look(before);
}

/* Until the peer's answer to our close is here. */
static void wait_until(const char *name, long by)
{
	int64_t until = t_now_ms() + T_PATIENCE;
	long v[NUM];
	unsigned k = 0;

	while (strcmp(names[k], name))
		k++;
	do {
		look(v);
		if (v[k] - before[k] == by)
			return;
		poll(NULL, 0, 1);
	} while (t_now_ms() < until);
	say("%s did not move by %ld", name, by);
}

static void linger(int fd, int on, int secs)
{
	struct linger l = {on, secs};

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

static void by_us(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	moved("connected");
	close(fd);
	peer_quiet("close 0");
	wait_until("TcpExt TW", 1);
	moved("closed, then the peer");

	fd = t_connected(f, 0);
	linger(fd, 1, 0);
	close(fd);
	peer_quiet("close 0");
	moved("SO_LINGER of 0");

	fd = t_connected(f, 0);
	peer_quiet("send 0 100");
	t_wait_bytes(fd, 100);
	close(fd);
	peer_quiet("close 0");
	moved("closed with bytes unread");

	fd = t_connected(f, 0);
	peer_quiet("rst 0");
	t_settle(fd, POLLHUP);
	moved("reset by the peer");
	close(fd);
	moved("and closed");
}

static void refused(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	struct t_addr a = t_addr(f->peer, (int)peer_quiet("refuse 2 %d", f->n));

	CALL(connect(fd, &a.sa, a.len));
	close(fd);
	peer_quiet("close 2");
	moved("refused");
}

static void by_the_peer(const struct t_fam *f)
{
	int fd = t_accepted(f, 0);

	moved("accepted");
	peer_quiet("close 0");
	t_settle(fd, POLLRDHUP);
	close(fd);
	wait_until("Tcp CurrEstab", -1);
	moved("closed by the peer, then by us");
}

int main(void)
{
	t_init();
	look(before);
	for (int i = 0; i < 2; i++) {
		say("--- IPv%d", t_fams[i].n);
		by_us(&t_fams[i]);
		by_the_peer(&t_fams[i]);
		refused(&t_fams[i]);
	}
	return 0;
}
