"""HPACK broken, and HPACK as a weapon (RFC 7541; RFC 9113 sections 4.3, 10.5.1)."""

from .. import frames as f
from ..table import FINE, MALFORMED, answered, case, connection_error, need_serving, stream_error

BROKEN = connection_error(f.COMPRESSION_ERROR)


def broken(name, section, title, coded, before=b""):
    """A GET whose block has this behind the plain fields."""

    @case(section, title, BROKEN, name=name)
    def run(c):
        tail = coded(c) if callable(coded) else coded
        c.headers(before + f.block(c.head()) + tail)


# === Indexes and numbers ===

broken("index-0", "7541 6.1", "Index 0", f.indexed(0))
broken("index-beyond", "7541 2.3.3", "Index 62 in an empty dynamic table", f.indexed(62))
broken("index-far-beyond", "7541 2.3.3", "Index 5,000", f.indexed(5000))
broken("name-beyond", "7541 2.3.3", "Literal whose name is entry 62 of an empty dynamic table", f.literal(62, b"v"))
broken("name-beyond-incremental", "7541 2.3.3", "Remembered literal whose name is entry 70", f.remembered(70, b"v"))
broken(
    "index-after-eviction",
    "7541 4.4",
    "A remembered field, a field that empties the table, the index of the first",
    f.remembered(b"x-a", b"1") + f.remembered(b"x-big", b"v" * 5000) + f.indexed(62),
)
broken(
    "index-of-never-indexed",
    "7541 6.2.3",
    "A never-indexed field, then index 62",
    f.never_indexed(b"x-n", b"1") + f.indexed(62),
)
broken(
    "index-of-a-plain-literal",
    "7541 6.2.2",
    "A literal without indexing, then index 62",
    f.literal(b"x-n", b"1") + f.indexed(62),
)
broken(
    "number-overflow", "7541 5.1", "An index of ten more bytes with all bits set", b"\xff" + b"\xff" * 10 + b"\x0f"
)
broken(
    "number-of-zero-bytes",
    "7541 5.1",
    "An index with a thousand bytes that add nothing",
    b"\xff" + b"\x80" * 1000 + b"\x00",
)
broken("length-overflow", "7541 5.1", "A length of 2^63", b"\x00\x7f" + b"\xff" * 9 + b"\x7f")
broken("number-cut-off", "7541 5.1", "A block that ends within an index", b"\xff\x80")

# === Strings ===

broken("string-too-long", "7541 5.2", "A name longer than the block", b"\x00\x20short")
broken("value-too-long", "7541 5.2", "A value longer than the block", b"\x00\x03x-a\x20short")
broken("literal-without-value", "7541 6.2", "A block that ends after a name", b"\x00\x03x-a")
broken("literal-without-name", "7541 6.2", "A block that ends after the first byte of a literal", b"\x00")
broken(
    "huffman-too-long", "7541 5.2", "A Huffman string longer than the block", b"\x00\x03x-a\xa0" + f.huffman(b"short")
)
WORD = f.huffman(b"value")


def huffman_row(name, title, coded):
    broken(f"huffman-{name}", "7541 5.2", title, b"\x00\x03x-a" + f.integer(len(coded), 7, 0x80) + coded)


huffman_row("padding-of-a-byte", "A Huffman string with 8 bits of padding more", WORD + b"\xff")
huffman_row("padding-of-two-bytes", "A Huffman string with 16 bits of padding more", WORD + b"\xff\xff")
huffman_row("padding-of-zeros", "`0` and padding of zeros", b"\x00")
huffman_row("padding-only", "A Huffman string of nothing but padding", b"\xff")
huffman_row("end-of-string", "A Huffman string with the code EOS in it", b"\xff\xff\xff\xfc" + WORD)
huffman_row("end-of-string-alone", "A Huffman string that is the code EOS and padding", b"\xff\xff\xff\xff")

# === The size of the table ===


@case(
    "7541 6.3",
    "A size update to one byte more than the server announced",
    BROKEN,
    name="table-size-above-the-announced",
)
def size_above(c):
    c.headers(f.table_size(c.settings.get(f.HEADER_TABLE_SIZE, 4096) + 1) + f.block(c.head()))


broken("table-size-overflow", "7541 6.3", "A size update to 2^40", b"", before=f.table_size(2**40))
broken("table-size-late", "7541 4.2", "A size update after a field", f.table_size(100) + f.literal(b"x-a", b"1"))
broken("table-size-last", "7541 4.2", "A size update at the end of a block", f.table_size(100))
broken(
    "table-size-empties",
    "7541 4.2",
    "A size update to 0 in the next block, then index 62",
    f.indexed(62),
    before=f.table_size(0),
)

