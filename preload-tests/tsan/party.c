/* SPDX-License-Identifier: MIT
 *
 * party.c - linked into a copy of the library that is one of several in a
 * process: the memory is mapped already
 */
#include "party.h"

#include "host_priv.h"

__attribute__((visibility("default"))) void party_maps(struct shared *sh)
{
	host.sh = sh;
}

__attribute__((visibility("default"))) bool party_has_joined(void)
{
	return host_is_up() && host.has_keeper && host.party != PARTY_KEEPER;
}

/* What must be seen: a word of the lock's, without it. */
__attribute__((visibility("default"))) void party_spoils(void)
{
	host.sh->had_tx = true; /* only leads to one more look */
}
