"""Field sections of HTTP/2 that are malformed: none may become a request (RFC 9113 sections 8.1 to 8.3)."""

from ..table import NOTHING, Outcome, Section, Seen, malformed, row, served

M, S, P, A = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/row"), (b":authority", b"a.example")
HEAD = [M, S, P, A]


def bad(id, rfc, title, fields, *accepts, data=None, **more):
    for up in ("h1", "h2"):
        row(
            f"h2-{id}.{up}",
            rfc,
            title,
            Section(fields, data),
            *(accepts or (malformed(),)),
            down="h2",
            up=up,
            **more,
        )


for name, field in {
    "name-upper": (b"X-A", b"1"),
    "name-space": (b"x a", b"1"),
    "name-empty": (b"", b"1"),
    "name-colon": (b"x:a", b"1"),
    "name-crlf": (b"x-a: 1\r\nx-b", b"1"),
    "name-nul": (b"x\0a", b"1"),
    "name-8bit": (b"x\xe9", b"1"),
    "name-control": (b"x\x01", b"1"),
    "name-paren": (b"x(", b"1"),
    "name-del": (b"x\x7f", b"1"),
    "name-tab": (b"x\t", b"1"),
    "value-crlf": (b"x-a", b"1\r\nx-b: 2"),
    "value-lf": (b"x-a", b"1\n2"),
    "value-cr": (b"x-a", b"1\r2"),
    "value-nul": (b"x-a", b"1\0"),
    "value-space-first": (b"x-a", b" 1"),
    "value-space-last": (b"x-a", b"1 "),
    "value-tab-first": (b"x-a", b"\t1"),
    "value-request": (b"x-a", b"1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"),
}.items():
    accepts = [malformed()]
    if name.startswith(("value-space", "value-tab")):  # Trimming it leaves nothing to misread.
        accepts.append(served(Seen(has={"x-a": b"1"})))
    bad(name, "9113 8.2.1", f"a field `{field[0]!r}: {field[1][:20]!r}`", [*HEAD, field], *accepts)
for name, value in (("control", b"1\x012"), ("del", b"1\x7f2"), ("esc", b"1\x1b[1m")):
    bad(f"value-{name}", "9110 5.5", "a control character in a value", [*HEAD, (b"x-a", value)])

# --- Pseudo fields.
for name, fields in {
    "no-method": [S, P, A],
    "no-scheme": [M, P, A],
    "no-path": [M, S, A],
    "two-methods": [M, *HEAD],
    "two-paths": [P, *HEAD],
    "two-schemes": [S, *HEAD],
    "two-authorities": [A, *HEAD],
    "unknown": [(b":evil", b"1"), *HEAD],
    "status": [(b":status", b"200"), *HEAD],
    "late": [M, S, A, (b"x-a", b"1"), P],
    "path-empty": [M, S, (b":path", b""), A],
    "path-no-slash": [M, S, (b":path", b"row"), A],
    "path-star": [M, S, (b":path", b"*"), A],
    "path-url": [M, S, (b":path", b"http://evil.example/row"), A],
    "path-request": [M, S, (b":path", b"/row HTTP/1.1\r\nhost: evil\r\n\r\nGET /smuggled"), A],
    "path-version": [M, S, (b":path", b"/row HTTP/1.0"), A],
    "method-request": [(b":method", b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\nGET"), S, P, A],
    "method-space": [(b":method", b"GET /x"), S, P, A],
    "authority-request": [M, S, P, (b":authority", b"a\r\n\r\nGET /smuggled HTTP/1.1")],
    "authority-space": [M, S, P, (b":authority", b"a b")],
    "authority-slash": [M, S, P, (b":authority", b"a/b")],
    "authority-user": [M, S, P, (b":authority", b"me@a.example")],
    "authority-query": [M, S, P, (b":authority", b"a?b")],
    "authority-port": [M, S, P, (b":authority", b"a:b")],
    "authority-nul": [M, S, P, (b":authority", b"a\0")],
    "scheme-crlf": [M, (b":scheme", b"http\r\nx: y"), P, A],
    "scheme-url": [M, (b":scheme", b"http://evil/?"), P, A],
    "scheme-empty": [M, (b":scheme", b""), P, A],
    "host-differs": [*HEAD, (b"host", b"evil.example")],
    "hosts-two": [M, S, P, (b"host", b"a"), (b"host", b"b")],
    "nobody": [M, S, P],
    "host-bad": [M, S, P, (b"host", b"a/b")],
    "host-beside-twice": [*HEAD, (b"host", b"a.example"), (b"host", b"evil.example")],
}.items():
    accepts = [malformed(400, 404, 405)]
    if name == "host-differs":  # Reject, or :authority (RFC 9113 8.3.1).
        accepts.append(served(Seen(host=b"a.example")))
    if name == "scheme-url":  # Only http is spoken here; nothing of it may be sent on.
        accepts.append(served(Seen(target=b"/row", host=b"a.example", has={"x-forwarded-proto": b"http"})))
    if name == "nobody":  # Needs no authority (RFC 9113 8.3.1), but HTTP/1.1 needs a Host.
        accepts.append(served(Seen(target=b"/row")))
    bad(f"pseudo-{name}", "9113 8.3", "pseudo fields of no request", fields, *accepts)

# --- Content and its length.
LENGTH = (b"content-length", b"5")
POST = [(b":method", b"POST"), S, P, A]
CUT = Outcome((400, 502, 413, "reset", "closed"), NOTHING)
for name, fields, data in (
    ("more", [*POST, LENGTH], [b"hello!"]),
    ("less", [*POST, LENGTH], [b"hell"]),
    ("none", [*POST, LENGTH], None),
    ("later", [*POST, LENGTH], [b"hel", b"lo!"]),
    ("smuggle", [*POST, (b"content-length", b"0")], [b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"]),
    ("two", [*POST, LENGTH, (b"content-length", b"6")], [b"hello"]),
    ("sign", [*POST, (b"content-length", b"+5")], [b"hello"]),
    ("list", [*POST, (b"content-length", b"5, 6")], [b"hello"]),
    ("empty", [*POST, (b"content-length", b"")], [b"hello"]),
    ("huge", [*POST, (b"content-length", b"18446744073709551621")], [b"hello"]),
    ("get", [*HEAD, LENGTH], None),
    (
        "coding",
        [*POST, (b"transfer-encoding", b"chunked")],
        [b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"],
    ),
):
    bad(f"length-{name}", "9113 8.1.1", "a length that is not that of the DATA", fields, CUT, data=data)
bad(
    "length-same-twice",
    "9110 8.6",
    "the same length twice: refused, or sent on once",
    [*POST, LENGTH, LENGTH],
    CUT,
    served(Seen(body=b"hello")),
    data=[b"hello"],
)
bad(
    "length-empty-frames",
    "9113 6.1",
    "empty DATA frames are nothing",
    [*POST, LENGTH],
    served(Seen(body=b"hello")),
    data=[b"", b"hel", b"", b"lo", b""],
)
