# SPDX-License-Identifier: MIT
"""items_tcp.py - S3-18 to S3-34: streams

What `ss` shows on a host of the kernel's is checked there. A stack has no line
in the kernel's ss; what stands for it is what byte_sink prints of TCP_INFO and
FIONREAD, and the cable.
"""
import hashlib
import os
import re
import signal

from items_udp import item
from lab import NAMES, Failed, arrows, is_from, wait_for

PORT = "tcp port 8080"  # for tcpdump


def has(flags, host=None):
    """A condition on packets: one with these flags (from that host)."""
    return lambda packets: any(
        set(flags) <= set(p.flags) and (not host or is_from(p, host))
        for p in packets)


def data_of(packets, host):
    return [p for p in packets if is_from(p, host) and p.data]


def is_acked(packets, host):
    """All that this host sent was acknowledged by the other end."""
    sent = data_of(packets, host)
    if not sent:
        return False
    end = sent[-1].seq + len(sent[-1].data)
    return any((p.ack - end) & 0xFFFFFFFF < 1 << 31
               for p in packets if p.dst == sent[-1].src and "A" in p.flags)


def want_ss(lab, pattern, there=True, *words):
    """A line of ss on the server, if the server is the kernel's."""
    said = lab.ss("server", "-tan", *words)
    if said is None:
        return
    found = any(pattern in " ".join(line.split())
                for line in said.splitlines())
    lab.want(found == there, "ss %s %s: %s" % (
        "has no" if there else "has", pattern, said))


def told(sink):
    """All that byte_sink has said, to the prompt at which it waits."""
    wait_for("a prompt", lambda: not sink.is_running() or
             re.search("^Enter: .*\n\\Z", sink.text, re.M))
    return sink.text


def receive(sink, said, word=""):
    """One receive, and what byte_sink shows after it."""
    sink.type(word)
    sink.expect(said + "\n.*\nEnter: receive")


def close_connection(sink):
    sink.type("close")
    sink.expect("^Enter: accept")


# --- byte_sink, step by step ---

@item(18, "byte_sink: bind, listen, accept, receive, end of file")
def steps(lab):
    sink = lab.listening_sink()
    client = lab.connected()
    sink.type()
    sink.expect("^Enter: receive")
    client.type("hello")
    client.expect("wrote 6")
    receive(sink, "received 6 bytes")
    client.end_input()
    client.expect("sent FIN")
    receive(sink, "end of file")
    close_connection(sink)
    lab.want(client.finish() == 0, client.text)
    sink.type("quit")
    lab.want(sink.finish() == 0, sink.text)
    lab.say(told(sink), client.text)


@item(19, "before listen(): a SYN is answered with RST")
def before_listen(lab):
    sink = lab.sink()
    wire = lab.wire("client1", PORT)
    status, text = lab.say_run("client1", "nc", "-nv", "10.0.1.1", 8080)
    lab.want(status == 1 and "Connection refused" in text, text)
    lab.say(arrows(wire.until("a reset", has("R"))))
    wire.stop()
    want_ss(lab, ":8080", False)
    sink.type("show")
    sink.expect("socket: CLOSE\nEnter: listen")
    lab.say(told(sink))
    lab.stop(sink)


@item(20, "after listen(): connected, and acknowledged, without accept()")
def after_listen(lab):
    sink = lab.listening_sink()
    sink.type("show")
    sink.expect("socket: LISTEN")
    want_ss(lab, "LISTEN 0 8 0.0.0.0:8080 ")
    wire = lab.wire("client1", PORT)
    nc = lab.start("client1", "nc", "-nv", "-N", "10.0.1.1", 8080)
    nc.expect("succeeded")
    nc.type("hello")
    packets = wire.until("an acknowledgment",
                         lambda p: is_acked(p, "client1"))
    lab.say(arrows(packets), nc.text)
    want_ss(lab, "ESTAB 6 0 10.0.1.1:8080 10.0.1.2:")
    nc.end_input()
    lab.say(told(sink))


@item(21, "accept(): nothing to see on the wire")
def silent_accept(lab):
    sink = lab.listening_sink()
    wire = lab.wire("client1", PORT)
    lab.connected()
    wire.until("a handshake", lambda p: len(p) >= 3)
    # connections: the queue of the listening socket does get shorter
    before = lab.ss("server", "-tn")
    sink.type()
    sink.expect("accepted 10.0.1.2")
    lab.want(lab.ss("server", "-tn") == before, "ss has changed")
    packets = wire.stop()
    lab.want(len(packets) == 3, "%d packets" % len(packets))
    lab.say(arrows(packets, "SFRA"), told(sink))


