/* SPDX-License-Identifier: MIT
 *
 * recv_flags.c - MSG_PEEK, WAITALL, TRUNC, DONTWAIT, OOB on a TCP stream;
 * FIONREAD, SIOCATMARK, readv, recvmsg
 */
#include "t.h"
#include <linux/sockios.h>
#include <sys/uio.h>

static void say_bytes(const unsigned char *buf, long n)
{
	printf("bytes");
	for (long i = 0; i < n; i++)
		printf(" %d", buf[i]);
	putchar('\n');
}

static void peeking(const struct t_fam *f)
{
	int fd = t_connected(f, 0), v;
	unsigned char buf[32] = {0};

	CALL(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	CALL(recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK));
	CALL(recv(fd, buf, 0, MSG_DONTWAIT));
	peer("send 0 8");
	t_wait_bytes(fd, 8);
	CALL(recv(fd, buf, 4, MSG_PEEK));
	say_bytes(buf, 4);
	CALL(recv(fd, buf, sizeof(buf), MSG_PEEK));
	say_bytes(buf, 8);
	MUST(ioctl(fd, FIONREAD, &v));
	say("FIONREAD %d", v);
	CALL(recv(fd, buf, 3, MSG_TRUNC)); /* TCP: thrown away */
	MUST(ioctl(fd, FIONREAD, &v));
	say("FIONREAD %d", v);
	CALL(recv(fd, NULL, 2, MSG_TRUNC));
	CALL(recv(fd, buf, 1, MSG_WAITALL));
	say_bytes(buf, 1);
	CALL(recv(fd, buf, 0, 0));
	CALL(recv(fd, buf, sizeof(buf), MSG_WAITALL | MSG_DONTWAIT));
	say_bytes(buf, 2);
	CALL(recv(fd, buf, sizeof(buf), MSG_WAITALL | MSG_DONTWAIT));
	peer("send 0 6");
	peer("close 0");
	t_settle(fd, POLLRDHUP);
	CALL(recv(fd, buf, sizeof(buf), MSG_WAITALL)); /* cut by FIN */
	CALL(recv(fd, buf, sizeof(buf), MSG_WAITALL));
	CALL(recv(fd, buf, sizeof(buf), MSG_PEEK));
	close(fd);
}

static void vectors(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	unsigned char a[3], b[64];
	struct iovec v[3] = {{a, 3}, {NULL, 0}, {b, 64}};
	struct t_addr from = {.sa.sa_family = 77, .len = sizeof(from.ss)};
	char ctl[64];
	volatile int bad_count = -1; /* hidden from the compiler's checks */
	struct msghdr m = {.msg_name = &from.ss,
			   .msg_namelen = sizeof(from.ss),
			   .msg_iov = v,
			   .msg_iovlen = 3,
			   .msg_control = ctl,
			   .msg_controllen = sizeof(ctl),
			   .msg_flags = -1};

	peer("send 0 10");
	t_wait_bytes(fd, 10);
	CALL(readv(fd, v, 3));
	say_bytes(a, 3);
	say_bytes(b, 7);
	peer("send 0 10");
	t_wait_bytes(fd, 10);
	CALL(recvmsg(fd, &m, 0));
	say("namelen %u family %d controllen %zu flags %#x", m.msg_namelen,
	    from.sa.sa_family, m.msg_controllen, (unsigned)m.msg_flags);
	memcpy(a, "\0\1\2", 3);
	for (unsigned i = 0; i < 5; i++)
		b[i] = (unsigned char)(3 + i);
	v[2].iov_len = 5;
	CALL(writev(fd, v, 3));
	peer("recv 0 8");
	for (unsigned i = 0; i < 5; i++)
		b[i] = (unsigned char)(11 + i);
	memcpy(a, "\10\11\12", 3);
	m.msg_name = NULL;
	m.msg_control = NULL;
	m.msg_namelen = 0;
	m.msg_controllen = 0;
	CALL(sendmsg(fd, &m, 0));
	peer("recv 0 8");
	CALL(readv(fd, v, bad_count));
	bad_count = 1025;
	CALL(readv(fd, v, bad_count));
	CALL(readv(fd, v, 0));
	CALL(writev(fd, v, 0));
	m.msg_iovlen = 1025;
	CALL(sendmsg(fd, &m, 0));
	CALL(recvmsg(fd, &m, MSG_DONTWAIT));
	/* from a connection, recvfrom says nothing of the sender */
	peer("send 0 2");
	t_wait_bytes(fd, 2);
	from.len = sizeof(from.ss);
	from.sa.sa_family = 77;
	CALL(recvfrom(fd, b, sizeof(b), 0, &from.sa, &from.len));
	say("len %u family %d", from.len, from.sa.sa_family);
	/* a destination is refused or ignored on a connection */
	from = t_addr(f->peer, 9);
	b[0] = 16;
	CALL(sendto(fd, b, 1, 0, &from.sa, from.len));
	peer("recv 0 1");
	CALL(pread(fd, b, 1, 0));
	CALL(lseek(fd, 0, SEEK_SET));
	close(fd);
	peer("close 0");
}

