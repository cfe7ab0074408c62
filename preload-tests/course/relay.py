#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""relay.py CABLE SERVER SEED LOSS DELAY JITTER REORDER - a bad cable

The kernel that the tests run on has no netem. What a client sends to SERVER
goes through a TUN of its own instead, whose other end is this process:

    program -> route to SERVER -> impair0 (TUN) -> relay -> impair0
            -> (arrived from impair0: table 100) -> CABLE -> SERVER

What is reordered is sent at once, the rest waits for a delay of normal
distribution, in seconds, as with netem. Only what leaves is impaired, as with
netem at the root of a cable. The device and its route go with the process.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def ip(*words):
    subprocess.run(["ip"] + list(words), check=True)


def sysctl(name, value):
    with open("/proc/sys/net/ipv4/" + name, "w") as f:
        f.write(value)


def up(cable, server):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF,
                struct.pack("16sH22x", b"impair0", IFF_TUN | IFF_NO_PI))
    # its own source address comes back in from the device
    sysctl("conf/impair0/accept_local", "1")
    sysctl("conf/impair0/forwarding", "1")
    sysctl("conf/%s/forwarding" % cable, "1")
    ip("link", "set", "impair0", "up")
    ip("route", "replace", "default", "via", server, "dev", cable,
       "table", "100")
    ip("rule", "add", "iif", "impair0", "lookup", "100")
    own = subprocess.run(["ip", "-o", "-4", "addr", "show", "dev", cable],
                         stdout=subprocess.PIPE, check=True).stdout
    source = own.split()[3].split(b"/")[0].decode()
    ip("route", "add", server + "/32", "dev", "impair0", "src", source)
    return fd


def relay(fd, loss, delay, jitter, reorder, rng):
    waiting = []
    while True:
        left = (max(0, waiting[0][0] - time.monotonic()) if waiting else None)
        ready = select.select([fd], [], [], left)[0]
        if ready:
            packet = os.read(fd, 65536)
            if rng.random() < loss:
                continue
            hold = 0
            if delay and rng.random() >= reorder:
                hold = max(0, rng.gauss(delay, jitter))
            heapq.heappush(waiting, (time.monotonic() + hold, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(fd, heapq.heappop(waiting)[1])


def main():
    cable, server, seed = sys.argv[1:4]
    loss, delay, jitter, reorder = (float(w) for w in sys.argv[4:8])
    fd = up(cable, server)
    print("relaying", flush=True)
    relay(fd, loss, delay, jitter, reorder, random.Random(int(seed)))


main()
