/* SPDX-License-Identifier: MIT
 *
 * timeouts.c - SO_RCVTIMEO and SO_SNDTIMEO: what each blocking call gives when
 * its time is up, and that a timeout of zero waits for ever
 */
#include "t.h"
#include <sys/time.h>

static void set_timeo(int fd, int opt, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	MUST(setsockopt(fd, SOL_SOCKET, opt, &tv, sizeof(tv)));
}

/* Runs @expr and says whether it took at least @ms. */
#define TIMED(ms, expr)                                                      \
	do {                                                                 \
		int64_t t0_ = t_now_ms();                                    \
		CALL(expr);                                                  \
		say("waited %s",                                             \
		    t_now_ms() - t0_ >= (ms) ? "long enough" : "too short"); \
	} while (0)

static void receiving(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct timeval tv;
	socklen_t len = sizeof(tv);
	char buf[16];

	set_timeo(fd, SO_RCVTIMEO, 60);
	MUST(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	say("reads back as %s", tv.tv_usec >= 60000 && tv.tv_usec < 70000
					? "60 to 70 ms"
					: "something else");
	TIMED(60, recv(fd, buf, sizeof(buf), 0));
	TIMED(60, read(fd, buf, sizeof(buf)));
	TIMED(60, recvfrom(fd, buf, sizeof(buf), 0, NULL, NULL));
	TIMED(0, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	peer("send 0 4");
	t_settle(fd, POLLIN);
	TIMED(60, recv(fd, buf, 8, MSG_WAITALL)); /* what there is */
	peer("close 0");
	CALL(recv(fd, buf, sizeof(buf), 0));
	close(fd);
}

static void sending(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	static char buf[1 << 16];
	ssize_t n = 0;

	/* the peer does not read: the send must stop some time */
	set_timeo(fd, SO_SNDTIMEO, 60);
	for (int i = 0; i < 4096 && n >= 0; i++)
		n = send(fd, buf, sizeof(buf), 0);
	say("send in the end %s", n < 0 ? t_err(errno) : "still goes");
	say_poll("full", fd);
	TIMED(60, send(fd, buf, sizeof(buf), 0));
	/* a probe of the closed window may have made room for a little */
	while (send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	say("then %s", t_err(errno));
	peer("close 0");
	t_settle(fd, POLLHUP);
	close(fd);
}

static void accepting(const struct t_fam *f)
{
	int fd = t_listener(f, 1);

	set_timeo(fd, SO_RCVTIMEO, 60);
	TIMED(60, accept(fd, NULL, NULL));
	close(fd);
}

/* Nobody answers: a connect that is given up, and goes on behind our back. */
static void connecting(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->n == 4 ? "10.77.0.99" : "fd77::99", 9);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	set_timeo(fd, SO_SNDTIMEO, 60);
	TIMED(60, connect(fd, &a.sa, a.len));
	TIMED(0, connect(fd, &a.sa, a.len));
	say_poll("connecting", fd);
	close(fd);
}

static void datagrams(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr a = t_addr(f->us, 0);
	char buf[16];

	MUST(bind(fd, &a.sa, a.len));
	set_timeo(fd, SO_RCVTIMEO, 60);
	TIMED(60, recv(fd, buf, sizeof(buf), 0));
	close(fd);
}

static void bad_values(void)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct timeval tv = {0, 1000000};

	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	tv = (struct timeval){0, -1};
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	tv = (struct timeval){1, 0};
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv) - 1));
	tv = (struct timeval){-5, 0};
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	close(fd);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		receiving(&t_fams[i]);
		sending(&t_fams[i]);
		accepting(&t_fams[i]);
		if (t_fams[i].n == 4)
			connecting(&t_fams[i]);
		datagrams(&t_fams[i]);
	}
	bad_values();
	return 0;
}
