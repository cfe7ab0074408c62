# SPDX-License-Identifier: MIT
"""lab.py - the hosts, programs and wires of the sockets course

A Lab is one run of the course in one mode: which of the three hosts of
netns-scripts/two-clients.sh are stacks under the preload, and which are the
kernel's. An item talks to it like a person at three terminals: starts programs,
types, reads what they say, looks at a cable. Every wait is for a condition, and
bounded; what was said goes into the transcript, without what changes from run
to run (ports, clocks).
"""
import collections
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

patience = [15.0]  # seconds until a wait is given up

HOSTS = {"server": "ns_server", "client1": "ns_client1",
         "client2": "ns_client2"}
CABLES = {"client1": "veth_srv_c1", "client2": "veth_srv_c2"}
NAMES = {"10.0.1.1": "server", "10.0.2.1": "server", "10.0.1.2": "client1",
         "10.0.2.2": "client2"}


class Failed(Exception):
    """Something is not as the course says."""


def wait_for(what, condition, limit=None):
    """Until condition() gives something true, which is the result."""
    end = time.monotonic() + (limit or patience[0])
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed("waited in vain for " + what)
        time.sleep(0.01)


def plain(text):
    """The text without ephemeral ports, clocks and process numbers."""
    text = re.sub(r"(10\.0\.\d\.\d|127\.0\.0\.1):(3[2-9]|[45]\d|60)\d{3}\b",
                  r"\1:PORT", text)
    return re.sub(r"clock says \d{9,}\.\d{9}", "clock says NOW", text)


class Program:
    """One program at work; what it prints is read as it comes."""

    def __init__(self, args, name, env=None, quiet=False):
        self.name = name
        self.text = ""
        self.seen = 0
        self.changed = threading.Condition()
        self.popen = subprocess.Popen(
            args, stdin=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE, env=env, start_new_session=True)
        self.is_reading = not quiet
        self.reader = threading.Thread(target=self._read, daemon=True)
        if not quiet:
            self.reader.start()

    def _read(self):
        while True:
            data = os.read(self.popen.stdout.fileno(), 65536)
            with self.changed:
                self.text += data.decode("utf-8", "replace")
                if not data:
                    self.is_reading = False
                self.changed.notify_all()
            if not data:
                return

    def expect(self, pattern, limit=None):
        """Waits until it says that, after what was seen before."""
        end = time.monotonic() + (limit or patience[0])
        with self.changed:
            while True:
                m = re.compile(pattern, re.M).search(self.text, self.seen)
                if m:
                    self.seen = m.end()
                    return m
                left = end - time.monotonic()
                if left <= 0 or not self.is_reading:
                    raise Failed("%s does not say /%s/, but: %s" % (
                        self.name, pattern, self.text[-300:].strip()))
                self.changed.wait(left)

    def has_said(self, pattern):
        with self.changed:
            return re.search(pattern, self.text, re.M) is not None

    def type(self, line=""):
        self.popen.stdin.write((line + "\n").encode())
        self.popen.stdin.flush()

    def end_input(self):
        self.popen.stdin.close()

    def is_running(self):
        return self.popen.poll() is None

    def kill(self, sig=signal.SIGINT):
        if self.is_running():
            self.popen.send_signal(sig)

    def finish(self, limit=None):
        """Its end, as a shell has it: the status, or 128 and the signal."""
        try:
            status = self.popen.wait(limit or patience[0])
        except subprocess.TimeoutExpired:
            raise Failed("%s does not end; it said: %s" % (
                self.name, self.text[-300:].strip())) from None
        wait_for("the last words of " + self.name,
                 lambda: not self.is_reading)
        return status if status >= 0 else 128 - status

    def clean_up(self):
        if self.is_running():
            self.popen.kill()
        self.popen.wait()
        if self.reader.is_alive():
            self.reader.join(5)
        for stream in self.popen.stdin, self.popen.stdout:
            try:
                stream.close()
            except OSError:
                pass


Packet = collections.namedtuple(
    "Packet", "at src dst proto sport dport flags seq ack win data icmp ttl")

