# SPDX-License-Identifier: MIT
"""mcast.py - an ordinary multicast program, either side

hear GROUP PORT N      joins, says "ready", prints N datagrams, leaves
hold GROUP [SOURCE]    joins (for one source), says "ready", leaves at its end
tell GROUP PORT TEXT   sends one
query GROUP            an IGMPv3 or MLDv2 query, as a router's; 0.0.0.0, ::
"""
import socket
import struct
import sys


def dev():
    """The interface with 10.77.0.x, by number."""
    for index, name in socket.if_nameindex():
        if name != "lo" and not name.startswith(("sit", "tunl", "ip6")):
            return index
    return 0


def family(group):
    return socket.AF_INET6 if ":" in group else socket.AF_INET


def member(s, group, join=True):
    a = socket.inet_pton(s.family, group)
    if s.family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP,
                     socket.IP_ADD_MEMBERSHIP if join
                     else socket.IP_DROP_MEMBERSHIP,
                     a + struct.pack("=4si", bytes(4), dev()))
    else:
        s.setsockopt(socket.IPPROTO_IPV6,
                     socket.IPV6_JOIN_GROUP if join
                     else socket.IPV6_LEAVE_GROUP,
                     a + struct.pack("=I", dev()))


def by_device(s):
    if s.family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                     struct.pack("=4s4si", bytes(4), bytes(4), dev()))
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, dev())


def hear(group, port, count):
    s = socket.socket(family(group), socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((group, int(port)))
    member(s, group)
    print("ready", flush=True)
    s.settimeout(20)
    for _ in range(int(count)):
        data, peer = s.recvfrom(2000)
        print(peer[0], data.decode(), flush=True)
    member(s, group, False)


def hold(group, source=None):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if ":" in group:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    if source:
        s.setsockopt(socket.IPPROTO_IP, 39,  # IP_ADD_SOURCE_MEMBERSHIP
                     socket.inet_aton(group) + bytes(4) +
                     socket.inet_aton(source))
    else:
        member(s, group)
    print("ready", flush=True)
    sys.stdin.read()


def tell(group, port, text):
    s = socket.socket(family(group), socket.SOCK_DGRAM)
    by_device(s)
    s.sendto(text.encode(), (group, int(port)))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def query(group):
    if ":" in group:
        s = socket.socket(socket.AF_INET6, socket.SOCK_RAW,
                          socket.IPPROTO_ICMPV6)
        by_device(s)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS,
                     bytes([0, 0, 5, 2, 0, 0, 1, 0]))  # router alert
        # the kernel makes the checksum, and has a link-local address
        s.sendto(struct.pack("!BBHHH16sBBH", 130, 0, 0, 100, 0,
                             socket.inet_pton(socket.AF_INET6, group),
                             2, 125, 0), ("ff02::1", 0, 0, dev()))
        return
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    by_device(s)
    body = struct.pack("!BBH4sBBH", 0x11, 1, 0, socket.inet_aton(group),
                       2, 125, 0)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    s.sendto(body, ("224.0.0.1", 0))


globals()[sys.argv[1]](*sys.argv[2:])
