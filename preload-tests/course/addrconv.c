/* SPDX-License-Identifier: MIT
 *
 * addrconv ADDRESS - an IPv4 address from text to binary and back
 */
#include "course.h"

int main(int argc, char **argv)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr binary;

	if (argc != 2) {
		fprintf(stderr, "usage: addrconv ADDRESS\n");
		return EXIT_FAILURE;
	}
	if (inet_pton(AF_INET, argv[1], &binary) != 1) {
		fprintf(stderr, "'%s' is not an IPv4 address\n", argv[1]);
		return EXIT_FAILURE;
	}
	if (!inet_ntop(AF_INET, &binary, text, sizeof(text)))
		fail("inet_ntop");
	/* s_addr is in network byte order: as a number it depends on the
	 * machine, so it is turned before it is printed */
	printf("%s -> %08x -> %s\n", argv[1], ntohl(binary.s_addr), text);
	return EXIT_SUCCESS;
}
