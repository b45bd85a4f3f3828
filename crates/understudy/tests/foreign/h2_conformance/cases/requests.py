"""Request heads: pseudo-headers, targets, CONNECT (RFC 9113 sections 8.3, 8.5; RFC 8441)."""

from .. import frames as f
from ..table import FINE, MALFORMED, answered, case, need, stream_error, told


def pseudo(c, without=(), **values):
    """The pseudo-headers of a GET with other values, some left out."""
    known = {
        ":method": "GET",
        ":scheme": c.spot.scheme,
        ":path": "/echo?case-" + c.token,
        ":authority": c.spot.authority,
    }
    known.update({":" + name: value for name, value in values.items()})
    return [(name, value) for name, value in known.items() if name not in without]


def token(c):
    return ("x-token", "case-" + c.token)


def malformed(name, title, make, section="9113 8.3", accept=MALFORMED):
    """A head that must not reach the origin; `make` returns its fields."""

    @case(section, title, accept, name=name, unseen=True)
    def run(c):
        return c.headers(f.block([*make(c), token(c)]))


# === Which pseudo-headers, and where ===

malformed("no-method", "A request without :method", lambda c: pseudo(c, without=[":method"]), "9113 8.3.1")
malformed("no-scheme", "A request without :scheme", lambda c: pseudo(c, without=[":scheme"]), "9113 8.3.1")
malformed("no-path", "A request without :path", lambda c: pseudo(c, without=[":path"]), "9113 8.3.1")
malformed(
    "no-authority", "A request without :authority and Host", lambda c: pseudo(c, without=[":authority"]), "9113 8.3.1"
)
malformed("nothing", "A block of no pseudo-header at all", lambda c: [], "9113 8.3.1")
for twice in (":method", ":scheme", ":path", ":authority"):
    malformed(
        f"two-{twice[1:]}s",
        f"The same {twice} twice",
        lambda c, twice=twice: pseudo(c) + [p for p in pseudo(c) if p[0] == twice],
        "9113 8.3.1",
    )
malformed("two-different-paths", "Two different :path", lambda c: pseudo(c) + [(":path", "/size/1")], "9113 8.3.1")
malformed("unknown-pseudo", "A pseudo-header :unknown", lambda c: pseudo(c) + [(":unknown", "1")])
malformed("response-pseudo", "The pseudo-header :status in a request", lambda c: pseudo(c) + [(":status", "200")])
malformed("empty-pseudo", "A field named `:`", lambda c: pseudo(c) + [(":", "1")])
malformed(
    "pseudo-after-field",
    ":path after a regular field",
    lambda c: pseudo(c, without=[":path"]) + [("x-a", "1"), (":path", "/echo")],
)
malformed(
    "authority-after-field",
    ":authority after a regular field",
    lambda c: pseudo(c, without=[":authority"]) + [("x-a", "1"), (":authority", c.spot.authority)],
)
malformed(
    "pseudo-in-capitals",
    ":PATH in place of :path",
    lambda c: pseudo(c, without=[":path"]) + [(":PATH", "/echo")],
    "9113 8.2",
)


@case("9113 8.3", "Pseudo-headers in another order than usual", FINE)
def order_of_pseudo_headers(c):
    return c.headers(f.block(reversed(c.head())))


# === Values ===

BAD_PATHS = {
    "empty": "",
    "without-slash": "echo",
    "star-with-get": "*",
    "with-space": "/echo bar",
    "with-tab": "/echo\tbar",
    "with-cr": "/echo\rbar",
    "with-lf": "/echo\nbar",
    "with-request": "/echo HTTP/1.1\r\nx-smuggled: 1\r\nx: ",
    "with-nul": "/echo\0bar",
    "with-delete": "/echo\x7fbar",
    "leading-space": " /echo",
    "trailing-space": "/echo ",
}
for word, path in BAD_PATHS.items():
    malformed(f"path-{word}", f":path = {path!r}", lambda c, path=path: pseudo(c, path=path), "9113 8.3.1")

