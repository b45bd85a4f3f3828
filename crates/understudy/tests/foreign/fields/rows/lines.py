"""Hosts, methods, versions, and one request after the other (RFC 9112 sections 2, 3 and 9)."""

from ..table import NOTHING, UNTOUCHED, Ask, Outcome, Seen, malformed, refused, row, rows, served
from .targets import HOST, line

# --- Hosts.
for name, fields in {
    "none": b"",
    "two": b"host: a\r\nhost: b\r\n",
    "two-alike": b"host: a\r\nhost: a\r\n",
    "slash": b"host: a/b\r\n",
    "space": b"host: a b\r\n",
    "user": b"host: me@a\r\n",
    "port": b"host: a:b\r\n",
    "list": b"host: a, b\r\n",
    "scheme": b"host: http://a\r\n",
    "question": b"host: a?b\r\n",
    "hash": b"host: a#b\r\n",
    "bracket": b"host: [::1\r\n",
    "8bit": b"host: \xc3\xa9.example\r\n",
    "two-ports": b"host: a:80:80\r\n",
}.items():
    row(
        f"host-{name}",
        "9112 3.2",
        "Host that is not exactly one authority",
        line(b"GET /row HTTP/1.1", fields),
        refused(),
    )
row(
    "host-empty",
    "9112 3.2",
    "an empty Host is allowed; what arrives has one Host",
    line(b"GET /row HTTP/1.1", b"host:\r\n"),
    served(Seen(target=b"/row")),
    refused(),
)
row(
    "host-with-port",
    "9110 7.2",
    "Host is kept with its port",
    line(b"GET /row HTTP/1.1", b"host: a.example:8080\r\n"),
    served(Seen(host=b"a.example:8080")),
)
row(
    "host-ipv6",
    "9110 7.2",
    "an IPv6 address with a port",
    line(b"GET /row HTTP/1.1", b"host: [::1]:80\r\n"),
    served(Seen(host=b"[::1]:80")),
)
row(
    "host-http10",
    "9112 3.2",
    "HTTP/1.0 needs no Host; HTTP/1.1 to the backend does",
    b"GET /row HTTP/1.0\r\n\r\n",
    served(Seen(target=b"/row"), closed=True),
)

# --- Methods.
rows(
    "method-case",
    "9110 9.1",
    "methods are case-sensitive: `get` is not GET",
    Ask(b"get"),
    served(Seen(b"get")),
    refused(400, 405, 501, closed=False),
    malformed(405, 501),
    via=("h1-h1", "h2-h1"),
)
rows(
    "method-unknown",
    "9110 9.1",
    "a method nobody knows is the backend's to refuse",
    Ask(b"BREW", body=b"tea"),
    served(Seen(b"BREW", body=b"tea")),
    refused(405, 501, closed=False),
    malformed(405, 501),
    via=("h1-h1", "h2-h1"),
)
for name, method in {"paren": b"GE(T", "8bit": b"G\xc9T", "nul": b"G\0T", "empty": b""}.items():
    rows(
        f"method-{name}",
        "9110 5.6.2",
        "a method that is no token",
        Ask(method),
        refused(400, 405, 501, "closed"),
        malformed(405, 501),
        via=("h1-h1", "h2-h1"),
    )
rows(
    "method-connect",
    "9110 9.3.6",
    "CONNECT is refused, with an answer",
    Ask(b"CONNECT", b"b.example:443"),
    refused(400, 403, 405, 501, closed=False),
    malformed(405, 501),
    via=("h1-h1", "h1-h2"),
)
rows(
    "method-trace",
    "9110 9.3.8",
    "TRACE would show fields to scripts",
    Ask(b"TRACE", fields=((b"cookie", b"secret"),)),
    refused(400, 403, 405, 501, closed=False),
    malformed(405, 501),
    via=("h1-h1", "h2-h1"),
)
rows(
    "max-forwards-0",
    "9110 7.6.2",
    "OPTIONS with Max-Forwards 0 ends here (MUST)",
    Ask(b"OPTIONS", fields=((b"max-forwards", b"0"),)),
    Outcome((200, 204, 400, 404, 405, 501), UNTOUCHED),
    via=("h1-h1", "h2-h1"),
)
rows(
    "max-forwards-5",
    "9110 7.6.2",
    "and is counted down before it is passed on (MUST)",
    Ask(b"OPTIONS", fields=((b"max-forwards", b"5"),)),
    served(Seen(has={"max-forwards": b"4"})),
    via=("h1-h1", "h2-h1"),
)
rows(
    "max-forwards-get",
    "9110 7.6.2",
    "it means nothing for other methods",
    Ask(fields=((b"max-forwards", b"0"),)),
    served(Seen(has={"max-forwards": b"0"})),
    via=("h1-h1", "h2-h1"),
)

