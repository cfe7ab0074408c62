/* SPDX-License-Identifier: MIT
 *
 * pacing.c - SO_MAX_PACING_RATE and the congestion controls, as set, as told,
 *	    and that a rate is kept to: nothing is asserted of how long it takes
 *	    but that it is not less than it must
 */
#include "t.h"

#ifndef SO_MAX_PACING_RATE
#define SO_MAX_PACING_RATE 47
#endif
#define CC_INFO 26
#define BYTES 150000
#define RATE 1000000

/* The kernel's, which goes on where libc's ends. */
struct long_info {
	struct tcp_info i;
	uint64_t pacing_rate, max_pacing_rate;
};

static void say_rate(const char *label, int fd)
{
	uint32_t v4 = 0;
	uint64_t v8 = 0;
	socklen_t l4 = sizeof(v4), l8 = sizeof(v8);

	MUST(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v4, &l4));
	MUST(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v8, &l8));
	say("%s: %u (%u), %llu (%u)", label, v4, l4, (unsigned long long)v8,
	    l8);
}

static void numbers(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	uint32_t v4 = 123456;
	uint64_t v8 = 20000000000;

	say("- numbers");
	say_rate("new", fd);
	CALL(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v4, sizeof(v4)));
	say_rate("32 bits", fd);
	CALL(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v8, sizeof(v8)));
	say_rate("64 bits", fd);
	v4 = ~0u;
	CALL(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v4, sizeof(v4)));
	say_rate("none", fd);
	CALL(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v4, 2));
	close(fd);
}

/* BBR is a module: a kernel may be without. */
static bool has_bbr(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_congestion_control",
			"r");
	char line[256] = "";
	bool has;

	has = f && fgets(line, sizeof(line), f) && strstr(line, "bbr");
	if (f)
		fclose(f);
	return has;
}

static void say_cc(int fd)
{
	char name[16] = "";
	uint32_t v[16] = {0};
	socklen_t len = sizeof(name), vlen = sizeof(v);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	CALL(getsockopt(fd, IPPROTO_TCP, CC_INFO, v, &vlen));
	say("%s: %u bytes of information", name, vlen);
}

static void send_all(int fd)
{
	static uint8_t b[BYTES];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i % 251);
	for (size_t done = 0; done < sizeof(b);)
		done += (size_t)MUST(send(fd, b + done, sizeof(b) - done, 0));
}

/* The peer has it all, and not before its time. That is less than bytes by
 * rate: an initial window goes at once, a frame is not waited for after it has
 * left, and to a peer that near a frame is up to 64 KiB, on Linux too
 * (tcp_tso_rtt_log); half of the first one is credited. What is left takes
 * (150000 - 14480 - 65160 - 32580) / RATE = 37 ms, however frames are cut; not
 * paced it is 1. */
static void rate_is_kept(const struct t_fam *f, const char *cc)
{
	int fd = t_connected(f, 0);
	int64_t start = t_now_ms();
	uint32_t rate = RATE;
	struct long_info i;
	socklen_t len = sizeof(i);

	say("- paced, %s", cc);
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc,
			(socklen_t)strlen(cc)));
	MUST(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate,
			sizeof(rate)));
	peer_quiet("sink 0 %d", BYTES);
	send_all(fd);
	MUST(shutdown(fd, SHUT_WR));
	peer("join");
	say("in less than 35 ms: %d", t_now_ms() - start < 35);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("no more than %llu: %d", (unsigned long long)i.max_pacing_rate,
	    i.pacing_rate && i.pacing_rate <= RATE);
	say_cc(fd);
	close(fd);
}

static void test(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	numbers(f);
	say("- congestion controls");
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	say_cc(fd);
	rate_is_kept(f, "reno");
	if (has_bbr()) {
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3));
		say_cc(fd);
		rate_is_kept(f, "bbr");
	}
	close(fd);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		test(&t_fams[i]);
	}
	return 0;
}
