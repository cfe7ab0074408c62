/* SPDX-License-Identifier: MIT
 *
 * call_ifaddr.c - the interfaces of this host: lo, and the stack's device
 *
 * A program asks which addresses the host has in order to bind to them, so the
 * answer has to be the stack's: a list with the kernel's addresses would be one
 * of addresses that can't be bound. It is made from the settings alone, and
 * asking does not bring up the stack. The numbers are those of SO_BINDTODEVICE
 * and IPV6_MULTICAST_IF: 1 is lo, 2 the device.
 *
 * The kernel's own list is given to who works on the kernel's devices, that is,
 * to a process that has made an AF_PACKET socket (tcpdump, arping), and where
 * sockets are the kernel's because the stack could not start
 * (TCPSHIM_ON_ERROR=kernel). The ioctls go by their socket: the stack's answers
 * with the stack's, a kernel socket with the kernel's. What reads /proc, /sys
 * or netlink sees the kernel's.
 */
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdlib.h>

#include "call_priv.h"
#include "host_priv.h"
#include "knobs.h"
#include "real.h"
#include "sys.h"

enum { IDX_LO = 1, IDX_DEV = 2 };

#define LO_FLAGS (IFF_UP | IFF_LOOPBACK | IFF_RUNNING)
#define DEV_FLAGS \
	(IFF_UP | IFF_POINTOPOINT | IFF_RUNNING | IFF_NOARP | IFF_MULTICAST)
#define FLAG_LOWER_UP 0x10000u /* of linux/if.h, at odds with net/if.h */
#define LO_MTU 65536
#define LO_TXQLEN 1000
#define DEV_TXQLEN 500 /* of every TUN */

_Atomic bool ifaddr_of_kernel;

/* Whose interfaces are shown? 1: the stack's, 0: the kernel's, or -errno. */
static int is_stacks(void)
{
	char why[256];

	if (atomic_load(&ifaddr_of_kernel))
		return 0;
	if (knobs_load(why, sizeof(why)) < 0)
		return knobs_on_error_kernel() ? 0 : -ENETDOWN;
	return !host_has_failed() || !knobs_on_error_kernel();
}

static const char *name_of(unsigned idx)
{
	return idx == IDX_LO ? "lo" : knobs.dev;
}

static bool is_index(unsigned idx)
{
	return idx == IDX_LO || idx == IDX_DEV;
}

static unsigned index_of(const char *name)
{
	for (unsigned i = IDX_LO; i <= IDX_DEV; i++)
		if (strcmp(name, name_of(i)) == 0)
			return i;
	return 0;
}

/* --- addresses --- */

struct address {
	unsigned idx;
	struct ip_addr addr;
	unsigned plen; /* of 32 for IPv4 */
};

/* The @i-th address of the host; false: there are no more. IPv4 first. */
static bool address_at(unsigned i, struct address *out)
{
	const struct stack_cfg *c = &knobs.cfg;

	for (int is6 = 0; is6 < 2; is6++) {
		if (i-- == 0) {
			*out = (struct address){.idx = IDX_LO,
						.plen = is6 ? 128 : 8};
			ip_addr_parse(is6 ? "::1" : "127.0.0.1", &out->addr);
			return true;
		}
		for (unsigned k = 0; k < c->num_addrs; k++) {
			const struct ip_addr *a = &c->addrs[k].addr;

			if (ip_addr_is4(a) == is6 || i-- != 0)
				continue;
			*out = (struct address){IDX_DEV, *a, c->addrs[k].plen};
			return true;
		}
	}
	return false;
}

union any_sa {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_ll ll;
};

static void put_addr(union any_sa *out, const struct address *a)
{
	if (ip_addr_is4(&a->addr)) {
		out->in.sin_family = AF_INET;
		memcpy(&out->in.sin_addr, a->addr.b + 12, 4);
		return;
	}
	out->in6.sin6_family = AF_INET6;
	memcpy(&out->in6.sin6_addr, a->addr.b, 16);
	if (ip_addr_is_linklocal(&a->addr))
		out->in6.sin6_scope_id = a->idx;
}

