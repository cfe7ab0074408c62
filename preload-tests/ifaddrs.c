/* SPDX-License-Identifier: MIT
 *
 * ifaddrs.c - the interfaces of the host: by libc's calls, by ioctl, and that
 * what is found can be bound to
 *
 * The device is a veth on the kernel and a TUN under the shim; its name, kind
 * and number are not compared.
 */
#include "t.h"
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <sys/time.h>

#define KNOWN (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_MULTICAST)

static char dev[IFNAMSIZ];

static const char *label(const char *name)
{
	return strcmp(name, dev) == 0 ? "dev" : name;
}

static const char *text(const struct sockaddr *sa)
{
	struct t_addr a = {.len = sizeof(a.in6)};

	if (!sa)
		return "-";
	memcpy(&a.ss, sa,
	       sa->sa_family == AF_INET ? sizeof(a.in) : sizeof(a.in6));
	return t_ip(&a);
}

static void say_one(const struct ifaddrs *i)
{
	bool is_v6 = i->ifa_addr->sa_family == AF_INET6;
	const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;
	const struct sockaddr_ll *ll = (const void *)i->ifa_addr;

	if (is_v6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		return; /* the veth's */
	if (i->ifa_addr->sa_family == AF_PACKET) {
		say("%s: link, flags %#x, number %d, stats %d",
		    label(i->ifa_name), i->ifa_flags & KNOWN,
		    ll->sll_ifindex == (int)if_nametoindex(i->ifa_name),
		    i->ifa_data != NULL);
		return;
	}
	say("%s: %s mask %s other %s flags %#x", label(i->ifa_name),
	    text(i->ifa_addr), text(i->ifa_netmask), text(i->ifa_broadaddr),
	    i->ifa_flags & KNOWN);
}

static void bind_to(const struct ifaddrs *i)
{
	const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;
	int af = i->ifa_addr->sa_family, fd;
	socklen_t len = af == AF_INET ? sizeof(struct sockaddr_in)
				      : sizeof(struct sockaddr_in6);

	if ((af != AF_INET && af != AF_INET6) ||
	    (af == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)))
		return;
	fd = (int)MUST(socket(af, SOCK_STREAM, 0));
	CALL(bind(fd, i->ifa_addr, len));
	CALL(listen(fd, 1));
	close(fd);
}

static void by_list(void)
{
	struct ifaddrs *list;

	MUST(getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (strcmp(i->ifa_name, "lo"))
			snprintf(dev, sizeof(dev), "%s", i->ifa_name);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		say_one(i);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		bind_to(i);
	freeifaddrs(list);
}

static void by_name(void)
{
	char name[IFNAMSIZ];
	struct if_nameindex *v;

	CALL(if_nametoindex("lo"));
	CALL(if_nametoindex(dev) > 1);
	CALL(if_nametoindex("nosuch"));
	say("%s", label(if_indextoname(1, name)));
	say("%s", label(if_indextoname(if_nametoindex(dev), name)));
	CALL(if_indextoname(99, name) != NULL);
	CALL(if_indextoname(0, name) != NULL);
	v = if_nameindex();
	for (unsigned i = 0; v[i].if_index; i++)
		say("%d %s", v[i].if_index == if_nametoindex(v[i].if_name),
		    label(v[i].if_name));
	if_freenameindex(v);
}

static void ask(int fd, const char *what, unsigned long req, const char *name)
{
	struct ifreq q = {0};
	int r;

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	errno = 0;
	r = ioctl(fd, req, &q);
	if (r < 0)
		say("%s %s: %s", what, label(name), t_err(errno));
	else if (req == SIOCGIFINDEX)
		say("%s %s: %d", what, label(name),
		    q.ifr_ifindex == (int)if_nametoindex(name));
	else if (req == SIOCGIFMTU)
		say("%s %s: %d", what, label(name), q.ifr_mtu);
	else if (req == SIOCGIFMETRIC)
		say("%s %s: %d", what, label(name), q.ifr_metric);
	else if (req == SIOCGIFFLAGS)
		say("%s %s: %#x", what, label(name), q.ifr_flags & KNOWN);
	else if (req == SIOCGIFHWADDR && strcmp(name, "lo") == 0)
		say("%s %s: %d", what, label(name), q.ifr_hwaddr.sa_family);
	else if (req != SIOCGIFHWADDR && req != SIOCGIFTXQLEN)
		say("%s %s: %s", what, label(name), text(&q.ifr_addr));
}

static void by_ioctl(int af, int type)
{
	static const struct {
		const char *what;
		unsigned long req;
	} v[] = {{"ADDR", SIOCGIFADDR},	      {"NETMASK", SIOCGIFNETMASK},
		 {"BRDADDR", SIOCGIFBRDADDR}, {"DSTADDR", SIOCGIFDSTADDR},
		 {"FLAGS", SIOCGIFFLAGS},     {"MTU", SIOCGIFMTU},
		 {"INDEX", SIOCGIFINDEX},     {"HWADDR", SIOCGIFHWADDR},
		 {"METRIC", SIOCGIFMETRIC},   {"TXQLEN", SIOCGIFTXQLEN}};
	int fd = (int)MUST(socket(af, type, 0));
	struct ifreq q = {.ifr_ifindex = 1}, list[8];
	struct ifconf c = {.ifc_len = 0};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		ask(fd, v[i].what, v[i].req, "lo");
		ask(fd, v[i].what, v[i].req, dev);
		ask(fd, v[i].what, v[i].req, "nosuch");
	}
	CALL(ioctl(fd, SIOCGIFNAME, &q));
	say("%s", q.ifr_name);
	q.ifr_ifindex = 99;
	CALL(ioctl(fd, SIOCGIFNAME, &q));
	CALL(ioctl(fd, SIOCGIFCONF, &c));
	say("%d bytes wanted", c.ifc_len);
	for (int len = 0; len <= (int)sizeof(list); len += 60) {
		c.ifc_len = len;
		c.ifc_req = list;
		CALL(ioctl(fd, SIOCGIFCONF, &c));
		say("of %d bytes: %d", len, c.ifc_len);
	}
	for (int i = 0; i < c.ifc_len / (int)sizeof(list[0]); i++)
		say("%s %s", label(list[i].ifr_name), text(&list[i].ifr_addr));
	close(fd);
}

