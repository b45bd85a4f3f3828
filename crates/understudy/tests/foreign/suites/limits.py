"""Limits and timeouts towards clients: what happens when each is reached, and right before."""

import concurrent.futures
import socket
import time

import h2.events
import h2.settings

from cases import Suite, expect
from certs import Authority
from lab import service, wait_until
from suites.sockets import Goaway, Session, trusting
from suites.wire import Wire, head

STREAM = (h2.events.ResponseReceived, h2.events.StreamEnded, h2.events.StreamReset)


class Stage:
    """A listener for each limit, so that cases do not meet."""

    def __init__(self, lab):
        self.ca = Authority(lab.folder)
        tls = {"certificates": [self.ca.server("server", ["localhost", "127.0.0.1"]).entry()]}
        limits = {
            "handshake": ({"handshake_timeout": "1s"}, {"tls": tls}),
            "header": ({"header_timeout": "1s", "idle_timeout": "3s"}, {}),
            "body": ({"body_timeout": "1s", "body_progress": "1KiB"}, {}),
            "any-byte": ({"body_timeout": "1s", "body_progress": "0B"}, {}),
            "size": ({"uri_bytes": "1KiB", "header_bytes": "8KiB", "headers": 20,
                      "body_bytes": "1KiB"}, {}),
            "client": ({"connections_per_client": 3}, {}),
            "client-trusted": ({"connections_per_client": 3},
                               {"trusted_proxies": ["127.0.0.0/8"]}),
            "connections": ({"connections": 4}, {}),
            "requests": ({"requests": 3}, {}),
            "age": ({"connection_age": "1s"}, {}),
            "streams": ({"streams": 5}, {}),
            "tls-idle": ({"idle_timeout": "1s"}, {"tls": tls}),
            "plain": ({}, {}),
        }
        listeners = []
        for values, keys in limits.values():
            clear = {} if "tls" in keys else {"h2c": True}
            listeners.append({"address": "127.0.0.1:0", "limits": values, **clear, **keys})
        self.a, self.b = lab.pair()
        services = {"web": service(self.a, self.b),
                    "whole": service(self.a, self.b, timeouts={"request": "1s"})}
        routes = [{"host": "whole.test", "path": "/", "service": "whole"},
                  {"path": "/", "service": "web"}]
        self.balancer = lab.understudy(
            {"listeners": listeners, "services": services, "routes": routes}, "a")
        self.addresses = dict(zip(limits, self.balancer.listeners))

    def wire(self, name, source="127.0.0.1"):
        return Wire(self.addresses[name], source=source)

    def session(self, name, tls=False):
        return Session(self.addresses[name], trusting(self.ca.cert_pem, "h2") if tls else None)


suite = Suite("limits", Stage, concurrency=8)


def between(least, seconds, most, what=""):
    assert least <= seconds <= most, f"{what} after {seconds:.2f} s, not {least} to {most}"


def answer_of(session, stream, deadline=10):
    """The status of a stream, or the event that ended it."""
    event = session.wait(STREAM, stream, deadline)
    if isinstance(event, h2.events.ResponseReceived):
        return int(dict(event.headers)[":status"])
    return event


# === Handshake and head ===

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(40))

for name, parts in {"nothing": [], "half a ClientHello": [HELLO],
                    "a ClientHello byte by byte": [bytes([byte]) for byte in HELLO]}.items():
    @suite.case(f"TLS handshake: {name}", parts)
    def handshake(stage, parts):
        with stage.wire("handshake") as wire:
            wire.drip(parts, 0.1)
            _, seconds = wire.wait_end(10)
            between(0.9, seconds, 2.5, "ended")


for name, parts in {"half a head": ["GET /name HTTP/1.1\r\nHost: h"],
                    "a head byte by byte": list(head("GET", "/name", "X: " + "x" * 100))}.items():
    @suite.case(f"{name}: 408 or an end after header_timeout", parts)
    def slow_head(stage, parts):
        with stage.wire("header") as wire:
            wire.drip(parts, 0.05)
            got, seconds = wire.wait_end(10)
            between(0.9, seconds, 2.5, "ended")
            assert got == b"" or got.startswith(b"HTTP/1.1 408"), got