BAD_METHODS = {
    "empty": "",
    "with-space": "GET /size/1",
    "with-line": "GET / HTTP/1.1\r\nx-smuggled: 1\r\n\r\nGET",
    "with-nul": "GE\0T",
    "with-colon": "GE:T",
    "trailing-space": "GET ",
    "with-8-bit": "G\xcbT",
}
for word, method in BAD_METHODS.items():
    malformed(
        f"method-{word}", f":method = {method!r}", lambda c, method=method: pseudo(c, method=method), "9113 8.3.1"
    )

BAD_SCHEMES = {
    "empty": "",
    "with-space": "ht tp",
    "with-line": "http\r\nx-smuggled: 1",
    "with-slash": "http://a/",
    "with-digit-first": "1http",
}
for word, scheme in BAD_SCHEMES.items():
    malformed(
        f"scheme-{word}", f":scheme = {scheme!r}", lambda c, scheme=scheme: pseudo(c, scheme=scheme), "9113 8.3.1"
    )

BAD_AUTHORITIES = {
    "empty": "",
    "with-userinfo": "user:word@localhost",
    "with-at": "@localhost",
    "with-space": "local host",
    "with-line": "localhost\r\nx-smuggled: 1",
    "with-nul": "local\0host",
    "with-slash": "localhost/size/1",
    "with-query": "localhost?a",
    "with-fragment": "localhost#a",
    "with-comma": "localhost, other",
    "with-word-as-port": "localhost:http",
    "with-two-ports": "localhost:80:80",
    "with-open-bracket": "[::1",
}
for word, authority in BAD_AUTHORITIES.items():
    malformed(
        f"authority-{word}",
        f":authority = {authority!r}",
        lambda c, authority=authority: pseudo(c, authority=authority),
        "9113 8.3.1, 9112 3.2",
    )


@case("9113 8.3.1", ":path = '/echo#part'", MALFORMED | FINE)
def path_with_fragment(c):
    return c.headers(f.block(pseudo(c, path="/echo#part")))


@case("9113 8.3.1", ":path with bytes above 127", MALFORMED | FINE)
def path_with_8_bit(c):
    return c.headers(f.block(pseudo(c, path="/echo?\xe4\xff")))


@case("9113 8.3.1", ":scheme = 'ftp', which is none of ours", MALFORMED | FINE)
def other_scheme(c):
    return c.headers(f.block(pseudo(c, scheme="ftp")))


@case(
    "9113 8.3.1",
    "OPTIONS with :path = '*'",
    told("the origin gets OPTIONS *, or the proxy answers by itself with 2xx or 4xx"),
)
def options_star(c):
    answer = c.response(c.headers(f.block(pseudo(c, method="OPTIONS", path="*"))))
    if answer.own():
        need(200 <= answer.status < 500, f"{answer.status}")
    else:
        need(answer.json()["target"] in ("*", "/*"), f"the origin has got {answer.json()['target']}")


def relayed(name, title, section="9113 8.3.1", **values):
    @case(section, title, told("200, and the origin gets method and path as they are"), name=name)
    def run(c):
        sent = dict(pseudo(c, **values))
        answer = c.response(c.headers(f.block(sent.items())))
        got = answer.json()
        need((got["method"], got["target"]) == (sent[":method"], sent[":path"]), f"the origin has got {got}")


