"""Where a request ends: nothing that two parsers could read in two ways gets through (RFC 9112 section 6)."""

from ..table import Ask, Outcome, Seen, refused, row, rows, served

NEXT = b"GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


def post(fields, body, version=b"1.1"):
    """A POST, and behind it what must not become a request of its own by mistake."""
    return b"POST /row HTTP/%s\r\nhost: a.example\r\n%s\r\n%s" % (version, fields, body + NEXT)


# --- Both framings. Refused; or chunked, without the length, and nothing more of this connection.
BOTH = (refused(), served(Seen(lacks=("content-length",), framing=("chunked", "data", "none")), closed=True))
for name, fields in {
    "cl-te": b"content-length: 5\r\n" + CHUNKED,
    "te-cl": CHUNKED + b"content-length: 5\r\n",
    "cl-te-case": b"Content-Length: 5\r\nTRANSFER-ENCODING: Chunked\r\n",
    "cl0-te": b"content-length: 0\r\n" + CHUNKED,
    "cl-te-named": b"content-length: 5\r\nconnection: content-length\r\n" + CHUNKED,
}.items():
    for up in ("h1", "h2") if name in ("cl-te", "te-cl") else ("h1",):
        row(
            f"both-{name}.{up}",
            "9112 6.1",
            "a length beside chunks",
            post(fields, b"0\r\n\r\n"),
            *BOTH,
            up=up,
        )
row(
    "both-te-named",
    "9112 6.1",
    "chunks that `Connection` names are chunks still",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\nconnection: transfer-encoding\r\n"
    + CHUNKED
    + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    refused(),
    served(Seen(body=b"hello")),
)

# --- A length that is not one number.
for name, fields in {
    "two-differ": b"content-length: 5\r\ncontent-length: 6\r\n",
    "list-differs": b"content-length: 5, 6\r\n",
    "plus": b"content-length: +5\r\n",
    "minus": b"content-length: -1\r\n",
    "hex": b"content-length: 0x5\r\n",
    "underscore": b"content-length: 1_0\r\n",
    "empty": b"content-length:\r\n",
    "spaced": b"content-length: 5 5\r\n",
    "fraction": b"content-length: 5.0\r\n",
    "too-large": b"content-length: 18446744073709551621\r\n",
    "comma-end": b"content-length: 5,\r\n",
    "comma-first": b"content-length: ,5\r\n",
    "letters": b"content-length: 5a\r\n",
    "quoted": b'content-length: "5"\r\n',
    "nul": b"content-length: 5\0\r\n",
    "fullwidth": b"content-length: \xef\xbc\x95\r\n",
    "second-empty": b"content-length: 5\r\ncontent-length:\r\n",
    "name-space": b"content-length : 5\r\n",
    "name-nul": b"content-length\0: 5\r\n",
    "folded": b"content-length:\r\n 5\r\n",
    "vt": b"content-length: \x0b5\r\n",
}.items():
    row(
        f"length-{name}",
        "9112 6.3",
        "a content-length that is not one number",
        post(fields, b"hello"),
        refused(400, 411, 413, 501),
    )
ONE = (refused(), served(Seen(body=b"hello", has={"content-length": b"5"})))
for name, fields in {
    "twice": b"content-length: 5\r\ncontent-length: 5\r\n",
    "list-twice": b"content-length: 5, 5\r\n",
}.items():
    row(
        f"length-{name}",
        "9112 6.3",
        "the same length twice: refused, or sent on once",
        b"POST /row HTTP/1.1\r\nhost: a.example\r\n" + fields + b"\r\nhello",
        *ONE,
    )
