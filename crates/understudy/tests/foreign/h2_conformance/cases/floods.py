"""Floods: the server ends the connection or copes, soon; other clients are served meanwhile (RFC 9113 10.5)."""

import threading
import time

from .. import frames as f
from ..inbound import Failed
from ..table import case, need, need_serving, told
from ..wire import Connection

BOUND = 12.0
"""Seconds within which a flood must be over, one way or the other."""


GROWTH = 64 << 20
"""Bytes by which a flood may make the server grow, where its process is known."""


class Bystander(threading.Thread):
    """Another client, that wants to be served while the flood runs."""

    def __init__(self, spot):
        super().__init__(daemon=True)
        self.spot, self.going, self.slowest, self.wrong = spot, True, 0.0, None
        self.least = self.most = spot.memory()

    def run(self):
        try:
            connection = Connection(self.spot)
            connection.open()
            while self.going:
                begun = time.monotonic()
                need(connection.fetch(path="/size/10").status == 200, "a bystander got no 200")
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.most = max(self.most, self.spot.memory())
                time.sleep(0.01)
            connection.close()
        except (Failed, OSError, ValueError) as error:
            self.wrong = str(error)


def flood(
    section, title, *, settings=(), accept="GOAWAY, the end, or all of it is processed; others are served meanwhile"
):
    """The function gets a connection and yields pieces to send."""

    def enter(make):
        @case(section, title, told(accept), name=make.__name__.replace("_", "-"), settings=settings)
        def run(c):
            bystander = Bystander(c.spot)
            bystander.start()
            try:
                pour(c, make(c))
            finally:
                bystander.going = False
                bystander.join(BOUND)
            need_few_at_the_origin(c)
            need(bystander.wrong is None, f"a bystander: {bystander.wrong}")
            need(bystander.slowest < 5, f"a bystander waited {bystander.slowest:.1f} s")
            grown = (bystander.most - bystander.least) >> 20
            need(grown <= GROWTH >> 20, f"the server has grown by {grown} MiB")
            need_serving(c.spot)

        return make

    return enter


def need_few_at_the_origin(c):
    """Streams that were reset count while their requests run (RFC 9113 5.1.2, 10.5): else a client has any number."""
    allowed = c.settings.get(f.MAX_CONCURRENT_STREAMS, 100)
    asking = Connection(c.spot)
    asking.open()
    peak = asking.fetch(path=f"/peak/{c.token}").json()
    asking.close()
    need(peak <= 4 * allowed, f"{peak} requests at the origin at once, {allowed} streams are allowed")


def pour(c, pieces):
    """Sends it all, reading meanwhile, then asks whether the server is through with it."""
    end = time.monotonic() + BOUND
    for piece in pieces:
        c.send(piece)
        c.attend(lambda: c.dying() or len(c.outgoing) < 1 << 18, end - time.monotonic())
        c.pump(0)
        if c.dying():
            return
        need(time.monotonic() < end, f"not over after {BOUND:.0f} s")
    if c.unfenced:
        need(c.attend(c.dying, end - time.monotonic()), "an endless block is still being taken")
        return
    mark = b"the-end!"
    c.send(f.ping(mark))
    need(
        c.attend(lambda: mark in c.pongs or c.dying(), max(end - time.monotonic(), 1)), "neither ended nor processed"
    )


