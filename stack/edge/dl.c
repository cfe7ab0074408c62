/* SPDX-License-Identifier: MIT
 *
 * dl.c - a library opened when it is first needed
 */
#include "edge/dl.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"

int dl_open(const struct dl_lib *l, void *to, char *why, size_t len)
{
	int flags = RTLD_NOW | RTLD_LOCAL;
	char *at = to;
	void *so, *p;

#ifndef TCPSHIM_SANITIZED
	flags |= RTLD_DEEPBIND;
#endif
	so = dlopen(l->name, flags);
	if (!so && l->also)
		so = dlopen(l->also, flags);
	if (!so) {
		log_snprintf(why, len, "%s", l->cure);
		return -ENOENT;
	}
	for (const char *const *fn = l->fn; *fn; fn++, at += sizeof(p)) {
		p = dlsym(so, *fn);
		if (!p) {
			log_snprintf(why, len, "%s has no %s", l->name, *fn);
			return -ENOENT;
		}
		memcpy(at, &p, sizeof(p));
	}
	return 0;
}
