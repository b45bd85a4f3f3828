"""Fields about one connection end with it, and cannot take others along (RFC 9110 section 7.6.1)."""

from ..origin1 import Reply
from ..table import Ask, Outcome, Seen, malformed, refused, row, rows, served

OK2 = b"content-length: 2\r\n\r\nok"
PLAIN = ("h1-h1", "h1-h2")


def ask(*fields, **more):
    return Ask(fields=fields, **more)


rows(
    "hop-named",
    "9110 7.6.1",
    "what `Connection` names is removed with it",
    ask(
        (b"connection", b"x-foo, keep-alive"),
        (b"x-foo", b"1"),
        (b"keep-alive", b"timeout=9"),
        (b"x-bar", b"2"),
    ),
    served(Seen(has={"x-bar": b"2"}, lacks=("x-foo", "keep-alive"))),
    via=PLAIN,
)
rows(
    "hop-named-case",
    "9110 7.6.1",
    "in any case, in two lines, with empty elements",
    ask(
        (b"connection", b", X-Foo,,"),
        (b"Connection", b"x-BAR"),
        (b"x-foo", b"1"),
        (b"x-bar", b"1"),
        (b"x-ok", b"1"),
    ),
    served(Seen(has={"x-ok": b"1"}, lacks=("x-foo", "x-bar"))),
    refused(),
    via=PLAIN,
)
rows(
    "hop-malformed",
    "9110 7.6.1",
    "a `Connection` that is no list of names: refused, or of no effect",
    ask((b"connection", b'x foo, @, "a"'), (b"x-bar", b"2")),
    refused(),
    served(Seen(has={"x-bar": b"2"})),
    via=PLAIN,
)
rows(
    "hop-te",
    "9110 10.1.4",
    "TE is ours, but that trailers are welcome may be said",
    ask((b"te", b"trailers, deflate;q=0.5"), (b"connection", b"te")),
    served(Seen()),
    via=PLAIN,
)
rows(
    "hop-te-other",
    "9110 10.1.4",
    "other codings are not asked for on our behalf",
    ask((b"te", b"gzip"), (b"connection", b"te")),
    served(Seen(lacks=("te",))),
    refused(),
    via=PLAIN,
)
rows(
    "hop-proxy-connection",
    "9112 C.2.2",
    "Proxy-Connection is not passed on",
    ask((b"proxy-connection", b"keep-alive")),
    served(Seen(lacks=("proxy-connection",))),
    via=PLAIN,
)
rows(
    "hop-keep-alive",
    "9112 C.2.2",
    "nor Keep-Alive, named or not",
    ask((b"keep-alive", b"timeout=9")),
    served(Seen(lacks=("keep-alive",))),
    via=PLAIN,
)
rows(
    "hop-upgrade-unnamed",
    "9110 7.8",
    "an Upgrade that `Connection` does not name is none",
    ask((b"upgrade", b"websocket")),
    served(Seen(lacks=("upgrade",))),
    refused(),
    via=PLAIN,
)
rows(
    "hop-h2c",
    "9113 3.1",
    "an upgrade to h2c is as if not asked for",
    ask(
        (b"connection", b"upgrade, http2-settings"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABkAAQAAP__"),
    ),
    served(Seen(lacks=("upgrade", "http2-settings"))),
    refused(),
    via=PLAIN,
)
rows(
    "hop-h2c-settings",
    "7540 3.2.1",
    "HTTP2-Settings goes no further, named or not",
    ask((b"http2-settings", b"AAMAAABkAAQAAP__")),
    served(Seen(lacks=("http2-settings",))),
    refused(),
    via=PLAIN,
)

# --- What `Connection` cannot remove.
for name, field, value in (
    ("host", "host", b"a.example"),
    ("authorization", "authorization", b"Basic eDp5"),
    ("cookie", "cookie", b"a=1"),
    ("x-forwarded-for", "x-forwarded-for", b"127.0.0.1"),
    ("x-forwarded-proto", "x-forwarded-proto", b"http"),
    ("x-forwarded-host", "x-forwarded-host", b"a.example"),
    ("content-type", "content-type", b"text/plain"),
):
    sent = () if name.startswith(("x-", "host")) else ((name.encode(), value),)
    rows(
        f"hop-keeps-{name}",
        "9110 7.6.1",
        "`Connection` cannot take out what others rely on",
        ask((b"connection", name.encode() + b", close"), *sent),
        refused(),
        served(Seen(host=b"a.example", has={} if name == "host" else {field: value})),
        via=("h1-h1", "h1-h2") if name in ("authorization", "x-forwarded-for") else ("h1-h1",),
    )
row(
    "hop-keeps-forwarded",
    "7239 8",
    "nor the word for it",
    ask((b"connection", b"forwarded")),
    refused(),
    served(Seen(matches={"forwarded": rb"for=127\.0\.0\.1"})),
)
row(
    "hop-keeps-length",
    "9112 6.3",
    "nor what frames the body",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\nconnection: content-length\r\ncontent-length: 5\r\n\r\nhello",
    refused(),
    served(Seen(body=b"hello")),
)

# --- In HTTP/2 there are none, and a request with one is malformed (RFC 9113 section 8.2.2).
for name, value in (
    (b"connection", b"close"),
    (b"keep-alive", b"timeout=9"),
    (b"proxy-connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"upgrade", b"websocket"),
    (b"te", b"gzip"),
    (b"connection", b"x-forwarded-for"),
):
    rows(
        f"hop-h2-{name.decode()}-{value.decode().split('=')[0]}",
        "9113 8.2.2",
        "a connection-specific field in HTTP/2",
        ask((name, value)),
        malformed(),
        via=("h2-h1", "h2-h2"),
    )
rows(
    "hop-h2-te-trailers",
    "9113 8.2.2",
    "`te: trailers` is the exception",
    ask((b"te", b"trailers")),
    served(Seen()),
    via=("h2-h1", "h2-h2"),
)
rows(
    "hop-h2-http2-settings",
    "9113 3.1",
    "HTTP2-Settings belongs to an upgrade that there is not",
    ask((b"http2-settings", b"AAMAAABkAAQAAP__")),
    served(Seen(lacks=("http2-settings",))),
    malformed(),
    via=("h2-h1",),
)

# --- The same for answers.
rows(
    "answer-hop-named",
    "9110 7.6.1",
    "an answer's connection fields end here",
    Ask(),
    served(lacks=("keep-alive", "x-answer", "proxy-connection")),
    via=("h1-h1", "h2-h1"),
    reply=Reply(
        b"HTTP/1.1 200 OK\r\nconnection: x-answer, keep-alive\r\nx-answer: 1\r\nkeep-alive: timeout=9\r\n"
        b"proxy-connection: keep-alive\r\n" + OK2
    ),
)
rows(
    "answer-hop-upgrade",
    "9110 7.8",
    "an offer to upgrade is not one of HTTP/2's",
    Ask(),
    served(),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2,h2c\r\n" + OK2),
)
rows(
    "answer-hop-keeps",
    "9110 7.6.1",
    "`Connection` cannot take out an answer's framing",
    Ask(),
    served(),
    Outcome((502,), seen=None),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 200 OK\r\nconnection: content-length\r\n" + OK2),
)
rows(
    "answer-close",
    "9112 9.6",
    "a backend that closes its connection does not close the client's",
    Ask(),
    served(),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + OK2, close=True),
)
row(
    "answer-close-client",
    "9112 9.6",
    "a client that wants to close is told and closed",
    b"GET /row HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n",
    served(Seen(), closed=True, has={"connection": b"close"}),
)
row(
    "answer-keep",
    "9112 9.3",
    "one that does not is kept: a second request is answered",
    b"GET /row1 HTTP/1.1\r\nhost: a.example\r\n\r\nGET /row2 HTTP/1.1\r\nhost: a.example\r\n\r\n",
    served([Seen(target=b"/row1"), Seen(target=b"/row2")]),
    answers=2,
)