@suite.case("idle is not header_timeout: a connection may be silent for longer")
def idle(stage):
    with stage.wire("header") as wire:
        expect(wire.get()[0], 200)
        # Twice header_timeout, and less than idle_timeout.
        assert not wire.has_more(2), "closed too early"
        expect(wire.get()[0], 200)
        quiet = wire.since()
        got, seconds = wire.wait_end(10)
        expect(got, b"")
        between(2.7, seconds - quiet, 4.5, "closed")


@suite.case("HTTP/2: idle connections get GOAWAY after idle_timeout")
def idle_h2(stage):
    session = stage.session("header")
    expect(answer_of(session, session.request("/name")), 200)
    begun = time.monotonic()
    goaway = session.wait(Goaway)
    assert goaway and goaway.error_code == 0, goaway
    between(2.7, time.monotonic() - begun, 4.5, "GOAWAY")
    while session.pump(5):
        pass
    assert session.over, "not closed"


@suite.case("HTTP/2 over TLS: the same")
def idle_h2_tls(stage):
    session = stage.session("tls-idle", tls=True)
    expect(answer_of(session, session.request("/name")), 200)
    assert session.wait(Goaway, deadline=4), "no GOAWAY"


@suite.case("HTTP/2: a silent client is not idle while it has a stream")
def busy_h2(stage):
    session = stage.session("header")
    expect(answer_of(session, session.request("/slow/4500")), 200)


# The preface and empty SETTINGS, and then HEADERS without END_HEADERS.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
BLOCK = bytes.fromhex("000001010100000001") + b"\x82"

for name, parts in {
    "half a preface": [PREFACE[:10]], "a preface without SETTINGS": [PREFACE[:24]],
    "nothing after SETTINGS": [PREFACE], "a header block that does not end": [PREFACE + BLOCK],
    "a header block that goes on byte by byte": [
        PREFACE + BLOCK, *[bytes.fromhex("00000109000000000140")] * 60],
}.items():
    @suite.case(f"HTTP/2: {name}", parts)
    def half_h2(stage, parts):
        with stage.wire("header") as wire:
            for part in parts:
                if not wire.send(part) or (len(parts) > 1 and wire.is_over(0.2)):
                    break
            _, seconds = wire.wait_end(10)
            # As a head it has 1 s, as silence 3 s, and as long again for what runs to end.
            between(0.9, seconds, 7, "ended")


# === Bodies ===

def upload(*lines):
    return head("POST", "/echo", "Content-Length: 100000", *lines)


for name, listener, size, pause, fine in [
    ("100 bytes every 0.2 s", "body", 100, 0.2, False),
    ("1 byte every 0.2 s", "body", 1, 0.2, False),
    ("1000 bytes every 0.2 s", "body", 1000, 0.2, True),
    ("1 byte every 0.2 s, where that will do", "any-byte", 1, 0.2, True),
    ("nothing", "body", 1, 20, False), ("nothing, where any byte would do", "any-byte", 1, 20, False),
]:
    @suite.case(f"body: {name}: {'goes on' if fine else 'ends'}", listener, size, pause, fine)
    def slow_body(stage, listener, size, pause, fine):
        with stage.wire(listener) as wire:
            wire.send(upload())
            parts = [b"x" * size] * round(3 / pause) if pause < 3 else []
            sent = wire.drip(parts, pause)
            if fine:
                return expect((sent, wire.has_more(0)), (True, False), "it goes on")
            got, _ = wire.wait_end(10)
            between(0.9, wire.since(), 3, "ended")
            assert got == b"" or got.split(b" ")[1] in (b"408", b"400", b"504"), got

    @suite.case(f"body over HTTP/2: {name}: {'goes on' if fine else 'ends'}",
                listener, size, pause, fine)
    def slow_body_h2(stage, listener, size, pause, fine):
        session, ended = stage.session(listener), None
        begun = time.monotonic()
        stream = session.request("/echo", "POST", end=False)
        for _ in range(round(3 / pause) if pause < 3 else 0):
            session.h2.send_data(stream, b"x" * size)
            session.flush()
            ended = session.wait(STREAM, stream, pause)
            if ended:
                break
        if fine:
            return expect(ended, None, "it goes on")
        ended = ended or session.wait(STREAM, stream)
        assert ended, "it goes on"
        between(0.9, time.monotonic() - begun, 3, "ended")
        # Others on the connection are not concerned.
        expect(answer_of(session, session.request("/name")), 200)


