#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""audit.py TRACE... - system calls that passed the shim by

Reads `strace -f -y`, where every number has its file behind it, and a socket
its inode: 5<socket:[4711]>. That is what makes the judgement simple: an inode
is one socket, whatever numbers it has in however many processes.

A near end is an AF_UNIX socket that was connected to a listener for far ends,
which its name tells. Nothing may be done to it but what belongs to the life
of a number, what every socket answers alike (it is no terminal, has no offset
and takes any advice), and the question of the shim itself, after exec, whether
it is one. The kernel's IPv4 and IPv6 sockets are fine if they never carried data
to anywhere but loopback: libc's, which asks for interfaces, or for the source
address of a destination by connecting a UDP socket, or asks a name server.

Prints one line for each objection and the number of calls; the status says
whether there was one.
"""
import re
import sys

LIFE = {"close", "fcntl", "dup", "dup2", "dup3", "fstat", "newfstatat",
        "statx", "lseek", "close_range", "fadvise64"}
CARRY = {"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev",
         "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "listen",
         "accept", "accept4"}
IOCTLS = ("TCGETS", "FIONBIO", "FIOCLEX", "FIONCLEX")  # as fcntl
DNS = {53}

LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
INODE = re.compile(r"socket:\[(\d+)\]")
FIRST = re.compile(r"^-?\d+<socket:\[(\d+)\]>")
RESULT = re.compile(r"\) += (-?\d+)(?:<socket:\[(\d+)\]>)?")
LOOP = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "(::1|::ffff:127\.)')
# The keeper's listener, or the program's own where there is no keeper
NEAR = re.compile(r'sun_path=@"(tcpshim-far-[^"]*|[0-9a-f]{5})"')
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")


def calls(path):
    """Whole calls, the two halves of an interrupted one put together."""
    halves = {}
    with open(path, encoding="latin-1") as trace:
        for text in trace:
            text = text.rstrip("\n")
            m = UNFINISHED.match(text)
            if m:
                halves[m.group(1)] = (m.group(2), m.group(3))
                continue
            m = RESUMED.match(text)
            if m:
                name, first = halves.pop(m.group(1), (m.group(2), ""))
                yield name, first + m.group(3)
                continue
            m = LINE.match(text)
            if m:
                yield m.group(2), m.group(3)


class Audit:
    def __init__(self):
        self.unix = set()
        self.near = set()
        self.inet = {}  # inode: what is known against it, or None
        self.fine = set()  # inodes that went to loopback or a name server
        self.bad = []
        self.num = 0
        self.made = 0

    def see(self, name, args):
        res = RESULT.search(args)
        value = int(res.group(1)) if res else None
        made = res.group(2) if res else None
        first = FIRST.match(args)
        first = first.group(1) if first else None
        self.num += 1
        if name == "socket":
            self.socket(args, made)
        elif name == "connect" and first in self.unix and NEAR.search(args):
            self.near.add(first)
            self.made += 1
        elif self.near:
            self.near_call(name, args, first)
        if name in ("accept", "accept4") and first in self.inet and made:
            self.inet[made] = None
            if first in self.fine or LOOP.search(args):
                self.fine.add(made)
        if first in self.inet:
            self.inet_call(name, args, first, value)

    def socket(self, args, made):
        if not made:
            return
        if "AF_UNIX" in args:
            self.unix.add(made)
        elif re.match(r"AF_INET6?,", args):
            self.inet[made] = None
            if "SOCK_RAW" in args:
                self.inet[made] = "socket(" + args

    def near_call(self, name, args, first):
        head = args[:args.rfind(") = ")] if ") = " in args else args
        head = re.sub(r"cmsg_data=\[[^]]*\]", "", head)  # handed on, unused
        if not any(n in self.near for n in INODE.findall(head)):
            return
        if name in LIFE or self.is_setup(name, args, first):
            return
        self.bad.append(f"near end: {name}({args[:160]}")

    def is_setup(self, name, args, first):
        if name in ("bind", "connect"):
            return "AF_UNIX" in args
        if name == "getsockopt":
            return "SO_COOKIE" in args or "0x39" in args
        if name in ("write", "sendto"):  # its identity
            return re.search(r", 8(\)|, )", args) is not None
        if name == "ioctl":
            return any(code in args for code in IOCTLS)
        if name == "getpeername":  # whose is it? asked after exec
            return "[110 =>" in args and NEAR.search(args) is not None
        if name == "copy_file_range":  # EINVAL for every socket
            return "EINVAL" in args
        if name == "epoll_ctl":  # "be it there or not"
            return "EPOLL_CTL_DEL" in args and "ENOENT" in args
        return False

    def inet_call(self, name, args, first, value):
        if name in ("connect", "bind", "sendto", "sendmsg", "sendmmsg"):
            port = PORT.search(args)
            if LOOP.search(args) or \
                    name != "bind" and port and int(port.group(1)) in DNS:
                self.fine.add(first)
                return
        if name in CARRY and self.inet[first] is None:
            self.inet[first] = f"{name}({args}"

    def end(self):
        for inode, call in self.inet.items():
            if call and inode not in self.fine:
                self.bad.append(f"kernel socket {inode}: {call[:160]}")


def main():
    audit = Audit()
    for path in sys.argv[1:]:
        for name, args in calls(path):
            audit.see(name, args)
    audit.end()
    print(f"{audit.made} near ends, {audit.num} calls")
    if not audit.made:
        audit.bad.append("no near end was ever made")
    for line in audit.bad[:25]:
        print(line)
    if audit.bad:
        print(f"{len(audit.bad)} objections")
    sys.exit(bool(audit.bad))


main()
