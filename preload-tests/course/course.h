/* SPDX-License-Identifier: MIT
 *
 * course.h - what every program of the sockets course needs
 *
 * Kept as small as it can be: an address from two words, an address as text,
 * and a way out when a call fails. Everything that is about sockets stands in
 * the programs themselves.
 */
#ifndef COURSE_H
#define COURSE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Says which call failed and why, and ends the program. */
static inline void fail(const char *call)
{
	perror(call);
	exit(EXIT_FAILURE);
}

/* "10.0.1.1" and "8080" as the address that bind() and connect() want. */
static inline struct sockaddr_in make_address(const char *ip, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	char *end;
	long number = strtol(port, &end, 10);

	if (*end || end == port || number < 0 || number > 65535) {
		fprintf(stderr, "'%s' is not a port\n", port);
		exit(EXIT_FAILURE);
	}
	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "'%s' is not an IPv4 address\n", ip);
		exit(EXIT_FAILURE);
	}
	/* on the wire, and in the struct, the big end comes first */
	a.sin_port = htons((uint16_t)number);
	return a;
}

/* The address as "10.0.1.1:8080"; good until the next call. */
static inline const char *show_address(const struct sockaddr_in *a)
{
	static char text[INET_ADDRSTRLEN + 8];
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip));
	snprintf(text, sizeof(text), "%s:%d", ip, ntohs(a->sin_port));
	return text;
}

#endif
