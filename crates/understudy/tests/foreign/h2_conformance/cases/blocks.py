"""Field blocks over several frames, and padding (RFC 9113 sections 4.3, 6.1, 6.2, 6.10)."""

from .. import frames as f
from ..table import FINE, case, connection_error, need, stream_error, told

PROTOCOL = connection_error(f.PROTOCOL_ERROR)


def in_pieces(c, pieces, end=True, filler=None):
    """A GET whose block comes as HEADERS and CONTINUATIONs, with something else after the first."""
    stream = c.headers(pieces[0], end, flags=0 if len(pieces) > 1 or filler else f.END_HEADERS)
    if filler:
        c.send(filler(stream))
    for number, piece in enumerate(pieces[1:], 2):
        c.send(f.frame(f.CONTINUATION, f.END_HEADERS if number == len(pieces) else 0, stream, piece))
    return stream


def halves(c):
    coded = f.block(c.head(fields=[("x-split", "whole")]))
    return [coded[: len(coded) // 2], coded[len(coded) // 2 :]]


@case("9113 6.10", "A block in HEADERS and one CONTINUATION", FINE)
def two_pieces(c):
    return in_pieces(c, halves(c))


@case(
    "9113 6.10",
    "A block in HEADERS and three CONTINUATIONs, cut within names and values",
    told("200, and the field arrives whole"),
)
def four_pieces(c):
    coded = f.block(c.head(fields=[("x-split", "whole")]))
    cuts = [coded[:3], coded[3:20], coded[20:-2], coded[-2:]]
    need(["x-split", "whole"] in c.response(in_pieces(c, cuts)).json()["fields"], "the field has not arrived")


@case("9113 6.10", "HEADERS without a byte, then the block in CONTINUATION", FINE)
def empty_headers(c):
    return in_pieces(c, [b"", f.block(c.head())])


@case("9113 6.10", "HEADERS with the block, then CONTINUATION without a byte", FINE)
def empty_continuation(c):
    return in_pieces(c, [f.block(c.head()), b""])


@case("9113 6.10", "A block in 20 CONTINUATIONs of some bytes", FINE | connection_error(f.ENHANCE_YOUR_CALM))
def twenty_pieces(c):
    coded = f.block(c.head(fields=[("x-long", "v" * 100)]))
    size = len(coded) // 20 + 1
    return in_pieces(c, [coded[at : at + size] for at in range(0, len(coded), size)])


@case("9113 6.2", "END_STREAM on HEADERS, then CONTINUATION; no DATA", FINE)
def end_stream_before_continuation(c):
    return in_pieces(c, halves(c))


@case("9113 8.1", "Trailers in HEADERS and CONTINUATION", FINE)
def trailers_in_pieces(c):
    stream = c.request("POST", end=False)
    c.data(stream, b"abc")
    coded = f.block([("x-sum", "1")])
    c.send(f.frame(f.HEADERS, f.END_STREAM, stream, coded[:4]))
    c.send(f.frame(f.CONTINUATION, f.END_HEADERS, stream, coded[4:]))
    return stream


def intruder(name, filler):
    @case(
        "9113 6.10",
        f"{name} between HEADERS and CONTINUATION",
        PROTOCOL,
        name=f"block-broken-by-{name.lower().replace(' ', '-')}",
    )
    def run(c):
        in_pieces(c, halves(c), filler=filler)


intruder("HEADERS", lambda s: f.frame(f.HEADERS, f.END_HEADERS, s, b"\x82"))
intruder("HEADERS of another stream", lambda s: f.frame(f.HEADERS, f.END_HEADERS, s + 2, b"\x82"))
intruder("DATA", lambda s: f.frame(f.DATA, 0, s, b"abc"))
intruder("PRIORITY", lambda s: f.frame(f.PRIORITY, 0, s, f.dependency()))
intruder("RST_STREAM", f.reset)
intruder("SETTINGS", lambda s: f.settings())
intruder("PING", lambda s: f.ping())
intruder("GOAWAY", lambda s: f.goaway())
intruder("WINDOW_UPDATE", lambda s: f.window_update(0, 1))
intruder("CONTINUATION of another stream", lambda s: f.frame(f.CONTINUATION, 0, s + 2, b"\x82"))


@case("9113 6.10", "CONTINUATION after a block that has ended", PROTOCOL)
def continuation_after_the_end(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(f.CONTINUATION, f.END_HEADERS, stream, b"\x82"))


@case("9113 6.10", "CONTINUATION after DATA", PROTOCOL)
def continuation_after_data(c):
    stream = c.request("POST", end=False)
    c.data(stream, b"abc")
    c.send(f.frame(f.CONTINUATION, f.END_HEADERS, stream, b"\x82"))


# === Padding ===


@case("9113 6.1", "DATA with 0, 10 and 255 bytes of padding", told("200, and the origin has 9 bytes"))
def padded_data(c):
    stream = c.request("POST", end=False)
    for padding in (0, 10, 255):
        c.send(f.frame(f.DATA, f.PADDED, stream, f.padded(b"abc", padding)))
    c.data(stream, end=True)
    need(c.response(stream).json()["length"] == 9, "the origin has another length")


@case("9113 6.1", "DATA of nothing but padding", told("200, and the origin has no bytes"))
def data_of_padding(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(f.DATA, f.PADDED | f.END_STREAM, stream, f.padded(b"", 100)))
    need(c.response(stream).json()["length"] == 0, "the origin has another length")


@case("9113 6.2", "HEADERS with 10 bytes of padding", FINE)
def padded_headers(c):
    return c.headers(f.padded(f.block(c.head()), 10), flags=f.END_HEADERS | f.PADDED)


@case("9113 6.2", "HEADERS with padding and a priority", FINE)
def padded_headers_with_priority(c):
    coded = f.padded(f.dependency() + f.block(c.head()), 255)
    return c.headers(coded, flags=f.END_HEADERS | f.PADDED | f.PRIORITIZED)


@case("9113 6.1", "DATA with padding that is not zero", FINE | stream_error(f.PROTOCOL_ERROR))
def padding_not_zero(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(f.DATA, f.PADDED | f.END_STREAM, stream, f.padded(b"abc", 10, b"\xff")))
    return stream


def padding_too_long(title, name, section, accept, payload, kind=f.DATA):
    @case(section, title, accept, name=name)
    def run(c):
        stream = c.request("POST", end=False) if kind == f.DATA else c.stream()
        c.highest = stream
        c.send(f.frame(kind, f.PADDED | (f.END_HEADERS if kind == f.HEADERS else 0), stream, payload))


NO_LENGTH = connection_error(f.PROTOCOL_ERROR, f.FRAME_SIZE_ERROR)
padding_too_long(
    "DATA padded by its whole length", "data-padding-as-long-as-the-frame", "9113 6.1", PROTOCOL, b"\x06" + bytes(5)
)
padding_too_long(
    "DATA padded by more than its length",
    "data-padding-longer-than-the-frame",
    "9113 6.1",
    PROTOCOL,
    b"\xff" + bytes(5),
)
padding_too_long("DATA with the flag PADDED and no byte", "data-padded-without-a-length", "9113 6.1", NO_LENGTH, b"")
padding_too_long(
    "HEADERS padded by its whole length",
    "headers-padding-as-long-as-the-frame",
    "9113 6.2",
    PROTOCOL,
    b"\x06" + b"\x82" * 5,
    f.HEADERS,
)
padding_too_long(
    "HEADERS padded by more than its length",
    "headers-padding-longer-than-the-frame",
    "9113 6.2",
    PROTOCOL,
    b"\xff\x82",
    f.HEADERS,
)
padding_too_long(
    "HEADERS with the flag PADDED and no byte",
    "headers-padded-without-a-length",
    "9113 6.2",
    NO_LENGTH,
    b"",
    f.HEADERS,
)


@case("9113 6.2", "HEADERS with padding that leaves no room for its priority", NO_LENGTH)
def padding_over_the_priority(c):
    c.headers(f.padded(bytes(4), 8), flags=f.END_HEADERS | f.PADDED | f.PRIORITIZED)
