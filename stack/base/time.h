/* SPDX-License-Identifier: MIT
 *
 * time.h - one clock: signed nanoseconds on a monotone scale
 *
 * The core never reads a clock. Whoever turns the crank passes @now, read
 * after the stack lock was taken, never smaller than the last one.
 */
#ifndef TCPSHIM_TIME_H
#define TCPSHIM_TIME_H

#include <stdint.h>

typedef int64_t nsec; /* an instant, or a length of time */

#define TIME_NEVER INT64_MAX
#define USEC ((nsec)1000)
#define MSEC ((nsec)1000000)
#define SEC ((nsec)1000000000)

#endif
