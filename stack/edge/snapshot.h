/* SPDX-License-Identifier: MIT
 *
 * snapshot.h - a table of results beside the one that is committed
 *
 * Tables are Markdown: a row begins with '|' and belongs to the heading above
 * it. A part of a table may be compared: what is not there is not missed.
 */
#ifndef TCPSHIM_SNAPSHOT_H
#define TCPSHIM_SNAPSHOT_H

#include <stdio.h>

/* Every row of @now must be in the file at @path, under the same heading; those
 * that are not are told. How many; -1 if there is no such file or nothing to
 * compare. */
int snapshot_compare(const char *path, FILE *now);

#endif