static void urgent(const struct t_fam *f)
{
	int fd = t_connected(f, 0), v, one = 1;
	unsigned char buf[32];

	CALL(recv(fd, buf, 1, MSG_OOB));
	peer("send 0 3");
	peer("oob 0 65");
	t_settle_say("urgent", fd, POLLPRI | POLLIN);
	t_wait_bytes(fd, 3);
	MUST(ioctl(fd, SIOCATMARK, &v));
	say("at mark %d", v);
	MUST(ioctl(fd, FIONREAD, &v));
	say("FIONREAD %d", v);
	CALL(recv(fd, buf, 1, MSG_OOB | MSG_PEEK));
	CALL(recv(fd, buf, 1, MSG_OOB));
	say_bytes(buf, 1);
	CALL(recv(fd, buf, 1, MSG_OOB));
	peer("send 0 2");
	CALL(recv(fd, buf, sizeof(buf), 0)); /* stops at the mark */
	say_bytes(buf, 3);
	MUST(ioctl(fd, SIOCATMARK, &v));
	say("at mark %d", v);
	t_settle_say("at the mark", fd, POLLIN);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_bytes(buf, 2);
	say_poll("past the mark", fd);

	MUST(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
	peer("send 0 2");
	peer("oob 0 66");
	t_settle(fd, POLLPRI | POLLIN);
	t_wait_bytes(fd, 3);
	CALL(recv(fd, buf, 1, MSG_OOB));
	CALL(recv(fd, buf, sizeof(buf), 0));
	MUST(ioctl(fd, SIOCATMARK, &v));
	say("at mark %d", v);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_bytes(buf, 1);
	/* and the other way */
	CALL(send(fd, "CD", 2, MSG_OOB));
	peer("recv_oob 0");
	close(fd);
	peer("close 0");
}

static void queues(const struct t_fam *f)
{
	int fd = t_connected(f, 0), v = -1;
	int udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	int lfd = t_listener(f, 1);

	CALL(send(fd, "\0\1\2\3", 4, 0));
	peer("recv 0 4");
	for (int i = 0; i < T_PATIENCE && (ioctl(fd, SIOCOUTQ, &v), v); i++)
		poll(NULL, 0, 1);
	say("SIOCOUTQ %d", v);
	v = -1;
	CALL(ioctl(fd, SIOCOUTQNSD, &v));
	say("SIOCOUTQNSD %d", v);
	CALL(ioctl(lfd, FIONREAD, &v));
	CALL(ioctl(lfd, SIOCOUTQ, &v));
	CALL(ioctl(udp, FIONREAD, &v));
	say("udp FIONREAD %d", v);
	CALL(ioctl(udp, SIOCOUTQ, &v));
	CALL(ioctl(udp, SIOCATMARK, &v));
	CALL(ioctl(fd, 0x5401 /* TCGETS */, &v));
	say("isatty %d", isatty(fd));
	v = 1;
	CALL(ioctl(fd, FIONBIO, &v));
	CALL(recv(fd, &v, 1, 0));
	v = 0;
	CALL(ioctl(fd, FIONBIO, &v));
	say("O_NONBLOCK %d", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(fd);
	close(udp);
	close(lfd);
	peer("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		peeking(&t_fams[i]);
		vectors(&t_fams[i]);
		urgent(&t_fams[i]);
		queues(&t_fams[i]);
	}
	return 0;
}
