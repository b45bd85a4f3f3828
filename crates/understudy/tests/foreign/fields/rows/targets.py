"""Request lines: methods, targets, hosts, versions (RFC 9112 sections 2.3 and 3, RFC 9110 sections 7 and 9)."""

from ..table import NOTHING, UNTOUCHED, Ask, Outcome, Seen, malformed, refused, row, rows, served

HOST = b"host: a.example\r\n"


def line(text, fields=HOST):
    return text + b"\r\n" + fields + b"\r\n"


# --- The bytes of a path are nobody's to change.
for name, path in {
    "slash": b"/row%2Fa", "dots": b"/row/../a", "encoded-dots": b"/row/%2e%2e/a", "double": b"/row//a",
    "semicolon": b"/row;p=1/a", "percent-utf8": b"/row/%C3%A9", "query": b"/row?q=a%20b&c=%26;d",
    "empty-query": b"/row?", "query-slashes": b"/row?a=/../b//c", "nul-encoded": b"/row%00a",
    "bad-percent": b"/row%zz", "two-slashes": b"//evil.example/row",
}.items():
    rows(
        f"path-{name}", "9110 4.2.3", f"`{path.decode()}` arrives byte for byte, or is refused",
        Ask(path=path), served(Seen(b"GET", path, b"a.example")), refused(), malformed(),
        via=("h1-h1", "h2-h1", "h1-h2") if name in ("slash", "dots") else ("h1-h1", "h2-h1"),
    )
for name, path in {"backslash": b"/row\\a", "8bit": b"/row/\xc3\xa9", "quote": b'/row"a', "brace": b"/row{a}"}.items():
    rows(
        f"path-{name}", "3986 3.3", "a character that URIs do not have: byte for byte, encoded, or refused",
        Ask(path=path), served(Seen(b"GET", path)), refused(), malformed(),
        served(Seen(b"GET", {"backslash": b"/row%5Ca", "8bit": b"/row/%C3%A9", "quote": b"/row%22a",
                             "brace": b"/row%7Ba%7D"}[name])),
        via=("h1-h1", "h2-h1"),
    )
rows(
    "path-fragment", "9110 7.1", "a `#fragment` is no part of a target: refused, or not sent on",
    Ask(path=b"/row#x"), served(Seen(target=b"/row")), refused(), malformed(),
    via=("h1-h1", "h2-h1", "h2-h2"),
    peers_differ={"haproxy": "passes it on unless told otherwise", "nghttpx": "encodes it"},
)
for name, path in {
    "space": b"/row a", "nul": b"/row\0a", "del": b"/row\x7fa", "tab": b"/row\ta", "cr": b"/row\ra",
    "lf": b"/row\na", "control": b"/row\x01a",
}.items():
    rows(
        f"path-has-{name}", "9112 3.2", "no such byte in a target: it would end it, for some",
        Ask(path=path), refused(400, "closed"), malformed(), via=("h1-h1", "h2-h1", "h2-h2"),
    )

# --- The four forms.
row("form-no-slash", "9112 3.2.1", "a target without a slash", line(b"GET row HTTP/1.1"), refused())
row("form-query-alone", "9112 3.2.1", "a query alone: refused, or as that of `/`",
    line(b"GET ?row HTTP/1.1"), refused(), served(Seen(target=b"/?row")))
row("form-authority", "9112 3.2.3", "an authority alone is for CONNECT", line(b"GET a.example:80 HTTP/1.1"), refused())
row("form-star-get", "9112 3.2.4", "`*` is for OPTIONS", line(b"GET * HTTP/1.1"), refused(400, 404, 405, closed=False))
rows("form-star-options", "9112 3.2.4", "`OPTIONS *` is answered here or stays what it is",
     Ask(b"OPTIONS", b"*"), served(Seen(b"OPTIONS", b"*")),
     Outcome((200, 204, 400, 404, 405, 501), UNTOUCHED), malformed(404, 405, 501))
