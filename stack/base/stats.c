/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <stddef.h>

/* Not pointers: these would be relocated in each process that is started, used
 * or not. */
struct text {
	char name[40], text[104];
};

static const struct text stats[STAT_NUM] = {
#define STAT(id, name, text) {name, text},
#define DROP(id, text)
#include "base/stats.def"
#undef STAT
#undef DROP
};

static const struct text drops[DROP_NUM] = {
	{"NONE", "not dropped"},
#define STAT(id, name, text)
#define DROP(id, text) {#id, text},
#include "base/stats.def"
#undef STAT
#undef DROP
};

const char *stat_name(enum stat_id s)
{
	return (unsigned)s < STAT_NUM ? stats[s].name : "?";
}

const char *stat_text(enum stat_id s)
{
	return (unsigned)s < STAT_NUM ? stats[s].text : "?";
}

const char *drop_name(enum drop d)
{
	return (unsigned)d < DROP_NUM ? drops[d].name : "?";
}

const char *drop_text(enum drop d)
{
	return (unsigned)d < DROP_NUM ? drops[d].text : "?";
}