FLAGS = ((2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, "A"))


def parse(at, frame):
    """An Ethernet frame with IPv4 in it; None for anything else."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return None
    ip = frame[14:]
    head = (ip[0] & 15) * 4
    total = struct.unpack("!H", ip[2:4])[0]
    src, dst = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
    l4 = ip[head:total]
    if ip[9] == 6 and len(l4) >= 20:
        sport, dport, seq, ack, off, flags, win = struct.unpack(
            "!HHIIBBH", l4[:16])
        text = "".join(c for bit, c in FLAGS if flags & bit)
        return Packet(at, src, dst, "tcp", sport, dport, text, seq, ack, win,
                      l4[(off >> 4) * 4:], None, ip[8])
    if ip[9] == 17 and len(l4) >= 8:
        sport, dport = struct.unpack("!HH", l4[:4])
        return Packet(at, src, dst, "udp", sport, dport, "", 0, 0, 0, l4[8:],
                      None, ip[8])
    if ip[9] == 1 and len(l4) >= 8:
        return Packet(at, src, dst, "icmp", 0, 0, "", 0, 0, 0, l4[8:],
                      (l4[0], l4[1]), ip[8])
    return None


def read_capture(path):
    """The packets of a capture file, even while it is being written."""
    with open(path, "rb") as f:
        data = f.read()
    packets, at = [], 24
    while len(data) >= at + 16:
        sec, usec, have, _ = struct.unpack("<IIII", data[at:at + 16])
        if len(data) < at + 16 + have:
            break
        p = parse(sec + usec / 1e6, data[at + 16:at + 16 + have])
        if p:
            packets.append(p)
        at += 16 + have
    return packets


class Wire:
    """tcpdump on a cable, at the server's end."""

    def __init__(self, lab, client, pattern):
        self.lab, self.client = lab, client
        self.path = os.path.join(lab.scratch, "wire-%d.pcap" % lab.next_id())
        self.dump = lab.start(
            "server", "tcpdump", "-i", CABLES[client], "-n", "-U", "-Z",
            "root", "--immediate-mode", "-w", self.path, pattern, bare=True)
        self.dump.expect("listening on")

    def packets(self):
        """Of TCP only connections that were seen to begin: the last words of
        others, of the item before, are no part of this one."""
        packets = read_capture(self.path)
        begun = {ends(p) for p in packets if p.flags == "S"}
        return [p for p in packets if p.proto != "tcp" or ends(p) in begun]

    def until(self, what, condition, limit=None):
        """The packets, when condition(packets) holds, and the hosts at the
        ends of the cable have dealt with them."""
        def look():
            packets = self.packets()
            return packets if condition(packets) else None
        packets = wait_for(what + " on the wire", look, limit)
        for host in "server", self.client:
            self.lab.settle(host)
        return packets

    def stop(self):
        self.dump.kill()
        self.dump.finish()
        return self.packets()


def ends(p):
    return frozenset(((p.src, p.sport), (p.dst, p.dport)))


def is_from(p, host):
    return NAMES.get(p.src) == host


def arrows(packets, only="SFR"):
    """`client1 S, server SA`: who sent which flags, in order; what comes twice
    (a busy machine sends again) is said once."""
    said = ["%s %s" % (NAMES.get(p.src, p.src), p.flags.replace("P", ""))
            for p in packets if set(p.flags) & set(only)]
    return ", ".join(s for s, before in zip(said, [None] + said)
                     if s != before)


