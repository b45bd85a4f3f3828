"""Regular fields: names, values, connection-specific ones, cookies, trailers (RFC 9113 section 8.2)."""

from .. import frames as f
from ..table import FINE, MALFORMED, case, need, told


def malformed(name, title, section, *fields):
    """A request with these fields, which must not reach the origin."""

    @case(section, title, MALFORMED, name=name, unseen=True)
    def run(c):
        return c.request(path="/echo?case-" + c.token, fields=fields)


def reaches(name, title, section, *fields, becomes=None):
    """A request with these fields, of which the origin gets `becomes`, or the same."""
    wanted = [list(pair) for pair in (fields if becomes is None else becomes)]

    @case(section, title, told(f"200, and the origin gets {wanted}"), name=name)
    def run(c):
        answer = c.fetch(fields=fields)
        need(answer.status == 200, f"{answer.status}")
        got = [pair for pair in answer.json()["fields"] if pair[0] in {name for name, _ in fields}]
        need(got == wanted, f"the origin has got {got}")


# === Names ===

BAD_NAMES = {
    "in-capitals": "X-Capital",
    "with-one-capital": "x-capitaL",
    "empty": "",
    "with-space": "x bad",
    "leading-space": " x-bad",
    "trailing-space": "x-bad ",
    "with-tab": "x\tbad",
    "with-cr": "x\rbad",
    "with-lf": "x\nbad",
    "with-nul": "x\0bad",
    "with-colon": "x:bad",
    "with-line": "x: 1\r\nx-smuggled",
    "with-delete": "x\x7fbad",
    "with-8-bit": "x\xe4bad",
    "with-bracket": "x(bad",
}
for word, bad in BAD_NAMES.items():
    malformed(f"name-{word}", f"A field named {bad!r}", "9113 8.2.1", (bad, "1"))
reaches(
    "name-of-every-token-character",
    "A field whose name has every character a token may have",
    "9110 5.1",
    ("x!#$%&'*+-.^`|~09az", "1"),
)

# === Values ===

BAD_VALUES = {
    "with-cr": "a\rb",
    "with-lf": "a\nb",
    "with-line": "a\r\nx-smuggled: 1",
    "with-nul": "a\0b",
    "with-cr-last": "a\r",
    "with-lf-first": "\na",
    "leading-space": " a",
    "trailing-space": "a ",
    "leading-tab": "\ta",
    "trailing-tab": "a\t",
}
# Surrounding space is malformed by section 8.2.1, yet it harms nobody who takes it away.
for word, bad in BAD_VALUES.items():
    if word.endswith(("space", "tab")):

        @case(
            "9113 8.2.1",
            f"A field of value {bad!r}",
            told("malformed, or the space is taken away"),
            name=f"value-{word}",
        )
        def spaced(c, bad=bad):
            stream = c.request(fields=[("x-value", bad)])
            c.wait(lambda: c.over(stream) or c.dying(), "an answer")
            answer = c.responses.get(stream)
            if answer and answer.status == 200:
                need(["x-value", "a"] in answer.json()["fields"], "the origin has got another value")

    else:
        malformed(f"value-{word}", f"A field of value {bad!r}", "9113 8.2.1", ("x-value", bad))


@case("9110 5.5", "A field with a control character", MALFORMED | FINE)
def value_with_control(c):
    return c.request(fields=[("x-value", "a\x01b")])


reaches("value-empty", "A field without a value", "9110 5.5", ("x-value", ""))
reaches("value-with-inner-space", "A value with spaces and tabs inside", "9110 5.5", ("x-value", "a \t b"))
reaches("value-of-8-bit", "A value of bytes above 127", "9110 5.5", ("x-value", "\xe4\xff\x80"))
reaches("twice", "The same field twice", "9110 5.3", ("x-value", "1"), ("x-value", "2"))
reaches("long-value", "A value of 8,000 bytes", "9113 4.3", ("x-value", "v" * 8000))

# === Connection-specific fields ===

for hop, text in {
    "connection": "close",
    "keep-alive": "timeout=5",
    "proxy-connection": "keep-alive",
    "transfer-encoding": "chunked",
    "upgrade": "websocket",
}.items():
    malformed(hop, f"{hop}: {text}", "9113 8.2.2", (hop, text))
