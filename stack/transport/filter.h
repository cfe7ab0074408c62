/* SPDX-License-Identifier: MIT
 *
 * filter.h - SO_ATTACH_FILTER: a program that says which packets a socket wants
 */
#ifndef TCPSHIM_TRANSPORT_FILTER_H
#define TCPSHIM_TRANSPORT_FILTER_H

#include "base/bpf.h"
#include "transport/transport.h"

struct ep_filter { /* shared by the children of a listener */
	uint32_t refs, num;
	struct sock_filter v[];
};

/* Instead of what was there. 0, -EINVAL: no such program, -ENOMEM. */
int filter_attach(struct ep *e, const struct sock_filter *v, uint32_t num);
void filter_detach(struct ep *e);
void filter_inherit(struct ep *e, const struct ep *from);
/* Does @e want the *@len bytes at @data, which lie in @rx's frame? *@len
 * becomes how many of them; what is unwanted is counted. */
bool filter_pass(struct ep *e, const struct ip_rx *rx, const uint8_t *data,
		 uint32_t *len);

#endif