class Lab:
    def __init__(self, mode, shims, programs, library, scratch, top):
        self.mode = mode
        self.shims = shims
        self.programs = programs
        self.library = library
        self.scratch = scratch
        self.top = top
        self.running = []
        self.undo = []
        self.lines = []
        self.ids = 0

    def next_id(self):
        self.ids += 1
        return self.ids

    # --- the transcript ---

    def say(self, *lines):
        """Lines that must be the same in every mode."""
        for line in lines:
            self.lines += plain(str(line)).splitlines()

    def want(self, condition, what):
        if not condition:
            raise Failed(what)

    def is_shim(self, host):
        return host in self.shims

    # --- programs ---

    def under(self, host, settings=()):
        """What stands before a command on that host."""
        args = ["nsenter", "--net=/run/netns/" + HOSTS[host], "env"]
        if self.is_shim(host):
            args += self.settings(host)
            args += ["LD_PRELOAD=" + self.library]
        return args + list(settings)

    def settings(self, host):
        script = os.path.join(self.top, "netns-scripts", "two-clients.sh")
        said = subprocess.run([script, "env", host], check=True,
                              stdout=subprocess.PIPE)
        return said.stdout.decode().split()

    def path(self, program):
        ours = os.path.join(self.programs, program)
        return ours if os.path.exists(ours) else program

    def start(self, host, program, *args, bare=False, settings=(), wrap=(),
              quiet=False):
        """In the background; `bare` is the kernel's, whatever the host is."""
        before = (["nsenter", "--net=/run/netns/" + HOSTS[host]] if bare
                  else self.under(host, settings))
        command = before + list(wrap) + [self.path(program)]
        command += [str(a) for a in args]
        p = Program(command, "%s on %s" % (program, host), quiet=quiet)
        self.running.append(p)
        return p

    def run(self, host, program, *args, typed=None, limit=None, **how):
        """To its end: (status, what it said)."""
        p = self.start(host, program, *args, **how)
        if typed is not None:
            p.popen.stdin.write(typed.encode())
        p.end_input()
        status = p.finish(limit)
        self.forget(p)
        return status, p.text

    def say_run(self, host, program, *args, **how):
        """The same, into the transcript."""
        status, text = self.run(host, program, *args, **how)
        self.say("%s: %s %s" % (host, program, " ".join(map(str, args))),
                 text, "exit status %d" % status)
        return status, text

    def forget(self, p):
        if p in self.running:
            self.running.remove(p)
        p.clean_up()

    def stop(self, p, sig=signal.SIGINT):
        """Ctrl-C, and what is left of it."""
        p.kill(sig)
        status = p.finish()
        self.forget(p)
        return status

    def wire(self, client, pattern):
        return Wire(self, client, pattern)

    def ss(self, host, *words):
        """What ss prints on a host of the kernel's; None under the shim."""
        if self.is_shim(host):
            return None
        return self.run(host, "ss", "-Hn", *words, bare=True)[1]

    def settle(self, host):
        """A kernel deals with a packet at once; a stack when a thread of its
        program gets to it. What it answers to a ping is after that."""
        if not self.is_shim(host):
            return
        address = [a for a, name in NAMES.items() if name == host][0]
        self.run(host, "ping", "-n", "-q", "-c", 1, "-W", 1, address,
                 bare=True)

    def sysctl(self, host, name, value):
        path = "/proc/sys/" + name.replace(".", "/")
        subprocess.run(
            ["nsenter", "--net=/run/netns/" + HOSTS[host], "sh", "-c",
             "echo %s >%s" % (value, path)], check=True)

    def at_end(self, function, *args):
        """Of the item, whatever becomes of it."""
        self.undo.append((function, args))

    def clean_up(self):
        for p in list(self.running):
            self.forget(p)
        while self.undo:
            function, args = self.undo.pop()
            function(*args)

    # --- things that several items do ---

    def sink(self, address="0.0.0.0", port=8080, host="server", reuse=True,
             options=()):
        """byte_sink, bound. SO_REUSEADDR, since the item before has left a
        connection in TIME-WAIT."""
        p = self.start(host, "byte_sink", *(["-r"] if reuse else []),
                       *options, address, port)
        p.expect("^Enter: listen")
        return p

    def listening_sink(self, **how):
        p = self.sink(**how)
        p.type()
        p.expect("^Enter: accept")
        return p

    def connected(self, *options, port=8080):
        """simple_nc of client 1."""
        p = self.start("client1", "simple_nc", *options, "10.0.1.1", port)
        p.expect("connected")
        return p