@suite.case("body: a client that takes nothing is left after body_timeout")
def slow_reader(stage):
    with stage.wire("any-byte") as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mark = f"/size/50000000?{id(wire)}"
        wire.send(head("GET", mark))
        begun = time.monotonic()
        aborted = lambda: any(r["aborted"] for r in stage.a.journal() if r["path"] == mark)
        wait_until("the backend is rid of it", aborted, 10)
        between(0.7, time.monotonic() - begun, 4, "ended")


# === Sizes ===

@suite.case("uri_bytes: at it 200, one more 414")
def uri(stage):
    for length, wanted in ((1024, 200), (1025, 414)):
        path = "/name?" + "u" * (length - 6)
        with stage.wire("size") as wire:
            expect(wire.get(path)[0], wanted, f"HTTP/1.1, {length}")
        session = stage.session("size")
        expect(answer_of(session, session.request(path)), wanted, f"HTTP/2, {length}")


@suite.case("headers and header_bytes: 431 beyond")
def fields(stage):
    many = [f"X-{number}: 1" for number in range(30)]
    for lines in (many, ["X-Long: " + "l" * 9000]):
        with stage.wire("size") as wire:
            expect(wire.get("/name", *lines)[0], 431)
        session = stage.session("size")
        pairs = [tuple(line.lower().split(": ")) for line in lines]
        ended = answer_of(session, session.request("/name", fields=pairs))
        assert ended == 431 or isinstance(ended, h2.events.StreamReset), ended
    with stage.wire("size") as wire:
        expect(wire.get("/name", *many[:15])[0], 200)


@suite.case("body_bytes: 413, before the body if it is announced")
def body_bytes(stage):
    with stage.wire("size") as wire:
        wire.send(head("POST", "/echo", "Content-Length: 1025"))
        expect(wire.answer()[0], 413)
    with stage.wire("size") as wire:
        wire.send(head("POST", "/echo", "Transfer-Encoding: chunked") + "400\r\n" + "x" * 1024)
        wire.send("\r\n1\r\nx\r\n0\r\n\r\n")
        expect(wire.answer()[0], lambda status: status in (413, None), "chunked")
    with stage.wire("size") as wire:
        wire.send(head("POST", "/echo", "Content-Length: 1024") + "x" * 1024)
        expect(wire.answer()[0], 200)
    session = stage.session("size")
    length = [("content-length", "1025")]
    expect(answer_of(session, session.request("/echo", "POST", length, end=False)), 413)


# === Connections ===

def refused(stage, listener, source):
    """Whether a connection more is ended without an answer."""
    with stage.wire(listener, source) as wire:
        return wire.get()[0] is None


@suite.case("connections_per_client: the fourth is ended, until one leaves")
def per_client(stage):
    # An address that no other case uses.
    wires = [stage.wire("client", "127.0.0.31") for _ in range(3)]
    for wire in wires:
        expect(wire.get()[0], 200)
    assert refused(stage, "client", "127.0.0.31"), "a fourth was served"
    assert not refused(stage, "client", "127.0.0.32"), "another client was turned away"
    for wire in wires:
        expect(wire.get()[0], 200, "the three go on")
    over = "understudy_listener_connections_over_client_limit_total"
    stage.balancer.wait_metric(over, lambda n: n >= 1)
    wires.pop().close()
    wait_until("there is room for one", lambda: not refused(stage, "client", "127.0.0.31"))


@suite.case("connections_per_client: those at other listeners do not count")
def per_listener(stage):
    elsewhere = [stage.wire("plain", "127.0.0.33") for _ in range(6)]
    expect([wire.get()[0] for wire in elsewhere], [200] * 6)
    wires = [stage.wire("client", "127.0.0.33") for _ in range(3)]
    expect([wire.get()[0] for wire in wires], [200] * 3)


@suite.case("connections_per_client: trusted proxies are exempt")
def per_trusted(stage):
    wires = [stage.wire("client-trusted", "127.0.0.34") for _ in range(6)]
    expect([wire.get()[0] for wire in wires], [200] * 6)


