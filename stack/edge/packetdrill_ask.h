/* SPDX-License-Identifier: MIT
 *
 * packetdrill_ask.h - a script's commands ask the stack under test
 */
#ifndef TCPSHIM_PACKETDRILL_ASK_H
#define TCPSHIM_PACKETDRILL_ASK_H

#define PD_ASK_NAME "tcpshim-packetdrill" /* abstract, of the namespace */

void pd_ask_init(void);	   /* listens from now on */
void pd_ask_come_up(void); /* what was asked for before there was a stack */
/* In another process: an fd to read the answer from, or -1. */
int pd_ask_open(const char *what);

#endif
