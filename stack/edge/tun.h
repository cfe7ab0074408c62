/* SPDX-License-Identifier: MIT
 *
 * tun.h - the TUN device: IP packets in and out of the kernel
 *
 * With offload every packet carries a struct virtio_net_hdr of 12 bytes: the
 * kernel gives and takes TCP segments of up to 64 KiB and leaves checksums to
 * whoever needs them. Without it packets are cut and summed here.
 *
 * Reading and writing make system calls and run much of the kernel's own stack
 * inside them: never under the stack lock.
 */
#ifndef TCPSHIM_EDGE_TUN_H
#define TCPSHIM_EDGE_TUN_H

#include <net/if.h>

#include "stack.h"

struct tun {
	int fd; /* non-blocking, CLOEXEC */
	char name[IFNAMSIZ];
	uint32_t mtu;
	bool has_vnet; /* struct virtio_net_hdr in front of each packet */
	bool can_csum, can_tso4, can_tso6, can_uso;
	bool was_made; /* by us: gone when fd is closed */
};

struct tun_cfg {
	const char *name;
	bool offload;
	uint32_t mtu; /* to set on a device that we make; 0: leave it */
	/* The kernel's end, for a device that we make. */
	struct {
		struct ip_addr addr;
		unsigned plen;
	} peers[IP_MAX_ADDRS];
	unsigned num_peers;
};

/* 0, or a negative errno with cause and cure in @why. */
int tun_open(struct tun *t, const struct tun_cfg *cfg, char *why, size_t len);
void tun_close(struct tun *t);
/* One packet into @f, which has room for FRAME_LARGE. Its length, -EAGAIN when
 * there is none, or another errno. ->at is the caller's to set. */
int tun_read(const struct tun *t, struct frame *f);
/* One packet, cut and summed as the device needs it. Bytes, or -errno. */
int tun_write(const struct tun *t, const struct txv *x);

#endif