rows("form-absolute", "9112 3.2.2", "an absolute target's host wins over Host",
     Ask(path=b"http://other.example/row?x=1"), served(Seen(b"GET", b"/row?x=1", b"other.example")),
     via=("h1-h1", "h1-h2"),
     peers_differ={"haproxy": "sends absolute targets on", "nghttpx": "sends absolute targets on"})
row("form-absolute-port", "9112 3.2.2", "with its port", line(b"GET http://other.example:8080/row HTTP/1.1"),
    served(Seen(target=b"/row", host=b"other.example:8080")),
    peers_differ={"haproxy": "sends absolute targets on", "nginx": "$host has no port", "nghttpx": "absolute targets"})
row("form-absolute-no-path", "9112 3.2.1", "an absolute target without a path is `/`",
    line(b"GET http://other.example HTTP/1.1"), served(Seen(target=b"/", host=b"other.example")),
    peers_differ={"haproxy": "sends absolute targets on"})
row("form-absolute-query", "9112 3.2.1", "an absolute target with a query and no path",
    line(b"GET http://other.example?x HTTP/1.1"), served(Seen(target=b"/?x", host=b"other.example")), refused(),
    peers_differ={"haproxy": "sends absolute targets on"})
row("form-absolute-options", "9112 3.2.4", "`OPTIONS http://host` becomes `OPTIONS *` at the last proxy, or is answered there",
    line(b"OPTIONS http://other.example HTTP/1.1"), served(Seen(b"OPTIONS", b"*", b"other.example")),
    Outcome((200, 204, 400, 405, 501), UNTOUCHED),
    peers_differ={"haproxy": "sends absolute targets on", "nginx": "makes it `/`"})
row("form-absolute-user", "9110 4.2.4", "user information in front of a host",
    line(b"GET http://a.example@evil.example/row HTTP/1.1"), refused(),
    peers_differ={"haproxy": "lenient", "nginx": "lenient", "nghttpx": "lenient"})
row("form-absolute-bad-host", "9112 3.2.2", "an absolute target whose host is none",
    line(b"GET http://a b/row HTTP/1.1"), refused())
row("form-absolute-empty-host", "9110 4.2.1", "an http URI without a host is invalid",
    line(b"GET http:///row HTTP/1.1"), refused())
row("form-absolute-no-host", "9112 3.2", "HTTP/1.1 without Host, whatever the target",
    b"GET http://a.example/row HTTP/1.1\r\n\r\n", refused(),
    peers_differ={"haproxy": "lenient", "nginx": "lenient", "nghttpx": "lenient"})
row("form-absolute-scheme", "9110 7.4", "another scheme than is spoken: refused, or said to be http",
    line(b"GET https://a.example/row HTTP/1.1"), refused(400, 421, 403, closed=False),
    served(Seen(target=b"/row", host=b"a.example", has={"x-forwarded-proto": b"http"})),
    peers_differ={"haproxy": "sends absolute targets on"})

# --- Hosts.
for name, fields in {
    "none": b"", "two": b"host: a\r\nhost: b\r\n", "two-alike": b"host: a\r\nhost: a\r\n",
    "slash": b"host: a/b\r\n", "space": b"host: a b\r\n", "user": b"host: me@a\r\n", "port": b"host: a:b\r\n",
    "list": b"host: a, b\r\n", "scheme": b"host: http://a\r\n", "question": b"host: a?b\r\n", "hash": b"host: a#b\r\n",
    "bracket": b"host: [::1\r\n", "8bit": b"host: \xc3\xa9.example\r\n", "two-ports": b"host: a:80:80\r\n",
}.items():
    row(f"host-{name}", "9112 3.2", "Host that is not exactly one authority", line(b"GET /row HTTP/1.1", fields),
        refused(), peers_differ={} if name in ("none", "two", "slash") else {
            "nginx": "does not check it", "haproxy": "does not check it", "nghttpx": "does not check it"})
row("host-empty", "9112 3.2", "an empty Host is allowed; what arrives has one Host",
    line(b"GET /row HTTP/1.1", b"host:\r\n"), served(Seen(target=b"/row")), refused())
