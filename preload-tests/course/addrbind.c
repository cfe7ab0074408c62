/* SPDX-License-Identifier: MIT
 *
 * addrbind ADDRESS PORT [ADDRESS PORT]... - which addresses can be had
 *
 * Binds a UDP socket to each pair and keeps them all, so that a later pair can
 * collide with an earlier one. Port 0 lets the system choose.
 */
#include "course.h"

int main(int argc, char **argv)
{
	if (argc < 3 || argc % 2 == 0) {
		fprintf(stderr, "usage: addrbind ADDRESS PORT "
				"[ADDRESS PORT]...\n");
		return EXIT_FAILURE;
	}
	for (int i = 1; i < argc; i += 2) {
		struct sockaddr_in a = make_address(argv[i], argv[i + 1]);
		socklen_t len = sizeof(a);
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		if (fd < 0)
			fail("socket");
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			fail("bind");
		if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
			fail("getsockname");
		printf("bound to %s\n", show_address(&a));
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
