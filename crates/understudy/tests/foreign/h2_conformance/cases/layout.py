"""Sizes, types, flags and reserved bits of frames (RFC 9113 sections 4.1, 4.2 and 6)."""

from .. import frames as f
from ..table import ALIVE, FINE, REFUSED, answered, case, connection_error, need, stream_error, told

SIZE = connection_error(f.FRAME_SIZE_ERROR)
# Section 5.1 lets no frame but HEADERS and PRIORITY into an idle stream, section 5.5 ignores what is unknown.
IDLE = connection_error(f.PROTOCOL_ERROR)
STREAM_SIZE = stream_error(f.FRAME_SIZE_ERROR)


@case("9113 4.2", "DATA of 16,384 bytes", told("200, and the origin has 16,384 bytes"))
def data_largest(c):
    stream = c.request("POST", end=False)
    c.upload(stream, bytes(f.LARGEST_FRAME))
    need(c.response(stream).json()["length"] == f.LARGEST_FRAME, "the origin has another length")
    return stream


@case("9113 4.2", "DATA of one byte more than the server takes", STREAM_SIZE)
def data_too_large(c):
    stream = c.request("POST", end=False)
    c.data(stream, bytes(c.largest_frame() + 1))
    return stream


@case(
    "9113 4.2",
    "HEADERS of 16,384 bytes",
    answered(200) | REFUSED | stream_error(f.PROTOCOL_ERROR, f.ENHANCE_YOUR_CALM),
)
def headers_largest(c):
    start = f.block(c.head())
    # Of the rest, the literal takes a byte for its form, two for its name, three for the length of its value.
    coded = start + f.literal(b"x", b"v" * (f.LARGEST_FRAME - len(start) - 6))
    need(len(coded) == f.LARGEST_FRAME, f"the case is wrong: {len(coded)} bytes")
    return c.headers(coded)


def too_large(name, kind, accept, stream=None):
    @case(
        "9113 4.2",
        f"A {name} frame of one byte more than the server takes",
        accept,
        name=f"{name.lower().replace(' ', '-')}-too-large",
    )
    def run(c):
        number = c.stream() if stream is None else stream
        c.highest = number
        c.send(f.frame(kind, f.END_HEADERS, number, bytes(c.largest_frame() + 1)))


too_large("HEADERS", f.HEADERS, SIZE)
too_large("SETTINGS", f.SETTINGS, SIZE, 0)
too_large("PING", f.PING, SIZE, 0)
too_large("GOAWAY", f.GOAWAY, SIZE, 0)
too_large("unknown", 0xF7, SIZE, 0)


@case("9113 4.2", "CONTINUATION of one byte more than the server takes", SIZE)
def continuation_too_large(c):
    stream = c.headers(f.block(c.head()), flags=0)
    c.send(f.frame(f.CONTINUATION, f.END_HEADERS, stream, bytes(c.largest_frame() + 1)))


def wrong_size(name, section, kind, size, accept, *, stream=0, flags=0):
    """A frame whose size its type forbids; `stream` None takes one that is open."""

    @case(section, f"{name} of {size} bytes", accept, name=f"{name.lower().replace(' ', '-')}-of-{size}")
    def run(c):
        number = c.request("POST", end=False) if stream is None else stream
        c.send(f.frame(kind, flags, number, bytes(size)))
        return None if stream == 0 else number


for size in (1, 5, 7):
    wrong_size("SETTINGS", "9113 6.5", f.SETTINGS, size, SIZE)
wrong_size("SETTINGS acknowledgement", "9113 6.5", f.SETTINGS, 6, SIZE, flags=f.ACK)
wrong_size("SETTINGS acknowledgement", "9113 6.5", f.SETTINGS, 1, SIZE, flags=f.ACK)
for size in (0, 7, 9):
    wrong_size("PING", "9113 6.7", f.PING, size, SIZE)
for size in (0, 3, 5):
    wrong_size("RST_STREAM", "9113 6.4", f.RST_STREAM, size, SIZE, stream=None)
for size in (0, 4, 6):
    wrong_size("PRIORITY", "9113 6.3", f.PRIORITY, size, STREAM_SIZE, stream=None)
for size in (0, 3, 5):
    wrong_size("WINDOW_UPDATE", "9113 6.9", f.WINDOW_UPDATE, size, SIZE)
wrong_size("WINDOW_UPDATE on a stream", "9113 6.9", f.WINDOW_UPDATE, 3, SIZE, stream=None)
for size in (0, 7):
    wrong_size("GOAWAY", "9113 6.8", f.GOAWAY, size, SIZE)


@case(
    "9113 6.2", "HEADERS with the flag PRIORITY and 4 bytes", connection_error(f.FRAME_SIZE_ERROR, f.PROTOCOL_ERROR)
)
def headers_shorter_than_its_priority(c):
    c.headers(bytes(4), flags=f.END_HEADERS | f.PRIORITIZED)