row("host-with-port", "9110 7.2", "Host is kept with its port", line(b"GET /row HTTP/1.1", b"host: a.example:8080\r\n"),
    served(Seen(host=b"a.example:8080")), peers_differ={"nginx": "$host has no port"})
row("host-ipv6", "9110 7.2", "an IPv6 address with a port", line(b"GET /row HTTP/1.1", b"host: [::1]:80\r\n"),
    served(Seen(host=b"[::1]:80")), peers_differ={"nginx": "$host has no port"})
row("host-http10", "9112 3.2", "HTTP/1.0 needs no Host; HTTP/1.1 to the backend does",
    b"GET /row HTTP/1.0\r\n\r\n", served(Seen(target=b"/row"), closed=True),
    peers_differ={"haproxy": "sends none", "nghttpx": "sends none", "nginx": "an empty one"})

# --- Methods.
rows("method-case", "9110 9.1", "methods are case-sensitive: `get` is not GET", Ask(b"get"),
     served(Seen(b"get")), refused(400, 405, 501, closed=False), malformed(405, 501), via=("h1-h1", "h2-h1"))
rows("method-unknown", "9110 9.1", "a method nobody knows is the backend's to refuse", Ask(b"BREW", body=b"tea"),
     served(Seen(b"BREW", body=b"tea")), refused(405, 501, closed=False), malformed(405, 501), via=("h1-h1", "h2-h1"))
for name, method in {"paren": b"GE(T", "8bit": b"G\xc9T", "nul": b"G\0T", "empty": b""}.items():
    rows(f"method-{name}", "9110 5.6.2", "a method that is no token", Ask(method),
         refused(400, 405, 501, "closed"), malformed(405, 501), via=("h1-h1", "h2-h1"))
rows("method-connect", "9110 9.3.6", "CONNECT is refused, with an answer", Ask(b"CONNECT", b"b.example:443"),
     refused(400, 403, 405, 501, closed=False), malformed(405, 501), via=("h1-h1", "h1-h2"))
rows("method-trace", "9110 9.3.8", "TRACE would show fields to scripts", Ask(b"TRACE", fields=((b"cookie", b"secret"),)),
     refused(400, 403, 405, 501, closed=False), malformed(405, 501), via=("h1-h1", "h2-h1"),
     peers_differ={"nghttpx": "passes TRACE"})
rows("max-forwards-0", "9110 7.6.2", "OPTIONS with Max-Forwards 0 ends here (MUST)",
     Ask(b"OPTIONS", fields=((b"max-forwards", b"0"),)), Outcome((200, 204, 400, 404, 405, 501), UNTOUCHED),
     via=("h1-h1", "h2-h1"), peers_differ=dict.fromkeys(("nginx", "haproxy", "nghttpx"), "ignores Max-Forwards"))
rows("max-forwards-5", "9110 7.6.2", "and is counted down before it is passed on (MUST)",
     Ask(b"OPTIONS", fields=((b"max-forwards", b"5"),)), served(Seen(has={"max-forwards": b"4"})),
     via=("h1-h1", "h2-h1"), peers_differ=dict.fromkeys(("nginx", "haproxy", "nghttpx"), "ignores Max-Forwards"))
rows("max-forwards-get", "9110 7.6.2", "it means nothing for other methods",
     Ask(fields=((b"max-forwards", b"0"),)), served(Seen(has={"max-forwards": b"0"})), via=("h1-h1", "h2-h1"))

# --- The line itself, and versions.
for name, text in {
    "two-spaces": b"GET  /row HTTP/1.1", "tabs": b"GET\t/row\tHTTP/1.1", "trailing-space": b"GET /row HTTP/1.1 ",
    "cr-inside": b"GET /row\rHTTP/1.1", "formfeed": b"GET\x0c/row HTTP/1.1", "leading-space": b" GET /row HTTP/1.1",
}.items():
    row(f"line-{name}", "9112 3", "a request line with other whitespace: refused, or sent on as it should be",
        line(text), refused(400, 405, 501, 505, "closed"), served(Seen(b"GET", b"/row")))