def receive_to_end(lab, end):
    sink = lab.listening_sink()
    wire = lab.wire("client1", PORT)
    nc = lab.start("client1", "nc", "-nv", "-N", "10.0.1.1", 8080)
    nc.expect("succeeded")
    sink.type()
    sink.expect("^Enter: receive")
    nc.type("forty bytes are what this line has in it")
    wire.until("its acknowledgment", lambda p: is_acked(p, "client1"))
    sink.type("show")
    sink.expect("41 bytes to read")
    want_ss(lab, "ESTAB 41 0 10.0.1.1:8080 ")
    receive(sink, "received 16 bytes")
    want_ss(lab, "ESTAB 25 0 10.0.1.1:8080 ")
    receive(sink, "received 25 bytes", "100")
    end(nc)
    receive(sink, "end of file")
    lab.say(arrows(wire.until("a FIN", has("F", "client1"))), told(sink))


@item(22, "recv() empties the queue; nc ends, and the server reads EOF")
def receive_eof(lab):
    receive_to_end(lab, lambda nc: nc.end_input())


@item(22, "recv() empties the queue; nc ends, and the server reads EOF",
      "nc is killed")
def receive_killed(lab):
    receive_to_end(lab, lambda nc: nc.kill())


@item(23, "data sent before accept() is there after it")
def data_before_accept(lab):
    sink = lab.listening_sink()
    wire = lab.wire("client1", PORT)
    client = lab.connected()
    client.type("early")
    wire.until("its acknowledgment", lambda p: is_acked(p, "client1"))
    sink.type()
    sink.expect("connection: ESTABLISHED, 6 bytes to read")
    receive(sink, "received 6 bytes")
    lab.say(told(sink), client.text)


@item(24, "a peer that closed before accept(): its data, then EOF")
def closed_before_accept(lab):
    sink = lab.listening_sink()
    wire = lab.wire("client1", PORT)
    client = lab.connected()
    client.type("early")
    client.end_input()
    wire.until("a FIN", has("F", "client1"))
    wire.until("its acknowledgment", lambda p: is_acked(p, "client1"))
    sink.type()
    sink.expect("connection: CLOSE_WAIT, 6 bytes to read")
    receive(sink, "received 6 bytes")
    receive(sink, "end of file")
    close_connection(sink)
    lab.want(client.finish() == 0, client.text)
    lab.say(told(sink), client.text)


CROWD = """
import socket
kept = []
for _ in range(3):
    s = socket.socket()
    s.settimeout(1.5)
    try:
        s.connect(("10.0.2.1", 8080))
        print("connected", flush=True)
    except OSError as e:
        print(e, flush=True)
    kept.append(s)
"""


@item(25, "more clients wait in the backlog; beyond it they are not heard")
def crowd(lab):
    sink = lab.listening_sink(options=("-b", 1))
    lab.connected()
    sink.type()
    sink.expect("^Enter: receive")
    wire = lab.wire("client2", PORT)
    status, text = lab.say_run("client2", "python3", "-c", CROWD)
    lab.want(text == "connected\nconnected\ntimed out\n", text)
    packets = wire.stop()
    syns = [p for p in packets if p.flags == "S"]
    lab.want(len({p.sport for p in syns}) == 3 and len(syns) >= 4,
             "SYNs: %d" % len(syns))
    lab.want(not has("R", "server")(packets), "reset: " + arrows(packets))
    lab.say(told(sink))


# --- simple_nc ---

@item(26, "simple_nc: Ctrl-D is a FIN; the server drains, then reads EOF")
def half_close(lab):
    sink = lab.listening_sink()
    wire = lab.wire("client1", PORT)
    client = lab.connected()
    sink.type()
    sink.expect("^Enter: receive")
    for _ in range(3):
        client.type("seven b")
        client.expect("wrote 8")
    client.end_input()
    wire.until("a FIN", has("F", "client1"))
    wire.until("its acknowledgment", lambda p: is_acked(p, "client1"))
    sink.type("show")
    sink.expect("CLOSE_WAIT, 24 bytes to read")
    lab.want(client.is_running(), "the client did not wait")
    for said in ("received 16 bytes", "received 8 bytes", "end of file"):
        receive(sink, said)
    close_connection(sink)
    lab.want(client.finish() == 0, client.text)
    lab.say(arrows(wire.until("the other FIN", has("F", "server"))),
            told(sink), client.text)


