/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/stats.h"

static struct log l;

/* libc's snprintf() is the oracle */
#define SAME(...)                                                         \
	do {                                                              \
		char ours[128], theirs[128];                              \
		size_t n = log_snprintf(ours, sizeof(ours), __VA_ARGS__); \
		int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);    \
		cr_assert_str_eq(ours, theirs);                           \
		cr_assert_eq(n, (size_t)m);                               \
	} while (0)

Test(log, formats_as_printf)
{
	SAME("plain");
	SAME("%s and %s", "one", "two");
	SAME("%d %d %d", 0, -1, 2147483647);
	SAME("%i", -2147483647 - 1);
	SAME("%u %x %c%%", 4294967295u, 0xbeefu, 'q');
	SAME("%ld %lu %lx", -5L, 18446744073709551615UL, 0xdeadbeefcafeUL);
	SAME("%lld %llu %zu", -1LL, 1ULL, (size_t)77);
	SAME("%lld", -9223372036854775807LL - 1);
	SAME("[%5d][%-5d][%05d][%2d]", 42, 42, -42, 12345);
	SAME("[%8s][%-8s][%.2s][%5.1s]", "abc", "abc", "abc", "abc");
	SAME("[%02x%02x][%08x][%#x]", 1u, 255u, 77u, 77u);
	SAME("%p", (void *)0x1234);
	SAME("%hhu %hu", (unsigned char)200, (unsigned short)60000);
	SAME("%.3d %+d", 7, 7);
}

Test(log, is_cut_at_its_room)
{
	char buf[8];

	cr_assert_eq(log_snprintf(buf, sizeof(buf), "%s", "0123456789"), 7);
	cr_assert_str_eq(buf, "0123456");
	cr_assert_eq(log_snprintf(buf, 1, "x"), 0);
	cr_assert_str_eq(buf, "");
	cr_assert_eq(log_snprintf(NULL, 0, "x"), 0);
	cr_assert_eq(log_snprintf(buf, sizeof(buf), "%05000d", 1), 7);
}

Test(log, levels)
{
	char out[256];

	log_init(&l, LOG_WARN);
	log_at(&l, LOG_DEBUG, "no");
	log_at(&l, LOG_WARN, "yes %d", 1);
	log_line(&l, LOG_INFO, "no");
	log_at(&l, LOG_ERROR, "and");
	out[log_drain(&l, out, sizeof(out) - 1)] = '\0';
	cr_assert_str_eq(out, "warn: yes 1\nerror: and\n");
	cr_assert_eq(log_drain(&l, out, sizeof(out)), 0);
	log_init(&l, LOG_OFF);
	log_at(&l, LOG_ERROR, "no");
	cr_assert_eq(log_drain(&l, out, sizeof(out)), 0);
}

Test(log, whole_lines_only)
{
	char out[64];

	log_init(&l, LOG_INFO);
	log_line(&l, LOG_INFO, "one");
	log_line(&l, LOG_INFO, "two");
	cr_assert_eq(log_drain(&l, out, 7), 4);
	cr_assert_eq(log_drain(&l, out, 7), 4);
	cr_assert_arr_eq(out, "two\n", 4);
}

/* round and round: nothing torn, and the lost are told of */
Test(log, full_ring_counts_what_is_lost)
{
	static char out[2 * LOG_RING];
	unsigned lost = 0, next = 0, v;

	log_init(&l, LOG_INFO);
	for (int round = 0; round < 5; round++) {
		size_t n;

		for (int i = 0; i < 3000; i++)
			log_line(&l, LOG_INFO, "line %d", round * 3000 + i);
		n = log_drain(&l, out, sizeof(out) - 1);
		cr_assert_leq(n, LOG_RING);
		out[n] = '\0';
		for (char *p = out; *p; p = strchr(p, '\n') + 1) {
			if (sscanf(p, "log: %u lines lost", &v) == 1) {
				lost += v;
				next += v;
			} else {
				cr_assert_eq(sscanf(p, "line %u\n", &v), 1);
				cr_assert_eq(v, next++);
			}
		}
	}
	cr_assert_eq(next + l.lost, 15000);
	cr_assert_gt(lost, 0);
}

Test(stats, every_row_has_its_words)
{
	for (int i = 0; i < STAT_NUM; i++) {
		cr_assert(*stat_name((enum stat_id)i));
		cr_assert(*stat_text((enum stat_id)i));
	}
	for (int i = 0; i < DROP_NUM; i++) {
		cr_assert(*drop_name((enum drop)i));
		cr_assert(*drop_text((enum drop)i));
	}
	cr_assert_str_eq(stat_name(STAT_TcpRetransSegs), "TcpRetransSegs");
	cr_assert_str_eq(drop_name(DROP_IP4_CSUM), "IP4_CSUM");
	cr_assert_str_eq(drop_name(DROP_NUM), "?");
}