static void put_mask(union any_sa *out, const struct address *a)
{
	bool is4 = ip_addr_is4(&a->addr);
	uint8_t *p = is4 ? (uint8_t *)&out->in.sin_addr
			 : (uint8_t *)&out->in6.sin6_addr;

	out->sa.sa_family = is4 ? AF_INET : AF_INET6;
	for (unsigned i = 0; i < a->plen; i++)
		p[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static unsigned short hw_type(unsigned idx)
{
	return idx == IDX_LO ? ARPHRD_LOOPBACK : ARPHRD_NONE;
}

static unsigned flags_of(unsigned idx)
{
	return idx == IDX_LO ? LO_FLAGS : DEV_FLAGS;
}

/* --- getifaddrs ---
 * One piece of memory with the list at its front: libc's freeifaddrs() is a
 * free() of it. */

#define MAX_ENTRIES (IDX_DEV + 2 + IP_MAX_ADDRS)

struct entry {
	struct ifaddrs ifa;
	union any_sa addr, mask, other;
	char name[IFNAMSIZ];
	struct rtnl_link_stats stats;
};

static void start_entry(struct entry *e, unsigned idx)
{
	log_snprintf(e->name, sizeof(e->name), "%s", name_of(idx));
	e->ifa.ifa_name = e->name;
	e->ifa.ifa_flags = flags_of(idx) | FLAG_LOWER_UP;
	e->ifa.ifa_addr = &e->addr.sa;
}

static void put_link(struct entry *e, unsigned idx)
{
	start_entry(e, idx);
	e->addr.ll.sll_family = AF_PACKET;
	e->addr.ll.sll_ifindex = (int)idx;
	e->addr.ll.sll_hatype = hw_type(idx);
	e->addr.ll.sll_halen = idx == IDX_LO ? 6 : 0;
	e->ifa.ifa_data = &e->stats;
	if (idx != IDX_LO)
		return;
	e->other = e->addr;
	e->ifa.ifa_broadaddr = &e->other.sa;
}

static void put_address(struct entry *e, const struct address *a)
{
	start_entry(e, a->idx);
	put_addr(&e->addr, a);
	put_mask(&e->mask, a);
	e->ifa.ifa_netmask = &e->mask.sa;
	if (!ip_addr_is4(&a->addr))
		return;
	e->other = e->addr;
	e->ifa.ifa_broadaddr = &e->other.sa;
}

EXPORT int getifaddrs(struct ifaddrs **out)
{
	struct entry *v;
	struct address a;
	unsigned n = 0;
	int r = is_stacks();

	if (r < 0)
		return (int)shim_ret(r);
	if (r == 0)
		return real.getifaddrs(out);
	v = calloc(MAX_ENTRIES, sizeof(*v));
	if (!v)
		return (int)shim_ret(-ENOMEM);
	for (unsigned idx = IDX_LO; idx <= IDX_DEV; idx++)
		put_link(&v[n++], idx);
	for (unsigned i = 0; n < MAX_ENTRIES && address_at(i, &a); i++)
		put_address(&v[n++], &a);
	for (unsigned i = 0; i + 1 < n; i++)
		v[i].ifa.ifa_next = &v[i + 1].ifa;
	*out = &v[0].ifa;
	return 0;
}

/* --- names and numbers --- */

EXPORT unsigned if_nametoindex(const char *name)
{
	unsigned idx;
	int r = is_stacks();

	if (r == 0)
		return real.if_nametoindex(name);
	idx = r < 0 ? 0 : index_of(name);
	if (!idx)
		errno = ENODEV;
	return idx;
}

EXPORT char *if_indextoname(unsigned idx, char name[IFNAMSIZ])
{
	int r = is_stacks();

	if (r == 0)
		return real.if_indextoname(idx, name);
	if (r < 0 || !is_index(idx)) {
		errno = ENXIO;
		return NULL;
	}
	log_snprintf(name, IFNAMSIZ, "%s", name_of(idx));
	return name;
}

/* libc's if_freenameindex() frees each name, then the array. */
EXPORT struct if_nameindex *if_nameindex(void)
{
	struct if_nameindex *v;
	int r = is_stacks();

	if (r == 0)
		return real.if_nameindex();
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	v = calloc(IDX_DEV + 1, sizeof(*v));
	for (unsigned i = 0; v && i < IDX_DEV; i++) {
		v[i].if_index = i + 1;
		v[i].if_name = strdup(name_of(i + 1));
		if (!v[i].if_name) {
			if_freenameindex(v);
			v = NULL;
		}
	}
	if (!v)
		errno = ENOBUFS;
	return v;
}

/* --- ioctls of a socket of the stack --- */

static int get_conf(struct ifconf *c)
{
	struct address a;
	unsigned n = 0;

	for (unsigned i = 0; address_at(i, &a) && ip_addr_is4(&a.addr); i++) {
		struct ifreq q = {0};
		union any_sa sa = {0};
		size_t at = n * sizeof(q);

		log_snprintf(q.ifr_name, IFNAMSIZ, "%s", name_of(a.idx));
		put_addr(&sa, &a);
		memcpy(&q.ifr_addr, &sa, sizeof(q.ifr_addr));
		if (c->ifc_buf && at + sizeof(q) > (size_t)MAX(c->ifc_len, 0))
			break;
		if (c->ifc_buf)
			memcpy(c->ifc_buf + at, &q, sizeof(q));
		n++;
	}
	c->ifc_len = (int)(n * sizeof(struct ifreq));
	return 0;
}

/* The first IPv4 address of @idx. */
static int get_address(unsigned long req, unsigned idx, struct ifreq *q)
{
	union any_sa sa = {0};
	struct address a;

	for (unsigned i = 0; address_at(i, &a); i++) {
		if (a.idx != idx || !ip_addr_is4(&a.addr))
			continue;
		if (req == SIOCGIFNETMASK)
			put_mask(&sa, &a);
		else if (req != SIOCGIFBRDADDR) /* there is none */
			put_addr(&sa, &a);
		sa.sa.sa_family = AF_INET;
		memcpy(&q->ifr_addr, &sa, sizeof(q->ifr_addr));
		return 0;
	}
	return -EADDRNOTAVAIL;
}

static int get_of_device(unsigned long req, unsigned idx, struct ifreq *q)
{
	switch (req) {
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
		return get_address(req, idx, q);
	case SIOCGIFINDEX:
		q->ifr_ifindex = (int)idx;
		return 0;
	case SIOCGIFFLAGS:
		q->ifr_flags = (short)flags_of(idx);
		return 0;
	case SIOCGIFMTU:
		q->ifr_mtu = idx == IDX_LO ? LO_MTU : (int)knobs.cfg.link.mtu;
		return 0;
	case SIOCGIFMETRIC:
		q->ifr_metric = 0;
		return 0;
	case SIOCGIFTXQLEN:
		q->ifr_qlen = idx == IDX_LO ? LO_TXQLEN : DEV_TXQLEN;
		return 0;
	case SIOCGIFMAP:
		memset(&q->ifr_map, 0, sizeof(q->ifr_map));
		return 0;
	default: /* SIOCGIFHWADDR */
		memset(&q->ifr_hwaddr, 0, sizeof(q->ifr_hwaddr));
		q->ifr_hwaddr.sa_family = hw_type(idx);
		return 0;
	}
}

/* A device that is not the stack's: packet sockets can be on it. */
static int ask_kernel(unsigned long req, struct ifreq *q)
{
	long fd = sys(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	long r = fd < 0 ? fd : sys(ioctl, fd, req, q);

	if (fd >= 0)
		sys(close, fd);
	return (int)r;
}

static int get_name(struct ifreq *q)
{
	unsigned idx = (unsigned)q->ifr_ifindex;

	if (!is_index(idx))
		return ask_kernel(SIOCGIFNAME, q);
	log_snprintf(q->ifr_name, IFNAMSIZ, "%s", name_of(idx));
	return 0;
}

static int get_by_name(unsigned long req, struct ifreq *q)
{
	unsigned idx;

	q->ifr_name[IFNAMSIZ - 1] = '\0';
	idx = index_of(q->ifr_name);
	return idx ? get_of_device(req, idx, q) : ask_kernel(req, q);
}

/* Are these answered with addresses of IPv4, by IPv4's sockets only? */
static bool is_of_inet(unsigned long req)
{
	return req == SIOCGIFADDR || req == SIOCGIFNETMASK ||
	       req == SIOCGIFBRDADDR || req == SIOCGIFDSTADDR;
}

bool ifaddr_ioctl(struct file *f, unsigned long req, void *arg, int *ret)
{
	switch (req) {
	case SIOCGIFCONF:
		*ret = arg ? get_conf(arg) : -EFAULT;
		return true;
	case SIOCGIFNAME:
		*ret = arg ? get_name(arg) : -EFAULT;
		return true;
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
	case SIOCGIFHWADDR:
		if (is_of_inet(req) && f->family != AF_INET)
			*ret = -ENOTTY;
		else
			*ret = arg ? get_by_name(req, arg) : -EFAULT;
		return true;
	case SIOCSIFADDR: /* the stack's are set by TCPSHIM_* */
	case SIOCSIFNETMASK:
	case SIOCSIFBRDADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFFLAGS:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
	case SIOCSIFTXQLEN:
		*ret = -EPERM;
		return true;
	default:
		return false;
	}
}
