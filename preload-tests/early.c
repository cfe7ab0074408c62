/* SPDX-License-Identifier: MIT
 *
 * early.c - hooked calls from the constructor of a library of the program,
 * which the dynamic linker runs before that of a preloaded library
 */
#include "t.h"

#include "lib/early_lib.h"

int main(void)
{
	const struct t_fam *f = &t_fams[0];
	int fd;

	early_report();
	t_init();
	fd = t_connected(f, 0);
	CALL(send(fd, "\0", 1, 0));
	peer("recv 0 1");
	close(fd);
	peer("end 0");
	return 0;
}
