/* SPDX-License-Identifier: MIT */
#include "transport/tcp_world.h"