# --- The line itself, and versions.
for name, text in {
    "two-spaces": b"GET  /row HTTP/1.1",
    "tabs": b"GET\t/row\tHTTP/1.1",
    "trailing-space": b"GET /row HTTP/1.1 ",
    "cr-inside": b"GET /row\rHTTP/1.1",
    "formfeed": b"GET\x0c/row HTTP/1.1",
    "leading-space": b" GET /row HTTP/1.1",
}.items():
    row(
        f"line-{name}",
        "9112 3",
        "a request line with other whitespace: refused, or sent on as it should be",
        line(text),
        refused(400, 405, 501, 505, "closed"),
        served(Seen(b"GET", b"/row")),
    )
row("line-two-targets", "9112 3", "two targets", line(b"GET /row /other HTTP/1.1"), refused())
row(
    "line-empty-first",
    "9112 2.2",
    "an empty line before the request line is ignored",
    b"\r\n" + line(b"GET /row HTTP/1.1"),
    served(Seen(target=b"/row")),
)
row(
    "line-lf",
    "9112 2.2",
    "a head with bare LF: refused, or mended",
    b"GET /row HTTP/1.1\nhost: a\nx-a: 1\n\n",
    refused(),
    served(Seen(target=b"/row", has={"x-a": b"1"})),
)
for name, version in {
    "0.9": b"",
    "2.0": b" HTTP/2.0",
    "3.0": b" HTTP/3.0",
    "lower": b" http/1.1",
    "word": b" HTTP/x",
    "no-dot": b" HTTP/11",
    "tail": b" HTTP/1.1x",
    "https": b" HTTPS/1.1",
    "sign": b" HTTP/+1.1",
    "zero": b" HTTP/01.1",
    "ten": b" HTTP/1.10",
    "comma": b" HTTP/1,1",
}.items():
    row(
        f"version-{name}",
        "9112 2.3",
        "another version of HTTP",
        line(b"GET /row" + version),
        refused(400, 505, 501, "closed"),
    )
row(
    "version-1.2",
    "9110 2.5",
    "a higher minor version is 1.1 to us, or refused",
    line(b"GET /row HTTP/1.2"),
    refused(400, 505),
    served(Seen(target=b"/row")),
)
row(
    "version-preface",
    "9113 3.4",
    "HTTP/2's first line with HTTP/1.1 behind it",
    b"PRI * HTTP/2.0\r\n\r\nGET /row HTTP/1.1\r\nhost: a\r\n\r\n",
    refused(400, 405, 501, 505, "closed", seen=NOTHING),
)
row(
    "version-pri",
    "9113 3.4",
    "PRI is a method of nobody",
    line(b"PRI * HTTP/1.1"),
    refused(400, 405, 501, "closed", closed=False),
)

# --- One after the other.
PIPELINED = b"".join(line(b"GET /row%d HTTP/1.1" % number) for number in range(1, 5))
row(
    "pipeline-order",
    "9112 9.3.2",
    "pipelined requests are answered in order, each once",
    PIPELINED,
    served([Seen(target=b"/row%d" % number) for number in range(1, 5)]),
    answers=4,
)
row(
    "pipeline-after-close",
    "9112 9.6",
    "nothing behind `connection: close` is a request",
    line(b"GET /row HTTP/1.1", HOST + b"connection: close\r\n") + line(b"GET /smuggled HTTP/1.1"),
    served(Seen(target=b"/row"), closed=True),
)
row(
    "pipeline-body",
    "9112 6.3",
    "where a body ends the next request begins",
    line(b"POST /row1 HTTP/1.1", HOST + b"content-length: 5\r\n") + b"hello" + line(b"GET /row2 HTTP/1.1"),
    served([Seen(b"POST", b"/row1", body=b"hello"), Seen(b"GET", b"/row2", body=b"")]),
    answers=2,
)
row(
    "pipeline-no-body",
    "9112 6.3",
    "a POST without a length has no body",
    line(b"POST /row1 HTTP/1.1") + line(b"GET /row2 HTTP/1.1"),
    served([Seen(b"POST", b"/row1", body=b""), Seen(b"GET", b"/row2")]),
    answers=2,
)
row(
    "pieces",
    "9112 2.2",
    "the same in single bytes",
    line(b"GET /row1 HTTP/1.1")
    + line(b"POST /row2 HTTP/1.1", HOST + b"transfer-encoding: chunked\r\n")
    + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    served([Seen(target=b"/row1"), Seen(target=b"/row2", body=b"hello")]),
    answers=2,
    pieces=True,
)
row(
    "http10-keep-alive",
    "9112 9.3",
    "HTTP/1.0 is closed unless it asks",
    line(b"GET /row HTTP/1.0"),
    served(Seen(target=b"/row"), closed=True),
)
