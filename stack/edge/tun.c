/* SPDX-License-Identifier: MIT
 *
 * tun.c - opens, reads and writes the TUN device
 *
 * A device that exists is used as it is (a persistent one, made by `ip tuntap
 * add`). One that doesn't is made, brought up and given the kernel's addresses
 * if we may; it disappears with us. Nothing here opens an internet socket: the
 * ioctls go over an AF_UNIX one, addresses over netlink.
 */
#include "edge/tun.h"

#include <linux/if_addr.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "edge/sys.h"
#include "link/offload.h"

/* Missing in older headers. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* How often, and how long, to wait for the kernel's side: 1.5 s at most. */
#define RUNNING_NAP (200 * 1000)
#define RUNNING_NAPS 7500

#define VNET_LEN 12 /* struct virtio_net_hdr_v1, with num_buffers */

struct vnet {
	struct virtio_net_hdr h;
	uint16_t num_buffers;
};

static void why_set(char *why, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void why_set(char *why, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_format(why, len, fmt, ap);
	va_end(ap);
}

/* An interface ioctl, on whatever socket: -errno. */
static int if_ioctl(unsigned long req, const char *name, struct ifreq *ifr)
{
	int r, s = (int)sys(socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return s;
	log_snprintf(ifr->ifr_name, IFNAMSIZ, "%s", name);
	r = (int)sys(ioctl, s, req, ifr);
	sys(close, s);
	return r;
}

static bool exists(const char *name)
{
	struct ifreq ifr = {0};

	return if_ioctl(SIOCGIFINDEX, name, &ifr) == 0;
}

/* RTM_NEWADDR for one address of the kernel's end. */
static int add_addr(int index, const struct ip_addr *a, unsigned plen)
{
	struct {
		struct nlmsghdr n;
		struct ifaddrmsg m;
		uint8_t attrs[64];
	} req = {0};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	const uint8_t *p = ip_addr_is4(a) ? a->b + 12 : a->b;
	uint16_t size = ip_addr_is4(a) ? 4 : 16;
	int s = (int)sys(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			 NETLINK_ROUTE);
	uint8_t *out = req.attrs;
	struct {
		struct nlmsghdr n;
		struct nlmsgerr e;
	} answer = {0};
	int r;

	if (s < 0)
		return s;
	req.n.nlmsg_type = RTM_NEWADDR;
	req.n.nlmsg_flags =
		NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	req.m.ifa_family = size == 4 ? AF_INET : AF_INET6;
	req.m.ifa_prefixlen = (uint8_t)plen;
	req.m.ifa_flags = size == 4 ? 0 : IFA_F_NODAD;
	req.m.ifa_index = (unsigned)index;
	for (unsigned i = 0; i < 2; i++) {
		struct rtattr at = {
			.rta_len = (uint16_t)(RTA_LENGTH(size)),
			.rta_type = i ? IFA_ADDRESS : IFA_LOCAL,
		};

		memcpy(out, &at, sizeof(at));
		memcpy(out + sizeof(at), p, size);
		out += RTA_SPACE(size);
	}
	req.n.nlmsg_len =
		(uint32_t)(NLMSG_LENGTH(sizeof(req.m)) + (out - req.attrs));
	r = (int)sys(sendto, s, &req, req.n.nlmsg_len, 0, &nl, sizeof(nl));
	if (r > 0)
		r = (int)sys(read, s, &answer, sizeof(answer));
	sys(close, s);
	if (r < 0)
		return r;
	return answer.n.nlmsg_type == NLMSG_ERROR ? answer.e.error : 0;
}

static int bring_up(const char *name)
{
	struct ifreq ifr = {0};
	int r = if_ioctl(SIOCGIFFLAGS, name, &ifr);

	if (r < 0 || (ifr.ifr_flags & IFF_UP))
		return r;
	ifr.ifr_flags |= IFF_UP;
	return if_ioctl(SIOCSIFFLAGS, name, &ifr);
}

/* The carrier came with us, but until the kernel's own worker has seen that, it
 * drops what it would send: the answer to our first packet. The worker says so
 * first, and makes the queue work then, under a lock which an ioctl on the
 * device takes, too. */
static void await_running(const struct tun *t)
{
	struct timespec nap = {.tv_nsec = RUNNING_NAP};
	struct ifreq ifr = {0};

	for (int i = 0; i < RUNNING_NAPS; i++) {
		if (if_ioctl(SIOCGIFFLAGS, t->name, &ifr) < 0 ||
		    (ifr.ifr_flags & IFF_RUNNING))
			break;
		sys(nanosleep, &nap, NULL);
	}
	sys(ioctl, t->fd, TUNGETIFF, &ifr);
}

/* A device that we made ourselves: up, with the kernel's addresses. */
static int set_up(const struct tun *t, const struct tun_cfg *cfg)
{
	struct ifreq ifr = {0};
	int r = 0;

	if (cfg->mtu) {
		ifr.ifr_mtu = (int)cfg->mtu;
		r = if_ioctl(SIOCSIFMTU, t->name, &ifr);
	}
	if (!r)
		r = if_ioctl(SIOCGIFINDEX, t->name, &ifr);
	for (unsigned i = 0; !r && i < cfg->num_peers; i++) {
		r = add_addr(ifr.ifr_ifindex, &cfg->peers[i].addr,
			     cfg->peers[i].plen);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

static int attach_failed(int err, const char *name, bool existed, char *why,
			 size_t len)
{
	switch (err) {
	case -EBUSY:
		why_set(why, len,
			"device %s is in use by another process; stop it, or "
			"give this one a device of its own with TCPSHIM_DEV",
			name);
		break;
	case -EPERM:
		why_set(why, len,
			existed ? "device %s belongs to somebody else; run as "
				  "its owner or as root"
				: "device %s does not exist and may not be "
				  "made; as root: ip tuntap add dev %s mode "
				  "tun user NAME",
			name, name);
		break;
	case -EINVAL:
		why_set(why, len,
			"device %s is not a single-queue TUN device; name one "
			"with TCPSHIM_DEV=tun:NAME",
			name);
		break;
	default:
		why_set(why, len, "device %s cannot be attached: error %d",
			name, -err);
	}
	return err;
}

static int open_failed(int err, char *why, size_t len)
{
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		why_set(why, len,
			"no /dev/net/tun; load the tun module (modprobe tun), "
			"or give the container that device");
	else if (err == -EACCES || err == -EPERM)
		why_set(why, len,
			"no permission to open /dev/net/tun; run as root, or "
			"make it accessible");
	else
		why_set(why, len, "cannot open /dev/net/tun: error %d", -err);
	return err;
}

/* What the device is to take from us, and give to us, uncut. */
static void set_offload(struct tun *t)
{
	unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	unsigned uso = TUN_F_USO4 | TUN_F_USO6; /* only together */
	int len = VNET_LEN;

	if (!t->has_vnet) {
		/* a device that stays keeps what its last user asked for */
		sys(ioctl, t->fd, TUNSETOFFLOAD, 0);
		return;
	}
	sys(ioctl, t->fd, TUNSETVNETHDRSZ, &len);
	if (sys(ioctl, t->fd, TUNSETOFFLOAD, tso | uso) == 0)
		t->can_uso = true; /* since Linux 6.2 */
	if (t->can_uso || sys(ioctl, t->fd, TUNSETOFFLOAD, tso) == 0) {
		t->can_csum = t->can_tso4 = t->can_tso6 = true;
		return;
	}
	t->can_csum = sys(ioctl, t->fd, TUNSETOFFLOAD, TUN_F_CSUM) == 0;
}

int tun_open(struct tun *t, const struct tun_cfg *cfg, char *why, size_t len)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	bool existed = exists(cfg->name);
	int r;

	*t = (struct tun){.has_vnet = cfg->offload};
	log_snprintf(t->name, IFNAMSIZ, "%s", cfg->name);
	log_snprintf(ifr.ifr_name, IFNAMSIZ, "%s", cfg->name);
	if (cfg->offload)
		ifr.ifr_flags |= IFF_VNET_HDR;
	t->fd = (int)sys(openat, AT_FDCWD, "/dev/net/tun",
			 O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return open_failed(t->fd, why, len);
	r = (int)sys(ioctl, t->fd, TUNSETIFF, &ifr);
	if (r < 0) {
		sys(close, t->fd);
		return attach_failed(r, cfg->name, existed, why, len);
	}
	t->was_made = !existed;
	set_offload(t);
	if (t->was_made)
		r = set_up(t, cfg);
	if (r >= 0)
		r = bring_up(t->name);
	if (r < 0) {
		why_set(why, len,
			"device %s cannot be brought up (error %d); as root: "
			"ip link set %s up",
			t->name, -r, t->name);
		sys(close, t->fd);
		return r;
	}
	await_running(t);
	t->mtu = if_ioctl(SIOCGIFMTU, t->name, &ifr) == 0
			 ? (uint32_t)ifr.ifr_mtu
			 : 1500;
	return 0;
}

void tun_close(struct tun *t)
{
	if (t->fd >= 0)
		sys(close, t->fd);
	t->fd = -1;
}

/* What the kernel said about a packet that it gives us. */
static void vnet_parse(const struct vnet *v, struct frame *f)
{
	f->gso = v->h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	f->flags = v->h.gso_type & VIRTIO_NET_HDR_GSO_ECN ? FRAME_F_CWR : 0;
	f->gso_size = f->gso ? v->h.gso_size : 0;
	f->csum = v->h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM   ? CSUM_PARTIAL
		  : v->h.flags & VIRTIO_NET_HDR_F_DATA_VALID ? CSUM_VALID
							     : CSUM_NONE;
	if (f->csum == CSUM_PARTIAL)
		f->l4_off = v->h.csum_start;
	if (f->gso && f->gso_size)
		f->gso_segs = (uint16_t)DIV_ROUND_UP(f->len, f->gso_size);
}

int tun_read(const struct tun *t, struct frame *f)
{
	struct vnet v;
	struct iovec iov[2] = {{&v, VNET_LEN}, {f->data, f->room}};
	long n;

	f->gso = f->csum = f->flags = 0;
	f->l4_off = f->hdr_len = f->gso_size = f->gso_segs = 0;
	if (!t->has_vnet) {
		n = sys(read, t->fd, f->data, f->room);
		f->len = n > 0 ? (uint32_t)n : 0;
		return (int)n;
	}
	n = sys(readv, t->fd, iov, 2);
	if (n < VNET_LEN)
		return n < 0 ? (int)n : -EIO;
	f->len = (uint32_t)n - VNET_LEN;
	vnet_parse(&v, f);
	return (int)f->len;
}

/* Where the checksum field is, from the start of the L4 header. */
static uint16_t csum_offset(const struct frame *f)
{
	const uint8_t *p = f->data;
	uint8_t proto = p[0] >> 4 == 4 ? p[9] : p[6];

	if (f->gso == GSO_TCP4 || f->gso == GSO_TCP6 || proto == IPPROTO_TCP)
		return 16;
	return proto == IPPROTO_ICMPV6 ? 2 : 6;
}

static int write_vnet(const struct tun *t, const struct txv *x)
{
	const struct frame *f = &x->f;
	struct vnet v = {0};
	struct iovec iov[ARRAY_SIZE(x->v) + 1] = {{&v, VNET_LEN}};

	if (f->csum == CSUM_PARTIAL) {
		v.h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		v.h.csum_start = f->l4_off;
		v.h.csum_offset = csum_offset(f);
	}
	if (f->gso) {
		v.h.gso_type = f->gso;
		if (f->flags & FRAME_F_CWR)
			v.h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		v.h.gso_size = f->gso_size;
		v.h.hdr_len = f->hdr_len;
	}
	memcpy(iov + 1, x->v, x->num_v * sizeof(x->v[0]));
	return (int)sys(writev, t->fd, iov, x->num_v + 1);
}

/* Is what the device would have to do something that it can? */
static bool device_can(const struct tun *t, const struct frame *f)
{
	if (f->gso == GSO_TCP4)
		return t->can_tso4;
	if (f->gso == GSO_TCP6)
		return t->can_tso6;
	if (f->gso == GSO_UDP)
		return t->can_uso;
	return !f->gso && (f->csum != CSUM_PARTIAL || t->can_csum);
}

static int write_cut(const struct tun *t, const struct txv *x)
{
	struct offload_view w = {
		.hdr = x->f.data,
		.l4_off = x->f.l4_off,
		.hdr_len = x->f.hdr_len,
		.gso_size = x->f.gso_size,
		.gso_segs = x->f.gso ? x->f.gso_segs : 1,
		.gso = x->f.gso,
		.csum = x->f.csum,
		.flags = x->f.flags,
		.v = x->v + 1,
		.num_v = x->num_v - 1u,
		.payload_len = x->f.len - x->f.hdr_len,
	};
	uint8_t hdr[PKT_ROOM];
	struct vnet none = {0};
	struct iovec iov[ARRAY_SIZE(x->v) + 3];
	unsigned first = t->has_vnet ? 1 : 0, n;
	long r = 0;

	iov[0] = (struct iovec){&none, VNET_LEN};
	for (unsigned i = 0; i < w.gso_segs && r >= 0; i++) {
		n = offload_segment(&w, i, hdr, iov + first + 1,
				    ARRAY_SIZE(iov) - 2);
		iov[first] = (struct iovec){hdr, w.hdr_len};
		r = sys(writev, t->fd, iov, first + 1 + n);
	}
	return r < 0 ? (int)r : (int)x->f.len;
}

int tun_write(const struct tun *t, const struct txv *x)
{
	if (!device_can(t, &x->f))
		return write_cut(t, x);
	if (t->has_vnet)
		return write_vnet(t, x);
	return (int)sys(writev, t->fd, x->v, x->num_v);
}