malformed(
    "connection-named", "connection: x-named, and x-named", "9113 8.2.2", ("connection", "x-named"), ("x-named", "1")
)
for word, text in {"gzip": "gzip", "trailers-and-more": "trailers, deflate", "two": "trailers;q=0.5"}.items():
    malformed(f"te-{word}", f"te: {text}", "9113 8.2.2", ("te", text))


@case("9113 8.2.2", "te: trailers", FINE)
def te_trailers(c):
    return c.request(fields=[("te", "trailers")])


# === Cookies ===

reaches("cookie", "One cookie field", "9113 8.2.3", ("cookie", "a=1; b=2"))
reaches(
    "cookie-crumbs",
    "Three cookie fields",
    "9113 8.2.3",
    ("cookie", "a=1"),
    ("cookie", "b=2; c=3"),
    ("cookie", "d=4"),
    becomes=[("cookie", "a=1; b=2; c=3; d=4")],
)


@case("9113 8.2.3", "Cookie fields with others between", told("one cookie field at the origin, in their order"))
def cookie_crumbs_apart(c):
    fields = [("cookie", "a=1"), ("x-value", "1"), ("cookie", "b=2"), ("x-other", "2"), ("cookie", "c=3")]
    got = [value for name, value in c.fetch(fields=fields).json()["fields"] if name == "cookie"]
    need(got == ["a=1; b=2; c=3"], f"the origin has got {got}")


# === Trailers of a request ===


def with_trailers(c, trailers, end=True):
    with c.together():
        stream = c.request("POST", "/echo", end=False)
        c.data(stream, b"abc")
        c.headers(f.block(trailers), end, stream)
    return stream


@case(
    "9113 8.1",
    "A body and trailers",
    told("200; the origin gets the trailers or nothing of them, never as head fields"),
)
def trailers(c):
    answer = c.response(with_trailers(c, [("x-sum", "5")]))
    got = answer.json()
    need(got["length"] == 3, "the origin has another length")
    need(got["trailers"] in ([], [["x-sum", "5"]]), f"trailers at the origin: {got['trailers']}")
    need(not any(name == "x-sum" for name, _ in got["fields"]), "the trailer has become a head field")


@case("9113 8.1", "A body and trailers, to an HTTP/1.1 origin", told("the origin gets the trailers"))
def trailers_relayed(c):
    got = c.response(with_trailers(c, [("x-sum", "5")])).json()["trailers"]
    need(["x-sum", "5"] in got, f"trailers at the origin: {got}")


@case("9113 8.1", "Trailers without a body", FINE)
def trailers_alone(c):
    stream = c.request("POST", end=False)
    c.headers(f.block([("x-sum", "5")]), stream=stream)
    return stream


def dropped(seen):
    """Pseudo-headers of trailers that reach nobody: not what section 8.3 says, and harmless."""
    return seen.status == 200 and seen.alive and seen.answer.json()["trailers"] == []


def bad_trailers(name, title, *fields, end=True, section="9113 8.1", accept=MALFORMED):
    @case(section, title, accept, name=f"trailers-{name}")
    def run(c):
        return with_trailers(c, fields, end)


bad_trailers("without-end", "A second block without END_STREAM", ("x-sum", "5"), end=False)
bad_trailers("with-pseudo", "Trailers with :path", (":path", "/size/1"), accept=MALFORMED.or_near(dropped))
bad_trailers("with-status", "Trailers with :status", (":status", "500"), accept=MALFORMED.or_near(dropped))
bad_trailers("in-capitals", "Trailers with a name in capitals", ("X-Sum", "5"), section="9113 8.2")
bad_trailers("with-line", "Trailers with CR LF in a value", ("x-sum", "5\r\nx-smuggled: 1"), section="9113 8.2.1")
bad_trailers("with-connection", "Trailers with connection: close", ("connection", "close"), section="9113 8.2.2")


@case("9110 6.5.1", "Trailers with content-length and host", told("malformed, or the origin does not get them"))
def trailers_that_frame(c):
    stream = with_trailers(c, [("content-length", "77"), ("host", "other")])
    c.wait(lambda: c.over(stream) or c.dying(), "an answer")
    answer = c.responses.get(stream)
    if answer and answer.status == 200:
        need(answer.json()["trailers"] == [], f"trailers at the origin: {answer.json()['trailers']}")
