/* SPDX-License-Identifier: MIT
 *
 * stack.c - joins the layers
 */
#include "stack.h"