relayed("path-with-query", "A query with `?`, `&`, `%` and more", path="/echo?a=1&b=%20%2F?c;d=//..&e='")
relayed("path-not-normalised", "A path with dots, double slashes and escapes", path="/echo/..%2fa//b/%2e/;x=%41")
relayed("long-path", "A path of 4,000 bytes", path="/echo?" + "p" * 3994)
for verb in ("PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
    relayed(f"method-{verb.lower()}", f"{verb} without a body", method=verb)


# === Host ===


@case("9113 8.3.1", "Host in place of :authority", told("200, and the origin gets it as Host"))
def host_alone(c):
    answer = c.response(c.headers(f.block(pseudo(c, without=[":authority"]) + [("host", c.spot.authority)])))
    need(
        answer.status == 200 and ["host", c.spot.authority] in answer.json()["fields"],
        f"{answer.status}, {bytes(answer.body)}",
    )


@case("9113 8.3.1", ":authority and an equal Host", told("200, and the origin gets one Host"))
def host_equal(c):
    answer = c.response(c.headers(f.block(pseudo(c) + [("host", c.spot.authority)])))
    hosts = [value for name, value in answer.json()["fields"] if name == "host"]
    need(hosts == [c.spot.authority], f"Host at the origin: {hosts}")


@case("9113 8.3.1", ":authority and another Host", told("4xx or a stream error, or :authority wins"))
def host_different(c):
    stream = c.headers(f.block(pseudo(c) + [("host", "other.example")]))
    c.wait(lambda: c.over(stream) or c.dying(), "an answer")
    answer = c.responses.get(stream)
    if answer and answer.status == 200:
        hosts = [value for name, value in answer.json()["fields"] if name == "host"]
        need(hosts == [c.spot.authority], f"Host at the origin: {hosts}")


malformed(
    "two-hosts",
    "Two different Host, no :authority",
    lambda c: pseudo(c, without=[":authority"]) + [("host", c.spot.authority), ("host", "other")],
    "9110 7.2",
)
malformed(
    "host-empty",
    "An empty Host, no :authority",
    lambda c: pseudo(c, without=[":authority"]) + [("host", "")],
    "9113 8.3.1",
)


# === CONNECT ===

NOT_HERE = answered(400, 403, 405, 501) | stream_error(f.PROTOCOL_ERROR, f.CONNECT_ERROR, f.REFUSED_STREAM)


def connect(name, title, accept, without=(), section="9113 8.5", end=True, **values):
    @case(section, title, accept, name=name, unseen=True)
    def run(c):
        fields = pseudo(c, without, **{"method": "CONNECT", **values})
        return c.headers(f.block([*fields, token(c)]), end)


connect("connect", "CONNECT to a host and port", NOT_HERE, [":scheme", ":path"], authority="localhost:80", end=False)
connect("connect-with-path", "CONNECT with :path and :scheme", MALFORMED | NOT_HERE)
connect(
    "connect-without-authority",
    "CONNECT without :authority",
    MALFORMED | NOT_HERE,
    [":scheme", ":path", ":authority"],
)
connect(
    "connect-without-port",
    "CONNECT to a host without a port",
    MALFORMED | NOT_HERE,
    [":scheme", ":path"],
    authority="localhost",
)


@case("8441 4", "Extended CONNECT for an unknown protocol", told("if unannounced: malformed; else 4xx or 501"))
def extended_connect(c):
    stream = c.headers(f.block([*pseudo(c, method="CONNECT"), (":protocol", "nonsense")]), end=False)
    c.wait(lambda: c.dying() or stream in c.responses, "an answer")
    answer = c.responses.get(stream)
    need(c.dying() or answer.status is None or answer.status >= 400, f"{answer and answer.status}")


PROTOCOL = (":protocol", "websocket")
malformed("protocol-with-get", "GET with :protocol", lambda c: pseudo(c) + [PROTOCOL], "8441 4")
malformed(
    "extended-connect-without-path",
    "Extended CONNECT without :path and :scheme",
    lambda c: pseudo(c, [":path", ":scheme"], method="CONNECT") + [PROTOCOL],
    "8441 4",
)
malformed(
    "two-protocols",
    "Extended CONNECT with two :protocol",
    lambda c: pseudo(c, method="CONNECT") + [PROTOCOL, PROTOCOL],
    "8441 4",
)
