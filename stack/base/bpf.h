/* SPDX-License-Identifier: MIT
 *
 * bpf.h - classic BPF programs, as SO_ATTACH_FILTER takes them
 *
 * The language of "The BSD Packet Filter" (McCanne and Jacobson, 1993), with
 * the reaches of Linux: offsets below zero name the network header or what is
 * known beside the bytes (Documentation/networking/filter.rst).
 */
#ifndef TCPSHIM_BPF_H
#define TCPSHIM_BPF_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#define BPF_MAX_LEN 4096 /* BPF_MAXINSNS of Linux */

/* Ends, jumps forward only, reads no memory that it has not written: whatever
 * bpf_check_classic() of Linux wants. */
bool bpf_is_valid(const struct sock_filter *v, uint32_t num);

struct bpf_pkt {
	const uint8_t *data; /* offset 0 of the program */
	uint32_t len;
	const uint8_t *net; /* its network header, in front of @data */
	uint16_t proto;	    /* ETH_P_* */
	uint32_t ifindex;
};

/* How many bytes of the packet are wanted; 0: drop it. @v is valid. */
uint32_t bpf_run(const struct sock_filter *v, const struct bpf_pkt *p);

#endif