@suite.case("connections: one more waits until one leaves")
def connections(stage):
    # Each worker has half of the four; how the kernel spreads them is its business.
    waiting = [stage.wire("connections") for _ in range(8)]
    for wire in waiting:
        wire.send(head("GET", "/name"))
    ends, first = time.monotonic() + 10, True
    while waiting:
        assert time.monotonic() < ends, f"{len(waiting)} were forgotten"
        ready = [wire for wire in waiting if wire.has_more(0.05)]
        assert len(ready) <= 4 and (ready or not first), f"{len(ready)} at a time"
        first = False
        for wire in ready:
            expect(wire.answer()[0], 200)
            wire.close()
            waiting.remove(wire)


@suite.case("requests: the last one says Connection: close")
def requests(stage):
    with stage.wire("requests") as wire:
        for _ in range(2):
            status, fields, _ = wire.get()
            expect((status, fields.get("connection", "").lower() == "close"), (200, False))
        status, fields, _ = wire.get()
        expect((status, fields.get("connection", "").lower()), (200, "close"))
        expect(wire.wait_end(5)[0], b"")


@suite.case("requests over HTTP/2: GOAWAY, and what runs is finished")
def requests_h2(stage):
    session = stage.session("requests")
    streams = [session.request("/slow/500") for _ in range(3)]
    expect([answer_of(session, stream) for stream in streams], [200] * 3)
    goaway = session.goaway or session.wait(Goaway, deadline=3)
    assert goaway, "no GOAWAY"
    expect(goaway.error_code, 0)
    while session.pump(5):
        pass
    assert session.over, "not closed"


def grow_old(wire, gap):
    """Asks until an answer says close; a request that gets none instead is lost."""
    while True:
        status, fields, _ = wire.get()
        expect(status, 200, f"after {wire.since():.2f} s, a gap of {gap} s")
        if fields.get("connection", "").lower() == "close":
            return wire.since()
        assert wire.since() < 5, "it lives on"
        time.sleep(gap)


@suite.case("connection_age: no request is lost, an answer says close")
def age(stage):
    # Closing in the pause between two requests would meet about half of those that pause.
    wires = [(stage.wire("age"), gap) for gap in (0, 0.01, 0.05) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(wires)) as executor:
        for seconds in executor.map(grow_old, *zip(*wires)):
            between(0.9, seconds, 3, "closed")


@suite.case("connection_age over HTTP/2: GOAWAY, the stream that runs is finished")
def age_h2(stage):
    session = stage.session("age")
    stream, begun = session.request("/slow/2500"), time.monotonic()
    goaway = session.wait(Goaway)
    assert goaway and goaway.error_code == 0, goaway
    between(0.9, time.monotonic() - begun, 2.4, "GOAWAY")
    expect(answer_of(session, stream), 200)
    while session.pump(5):
        pass
    assert session.over, "not closed"


@suite.case("streams: announced, and the sixth is refused")
def streams(stage):
    session = stage.session("streams")
    # Sent before the server's SETTINGS have been read, as a client may.
    numbers = [session.request(f"/slow/1500?{number}") for number in range(6)]
    reset = session.wait(h2.events.StreamReset)
    assert reset, "no stream was refused"
    # REFUSED_STREAM
    expect((reset.stream_id, int(reset.error_code)), (numbers[5], 7))
    expect([answer_of(session, number) for number in numbers[:5]], [200] * 5)
    announced = session.h2.remote_settings.get(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS)
    expect(announced, 5)


# === The whole request ===

@suite.case("timeouts.request: 504 if nothing was answered")
def whole(stage):
    with stage.wire("plain") as wire:
        wire.send("GET /slow/4000 HTTP/1.1\r\nHost: whole.test\r\n\r\n")
        expect(wire.answer()[0], 504)
        between(0.9, wire.since(), 2.5, "answered")


@suite.case("timeouts.request: an answer under way is cut, visibly")
def whole_body(stage):
    with stage.wire("plain") as wire:
        wire.send("GET /drip?count=50&gap=100&bytes=10 HTTP/1.1\r\nHost: whole.test\r\n\r\n")
        got, seconds = wire.wait_end(10)
        assert got.startswith(b"HTTP/1.1 200"), got
        between(0.9, seconds, 2.5, "cut")


if __name__ == "__main__":
    suite.main()