/* The codes for everything else that a number can be asked. */
static void codes(int af, int type)
{
	int fd = (int)MUST(socket(af, type, 0)), v;
	struct f_owner_ex own;
	struct timeval tv;
	struct flock l = {.l_type = F_RDLCK};
	char termios[64];

	CALL(ioctl(fd, FIONBIO, &(int){1}));
	CALL(fcntl(fd, F_GETFL));
	CALL(ioctl(fd, FIONBIO, &(int){0}));
	CALL(fcntl(fd, F_GETFL));
	CALL(ioctl(fd, FIOASYNC, &(int){1}));
	CALL(fcntl(fd, F_GETFL));
	CALL(ioctl(fd, FIOASYNC, &(int){0}));
	CALL(fcntl(fd, F_GETFL));
	v = getpid();
	CALL(ioctl(fd, FIOSETOWN, &v));
	v = 0;
	CALL(ioctl(fd, FIOGETOWN, &v));
	say("mine %d", v == getpid());
	CALL(fcntl(fd, F_GETOWN) == getpid());
	v = -getpgrp();
	CALL(ioctl(fd, SIOCSPGRP, &v));
	CALL(ioctl(fd, SIOCGPGRP, &v));
	say("mine %d", v == -getpgrp());
	CALL(fcntl(fd, F_GETOWN_EX, &own));
	say("type %d mine %d", own.type, own.pid == getpgrp());
	own.type = F_OWNER_TID;
	own.pid = getpid();
	CALL(fcntl(fd, F_SETOWN_EX, &own));
	CALL(fcntl(fd, F_GETOWN) == getpid());
	CALL(fcntl(fd, F_SETOWN, 0));
	CALL(fcntl(fd, F_GETOWN));
	CALL(fcntl(fd, F_SETSIG, SIGRTMIN));
	CALL(fcntl(fd, F_GETSIG) == SIGRTMIN);
	CALL(fcntl(fd, F_SETSIG, 0));
	CALL(ioctl(fd, FIOCLEX));
	CALL(fcntl(fd, F_GETFD));
	CALL(ioctl(fd, FIONCLEX));
	CALL(fcntl(fd, F_GETFD));
	CALL(ioctl(fd, TCGETS, termios));
	CALL(ioctl(fd, TIOCGWINSZ, termios));
	CALL(ioctl(fd, 0x12345678, termios));
	CALL(ioctl(fd, SIOCGSTAMP, &tv));
	CALL(ioctl(fd, FIONREAD, &v));
	CALL(ioctl(fd, TIOCOUTQ, &v));
	CALL(ioctl(fd, SIOCATMARK, &v));
	CALL(sockatmark(fd));
	CALL(fcntl(fd, F_GETLK, &l));
	CALL(fcntl(fd, F_SETLK, &l));
	l.l_type = F_UNLCK;
	CALL(fcntl(fd, F_SETLK, &l));
	CALL(fcntl(fd, F_GETPIPE_SZ));
	CALL(fcntl(fd, F_ADD_SEALS, 0));
	CALL(fcntl(fd, F_GETLEASE));
	CALL(fcntl(fd, F_NOTIFY, 0));
	close(fd);
	CALL(ioctl(fd, FIONREAD, &v));
	CALL(sockatmark(fd));
	CALL(isatty(fd));
}

/* When the last datagram came: told once somebody has asked. */
static void stamps(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->us, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct timeval tv, now;
	struct timespec ts;
	char c;

	MUST(bind(fd, &a.sa, a.len));
	MUST(getsockname(fd, &a.sa, &a.len));
	MUST(sendto(fd, "x", 1, 0, &a.sa, a.len));
	MUST(recv(fd, &c, 1, 0));
	CALL(ioctl(fd, SIOCGSTAMP, &tv));
	MUST(sendto(fd, "x", 1, 0, &a.sa, a.len));
	MUST(recv(fd, &c, 1, 0));
	CALL(ioctl(fd, SIOCGSTAMP, &tv));
	CALL(ioctl(fd, SIOCGSTAMPNS, &ts));
	gettimeofday(&now, NULL);
	say("not long ago: %d, the same: %d",
	    now.tv_sec - tv.tv_sec >= 0 && now.tv_sec - tv.tv_sec < 5,
	    tv.tv_sec == ts.tv_sec && tv.tv_usec == ts.tv_nsec / 1000);
	close(fd);
}

int main(void)
{
	by_list();
	by_name();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		by_ioctl(t_fams[i].af, SOCK_STREAM);
		by_ioctl(t_fams[i].af, SOCK_DGRAM);
		stamps(&t_fams[i]);
		codes(t_fams[i].af, SOCK_STREAM);
		codes(t_fams[i].af, SOCK_DGRAM);
	}
	return 0;
}