def many(piece, total, at_once=100):
    for _ in range(total // at_once):
        yield piece * at_once


@flood("9113 10.5", "50,000 PING")
def ping(c):
    return many(f.ping(b"flooding"), 50_000)


@flood("9113 10.5", "20,000 SETTINGS")
def settings(c):
    return many(f.settings([(f.MAX_CONCURRENT_STREAMS, 100)]), 20_000)


@flood("9113 10.5", "20,000 changes of INITIAL_WINDOW_SIZE while 50 streams are open")
def settings_of_windows(c):
    for _ in range(50):
        c.request("POST", end=False)
    both = f.settings([(f.INITIAL_WINDOW_SIZE, 1)]) + f.settings([(f.INITIAL_WINDOW_SIZE, 1 << 20)])
    yield from many(both, 10_000)


@flood("9113 10.5", "One SETTINGS frame of 2,700 settings, 200 times")
def settings_of_many(c):
    return many(f.settings([(f.HEADER_TABLE_SIZE, n) for n in range(2700)]), 200, 1)


@flood("9113 10.5", "50,000 PRIORITY")
def priority(c):
    for number in range(500):
        yield b"".join(f.frame(f.PRIORITY, 0, 1 + 2 * (number * 100 + n), f.dependency()) for n in range(100))


@flood("9113 10.5", "50,000 WINDOW_UPDATE by 1")
def window_updates(c):
    return many(f.window_update(0, 1), 50_000)


@flood("9113 10.5", "50,000 frames of an unknown type")
def unknown_frames(c):
    return many(f.frame(0xF0, 0, 0, b"extension"), 50_000)


@flood("9113 10.5", "50,000 empty DATA frames without END_STREAM")
def empty_data(c):
    stream = c.request("POST", end=False)
    return many(f.frame(f.DATA, 0, stream), 50_000)


@flood("9113 10.5", "50,000 DATA frames of nothing but their padding length")
def padding_only(c):
    stream = c.request("POST", end=False)
    end = c.room(stream)
    return many(f.frame(f.DATA, f.PADDED, stream, b"\0"), min(end, 50_000) // 100 * 100)


@flood("9113 10.5", "DATA frames of one byte until the window is used")
def data_of_one_byte(c):
    stream = c.request("POST", end=False)
    return many(f.frame(f.DATA, 0, stream, b"a"), min(c.room(stream), 50_000) // 100 * 100)


@flood("9113 10.5", "GOAWAY 20,000 times")
def goaway(c):
    return many(f.goaway(), 20_000)


@flood("9113 10.5", "20,000 acknowledgements of SETTINGS that nobody sent")
def acknowledgements(c):
    return many(f.settings(flags=f.ACK), 20_000)


# === Blocks without an end ===


@flood("9113 10.5.1", "HEADERS, then 50,000 empty CONTINUATIONs", accept="the connection is ended")
def empty_continuations(c):
    c.unfenced = True
    stream = c.headers(f.block(c.head()), flags=0)
    return many(f.frame(f.CONTINUATION, 0, stream), 50_000)


@flood("9113 10.5.1", "HEADERS, then CONTINUATIONs of 40 MB", accept="the connection is ended")
def continuations(c):
    c.unfenced = True
    stream = c.headers(f.block(c.head()), flags=0)
    piece = f.block([("x-more", "v" * 16000)])
    return many(f.frame(f.CONTINUATION, 0, stream, piece), 2500, 1)


@flood("9113 10.5.1", "HEADERS, then CONTINUATIONs of one byte", accept="the connection is ended")
def continuations_of_one_byte(c):
    c.unfenced = True
    stream = c.headers(f.block(c.head()), flags=0)
    coded = f.block([("x-more", "v" * 60_000)])
    return (f.frame(f.CONTINUATION, 0, stream, bytes([byte])) for byte in coded)


# === Resets ===


@flood("9113 10.5", "10,000 requests, each cancelled at once")
def rapid_reset(c):
    head = f.block(c.head(path="/slow/500?case-" + c.token))
    for _ in range(200):
        piece = b""
        for _ in range(50):
            stream = c.highest = c.stream()
            piece += f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, head) + f.reset(stream)
        yield piece


def made_you_reset(name, title, provoke, end=False):
    """The client makes the server reset its streams, which then are not counted, though they run."""

    def make(c):
        length = [("content-length", "5")] if name == "length" else []
        head = f.block(c.head("GET" if end else "POST", "/slow/500?case-" + c.token, length))
        for _ in range(100):
            piece = b""
            for _ in range(50):
                stream = c.highest = c.stream()
                flags = f.END_HEADERS | (f.END_STREAM if end else 0)
                piece += f.frame(f.HEADERS, flags, stream, head) + provoke(stream)
            yield piece

    make.__name__ = f"made-you-reset-by-{name}"
    flood("9113 10.5", f"5,000 requests, each reset by the server because of {title}")(make)


made_you_reset("window", "a WINDOW_UPDATE beyond 2^31-1", lambda s: f.window_update(s, f.LARGEST_WINDOW), end=True)
made_you_reset("zero-increment", "a WINDOW_UPDATE by 0", lambda s: f.window_update(s, 0), end=True)
made_you_reset("data", "DATA after END_STREAM", lambda s: f.frame(f.DATA, f.END_STREAM, s, b"a"), end=True)
made_you_reset(
    "headers", "HEADERS after END_STREAM", lambda s: f.frame(f.HEADERS, 5, s, f.block([("x-a", "1")])), end=True
)
made_you_reset(
    "length", "a body longer than its content-length", lambda s: f.frame(f.DATA, f.END_STREAM, s, b"abcdefgh")
)
made_you_reset("priority", "PRIORITY of a wrong size", lambda s: f.frame(f.PRIORITY, 0, s, b"abc"), end=True)


@flood("9113 10.5", "5,000 malformed requests")
def malformed_requests(c):
    head = f.block(c.head(fields=[("X-Capital", "1")]))
    for _ in range(100):
        piece = b""
        for _ in range(50):
            c.highest = stream = c.stream()
            piece += f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, head)
        yield piece


@flood("9113 5.1.2", "5,000 requests at once, far above the limit")
def above_the_limit(c):
    head = f.block(c.head(path="/slow/500?case-" + c.token))
    for _ in range(100):
        piece = b""
        for _ in range(50):
            c.highest = stream = c.stream()
            piece += f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, head)
        yield piece


# === Clients that do not read, or open no window ===


@flood(
    "9113 10.5",
    "60 GETs of 1,000,000 bytes without a window; then all are cancelled",
    settings=[(f.INITIAL_WINDOW_SIZE, 0)],
)
def no_window(c):
    c.auto_window = False
    streams = [c.request(path="/size/1000000") for _ in range(60)]
    c.attend(lambda: len(c.responses) == 60)
    yield b"".join(map(f.reset, streams))


@flood(
    "9113 10.5",
    "60 GETs of 1,000,000 bytes in windows of 1 byte, for a second",
    settings=[(f.INITIAL_WINDOW_SIZE, 1)],
)
def windows_of_one_byte(c):
    c.auto_window = False
    streams = [c.request(path="/size/1000000") for _ in range(60)]
    end = time.monotonic() + 1
    while time.monotonic() < end and not c.dying():
        yield b"".join(f.window_update(stream, 1) for stream in streams if not c.over(stream))
    yield b"".join(f.reset(stream) for stream in streams)


def without_reading(name, title, piece, total):
    def make(c):
        c.reading = False
        end = time.monotonic() + 1.5
        for number in range(total // 100):
            yield piece * 100
            if time.monotonic() > end or len(c.outgoing) > 1 << 17:
                break  # It does not take more from a client that does not read, as it should be.
        c.reading = True

    make.__name__ = name
    flood("9113 10.5", title)(make)


without_reading("pings-unread", "PING without end, reading none of the answers", f.ping(b"flooding"), 1_000_000)
without_reading(
    "settings-unread", "SETTINGS without end, reading none of the answers", f.settings([(f.ENABLE_PUSH, 0)]), 500_000
)