def accepted(lab, *options, port=8080, reuse=True):
    """(sink, client, wire) with the connection accepted."""
    sink = lab.listening_sink(port=port, reuse=reuse)
    wire = lab.wire("client1", "tcp port %d" % port)
    client = lab.connected(*options, port=port)
    sink.type()
    sink.expect("^Enter: receive")
    return sink, client, wire


def kill_server(sink):
    sink.kill()
    sink.finish()


def closes_first(lab, port, reuse, how):
    """The server closes first, then the client: TIME-WAIT."""
    sink, client, wire = accepted(lab, port=port, reuse=reuse)
    how(sink)
    wire.until("a FIN", has("F", "server"))
    client.end_input()
    lab.want(client.finish() == 0, client.text)
    wire.stop()
    want_ss(lab, "TIME-WAIT 0 0 10.0.1.1:%d 10.0.1.2:" % port)
    lab.say(client.text)
    return sink


TAKEN = "the server closed first: TIME-WAIT, and its address is taken"


@item(27, TAKEN)
def time_wait(lab):
    sink = closes_first(lab, 8081, False, close_connection)
    sink.type("again")
    sink.type()
    sink.expect("Address already in use")
    sink.type("reuse")  # the second time only: not enough
    sink.type()
    sink.expect("Address already in use")
    lab.say(told(sink))
    lab.stop(sink)


@item(27, TAKEN, "SO_REUSEADDR")
def time_wait_reuse(lab):
    sink = closes_first(lab, 8082, True, close_connection)
    sink.type("again")
    sink.expect("closed everything")
    sink.type()
    sink.expect("bound to")
    sink.type()
    sink.expect("^listening")
    lab.say(told(sink))
    lab.stop(sink)


@item(27, TAKEN, "the server is killed")
def time_wait_killed(lab):
    for port, first, second, said in (
            (8083, False, (), "Address already in use"),
            (8084, False, ("-r",), "Address already in use"),
            (8085, True, ("-r",), "bound to")):
        closes_first(lab, port, first, kill_server)
        again = lab.start("server", "byte_sink", *second, "0.0.0.0", port)
        again.expect(said)
        lab.stop(again)
        lab.say("%s then %s: %s" % (first, second, said))


def writes_after_close(lab, how, *options):
    sink, client, wire = accepted(lab, *options)
    how(sink)
    wire.until("a FIN", has("F", "server"))
    client.type("one")
    client.expect("wrote 4 bytes")
    wire.until("a reset", has("R", "server"))
    client.type("two")
    if options:
        client.expect("write: Broken pipe")
        client.end_input()
    status = client.finish()
    lab.say(client.text, "status %d" % status, arrows(wire.stop()))
    return status


@item(28, "writes after the server has closed: one goes, the next kills")
def write_twice(lab):
    status = writes_after_close(lab, close_connection)
    lab.want(status == 141, "status %d, not SIGPIPE" % status)


@item(28, "writes after the server has closed: one goes, the next kills",
      "SIGPIPE ignored")
def write_twice_ignored(lab):
    status = writes_after_close(lab, close_connection, "-i")
    lab.want(status == 0, "status %d" % status)


@item(28, "writes after the server has closed: one goes, the next kills",
      "the server is killed")
def write_twice_killed(lab):
    status = writes_after_close(lab, kill_server)
    lab.want(status == 141, "status %d, not SIGPIPE" % status)


def writes_after_reset(lab, how):
    sink, client, wire = accepted(lab)
    client.type("unread")
    client.expect("wrote")
    wire.until("its acknowledgment", lambda p: is_acked(p, "client1"))
    how(sink)
    packets = wire.until("a reset", has("R", "server"))
    lab.want(not has("F", "server")(packets), "a FIN: " + arrows(packets))
    client.type("one")
    client.expect("write: Connection reset by peer")
    client.type("two")
    status = client.finish()
    lab.want(status == 141, "status %d, not SIGPIPE" % status)
    lab.say(client.text, arrows(packets))


