/* SPDX-License-Identifier: MIT
 *
 * filter.c - SO_ATTACH_FILTER: programs that are taken and refused, what they
 * let through, what is cut, who inherits them
 */
#include "msg.h"
#include <linux/filter.h>

#define LEN(v) ((unsigned short)(sizeof(v) / sizeof((v)[0])))

static int attach(int fd, struct sock_filter *v, unsigned short num)
{
	struct sock_fprog p = {.len = num, .filter = v};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p));
}

static struct sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
static struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
/* UDP of more than 20 bytes of payload */
static struct sock_filter long_ones[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 28, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
static struct sock_filter twelve[] = {BPF_STMT(BPF_RET | BPF_K, 12)};
static struct sock_filter three[] = {BPF_STMT(BPF_RET | BPF_K, 3)};
/* whose byte 9 of the IPv4 header, or 6 of IPv6, is UDP */
static struct sock_filter by_header[] = {
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
		 (unsigned)SKF_AD_OFF + SKF_AD_PROTOCOL),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 2),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + 9),
	BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + 6),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
static struct sock_filter too_far[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 5000),
	BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
};

static void taken(const struct t_fam *f)
{
	static struct sock_filter endless[] = {
		BPF_JUMP(BPF_JMP | BPF_JA, (unsigned)-1, 0, 0)};
	static struct sock_filter falls_off[] = {BPF_STMT(BPF_LD | BPF_IMM, 1)};
	static struct sock_filter by_zero[] = {
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 1)};
	static struct sock_filter unwritten[] = {BPF_STMT(BPF_LD | BPF_MEM, 3),
						 BPF_STMT(BPF_RET | BPF_A, 0)};
	static struct sock_filter strange[] = {{0x1234, 0, 0, 0},
					       BPF_STMT(BPF_RET | BPF_K, 1)};
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct sock_filter back[10];
	socklen_t len = 0;

	say("- taken and refused");
	CALL(attach(fd, pass, 1));
	CALL(attach(fd, pass, 0));
	CALL(attach(fd, NULL, 1));
	CALL(attach(fd, endless, LEN(endless)));
	CALL(attach(fd, falls_off, LEN(falls_off)));
	CALL(attach(fd, by_zero, LEN(by_zero)));
	CALL(attach(fd, unwritten, LEN(unwritten)));
	CALL(attach(fd, strange, LEN(strange)));
	CALL(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &len, 4));
	CALL(attach(fd, long_ones, LEN(long_ones)));
	CALL(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
	say("%u instructions", len);
	len = 3;
	CALL(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
	len = 10;
	CALL(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
	say("%u instructions, the same: %d", len,
	    !memcmp(back, long_ones, sizeof(long_ones)));
	m_set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	CALL(attach(fd, pass, 1));
	m_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	m_set(fd, SOL_SOCKET, SO_LOCK_FILTER, 0);
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	m_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	CALL(attach(fd, pass, 1));
	m_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	m_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	close(fd);
}

/* A short and a long one are sent; then, unfiltered, one that ends the wait. */
static void datagrams(const struct t_fam *f)
{
	static const struct {
		const char *text;
		struct sock_filter *v;
		unsigned short num;
	} tries[] = {
		{"pass", pass, LEN(pass)},
		{"none", none, LEN(none)},
		{"long ones", long_ones, LEN(long_ones)},
		{"twelve bytes", twelve, LEN(twelve)},
		{"three bytes", three, LEN(three)},
		{"by header", by_header, LEN(by_header)},
		{"too far", too_far, LEN(too_far)},
	};
	struct t_addr any = t_addr(f->any, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));

	say("- datagrams");
	MUST(bind(fd, &any.sa, any.len));
	peer_quiet("udp 0 %d", f->n);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		say("%s", tries[i].text);
		MUST(attach(fd, tries[i].v, tries[i].num));
		peer_quiet("sendto 0 %d %d 10", f->n, t_local_port(fd));
		peer_quiet("sendto 0 %d %d 30", f->n, t_local_port(fd));
		m_arrived(f);
		MUST(attach(fd, pass, 1));
		peer_quiet("sendto 0 %d %d 77", f->n, t_local_port(fd));
		while (t_settle(fd, POLLIN) && m_recv(fd, 0) != 77)
			;
	}
	close(fd);
	peer_quiet("close 0");
}

/* What a stream's filter drops is sent again. */
static void stream(const struct t_fam *f)
{
	int lfd = t_listener(f, 5), fd, v = 0;
	socklen_t len = 0;

	say("- stream");
	MUST(attach(lfd, pass, 1));
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	CALL(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
	say("inherited: %u instructions", len);
	MUST(attach(fd, none, 1));
	peer_quiet("send 0 10");
	m_arrived(f);
	MUST(ioctl(fd, FIONREAD, &v));
	say("come: %d", v);
	m_set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	t_wait_bytes(fd, 10);
	MUST(ioctl(fd, FIONREAD, &v));
	say("sent again: %d", v);
	close(fd);
	close(lfd);
	peer_quiet("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		taken(&t_fams[i]);
		datagrams(&t_fams[i]);
		stream(&t_fams[i]);
	}
	return 0;
}
