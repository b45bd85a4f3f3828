"""Answers of an HTTP/1.1 backend: their framing, and what is wrong with some (RFC 9112 sections 4 to 8)."""

from ..origin1 import OK, Reply
from ..table import Ask, Outcome, Seen, row, rows, served

BOTH = ("h1-h1", "h2-h1")
BAD = Outcome((502,))
CUT = Outcome((200,), complete=False)
# A client's connection or stream that ends without any answer says the same as a cut one.
GONE = Outcome(("closed", "reset"))
POST = Ask(b"POST", body=b"x")  # never repeated, so that its answer is the answer


def head(fields, body=b"", status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n" + body


def answer(id, rfc, title, raw, *accepts, close=False, ask=POST, via=BOTH, **more):
    rows(f"answer-{id}", rfc, title, ask, *accepts, via=via, reply=Reply(raw, close=close), **more)


POISON = head(b"content-length: 6\r\n", b"poison")

answer(
    "both",
    "9112 6.3",
    "a length beside chunks: refused, or by its chunks",
    head(b"content-length: 3\r\ntransfer-encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n" + POISON),
    BAD,
    served(),
)
for name, fields in (
    ("two-lengths", b"content-length: 2\r\ncontent-length: 3\r\n"),
    ("list-length", b"content-length: 2, 3\r\n"),
    ("bad-length", b"content-length: x\r\n"),
    ("negative-length", b"content-length: -1\r\n"),
    ("plus-length", b"content-length: +2\r\n"),
    ("empty-length", b"content-length:\r\n"),
    ("huge-length", b"content-length: 99999999999999999999\r\n"),
    ("gzip-coding", b"transfer-encoding: gzip\r\n"),
    ("chunked-twice", b"transfer-encoding: chunked, chunked\r\n"),
    ("chunked-not-last", b"transfer-encoding: chunked, gzip\r\n"),
    ("coding-vt", b"transfer-encoding: \x0bchunked\r\n"),
):
    answer(
        name, "9112 6.3", "an answer whose end is not one place", head(fields, b"okk"), BAD, GONE, close=True
    )
answer(
    "same-length-twice",
    "9112 6.3",
    "the same length twice: once, or refused",
    head(b"content-length: 2\r\ncontent-length: 2\r\n", b"ok"),
    served(has={"content-length": b"2"}),
    served(),
    BAD,
)

# --- Heads that are none.
for name, raw in {
    "status-letters": b"HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\nok",
    "status-short": b"HTTP/1.1 99 X\r\ncontent-length: 2\r\n\r\nok",
    "status-long": b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
    "status-000": b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\nok",
    "version-2": b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "version-lower": b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "version-none": b"ok, this is HTTP/0.9",
    "noise": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 no HTTP\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\ncontent-le",
    "icy": b"ICY 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "nothing": b"",
    "shifted": b"\0HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
}.items():
    answer(f"head-{name}", "9112 4", "what is no status line is no answer", raw, BAD, close=True)
for name, fields in {
    "nul": b"x-a: \0\r\n",
    "cr": b"x-a: 1\r2\r\n",
    "control": b"x-a: 1\x012\r\n",
    "no-colon": b"x-a\r\n",
    "empty-name": b": 1\r\n",
    "name-space": b"x a: 1\r\n",
    "name-8bit": b"x\xe9: 1\r\n",
    "name-control": b"x\x01: 1\r\n",
    "del": b"x-a: 1\x7f\r\n",
}.items():
    answer(
        f"field-{name}",
        "9110 5.5",
        "a malformed field: refused, or not passed on as it is",
        head(fields + b"content-length: 2\r\n", b"ok"),
        BAD,
        served(lacks=("x-a",)),
        served(has={"x-a": b"1 2"}),
    )
answer(
    "field-folded",
    "9112 5.2",
    "a folded field: refused, or unfolded (MUST)",
    head(b"x-a: 1\r\n 2\r\ncontent-length: 2\r\n", b"ok"),
    BAD,
    served(has={"x-a": b"1 2"}),
    served(has={"x-a": b"1   2"}),
)
answer(
    "field-space-colon",
    "9112 5.1",
    "whitespace before a colon: refused, or removed (MUST)",
    head(b"x-a : 1\r\ncontent-length: 2\r\n", b"ok"),
    BAD,
    served(has={"x-a": b"1"}),
)
answer(
    "field-length-space-colon",
    "9112 5.1",
    "also in front of what frames",
    head(b"content-length : 2\r\n", b"ok"),
    BAD,
    served(),
    close=True,
)
answer(
    "field-lf",
    "9112 2.2",
    "lines that end with LF: refused, or mended",
    b"HTTP/1.1 200 OK\nx-a: 1\ncontent-length: 2\n\nok",
    BAD,
    served(has={"x-a": b"1"}),
)
answer(
    "head-large",
    "9110 5.4",
    "a head of a megabyte",
    head(b"x-a: " + b"x" * (1 << 20) + b"\r\ncontent-length: 2\r\n", b"ok"),
    BAD,
)
answer(
    "head-many",
    "9110 5.4",
    "five thousand fields: refused, or passed on",
    head(b"".join(b"x-%d: 1\r\n" % n for n in range(5000)) + b"content-length: 2\r\n", b"ok"),
    BAD,
    served(),
    GONE,
)

# --- Heads that are unusual and right.
answer(
    "no-reason",
    "9112 4",
    "a status line without a reason",
    b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
    served(),
)
answer(
    "no-reason-space",
    "9112 4",
    "nor the space in front of it: taken, or refused",
    b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
    served(),
    BAD,
)
answer(
    "reason-8bit",
    "9112 4",
    "a reason of other than ASCII",
    b"HTTP/1.1 200 d\xe9j\xe0 vu\r\ncontent-length: 2\r\n\r\nok",
    served(),
    BAD,
)
answer(
    "http10", "9110 2.5", "HTTP/1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", served(), close=True
)
answer(
    "status-599",
    "9110 15",
    "a status nobody knows",
    head(b"content-length: 2\r\n", b"ok", b"599 Odd"),
    served(status=599),
)
answer(
    "status-299",
    "9110 15",
    "nor this one",
    head(b"content-length: 2\r\n", b"ok", b"299 Odd"),
    served(status=299),
)
answer(
    "repeated",
    "9110 5.3",
    "Set-Cookie lines are not joined, others keep their order",
    head(b"set-cookie: a=1\r\nx-a: 1\r\nset-cookie: b=2\r\nx-a: 2\r\ncontent-length: 2\r\n", b"ok"),
    served(has={"set-cookie": b"a=1, b=2", "x-a": b"1, 2"}),
)
answer(
    "8bit",
    "9110 5.5",
    "8-bit characters in a value stay as they are",
    head(b"x-a: caf\xc3\xa9 \xff\r\ncontent-length: 2\r\n", b"ok"),
    served(has={"x-a": b"caf\xc3\xa9 \xff"}),
    BAD,
)
answer(
    "server-date",
    "9110 6.6.1",
    "Server and Date of the backend are kept",
    head(b"server: it/1\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 2\r\n", b"ok"),
    served(has={"server": b"it/1", "date": b"Sun, 06 Nov 1994 08:49:37 GMT"}),
)

# --- Bodies.
answer(
    "chunks",
    "9112 7.1",
    "chunks, with extensions that end here",
    head(b"transfer-encoding: chunked\r\n", b'1;a="b"\r\no\r\n01\r\nk\r\n0;c\r\n\r\n'),
    served(),
)
answer(
    "until-closed", "9112 6.3", "a body that ends with its connection", head(b"", b"ok"), served(), close=True
)
answer("until-closed-http10", "9112 6.3", "of HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nok", served(), close=True)
row(
    "answer-chunks-http10",
    "9112 7.1",
    "a client of HTTP/1.0 gets no chunks",
    b"GET /row HTTP/1.0\r\nhost: a.example\r\n\r\n",
    served(lacks=("transfer-encoding",), closed=True),
    reply=Reply(head(b"transfer-encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")),
)
for name, raw in {
    "length": head(b"content-length: 10\r\n", b"hello"),
    "no-last-chunk": head(b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n"),
    "in-chunk": head(b"transfer-encoding: chunked\r\n", b"9\r\nhello"),
    "in-size": head(b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n1"),
    "in-trailers": head(b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nx-a: 1\r\n"),
    "at-once": head(b"content-length: 5\r\n"),
}.items():
    answer(f"cut-{name}", "9112 8", "a body cut short is seen to be", raw, CUT, BAD, GONE, close=True)
for name, body in {
    "size": b"2\r\nok\r\nx\r\n",
    "prefix": b"0x2\r\nok\r\n0\r\n\r\n",
    "minus": b"-2\r\nok\r\n0\r\n\r\n",
    "17-digits": b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "space": b" 2\r\nok\r\n0\r\n\r\n",
    "end": b"2\r\nokk\r\n0\r\n\r\n",
    "lf": b"2\r\nok\n0\r\n\r\n",
    "empty": b"\r\nok\r\n0\r\n\r\n",
}.items():
    answer(
        f"chunk-{name}",
        "9112 7.1",
        "a malformed chunk",
        head(b"transfer-encoding: chunked\r\n", body),
        CUT,
        BAD,
        GONE,
        close=True,
    )
answer("beyond-length", "9112 6.3", "bytes beyond the length are nobody's answer", OK + POISON, served())
answer(
    "beyond-chunks",
    "9112 7.1",
    "nor beyond the last chunk",
    head(b"transfer-encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n" + POISON),
    served(),
)
for name, status, fields in (
    ("204", b"204 No Content", b""),
    ("304", b"304 Not Modified", b'etag: "x"\r\ncontent-length: 6\r\n'),
):
    for extra in (b"", b"poison", POISON):
        more = {b"": "", b"poison": "-body", POISON: "-answer"}[extra]
        answer(
            f"{name}{more}",
            "9112 6.3",
            "has no content, whatever follows it",
            head(fields, extra, status),
            served(status=int(name), body=b"", lacks=("transfer-encoding",)),
            ask=Ask(),
        )
answer(
    "204-length",
    "9110 8.6",
    "nor a length (MUST NOT)",
    head(b"content-length: 6\r\n", b"poison", b"204 No Content"),
    served(status=204, body=b"", lacks=("content-length", "transfer-encoding")),
    BAD,
    ask=Ask(),
)
answer(
    "204-chunked",
    "9112 6.1",
    "nor chunks (MUST NOT)",
    head(b"transfer-encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n", b"204 No Content"),
    served(status=204, body=b"", lacks=("content-length", "transfer-encoding")),
    BAD,
    ask=Ask(),
)
answer(
    "205",
    "9110 15.3.6",
    "205 with length 0",
    head(b"content-length: 0\r\n", b"", b"205 Reset Content"),
    served(status=205, body=b""),
)
for name, fields, extra in (
    ("length", b"content-length: 6\r\n", b""),
    ("body", b"content-length: 6\r\n", b"poison"),
    ("chunked", b"transfer-encoding: chunked\r\n", b""),
    ("chunks", b"transfer-encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n"),
    ("bare", b"", b""),
    ("answer", b"content-length: 6\r\n", POISON),
):
    answer(
        f"head-request-{name}",
        "9110 9.3.2",
        "an answer to HEAD has no content, and keeps its length",
        head(fields, extra),
        served(Seen(b"HEAD"), body=b"", has={"content-length": b"6"} if b"length" in fields else {}),
        ask=Ask(b"HEAD"),
    )


def _idle(it):
    """Bytes on a connection that waits for nobody, then a request."""
    client = it.client()
    section = Ask().as_h2()

    def ask():
        if it.row.down == "h2":
            return client.answer(client.ask(section.fields))
        client.send(Ask().as_h1())
        return client.answer()

    first = ask()
    it.check((first.status, first.body) == (200, b"ok"), f"the first request got {first}")
    before = it.origin.poke(POISON)
    it.check(before, "no connection was kept, so this row shows nothing")
    # The proxy closes them, or does not look before it uses them. Either may be, poison may not.
    it.wait(lambda: it.origin.open_links() < before, 0.3)
    return ask()


rows(
    "answer-unasked",
    "9112 9.2",
    "bytes that nobody asked for, on idle connections, are nobody's answer",
    _idle,
    served([Seen(), Seen()]),
    via=BOTH,
)
for name, ask in (
    ("length", Ask(b"POST", body=b"x" * 1000)),
    ("chunks", Ask(b"POST", body=b"x" * 1000, length=False)),
):
    rows(
        f"answer-early-{name}",
        "9112 9.3",
        "an answer before the body has been read arrives, and leaves nothing behind",
        ask,
        Outcome((413,), body=b"big"),
        via=BOTH,
        reply=Reply(head(b"content-length: 3\r\n", b"big", b"413 Content Too Large"), early=True),
    )