@item(29, "the server left data unread: RST, ECONNRESET, SIGPIPE")
def unread(lab):
    writes_after_reset(lab, close_connection)


@item(29, "the server left data unread: RST, ECONNRESET, SIGPIPE",
      "the server is killed")
def unread_killed(lab):
    writes_after_reset(lab, kill_server)


@item(30, "half-closed or closed: a write cannot tell")
def cannot_tell(lab):
    sink, client, wire = accepted(lab)
    sink.type("half")
    wire.until("a FIN", has("F", "server"))
    for _ in range(2):
        client.type("still")
        client.expect("wrote 6 bytes")
        receive(sink, "received 6 bytes")
    close_connection(sink)
    client.type("first")
    client.expect("wrote 6 bytes")
    wire.until("a reset", has("R", "server"))
    lab.say(told(sink), client.text)


# --- kv ---

def store(lab, *args, host="server"):
    p = lab.start(host, "kv_store", *args)
    p.expect("^serving on ")
    return p


@item(31, "kv_store and kv_client; one segment a request")
def kv(lab):
    server = store(lab)
    wire = lab.wire("client1", "tcp port 8085")
    status, text = lab.run(
        "client1", "kv_client", "10.0.1.1", 8085,
        typed="set a one thing\nget a\nget b\ndel a\nget a\nquit\n")
    lab.want(status == 0, text)
    packets = wire.until("a FIN", has("F", "client1"))
    asked = [len(p.data) for p in data_of(packets, "client1")]
    told = [len(p.data) for p in data_of(packets, "server")]
    lab.want(len(asked) == 5 and len(told) == 5, "%s %s" % (asked, told))
    lab.say(text, "requests %s, replies %s" % (asked, told))
    server.expect("client left")
    lab.stop(server)
    lab.say(server.text)


@item(32, "an iterative server: the second client waits, acknowledged")
def iterative(lab):
    server = store(lab)
    first = lab.start("client1", "kv_client", "10.0.1.1", 8085)
    first.expect("connected")
    first.type("set a 1")
    first.expect("^ok")
    wire = lab.wire("client2", "tcp port 8085")
    second = lab.start("client2", "kv_client", "10.0.2.1", 8085)
    second.expect("connected")
    second.type("get a")
    second.expect("sent 5 bytes")
    packets = wire.until("its acknowledgment",
                         lambda p: is_acked(p, "client2"))
    lab.want(not data_of(packets, "server"), "it was answered")
    want_ss(lab, "ESTAB 5 0 10.0.2.1:8085 10.0.2.2:")
    first.type("quit")
    lab.want(first.finish() == 0, first.text)
    second.expect("^ok: 1")
    second.type("quit")
    lab.want(second.finish() == 0, second.text)
    server.expect("client left(.|\n)*client left")
    lab.stop(server)
    lab.say(server.text, first.text, second.text)


def fire_until(lab, server, hit):
    """A shot misses when all answers are out before the first reset is in."""
    for _ in range(20):
        status, text = lab.run("client1", "kv_client", "10.0.1.1", 8085,
                               typed="fire\n")
        lab.want(status == 0 and "fired" in text, text)
        seen = server.seen
        wait_for("the end of the shot", lambda: not server.is_running() or
                 "client left" in server.text[seen:])
        server.seen = len(server.text)
        if hit():
            return
    raise Failed("twenty shots have missed: " + server.text[-200:])


@item(33, "fire: SIGPIPE for the server, or EPIPE when it is ignored")
def fire(lab):
    server = store(lab)
    wire = lab.wire("client1", "tcp port 8085")
    fire_until(lab, server, lambda: not server.is_running())
    status = server.finish()
    lab.want(status == 141, "status %d, not SIGPIPE" % status)
    server = store(lab, "-i")
    fire_until(lab, server, lambda: server.has_said("^send: Broken pipe"))
    status, text = lab.say_run("client2", "kv_client", "10.0.2.1", 8085,
                               typed="get a\n")
    lab.want(status == 0, text)
    lab.stop(server)


# --- broken networks ---

def retransmissions(packets):
    """The pauses between the copies of the last data of client 1."""
    sent = data_of(packets, "client1")
    copies = [p.at for p in sent if p.seq == sent[-1].seq] if sent else []
    return [b - a for a, b in zip(copies, copies[1:])]


