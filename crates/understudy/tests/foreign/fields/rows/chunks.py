"""Chunks of a request, byte by byte (RFC 9112 section 7.1)."""

from ..table import NOTHING, Outcome, Seen, refused, row, served
from .framing import CHUNKED, NEXT, cut_short, post

HEAD = b"POST /row HTTP/1.1\r\nhost: a.example\r\n" + CHUNKED + b"\r\n"
# The head may have been sent on before the fault was seen; what must not arrive is a whole request.
BROKEN = Outcome((400, 502, "closed"), seen=NOTHING, closed=True)

for name, body in (
    ("prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("space-before", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("letters", b"5g\r\nhello\r\n0\r\n\r\n"),
    ("17-digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no-size", b"\r\nhello\r\n0\r\n\r\n"),
    ("extension-alone", b";a=b\r\nhello\r\n0\r\n\r\n"),
    ("lf", b"5\nhello\r\n0\r\n\r\n"),
    ("cr", b"5\rhello\r\n0\r\n\r\n"),
    ("cr-then-byte", b"5\rX\nhello\r\n0\r\n\r\n"),
    ("nul", b"5\0\r\nhello\r\n0\r\n\r\n"),
    ("no-end-of-data", b"5\r\nhello0\r\n\r\n"),
    ("lf-after-data", b"5\r\nhello\n0\r\n\r\n"),
    ("too-little-data", b"6\r\nhello\r\n0\r\n\r\n"),
    ("too-much-data", b"4\r\nhello\r\n0\r\n\r\n"),
    ("lf-in-extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ("cr-in-extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("lf-last", b"5\r\nhello\r\n0\n\r\n"),
    ("cr-end", b"5\r\nhello\r\n0\r\n\rX"),
    ("trailer-no-colon", b"5\r\nhello\r\n0\r\nbad\r\n\r\n"),
    ("trailer-space", b"5\r\nhello\r\n0\r\nx-a : 1\r\n\r\n"),
    ("trailer-folded", b"5\r\nhello\r\n0\r\nx-a: 1\r\n 2\r\n\r\n"),
    ("trailer-nul", b"5\r\nhello\r\n0\r\nx-a: \0\r\n\r\n"),
):
    row(
        f"chunk-{name}",
        "9112 7.1",
        f"`{body.decode('latin-1').encode('unicode_escape').decode()}`",
        HEAD + body + NEXT,
        BROKEN,
    )

for name, body in {
    "extension": b'5;secret="1"\r\nhello\r\n0;secret\r\n\r\n',
    "upper-case": b"A\r\nhellohello\r\n0\r\n\r\n",
    "zeros": b"0005\r\nhello\r\n000\r\n\r\n",
    "space-behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "space-extension": b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
    "quoted-extension": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
    "single-bytes": b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
}.items():
    whole = b"hello" * (2 if name == "upper-case" else 1)
    strict = name in ("extension", "upper-case", "single-bytes")
    for up in ("h1", "h2"):
        row(
            f"chunk-{name}.{up}",
            "9112 7.1.1",
            "well-formed, or nearly: the data arrives without extensions"
            + ("" if strict else ", or it is refused"),
            HEAD + body,
            served(Seen(body=whole)),
            *(() if strict else (BROKEN,)),
            up=up,
        )

row(
    "chunk-lf-end",
    "9112 2.2",
    "LF alone behind the last chunk: refused, or the end of a line, but no trailer that swallows what follows",
    HEAD + b"5\r\nhello\r\n0\r\n\n" + NEXT,
    BROKEN,
    served([Seen(body=b"hello"), Seen(target=b"/smuggled")]),
    # Or the first is served, and nothing more of this connection is read.
    Outcome(("closed",), seen=Seen(body=b"hello"), closed=True),
    answers=2,
)
row(
    "chunk-lf-in-trailers",
    "9112 2.2",
    "the same behind a trailer",
    HEAD + b"5\r\nhello\r\n0\r\nx-a: 1\r\n\n" + NEXT,
    BROKEN,
    served([Seen(body=b"hello"), Seen(target=b"/smuggled")]),
    # Or the first is served, and nothing more of this connection is read.
    Outcome(("closed",), seen=Seen(body=b"hello"), closed=True),
    answers=2,
)
row(
    "chunk-overflow",
    "9112 7.1",
    "a size that overflows, or never comes to its end",
    lambda it: cut_short(it, HEAD + b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n" + NEXT),
    Outcome((400, 408, 413, 502, "closed"), seen=NOTHING, closed=True),
)
row(
    "chunk-extensions-endless",
    "9112 7.1.1",
    "a kilobyte of extension for a byte of data, a thousand times: limited",
    lambda it: _endless(it, b"1;" + b"x" * 1024 + b"\r\nh\r\n", 1024),
    Outcome((400, 413, 431, 502, "closed"), seen=NOTHING),
)
row(
    "chunk-extension-long",
    "9112 7.1.1",
    "one extension of a megabyte: limited",
    lambda it: _endless(it, b"1;" + b"x" * (1 << 20) + b"\r\nh\r\n", 1),
    Outcome((400, 413, 431, 502, "closed"), seen=NOTHING),
)
row(
    "chunk-trailers-endless",
    "9112 7.1.2",
    "a megabyte of trailers: limited",
    lambda it: _endless(it, b"0\r\n" + b"x-pad: " + b"x" * (1 << 20) + b"\r\n\r\n", 1, b""),
    Outcome((400, 413, 431, 502, "closed"), seen=NOTHING),
    refused(400, 413, 431),
)
row(
    "chunk-next",
    "9112 7.1",
    "behind the last chunk the next request begins, and nothing earlier",
    HEAD + b"5\r\nhello\r\n0\r\n\r\n" + NEXT,
    served([Seen(body=b"hello"), Seen(target=b"/smuggled")]),
    answers=2,
)
row(
    "chunk-te-cl",
    "9112 6.1",
    "what only a reader of lengths would take for a request",
    post(b"content-length: 4\r\n" + CHUNKED, b"2d\r\n" + NEXT[:45].ljust(45) + b"\r\n0\r\n\r\n"),
    refused(),
    served(Seen(lacks=("content-length",)), closed=True),
)


def _endless(it, piece, count, end=b"0\r\n\r\n"):
    client = it.client()
    client.send(HEAD)
    for _ in range(count):
        client.send(piece)
    client.send(end)
    return client.answer()
