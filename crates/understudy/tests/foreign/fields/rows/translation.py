"""From one protocol to the other, and back (RFC 9113 section 8, RFC 9110 section 3.7)."""

from ..origin1 import Reply
from ..table import Ask, Outcome, Section, Seen, malformed, row, rows, served

M, S, P, A = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/row"), (b":authority", b"a.example")
FROM2 = ("h2-h1", "h2-h2")


def two(id, rfc, title, fields, *accepts, **more):
    rows(id, rfc, title, Section(fields), *accepts, via=FROM2, **more)


CRUMBS = Ask(fields=((b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"), (b"cookie", b"c=3")))
rows(
    "cookie-crumbs",
    "9113 8.2.3",
    "crumbs of a cookie are joined with `; ` for HTTP/1.1 (MUST)",
    CRUMBS,
    served(Seen(has={"cookie": b"a=1; b=2; c=3", "x-a": b"1"})),
    via=("h2-h1",),
)
rows(
    "cookie-crumbs-kept",
    "9113 8.2.3",
    "for HTTP/2 they may stay apart",
    CRUMBS,
    served(Seen(has={"cookie": b"a=1, b=2, c=3"})),
    served(Seen(has={"cookie": b"a=1; b=2; c=3"})),
    via=("h2-h2",),
)
rows(
    "cookie-whole",
    "6265 5.4",
    "a whole cookie arrives whole, or in crumbs on HTTP/2",
    Ask(fields=((b"cookie", b"a=1; b=2"),)),
    served(Seen(has={"cookie": b"a=1; b=2"})),
    served(Seen(has={"cookie": b"a=1, b=2"})),
)
row(
    "cookie-two-lines",
    "6265 5.4",
    "two Cookie lines on HTTP/1.1 stay the client's business",
    Ask(fields=((b"cookie", b"a=1"), (b"cookie", b"b=2"))),
    served(Seen(has={"cookie": b"a=1, b=2"})),
    served(Seen(has={"cookie": b"a=1; b=2"})),
    Outcome((400,)),
)
rows(
    "host-is-authority",
    "9113 8.3.1",
    "Host and :authority are the same thing",
    Ask(host=b"b.example:8080"),
    served(Seen(b"GET", b"/row", b"b.example:8080")),
)
rows(
    "host-upper",
    "9110 4.2.3",
    "a host is kept as it was written, or in lower case",
    Ask(host=b"A.Example"),
    served(Seen(host=b"A.Example")),
    served(Seen(host=b"a.example")),
)
two(
    "host-alone",
    "9113 8.3.1",
    "Host without :authority is the host",
    [M, S, P, (b"host", b"b.example")],
    served(Seen(host=b"b.example")),
)
two(
    "host-beside",
    "9113 8.3.1",
    "Host that says what :authority says, once",
    [M, S, P, A, (b"host", b"a.example")],
    served(Seen(host=b"a.example")),
)
two(
    "authority-empty",
    "9113 8.3.1",
    "an empty :authority: malformed, or replaced",
    [M, S, P, (b":authority", b"")],
    malformed(),
    served(Seen(target=b"/row")),
)
two(
    "authority-empty-host",
    "9113 8.3.1",
    "an empty :authority beside a Host",
    [M, S, P, (b":authority", b""), (b"host", b"b.example")],
    malformed(),
    served(Seen(host=b"b.example")),
)
two(
    "scheme-https",
    "9113 8.3.1",
    "a scheme that was not spoken is not passed on as if it had been",
    [M, (b":scheme", b"https"), P, A],
    served(Seen(has={"x-forwarded-proto": b"http"})),
    malformed(400, 421),
)
two(
    "scheme-other",
    "9113 8.3.1",
    "nor one that nobody knows",
    [M, (b":scheme", b"evil"), P, A],
    served(Seen(has={"x-forwarded-proto": b"http"})),
    malformed(400, 421),
)
two(
    "star",
    "9113 8.3.1",
    "`OPTIONS *`",
    [(b":method", b"OPTIONS"), S, (b":path", b"*"), A],
    served(Seen(b"OPTIONS", b"*")),
    Outcome((200, 204, 400, 404, 405, 501), "nothing"),
    malformed(404, 405, 501),
)
rows(
    "length-kept",
    "9113 8.1.1",
    "a length that was said is said to the backend",
    Ask(b"POST", body=b"hello"),
    served(Seen(has={"content-length": b"5"}, body=b"hello")),
)
rows(
    "length-zero",
    "9110 8.6",
    "also that of nothing",
    Ask(b"POST", body=b""),
    served(Seen(has={"content-length": b"0"}, body=b"")),
)
rows(
    "length-unknown",
    "9112 7.1",
    "without one, HTTP/1.1 gets chunks",
    Ask(b"POST", body=b"hello", length=False),
    served(Seen(body=b"hello", framing=("chunked",), lacks=("content-length",))),
    via=("h2-h1",),
)
row(
    "length-none",
    "9110 8.6",
    "a request that ends with its fields has no body, and no chunks",
    Section([(b":method", b"POST"), S, P, A]),
    served(Seen(body=b"", framing=("none", "length"))),
    down="h2",
)
rows(
    "get-no-framing",
    "9110 8.6",
    "a GET has neither length nor coding",
    Ask(),
    served(Seen(lacks=("content-length", "transfer-encoding"), framing=("none",))),
)
rows(
    "names-lower",
    "9113 8.2.1",
    "names are in lower case on HTTP/2",
    Ask(fields=((b"X-Mixed-Case", b"1"),)),
    served(Seen(has={"x-mixed-case": b"1"})),
    via=("h1-h2",),
)
rows(
    "answer-lower",
    "9113 8.2.1",
    "in answers too",
    Ask(),
    served(has={"x-mixed-case": b"1"}),
    via=("h2-h1",),
    reply=Reply(b"HTTP/1.1 200 OK\r\nX-Mixed-Case: 1\r\nContent-Length: 2\r\n\r\nok"),
)
rows(
    "answer-unknown-length",
    "9112 6.3",
    "an HTTP/2 answer without a length is whole on HTTP/1.1",
    Ask(),
    served(),
    via=("h1-h2",),
)
rows(
    "answer-status",
    "9113 8.3.2",
    "any status goes through",
    Ask(),
    served(status=418),
    reply=Reply(b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 2\r\n\r\nok", status=418),
)
rows(
    "answer-error-body",
    "9110 15",
    "an error's fields and body are the backend's",
    Ask(),
    served(status=503, has={"retry-after": b"9"}),
    reply=Reply(
        b"HTTP/1.1 503 No\r\nretry-after: 9\r\ncontent-length: 2\r\n\r\nok",
        status=503,
        fields=((b"retry-after", b"9"),),
    ),
)
rows(
    "scheme-up",
    "9113 8.3.1",
    "a backend in the clear is asked for http",
    lambda it: _scheme(it),
    served(),
    via=("h1-h2", "h2-h2"),
)
rows(
    "te-up",
    "9110 10.1.4",
    "`te: trailers` reaches a backend that could use it",
    Ask(fields=((b"te", b"trailers"), (b"connection", b"te"))),
    served(Seen(has={"te": b"trailers"})),
    via=("h1-h1", "h1-h2"),
)
rows(
    "te-up-h2",
    "9110 10.1.4",
    "the same from HTTP/2",
    Ask(fields=((b"te", b"trailers"),)),
    served(Seen(has={"te": b"trailers"})),
    via=FROM2,
)
rows(
    "large-both",
    "9113 6.9",
    "300 kB back through small windows",
    Ask(),
    served(body=b"z" * 300000),
    reply=Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"z" * 300000, body=b"z" * 60000),
    via=("h1-h1", "h2-h1"),
)
row(
    "streams-apart",
    "9113 5",
    "streams of one connection get their own answers, whoever is first",
    lambda it: _streams(it),
    served([Seen(target=b"/row0"), Seen(target=b"/row1"), Seen(target=b"/row2")]),
    down="h2",
)
row(
    "streams-apart.h2",
    "9113 5",
    "also towards a backend of HTTP/2",
    lambda it: _streams(it),
    served([Seen(target=b"/row0"), Seen(target=b"/row1"), Seen(target=b"/row2")]),
    down="h2",
    up="h2",
)


def _scheme(it):
    client = it.client()
    ask = Ask()
    if it.row.down == "h2":
        result = client.answer(client.ask(ask.as_h2().fields))
    else:
        client.send(ask.as_h1())
        result = client.answer()
    it.check([request.scheme for request in it.origin.seen()] == [b"http"], "another :scheme")
    return result


def _streams(it):
    """Asked one after the other, so that the backend's order is known; read in the other order."""
    client = it.client()
    streams = []
    for number in range(3):
        streams.append(client.ask([M, S, (b":path", b"/row%d" % number), A]))
        it.wait(lambda: len(it.origin.seen()) > len(streams) - 1, 2)
    results = [client.answer(stream) for stream in reversed(streams)]
    it.check(all((r.status, r.body) == (200, b"ok") for r in results), f"{[str(r) for r in results]}")
    return results[0]
