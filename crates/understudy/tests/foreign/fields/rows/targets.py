"""Request targets: their bytes and their four forms (RFC 9112 section 3.2, RFC 9110 section 4.2)."""

from ..table import UNTOUCHED, Ask, Outcome, Seen, malformed, refused, row, rows, served

HOST = b"host: a.example\r\n"


def line(text, fields=HOST):
    return text + b"\r\n" + fields + b"\r\n"


# --- The bytes of a path are nobody's to change.
for name, path in {
    "slash": b"/row%2Fa",
    "dots": b"/row/../a",
    "encoded-dots": b"/row/%2e%2e/a",
    "double": b"/row//a",
    "semicolon": b"/row;p=1/a",
    "percent-utf8": b"/row/%C3%A9",
    "query": b"/row?q=a%20b&c=%26;d",
    "empty-query": b"/row?",
    "query-slashes": b"/row?a=/../b//c",
    "nul-encoded": b"/row%00a",
    "bad-percent": b"/row%zz",
    "two-slashes": b"//evil.example/row",
}.items():
    rows(
        f"path-{name}",
        "9110 4.2.3",
        f"`{path.decode()}` arrives byte for byte, or is refused",
        Ask(path=path),
        served(Seen(b"GET", path, b"a.example")),
        refused(),
        malformed(),
        via=("h1-h1", "h2-h1", "h1-h2") if name in ("slash", "dots") else ("h1-h1", "h2-h1"),
    )
for name, path in {
    "backslash": b"/row\\a",
    "8bit": b"/row/\xc3\xa9",
    "quote": b'/row"a',
    "brace": b"/row{a}",
}.items():
    rows(
        f"path-{name}",
        "3986 3.3",
        "a character that URIs do not have: byte for byte, encoded, or refused",
        Ask(path=path),
        served(Seen(b"GET", path)),
        refused(),
        malformed(),
        served(
            Seen(
                b"GET",
                {
                    "backslash": b"/row%5Ca",
                    "8bit": b"/row/%C3%A9",
                    "quote": b"/row%22a",
                    "brace": b"/row%7Ba%7D",
                }[name],
            )
        ),
        via=("h1-h1", "h2-h1"),
    )
rows(
    "path-fragment",
    "9110 7.1",
    "a `#fragment` is no part of a target: refused, or not sent on",
    Ask(path=b"/row#x"),
    served(Seen(target=b"/row")),
    refused(),
    malformed(),
    via=("h1-h1", "h2-h1", "h2-h2"),
)
for name, path in {
    "space": b"/row a",
    "nul": b"/row\0a",
    "del": b"/row\x7fa",
    "tab": b"/row\ta",
    "cr": b"/row\ra",
    "lf": b"/row\na",
    "control": b"/row\x01a",
}.items():
    rows(
        f"path-has-{name}",
        "9112 3.2",
        "no such byte in a target: it would end it, for some",
        Ask(path=path),
        refused(400, "closed"),
        malformed(),
        via=("h1-h1", "h2-h1", "h2-h2"),
    )

# --- The four forms.
row("form-no-slash", "9112 3.2.1", "a target without a slash", line(b"GET row HTTP/1.1"), refused())
row(
    "form-query-alone",
    "9112 3.2.1",
    "a query alone: refused, or as that of `/`",
    line(b"GET ?row HTTP/1.1"),
    refused(),
    served(Seen(target=b"/?row")),
)
row(
    "form-authority",
    "9112 3.2.3",
    "an authority alone is for CONNECT",
    line(b"GET a.example:80 HTTP/1.1"),
    refused(),
)
row(
    "form-star-get",
    "9112 3.2.4",
    "`*` is for OPTIONS",
    line(b"GET * HTTP/1.1"),
    refused(400, 404, 405, closed=False),
)
rows(
    "form-star-options",
    "9112 3.2.4",
    "`OPTIONS *` is answered here or stays what it is",
    Ask(b"OPTIONS", b"*"),
    served(Seen(b"OPTIONS", b"*")),
    Outcome((200, 204, 400, 404, 405, 501), UNTOUCHED),
    malformed(404, 405, 501),
)
rows(
    "form-absolute",
    "9112 3.2.2",
    "an absolute target's host wins over Host",
    Ask(path=b"http://other.example/row?x=1"),
    served(Seen(b"GET", b"/row?x=1", b"other.example")),
    via=("h1-h1", "h1-h2"),
)
row(
    "form-absolute-port",
    "9112 3.2.2",
    "with its port",
    line(b"GET http://other.example:8080/row HTTP/1.1"),
    served(Seen(target=b"/row", host=b"other.example:8080")),
)
row(
    "form-absolute-no-path",
    "9112 3.2.1",
    "an absolute target without a path is `/`",
    line(b"GET http://other.example HTTP/1.1"),
    served(Seen(target=b"/", host=b"other.example")),
)
row(
    "form-absolute-query",
    "9112 3.2.1",
    "an absolute target with a query and no path",
    line(b"GET http://other.example?x HTTP/1.1"),
    served(Seen(target=b"/?x", host=b"other.example")),
    refused(),
)
row(
    "form-absolute-options",
    "9112 3.2.4",
    "`OPTIONS http://host` becomes `OPTIONS *` at a proxy; a gateway may think of `/`",
    line(b"OPTIONS http://other.example HTTP/1.1"),
    served(Seen(b"OPTIONS", b"*", b"other.example")),
    served(Seen(b"OPTIONS", b"/", b"other.example")),
    Outcome((200, 204, 400, 405, 501), UNTOUCHED),
)
row(
    "form-absolute-user",
    "9110 4.2.4",
    "user information in front of a host",
    line(b"GET http://a.example@evil.example/row HTTP/1.1"),
    refused(),
)
row(
    "form-absolute-bad-host",
    "9112 3.2.2",
    "an absolute target whose host is none",
    line(b"GET http://a b/row HTTP/1.1"),
    refused(),
)
row(
    "form-absolute-empty-host",
    "9110 4.2.1",
    "an http URI without a host is invalid",
    line(b"GET http:///row HTTP/1.1"),
    refused(),
)
row(
    "form-absolute-no-host",
    "9112 3.2",
    "HTTP/1.1 without Host, whatever the target",
    b"GET http://a.example/row HTTP/1.1\r\n\r\n",
    refused(),
)
row(
    "form-absolute-scheme",
    "9110 7.4",
    "another scheme than is spoken: refused, or said to be http",
    line(b"GET https://a.example/row HTTP/1.1"),
    refused(400, 421, 403, closed=False),
    served(Seen(target=b"/row", host=b"a.example", has={"x-forwarded-proto": b"http"})),
)