row("line-two-targets", "9112 3", "two targets", line(b"GET /row /other HTTP/1.1"), refused())
row("line-empty-first", "9112 2.2", "an empty line before the request line is ignored",
    b"\r\n" + line(b"GET /row HTTP/1.1"), served(Seen(target=b"/row")))
row("line-lf", "9112 2.2", "a head with bare LF: refused, or mended", b"GET /row HTTP/1.1\nhost: a\nx-a: 1\n\n",
    refused(), served(Seen(target=b"/row", has={"x-a": b"1"})))
for name, version in {
    "0.9": b"", "2.0": b" HTTP/2.0", "3.0": b" HTTP/3.0", "lower": b" http/1.1", "word": b" HTTP/x",
    "no-dot": b" HTTP/11", "tail": b" HTTP/1.1x", "https": b" HTTPS/1.1", "sign": b" HTTP/+1.1", "zero": b" HTTP/01.1",
    "ten": b" HTTP/1.10", "comma": b" HTTP/1,1",
}.items():
    row(f"version-{name}", "9112 2.3", "another version of HTTP", line(b"GET /row" + version),
        refused(400, 505, 501, "closed"),
        peers_differ={"nginx": "lenient"} if name in ("0.9", "ten", "zero") else {})
row("version-1.2", "9110 2.5", "a higher minor version is 1.1 to us, or refused", line(b"GET /row HTTP/1.2"),
    refused(400, 505), served(Seen(target=b"/row")))
row("version-preface", "9113 3.4", "HTTP/2's first line with HTTP/1.1 behind it",
    b"PRI * HTTP/2.0\r\n\r\nGET /row HTTP/1.1\r\nhost: a\r\n\r\n", refused(400, 405, 501, 505, "closed", seen=NOTHING))
row("version-pri", "9113 3.4", "PRI is a method of nobody", line(b"PRI * HTTP/1.1"),
    refused(400, 405, 501, "closed", closed=False))

# --- One after the other.
PIPELINED = b"".join(line(b"GET /row%d HTTP/1.1" % number) for number in range(1, 5))
row("pipeline-order", "9112 9.3.2", "pipelined requests are answered in order, each once", PIPELINED,
    served([Seen(target=b"/row%d" % number) for number in range(1, 5)]), answers=4)
row("pipeline-after-close", "9112 9.6", "nothing behind `connection: close` is a request",
    line(b"GET /row HTTP/1.1", HOST + b"connection: close\r\n") + line(b"GET /smuggled HTTP/1.1"),
    served(Seen(target=b"/row"), closed=True))
row("pipeline-body", "9112 6.3", "where a body ends the next request begins",
    line(b"POST /row1 HTTP/1.1", HOST + b"content-length: 5\r\n") + b"hello" + line(b"GET /row2 HTTP/1.1"),
    served([Seen(b"POST", b"/row1", body=b"hello"), Seen(b"GET", b"/row2", body=b"")]), answers=2)
row("pipeline-no-body", "9112 6.3", "a POST without a length has no body",
    line(b"POST /row1 HTTP/1.1") + line(b"GET /row2 HTTP/1.1"),
    served([Seen(b"POST", b"/row1", body=b""), Seen(b"GET", b"/row2")]), answers=2)
row("pieces", "9112 2.2", "the same in single bytes", line(b"GET /row1 HTTP/1.1") + line(
    b"POST /row2 HTTP/1.1", HOST + b"transfer-encoding: chunked\r\n") + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    served([Seen(target=b"/row1"), Seen(target=b"/row2", body=b"hello")]), answers=2, pieces=True)
row("http10-keep-alive", "9112 9.3", "HTTP/1.0 is closed unless it asks", line(b"GET /row HTTP/1.0"),
    served(Seen(target=b"/row"), closed=True))
