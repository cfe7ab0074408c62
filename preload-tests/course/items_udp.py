# SPDX-License-Identifier: MIT
"""items_udp.py - S3-1 to S3-17: addresses, the network, datagrams

Each item is a function that is given a Lab; it raises when something is not as
the course says, and puts into the transcript what must be the same everywhere.
"""
import os
import re
import signal
import struct
import subprocess
import tempfile

from lab import HOSTS, NAMES, Failed, is_from, wait_for

ITEMS = []  # (id, variant, title, function)


def item(number, title, variant=""):
    def add(function):
        ITEMS.append(("S3-%d" % number, variant, title, function))
        return function
    return add


# --- addresses ---

@item(1, "addrconv: text to binary and back")
def addrconv(lab):
    for address, status in (("192.168.1.100", 0), ("127.0.0.1", 0),
                            ("256.0.0.1", 1), ("abrakadabra", 1)):
        got, text = lab.say_run("client1", "addrconv", address)
        lab.want(got == status, "%s: status %d" % (address, got))
        if address == "192.168.1.100":
            lab.want("c0a80164" in text, "no c0a80164 in " + text)


@item(2, "addrbind: loopback, any, an ephemeral port")
def addrbind(lab):
    for address, port in (("127.0.0.1", 8080), ("0.0.0.0", 8080)):
        status, text = lab.say_run("server", "addrbind", address, port)
        lab.want("bound to %s:%d\n" % (address, port) == text, text)
        lab.want(status == 0, "status %d" % status)
    for address in "127.0.0.1", "0.0.0.0":
        ports = set()
        for _ in range(4):
            status, text = lab.run("server", "addrbind", address, 0)
            lab.want(status == 0, text)
            ports.add(int(re.search(r":(\d+)$", text, re.M).group(1)))
        lab.want(0 not in ports, "port 0")
        lab.want(len(ports) > 1, "always port %s" % ports)
        lab.say("%s 0: ephemeral ports" % address)