row(
    "length-zeros",
    "9110 8.6",
    "leading zeros are digits: refused, or five bytes",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0005\r\n\r\nhello",
    refused(),
    served(Seen(body=b"hello")),
)
row(
    "length-space",
    "9112 5.1",
    "space around the number is no part of it",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: \t 5 \t\r\n\r\nhello",
    *ONE,
)
row(
    "length-underscore-name",
    "9110 5.1",
    "`Content_Length` is another field, if it gets through at all",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\ncontent_length: 9\r\n\r\nhello",
    refused(),
    served(Seen(body=b"hello", has={"content-length": b"5"})),
)
row(
    "length-short",
    "9112 8",
    "a body that ends before its length is no request",
    lambda it: cut_short(it, b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: 50\r\n\r\nhello"),
    Outcome((400, 408, 502, 504, "closed"), seen="nothing whole"),
)
row(
    "chunks-short",
    "9112 8",
    "so are chunks without an end",
    lambda it: cut_short(it, b"POST /row HTTP/1.1\r\nhost: a.example\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n"),
    Outcome((400, 408, 502, 504, "closed"), seen="nothing whole"),
)


def cut_short(it, data):
    client = it.client()
    client.send(data)
    client.half_close()
    return client.answer()


# --- A coding that is not one final `chunked`.
for name, fields in {
    "unknown": b"transfer-encoding: xchunked\r\n",
    "empty-first": b"transfer-encoding: ,chunked\r\n",
    "vt": b"transfer-encoding: \x0bchunked\r\n",
    "identity": b"transfer-encoding: identity\r\n",
    "not-last": b"transfer-encoding: chunked, gzip\r\n",
    "twice": b"transfer-encoding: chunked, chunked\r\n",
    "two-lines": CHUNKED + CHUNKED,
    "then-unknown": CHUNKED + b"transfer-encoding: x\r\n",
    "unknown-then": b"transfer-encoding: x\r\n" + CHUNKED,
    "gzip-first": b"transfer-encoding: gzip, chunked\r\n",
    "identity-beside": CHUNKED + b"transfer-encoding: identity\r\n",
    "quoted": b'transfer-encoding: "chunked"\r\n',
    "parameter": b"transfer-encoding: chunked;q=1\r\n",
    "empty": b"transfer-encoding:\r\n",
    "name-space": b"transfer-encoding : chunked\r\n",
    "name-tab": b"transfer-encoding\t: chunked\r\n",
    "folded": b"transfer-encoding:\r\n chunked\r\n",
    "nul": b"transfer-encoding: chunked\0\r\n",
    "semicolon": b"transfer-encoding: chunked;\r\n",
    "space-inside": b"transfer-encoding: chun ked\r\n",
    "cr-before": b"x: y\rtransfer-encoding: chunked\r\ncontent-length: 5\r\n",
}.items():
    row(
        f"coding-{name}",
        "9112 6.1",
        "a transfer-encoding that is not exactly `chunked`",
        post(fields, b"0\r\n\r\n"),
        refused(400, 411, 501),
    )
row(
    "coding-lf-before",
    "9112 2.2",
    "a coding behind a bare LF: refused, or a line of its own",
    post(b"x: y\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n", b"0\r\n\r\n"),
    *BOTH,
)
row(
    "coding-upper",
    "9112 7",
    "codings are case-insensitive",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    served(Seen(body=b"hello")),
)
row(
    "coding-tail",
    "9112 5.1",
    "space behind the coding is no part of it",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked \t\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    served(Seen(body=b"hello")),
    refused(400, 501),
)
row(
    "coding-http10",
    "9112 6.1",
    "chunks in HTTP/1.0 are faulty framing",
    post(CHUNKED, b"0\r\n\r\n", b"1.0"),
    refused(400, 501),
)
row(
    "coding-underscore-name",
    "9110 5.1",
    "`Transfer_Encoding` frames nothing",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\ntransfer_encoding: chunked\r\n\r\nhello",
    refused(),
    served(Seen(body=b"hello", has={"content-length": b"5"}, framing=("length",))),
)

# --- What is framed well arrives, however the backend is spoken to.
rows(
    "body-length",
    "9112 6.2",
    "a body of known length",
    Ask(b"POST", body=b"hello"),
    served(Seen(b"POST", body=b"hello", framing=("length", "data", "chunked"))),
)
rows(
    "body-chunks",
    "9112 7.1",
    "a body of unknown length",
    Ask(b"POST", body=b"hello", length=False),
    served(Seen(b"POST", body=b"hello", framing=("chunked", "data"), lacks=("content-length",))),
)
rows(
    "body-empty",
    "9110 8.6",
    "an empty body says so, or there is none",
    Ask(b"POST", body=b""),
    served(Seen(b"POST", body=b"")),
)
rows(
    "body-get",
    "9110 9.3.1",
    "a GET with content keeps it: what follows must not be a request",
    Ask(b"GET", body=NEXT),
    served(Seen(b"GET", body=NEXT)),
    refused(400, 413),
    via=("h1-h1", "h2-h1", "h1-h2"),
)
rows(
    "body-get-chunks",
    "9110 9.3.1",
    "the same in chunks",
    Ask(b"GET", body=NEXT, length=False),
    served(Seen(b"GET", body=NEXT)),
    refused(400, 411, 413),
    via=("h1-h1", "h2-h1"),
)
rows(
    "body-head",
    "9110 9.3.2",
    "HEAD with content, too",
    Ask(b"HEAD", body=NEXT),
    Outcome((200,), Seen(b"HEAD", body=NEXT), body=b""),
    refused(400, 413),
    via=("h2-h1",),
)
rows(
    "body-is-a-request",
    "9112 6.3",
    "a body that looks like a request is a body",
    Ask(b"POST", body=NEXT * 3, length=False),
    served(Seen(body=NEXT * 3)),
)
rows(
    "body-large",
    "9112 7.1",
    "200 kB arrive whole",
    Ask(b"POST", body=b"0123456789" * 20000, length=False),
    served(Seen(body=b"0123456789" * 20000)),
    via=("h1-h1", "h1-h2"),
)
