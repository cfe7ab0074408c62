/* SPDX-License-Identifier: MIT
 *
 * main.c - fuzz gen SEED: prints a program; fuzz exec PEER: runs those that
 * come on standard input, each ended by a line with a dot; fuzz peer PATH: the
 * other end (see fuzz.h, and run, which uses all of them)
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
	const char *mode = argc >= 3 ? argv[1] : "";

	if (!strcmp(mode, "gen")) {
		uint64_t first = strtoull(argv[2], NULL, 0);
		uint64_t num = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;

		for (uint64_t i = 0; i < num; i++) {
			gen(first + i, stdout);
			if (argc > 3)
				puts(".");
		}
		return 0;
	}
	if (!strcmp(mode, "exec"))
		return exec_programs(argv[2]);
	if (!strcmp(mode, "peer"))
		return exec_peer(argv[2]);
	fputs("usage: fuzz gen SEED [NUM] | exec PEER-PATH | peer PATH\n",
	      stderr);
	return 2;
}
