/* SPDX-License-Identifier: MIT
 *
 * sock_world.h - two hosts on a wire, and calls short enough for tests
 *
 * Host 0 is 10.0.0.1 and fd00::1, host 1 is 10.0.0.2 and fd00::2.
 */
#ifndef TCPSHIM_SOCK_WORLD_H
#define TCPSHIM_SOCK_WORLD_H

#include "edge/netsim.h"

extern struct netsim *world;

void world_init(void); /* .init and .fini of a test */
void world_fini(void); /* every arena must be empty but for the stack */
struct stack *host(int i);
nsec now(void);
void settle(void); /* until nothing more happens within a second */

sockid open_sock(int h, int family, int type);
int bind_to(int h, sockid s, const char *addr, uint16_t port);
int connect_to(int h, sockid s, const char *addr, uint16_t port);
int set_int(int h, sockid s, int level, int name, int v);
int get_int(int h, sockid s, int level, int name); /* or -errno */
/* -errno or bytes; @addr NULL: none */
int send_to(int h, sockid s, const void *p, size_t len, int flags,
	    const char *addr, uint16_t port);
int recv_from(int h, sockid s, void *p, size_t len, int flags,
	      struct sock_msg *m);
uint32_t poll_of(int h, sockid s);
uint16_t port_of(int h, sockid s); /* local */

#endif
