/* SPDX-License-Identifier: MIT
 *
 * tcp_info.h - the layout of TCP_INFO
 */
#ifndef TCPSHIM_TRANSPORT_TCP_INFO_H
#define TCPSHIM_TRANSPORT_TCP_INFO_H

#include <linux/tcp.h>
#include <stdint.h>

#include "transport/cc.h"

/* TCP_INFO as Linux 6.18 has it, 280 bytes, whatever the headers know. */
struct tcp_info_all {
	union {
		struct tcp_info i;
		struct {
			uint8_t head[232];
			uint32_t rcv_wnd, rehash;
			uint16_t total_rto, total_rto_recoveries;
			uint32_t total_rto_time, received_ce;
			uint32_t delivered_e1, delivered_e0, delivered_ce;
			uint32_t received_e1, received_e0, received_ce_bytes;
			uint16_t ecn_fail, ecn_opt_seen;
		} x;
	};
};

/* TCP_CC_INFO: how many bytes of @v the congestion control tells. */
struct ep;
unsigned tcp_get_cc_info(const struct ep *e, uint32_t v[CC_INFO_WORDS]);

#endif