def cut(lab):
    lab.sysctl("server", "net.ipv4.ip_forward", 0)
    lab.at_end(lab.sysctl, "server", "net.ipv4.ip_forward", 1)


def across(lab, settings=()):
    """kv_store at client 2, kv_client at client 1, one answer given."""
    server = store(lab, host="client2")
    wire = lab.wire("client1", "tcp port 8085")
    client = lab.start("client1", "kv_client", "10.0.2.2", 8085,
                       settings=settings)
    client.expect("connected")
    client.type("set a 1")
    client.expect("^ok")
    cut(lab)
    client.type("get a")
    client.expect("sent 5 bytes", 2)
    return server, client, wire


@item(34, "broken networks: timeouts, flow control, resets", "no way: gives up")
def gives_up(lab):
    few = ["TCPSHIM_SYSCTL=net.ipv4.tcp_retries2=2"]
    if not lab.is_shim("client1"):
        lab.sysctl("client1", "net.ipv4.tcp_retries2", 2)
        lab.at_end(lab.sysctl, "client1", "net.ipv4.tcp_retries2", 15)
        few = []
    server, client, wire = across(lab, few)
    lab.want(client.finish(30) == 1, client.text)
    lab.want("Connection timed out" in client.text, client.text)
    pauses = retransmissions(wire.stop())
    lab.want(len(pauses) >= 3, "only %s" % pauses)
    lab.want(pauses[-1] > 1.5 * pauses[-2], "no back-off: %s" % pauses)
    lab.want(server.is_running() and not server.has_said("client left"),
             "the server has noticed")
    lab.say(client.text, server.text)


@item(34, "broken networks: timeouts, flow control, resets", "a way again")
def resumes(lab):
    server, client, wire = across(lab)
    wire.until("a retransmission", retransmissions)
    lab.want(client.is_running() and not client.has_said("ok: 1"),
             client.text)
    lab.sysctl("server", "net.ipv4.ip_forward", 1)
    client.expect("^ok: 1")
    client.type("quit")
    lab.want(client.finish() == 0, client.text)
    server.expect("client left")
    lab.say(client.text, server.text)


def random_server(lab, *args):
    p = lab.start("server", "random_server", *args)
    p.expect("^serving on ")
    return p


NUM_RANDOM = 10000000


def stalled(lab, server):
    """A client whose output nobody reads: its window closes."""
    wire = lab.wire("client1", "tcp port 8086")
    client = lab.start("client1", "random_client", "10.0.1.1", NUM_RANDOM,
                       quiet=True)
    wire.until("a closed window", lambda packets: any(
        p.win == 0 and is_from(p, "client1") and "R" not in p.flags
        for p in packets))
    lab.want(not server.has_said("sent them all"), "it was not stopped")
    lab.say("a closed window")
    return client


@item(34, "broken networks: timeouts, flow control, resets", "flow control")
def flow_control(lab):
    server = random_server(lab)
    client = stalled(lab, server)
    said = lab.ss("server", "-tn", "sport = :8086")
    if said is not None:
        lab.want(int(said.split()[2]) > 0, "an empty send queue: " + said)
    total, digest = 0, hashlib.sha256()
    while data := os.read(client.popen.stdout.fileno(), 65536):
        total += len(data)
        digest.update(data)
    lab.want(total == NUM_RANDOM, "%d bytes" % total)
    lab.want(client.finish() == 0, "client's status")
    server.expect("sent them all")
    lab.say(server.text, digest.hexdigest())


@item(34, "broken networks: timeouts, flow control, resets",
      "the client is killed while the server sends")
def killed_while_sending(lab):
    server = random_server(lab)
    client = stalled(lab, server)
    lab.stop(client, signal.SIGTERM)
    server.expect("^send: Connection reset by peer")
    lab.want(server.is_running(), "the server has ended")
    lab.say(server.text)


@item(34, "broken networks: timeouts, flow control, resets",
      "the client is killed while the server pauses")
def killed_in_pause(lab):
    server = random_server(lab, "-d", 50)
    wire = lab.wire("client1", "tcp port 8086")
    client = lab.start("client1", "random_client", "10.0.1.1", NUM_RANDOM)
    wire.until("data", lambda p: len(data_of(p, "server")) >= 3)
    lab.stop(client, signal.SIGTERM)
    lab.want(server.finish() == 141, "no SIGPIPE: " + server.text)
    lab.say(server.text)