@item(3, "make -B builds every program without a warning")
def make(lab):
    if lab.mode != "kernel":  # once is enough
        return
    makefile = os.path.join(lab.top, "preload-tests", "course", "Makefile")
    with tempfile.TemporaryDirectory(dir=lab.scratch) as there:
        got = subprocess.run(["make", "-B", "-s", "-j2", "-f", makefile],
                             cwd=there, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        lab.want(got.returncode == 0 and not got.stdout,
                 got.stdout.decode()[-300:])
        missing = set(os.listdir(lab.programs)) - set(os.listdir(there))
        lab.want(not missing, "not built: %s" % missing)


# --- the network ---

@item(4, "two-clients.sh: the three namespaces, refusals")
def network(lab):
    script = os.path.join(lab.top, "netns-scripts", "two-clients.sh")

    def words(*args):
        got = subprocess.run([script] + list(args), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        return got.returncode, got.stdout.decode()

    def ip(host, *args):
        return lab.run(host, "ip", *args, bare=True)[1]

    for host in HOSTS:
        lab.want("127.0.0.1/8" in ip(host, "addr", "show", "dev", "lo", "up"),
                 "lo of " + host)
    for n in "1", "2":
        kernel = ip("server", "addr", "show", "dev", "veth_srv_c" + n, "up")
        lab.want(("10.0.%s.1/24" % n in kernel) != lab.is_shim("server"),
                 "address of the server, " + n)
        kernel = ip("client" + n, "addr", "show", "dev", "veth_c" + n, "up")
        lab.want(("10.0.%s.2/24" % n in kernel) != lab.is_shim("client" + n),
                 "address of client " + n)
        lab.want("default via 10.0.%s.1 " % n in
                 ip("client" + n, "route", "show", "default"),
                 "default route of client " + n)
    forward = lab.run("server", "cat", "/proc/sys/net/ipv4/ip_forward",
                      bare=True)[1]
    lab.want(forward == "1\n", "ip_forward is " + forward)
    status, text = words("sideways")
    lab.want(status == 1 and "usage: " in text, "a bad word: " + text)
    status, text = words("up")
    lab.want(status == 1 and "exists already" in text, "second up: " + text)
    lab.say("as drawn")


@item(5, "four pings, none lost")
def pings(lab):
    # a stack answers while a program of its host runs
    lab.sink("10.0.1.1")
    for n in "1", "2":
        lab.sink("10.0.%s.2" % n, host="client" + n)
    started = []
    for source, target in (("client1", "10.0.1.1"), ("client2", "10.0.2.1"),
                           ("client1", "10.0.2.2"), ("client2", "10.0.1.2")):
        ping = lab.start(source, "ping", "-n", "-c", 2, "-i", "0.5", "-W", 5,
                         target, bare=True)
        started.append((source, target, ping))
    for source, target, ping in started:
        there = NAMES[target]
        ttl = 64 - (there != "server") - lab.is_shim(there)
        lab.want(ping.finish() == 0 and " 0% packet loss" in ping.text,
                 ping.text)
        lab.want("ttl=%d " % ttl in ping.text,
                 "ttl is not %d: %s" % (ttl, ping.text))
        lab.say("%s to %s: 0%% loss" % (source, target))


# --- datagrams ---

def server_at(lab, *args, host="server", **how):
    p = lab.start(host, "time_server", *args, **how)
    p.expect("^serving on ")
    return p


@item(6, "time_server on any address answers both clients")
def both_clients(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    for n in "1", "2":
        status, text = lab.say_run("client" + n, "time_client", "-n", 3,
                                   "10.0.%s.1" % n, 8080)
        lab.want(status == 0, text)
        lab.want(text.count("answered by 10.0.%s.1:8080" % n) == 3, text)
    lab.stop(server)
    lab.say(server.text)


@item(7, "tcpdump records one request, which decodes")
def one_request(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    capture = os.path.join(lab.scratch, "udp.pcap")
    dump = lab.start("server", "tcpdump", "-Z", "root", "-i", "veth_srv_c1",
                     "-n", "-c", 1, "-v", "-XX", "-w", capture, "--print",
                     "udp port 8080", bare=True)
    dump.expect("listening on")
    lab.run("client1", "time_client", "10.0.1.1", 8080)
    lab.want(dump.finish() == 0, dump.text)
    lab.want("0x0000:" in dump.text and "10.0.1.2" in dump.text, dump.text)
    again = lab.run("server", "tcpdump", "-n", "-r", capture, bare=True)[1]
    lab.want(re.search(r"10\.0\.1\.2\.\d+ > 10\.0\.1\.1\.8080: UDP, length 8",
                       again), again)
    with open(capture, "rb") as f:
        payload = f.read()[-8:]
    magic, number = struct.unpack("!4sI", payload)
    lab.want(magic == b"TIME" and number == 0, repr(payload))
    lab.say("magic %s, number %d" % (magic.decode(), number))
    lab.stop(server)


def is_unreachable(p):
    return p.icmp == (3, 3)


@item(8, "bound to one address: the other is unreachable, and says so")
def one_address(lab):
    server = server_at(lab, "10.0.1.1", 8080)
    wire = lab.wire("client2", "udp port 8080 or icmp")
    status, text = lab.say_run("client1", "time_client", "10.0.1.1", 8080)
    lab.want(status == 0, text)
    status, text = lab.say_run("client2", "time_client", "10.0.2.1", 8080)
    lab.want("Connection refused" in text, text)
    status, text = lab.say_run("client2", "time_client", "-u", "-t", 300,
                               "10.0.2.1", 8080)
    lab.want("no answer" in text, text)
    wire.until("two refusals", lambda p: sum(map(is_unreachable, p)) == 2)
    for p in wire.stop():
        lab.say("%s %s" % (NAMES.get(p.src, p.src),
                           "port unreachable" if is_unreachable(p)
                           else p.proto))
    lab.stop(server)
    lab.say(server.text)


@item(9, "bind to an address of somebody else")
def foreign_address(lab):
    status, text = lab.say_run("server", "time_server", "10.0.3.1", 8080)
    lab.want(status == 1 and "Cannot assign requested address" in text, text)


@item(10, "bound to loopback: served on the same host only")
def loopback(lab):
    server = server_at(lab, "127.0.0.1", 8080)
    status, text = lab.say_run("client1", "time_client", "-t", 300,
                               "10.0.1.1", 8080)
    lab.want(status == 1, text)
    # the loopback of a stack's host is the kernel's, so this one is, too
    status, text = lab.run("server", "time_client", "127.0.0.1", 8080,
                           bare=True)
    lab.want(status == 0, text)
    lab.say("server: time_client 127.0.0.1 8080", text)
    lab.stop(server)
    lab.say(server.text)


@item(11, "an address that is taken")
def taken(lab):
    for pairs in (("0.0.0.0", 8080, "0.0.0.0", 8080),
                  ("10.0.1.1", 8080, "10.0.2.1", 8080, "10.0.1.1", 8080),
                  ("0.0.0.0", 8080, "10.0.1.1", 8080)):
        status, text = lab.say_run("server", "addrbind", *pairs)
        lab.want(status == 1 and "Address already in use" in text, text)
    if not lab.is_shim("server"):
        server = server_at(lab, "0.0.0.0", 8080)
        lab.want("0.0.0.0:8080" in lab.ss("server", "-aun"), "not in ss")
        lab.stop(server)


@item(11, "an address that is taken", "loopback against any")
def taken_loopback(lab):
    status, text = lab.say_run("server", "addrbind", "0.0.0.0", 8080,
                               "127.0.0.1", 8080)
    lab.want(status == 1 and "Address already in use" in text, text)


@item(11, "an address that is taken", "by another process")
def taken_by_process(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    status, text = lab.say_run("server", "time_server", "0.0.0.0", 8080)
    lab.want(status == 1 and "Address already in use" in text, text)
    lab.stop(server)


@item(12, "two servers, an address each")
def two_servers(lab):
    servers = [server_at(lab, "10.0.%s.1" % n, 8080) for n in ("1", "2")]
    for n in "1", "2":
        status, text = lab.say_run("client" + n, "time_client",
                                   "10.0.%s.1" % n, 8080)
        lab.want(status == 0, text)
    for server in servers:
        lab.stop(server)
        lab.say(server.text)


@item(13, "low ports are for root")
def low_ports(lab):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534",
              "--clear-groups"]
    settings = []
    if lab.is_shim("server"):  # a device that nobody may open
        settings = ["TCPSHIM_DEV=tun:user0"]
        lab.run("server", "ip", "tuntap", "add", "dev", "user0", "mode",
                "tun", "user", "65534", bare=True)
        lab.at_end(lab.run, "server", "ip", "link", "del", "user0")
        lab.run("server", "ip", "link", "set", "user0", "up", bare=True)
    for address in "127.0.0.1", "10.0.1.1":
        status, text = lab.say_run("server", "time_server", address, 999,
                                   wrap=nobody, settings=settings)
        lab.want(status == 1 and "Permission denied" in text, text)
    server = server_at(lab, "10.0.1.1", 999)
    lab.stop(server)
    lab.say("root:", server.text)


# --- a bad network ---

def impaired(lab, loss, delay, jitter, reorder):
    """Client 2 sends over a bad cable; its settings, if it is a stack."""
    if lab.is_shim("client2"):
        words = "out:"
        if loss:
            words += "loss %g%%" % (100 * loss)
        else:
            words += ("delay %gms %gms distribution normal reorder %g%%" %
                      (1000 * delay, 1000 * jitter, 100 * reorder))
        return ["TCPSHIM_IMPAIR=" + words, "TCPSHIM_SEED=14"], None
    relay = lab.start(
        "client2", os.path.join(lab.top, "preload-tests", "course",
                                "relay.py"),
        "veth_c2", "10.0.2.1", 14, loss, delay, jitter, reorder, bare=True)
    relay.expect("relaying")
    return [], relay


def repaired(lab, relay):
    if relay:
        lab.stop(relay, signal.SIGKILL)
        wait_for("the way back", lambda: "impair0" not in lab.run(
            "client2", "ip", "route", "get", "10.0.2.1", bare=True)[1])
        lab.run("client2", "ip", "rule", "del", "lookup", "100", bare=True)


@item(14, "40 % loss: client 1 does not notice, client 2 does")
def loss(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    settings, relay = impaired(lab, 0.4, 0, 0, 0)
    other = lab.start("client1", "time_client", "-n", 20, "10.0.1.1", 8080)
    status, text = lab.run("client2", "time_client", "-n", 60, "-t", 100,
                           "10.0.2.1", 8080, settings=settings)
    answered = text.count("answered by")
    lab.want(status == 1 and 15 <= answered <= 55,
             "%d of 60 answered" % answered)
    lab.want(text.count("no answer") == 60 - answered, text[-300:])
    lab.want(other.finish() == 0, other.text)
    lab.say("some are lost, with a message each", other.text)
    repaired(lab, relay)
    status, text = lab.say_run("client2", "time_client", "-n", 10,
                               "10.0.2.1", 8080)
    lab.want(status == 0, text)
    lab.stop(server)


def numbers(word, text):
    return [int(n) for n in re.findall("^%s (\\d+)" % word, text, re.M)]


@item(15, "a burst over a clean cable comes in order")
def burst(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    status, text = lab.say_run("client2", "time_burst_client", "10.0.2.1",
                               8080)
    lab.want(status == 0 and numbers("reply", text) == list(range(20)), text)
    lab.stop(server)
    lab.say(server.text)


@item(16, "a burst over a cable that reorders does not")
def reordering(lab):
    server = server_at(lab, "0.0.0.0", 8080)
    settings, relay = impaired(lab, 0, 0.5, 0.4, 0.5)
    status, text = lab.run("client2", "time_burst_client", "-t", 5000,
                           "10.0.2.1", 8080, settings=settings)
    for got in numbers("reply", text), numbers("request", server.text):
        lab.want(sorted(got) == list(range(20)), "not all came: " + text)
        lab.want(got != sorted(got), "in order: %s" % got)
    lab.want(status == 0 and "out of order" in text, text)
    lab.say("all came, out of order")
    repaired(lab, relay)
    status, text = lab.say_run("client2", "time_burst_client", "10.0.2.1",
                               8080)
    lab.want(status == 0 and "in order" in text, text)
    lab.stop(server)


@item(17, "a datagram longer than the buffer is cut")
def truncation(lab):
    server = lab.start("server", "echo_server")
    server.expect("^echoing")
    nc = lab.start("client1", "nc", "-u", "10.0.1.1", 5678)
    for line, back in (("short", "^short$"),
                       ("a line that is longer than the buffer", "^a line that "),
                       ("the next", "the next$")):
        nc.type(line)
        server.expect("bytes from 10.0.1.2")
        nc.expect(back)
    lab.stop(nc)
    lab.stop(server)
    lab.want("38 bytes from" in server.text and
             server.text.count("kept 16") == 1, server.text)
    lab.say(server.text, nc.text)