# === Malformed, yet well coded ===

LATE = connection_error(f.STREAM_CLOSED, f.PROTOCOL_ERROR)
"""What HEADERS on a closed stream may be answered with, decoded or not (RFC 9113 section 5.1)."""


@case("9113 8.3.1", "HEADERS without a byte", MALFORMED)
def empty_block(c):
    return c.headers(b"")


@case("9113 4.3", "A block that does not decode, on a stream that is cancelled", BROKEN | LATE)
def broken_on_a_cancelled_stream(c):
    stream = c.request("POST", end=False)
    c.send(f.reset(stream))
    c.send(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, f.indexed(0)))


@case("9113 4.3", "Trailers that do not decode", BROKEN)
def broken_trailers(c):
    stream = c.request("POST", end=False)
    c.headers(f.indexed(0), stream=stream)


# === Heads that are too large ===

LIMITED = answered(400, 413, 431) | stream_error(
    f.PROTOCOL_ERROR, f.ENHANCE_YOUR_CALM, f.REFUSED_STREAM, f.INTERNAL_ERROR, f.COMPRESSION_ERROR
)


def in_frames(c, coded, size=f.LARGEST_FRAME):
    """A GET whose block takes as many CONTINUATIONs as it needs."""
    pieces = [coded[at : at + size] for at in range(0, len(coded), size)]
    stream = c.headers(pieces[0], flags=f.END_HEADERS if len(pieces) == 1 else 0)
    for number, piece in enumerate(pieces[1:], 2):
        if c.dying():
            break
        c.send(f.frame(f.CONTINUATION, f.END_HEADERS if number == len(pieces) else 0, stream, piece))
        c.pump(0)
    return stream


@case("9113 10.5.1", "One field of 1,000,000 bytes", LIMITED)
def huge_field(c):
    return in_frames(c, f.block(c.head(fields=[("x-huge", "v" * 1_000_000)])))


@case("9113 10.5.1", "Fields of 100,000 bytes in all", FINE | LIMITED)
def large_fields(c):
    return in_frames(c, f.block(c.head(fields=[(f"x-{n}", "v" * 1000) for n in range(100)])))


@case("9113 10.5.1", "2,000 fields of some bytes", LIMITED)
def many_fields(c):
    return in_frames(c, f.block(c.head(fields=[(f"x-{n}", "1") for n in range(2000)])))


@case("9113 10.5.1", "30,000 fields with different names", LIMITED)
def fields_beyond_a_map(c):
    return in_frames(c, f.block(c.head(fields=[(f"x-{n}", "1") for n in range(30000)])))


@case("9113 10.5.1", "A field of 4,000 bytes, referred to 12,000 times by one byte each: 48 MB", LIMITED)
def bomb(c):
    stream = in_frames(c, f.block(c.head()) + f.remembered(b"x-b", b"v" * 4000) + f.indexed(62) * 12000)
    c.attend(lambda: c.over(stream) or c.dying())
    need_serving(c.spot)
    return stream


@case("9113 10.5.1", "A cookie crumb of 4,000 bytes, referred to 12,000 times by one byte each", LIMITED)
def bomb_of_cookies(c):
    stream = in_frames(c, f.block(c.head()) + f.remembered(b"cookie", b"c" * 4000) + f.indexed(62) * 12000)
    c.attend(lambda: c.over(stream) or c.dying())
    need_serving(c.spot)
    return stream


@case("9113 10.5.1", "An empty cookie crumb, 12,000 times by one byte each", LIMITED)
def bomb_of_empty_cookies(c):
    return in_frames(c, f.block(c.head()) + f.remembered(b"cookie", b"") + f.indexed(62) * 12000)


@case("9113 10.5.1", "A field that enters the table, 5,000 times", LIMITED)
def churn(c):
    return in_frames(c, f.block(c.head()) + f.remembered(b"x-c", b"v" * 10) * 5000)


@case(
    "9113 10.5.1", "After a head that was too large: a GET on the same connection, if it is left open", FINE | LIMITED
)
def after_a_large_head(c):
    stream = in_frames(c, f.block(c.head(fields=[("x-huge", "v" * 90_000)])))
    c.attend(lambda: c.over(stream) or c.dying())
    return stream if c.dying() else c.request()


@case("9113 10.5.1", ":path of 60,000 bytes", answered(200, 400, 414, 431) | LIMITED)
def huge_path(c):
    return in_frames(c, f.block(c.head(path="/echo?" + "p" * 60_000)))
