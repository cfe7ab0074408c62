#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""nearend.py TRACE - system calls on near ends, from `strace -f -o TRACE`

A near end is an AF_UNIX socket made with socket() and connected to a listener
of the shim, known by its name; its copies (dup, fcntl) are near ends too. Its
making, the connect and the eight bytes of its identity are setting up. After
that only what belongs to the life of a number may happen to it. Exits with a
message about everything else.
"""
import re
import sys

LIFE = {"close", "close_range", "fcntl", "dup", "dup2", "dup3", "fstat",
        "newfstatat", "fstatat64"}
SETUP = {"bind", "getsockname"}
MULTI = {"poll", "ppoll", "select", "pselect6"}

line_re = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
result_re = re.compile(r"\)\s+=\s+(-?\d+)")


def first_fd(args):
    m = re.match(r"\s*(\d+)", args)
    return int(m.group(1)) if m else None


def is_setup(call, args):
    if call in SETUP:
        return True
    if call == "getsockopt":
        return "SO_COOKIE" in args or "0x39" in args
    if call in ("write", "sendto"):  # the id, 8 bytes
        return re.search(r", 8(\)|, | <)", args) is not None
    return False


def main():
    unix, near, bad, seen, keepers = set(), {}, [], 0, set()
    with open(sys.argv[1], encoding="latin-1") as trace:
        for number, line in enumerate(trace, 1):
            m = line_re.match(line)
            if not m:
                continue
            call, args = m.group(2), m.group(3)
            if call == "execve" and '/tcpshim-keeper"' in args:
                keepers.add(m.group(1))  # its numbers are its own
            if m.group(1) in keepers:
                continue
            res = result_re.search(args)
            res = int(res.group(1)) if res else None
            if call == "socket":
                if "AF_UNIX" in args and res is not None and res >= 0:
                    unix.add(res)
                continue
            if call == "connect" and first_fd(args) in unix:
                unix.discard(first_fd(args))
                if "tcpshim-far-" in args:
                    near[first_fd(args)] = number
                    seen += 1
                continue
            if res is not None and res >= 0 and first_fd(args) in near and \
                    (call.startswith("dup") or "F_DUPFD" in args):
                near[res] = number
                continue
            fd = first_fd(args)
            if call in MULTI or call == "epoll_ctl":
                if call == "epoll_ctl":
                    named = [int(n) for n in re.findall(r"EPOLL_CTL_\w+, (\d+)",
                                                        args)]
                else:
                    named = [int(n) for n in re.findall(r"fd=(\d+)", args)]
                if any(n in near for n in named):
                    bad.append(f"{number}: {line.strip()[:120]}")
                continue
            if call == "close":
                unix.discard(fd)
            if fd not in near:
                continue
            if call == "close":
                del near[fd]
            elif call not in LIFE and not is_setup(call, args):
                bad.append(f"{number}: {line.strip()[:120]}")
    if not seen:
        sys.exit("no near end was ever made")
    if bad:
        sys.exit("\n".join(bad[:10]) + f"\n{len(bad)} calls on near ends")


main()
