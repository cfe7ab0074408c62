/* SPDX-License-Identifier: MIT */
#include "transport/filter.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "base/util.h"

int filter_attach(struct ep *e, const struct sock_filter *v, uint32_t num)
{
	struct ep_filter *f;

	if (!bpf_is_valid(v, num))
		return -EINVAL;
	f = arena_alloc(e->tp->core->arena, sizeof(*f) + num * sizeof(*v));
	if (!f)
		return -ENOMEM;
	f->refs = 1;
	f->num = num;
	memcpy(f->v, v, num * sizeof(*v));
	filter_detach(e);
	e->filter = f;
	return 0;
}

void filter_detach(struct ep *e)
{
	struct ep_filter *f = e->filter;

	__atomic_store_n(&e->filter, NULL, __ATOMIC_RELEASE);
	if (f && --f->refs == 0)
		arena_free(e->tp->core->arena, f);
}

void filter_inherit(struct ep *e, const struct ep *from)
{
	filter_detach(e);
	e->filter = from->filter;
	if (e->filter)
		e->filter->refs++;
}

bool filter_pass(struct ep *e, const struct ip_rx *rx, const uint8_t *data,
		 uint32_t *len)
{
	struct bpf_pkt p = {
		.data = data,
		.len = *len,
		.net = rx->f->data <= data ? rx->f->data : NULL,
		.proto = ip_addr_is4(&rx->dst) ? ETHERTYPE_IP : ETHERTYPE_IPV6,
		.ifindex = rx->link == LINK_LO ? 1 : 2,
	};
	uint32_t want;

	if (!e->filter)
		return true;
	want = bpf_run(e->filter->v, &p);
	if (!want) {
		e->rx_drops++;
		drop(e->tp->core, DROP_SOCK_FILTER);
		return false;
	}
	*len = MIN(want, *len);
	return true;
}
