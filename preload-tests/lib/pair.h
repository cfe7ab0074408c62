/* SPDX-License-Identifier: MIT
 *
 * pair.h - both ends of a connection in one program, over its own address
 */
#ifndef TCPSHIM_PRELOAD_PAIR_H
#define TCPSHIM_PRELOAD_PAIR_H

#include "../t.h"

static T_UNUSED void t_pair(const struct t_fam *f, int sv[2])
{
	int lfd = t_listener(f, 1);
	struct t_addr a = t_addr(f->us, t_local_port(lfd));

	sv[0] = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	MUST(connect(sv[0], &a.sa, a.len));
	sv[1] = (int)MUST(accept(lfd, NULL, NULL));
	close(lfd);
}

static T_UNUSED void t_close_pair(int sv[2])
{
	close(sv[0]);
	close(sv[1]);
}

#endif