@case("9113 4.2", "DATA of no bytes before a body", told("200, and the origin has 3 bytes"))
def data_empty(c):
    stream = c.request("POST", end=False)
    c.data(stream)
    c.data(stream, b"abc", end=True)
    need(c.response(stream).json()["length"] == 3, "the origin has another length")
    return stream


# === Unknown types, unknown flags, reserved bits ===


@case("9113 5.5", "A frame of an unknown type on stream 0", ALIVE)
def unknown_type(c):
    c.send(f.frame(0xF0, 0xFF, 0, b"extension"))


@case("9113 5.5", "A frame of an unknown type on an idle stream, then a GET on that stream", FINE | IDLE)
def unknown_type_on_idle_stream(c):
    c.send(f.frame(0xF0, 0xFF, c.next_stream, b"extension"))
    return c.request()


@case("9113 5.5", "Frames of an unknown type among the DATA of a stream", FINE)
def unknown_type_on_open_stream(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(0xF0, f.END_STREAM, stream, b"extension"))
    c.data(stream, b"abc", end=True)
    return stream


@case("9113 5.5", "A frame of an unknown type between HEADERS and CONTINUATION", connection_error(f.PROTOCOL_ERROR))
def unknown_type_within_a_block(c):
    coded = f.block(c.head())
    stream = c.headers(coded[:9], flags=0)
    c.send(f.frame(0xF0, 0, 0, b"extension") + f.frame(f.CONTINUATION, f.END_HEADERS, stream, coded[9:]))


@case("7838 4", "ALTSVC from a client", ALIVE)
def altsvc(c):
    c.send(f.frame(0xA, 0, 0, b"\0\1a" + b'h2=":1"'))


@case("9218 7.1", "PRIORITY_UPDATE of an idle stream", ALIVE)
def priority_update(c):
    c.send(f.frame(0x10, 0, 0, bytes([0, 0, 0, c.next_stream]) + b"u=1"))


def unknown_flags(name, make):
    @case(
        "9113 4.1", f"{name} with every flag that it does not define", FINE, name=f"unknown-flags-of-{name.lower()}"
    )
    def run(c):
        return make(c)


def post_with(c, *frames):
    """A POST with these frames between its head and its body."""
    stream = c.request("POST", end=False)
    c.send(b"".join(make(stream) for make in frames))
    c.data(stream, b"abc", end=True)
    return stream


def get_after(c, sent):
    c.send(sent)
    return c.request()


unknown_flags("DATA", lambda c: post_with(c, lambda s: f.frame(f.DATA, 0xF6, s, b"abc")))
unknown_flags("HEADERS", lambda c: c.headers(f.block(c.head()), flags=f.END_HEADERS | 0xD2))
unknown_flags("PRIORITY", lambda c: post_with(c, lambda s: f.frame(f.PRIORITY, 0xFF, s, f.dependency())))
unknown_flags(
    "RST_STREAM", lambda c: get_after(c, f.frame(f.RST_STREAM, 0xFF, c.request("POST", end=False), bytes(4)))
)
unknown_flags("SETTINGS", lambda c: get_after(c, f.settings(flags=0xFE)))
unknown_flags("PING", lambda c: get_after(c, f.ping(b"flagged!", 0xFE)))
unknown_flags("WINDOW_UPDATE", lambda c: get_after(c, f.frame(f.WINDOW_UPDATE, 0xFF, 0, b"\0\0\0\1")))


@case("9113 6.10", "CONTINUATION with every flag that it does not define", FINE)
def unknown_flags_of_continuation(c):
    coded = f.block(c.head())
    stream = c.headers(coded[:9], flags=0)
    c.send(f.frame(f.CONTINUATION, 0xFF, stream, coded[9:]))
    return stream


RESERVED = 1 << 31


@case("9113 4.1", "HEADERS with the reserved bit of its stream identifier set", FINE)
def reserved_bit_of_headers(c):
    stream = c.stream()
    c.highest = stream
    c.send(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream | RESERVED, f.block(c.head())))
    return stream


@case("9113 4.1", "DATA with the reserved bit of its stream identifier set", FINE)
def reserved_bit_of_data(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(f.DATA, f.END_STREAM, stream | RESERVED, b"abc"))
    return stream


@case("9113 4.1", "PING with the reserved bit of its stream identifier set", FINE)
def reserved_bit_of_ping(c):
    c.send(f.frame(f.PING, 0, RESERVED, bytes(8)))
    return c.request()


@case("9113 6.9", "WINDOW_UPDATE with the reserved bit of its increment set", FINE)
def reserved_bit_of_increment(c):
    c.send(f.window_update(0, RESERVED | 1))
    return c.request()
