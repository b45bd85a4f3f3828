"""Field lines: what a name and a value may be made of (RFC 9110 section 5, RFC 9112 section 5)."""

from ..table import Ask, Outcome, Seen, malformed, refused, row, rows, served


def get(fields):
    return b"GET /row HTTP/1.1\r\nhost: a.example\r\n" + fields + b"\r\n"


for name, fields in (
    ("folded", b"x-a: 1\r\n 2\r\n"),
    ("folded-tab", b"x-a: 1\r\n\t2\r\n"),
    ("folded-empty", b"x-a: 1\r\n \r\n"),
    ("space-before-colon", b"x-a : 1\r\n"),
    ("tab-before-colon", b"x-a\t: 1\r\n"),
    ("no-colon", b"x-a\r\n"),
    ("empty-name", b": 1\r\n"),
    ("value-nul", b"x-a: 1\x002\r\n"),
    ("value-control", b"x-a: 1\x012\r\n"),
    ("value-del", b"x-a: 1\x7f2\r\n"),
    ("value-cr", b"x-a: 1\r2\r\n"),
    ("value-cr-end", b"x-a: 1\r\r\n"),
    ("value-vt", b"x-a: 1\x0b2\r\n"),
    ("value-esc", b"x-a: 1\x1b[31m\r\n"),
    ("name-control", b"x\x01a: 1\r\n"),
    ("name-nul", b"x\0a: 1\r\n"),
    ("name-8bit", b"x\xe9a: 1\r\n"),
    ("name-paren", b"x(a): 1\r\n"),
    ("name-quote", b'x"a: 1\r\n'),
    ("name-slash", b"x/a: 1\r\n"),
    ("name-space", b"x a: 1\r\n"),
    ("name-bracket", b"x[a]: 1\r\n"),
    ("name-at", b"x@a: 1\r\n"),
    ("line-lf-smuggle", b"x-a: 1\nx-forwarded-for: 6.6.6.6\r\n"),
):
    outcomes = [refused(400, "closed")]
    if name == "line-lf-smuggle":  # RFC 9112 2.2 lets a line end with LF; then it is a forged field.
        outcomes.append(served(Seen(has={"x-a": b"1", "x-forwarded-for": b"127.0.0.1"})))
    row(
        f"field-{name}",
        "9112 5",
        f"`{fields.decode('latin-1').encode('unicode_escape').decode()}`",
        get(fields),
        *outcomes,
    )
row(
    "field-first-folded",
    "9112 2.2",
    "whitespace between the request line and the first field",
    b"GET /row HTTP/1.1\r\n host: a.example\r\n\r\n",
    refused(400, "closed"),
)
row(
    "field-first-folded-host",
    "9112 2.2",
    "the same in front of a second Host",
    b"GET /row HTTP/1.1\r\n x-a: 1\r\nhost: a.example\r\n\r\n",
    refused(400, "closed"),
    served(Seen(lacks=("x-a",), host=b"a.example")),
)

# --- What is well-formed goes through as it came.
for name, fields, want in (
    ("empty-value", ((b"x-a", b""),), {"x-a": b""}),
    ("tab-inside", ((b"x-a", b"1\t2"),), {"x-a": b"1\t2"}),
    ("repeated", ((b"x-a", b"1"), (b"x-b", b"b"), (b"x-a", b"2")), {"x-a": b"1, 2", "x-b": b"b"}),
    ("8bit-value", ((b"x-a", b"caf\xc3\xa9 \xff"),), {"x-a": b"caf\xc3\xa9 \xff"}),
    ("symbols-in-name", ((b"x!#$%&'*+-.^`|~1", b"1"),), {"x!#$%&'*+-.^`|~1": b"1"}),
    ("commas-and-quotes", ((b"x-a", b'"a, b", c;d=",\\""'),), {"x-a": b'"a, b", c;d=",\\""'}),
    ("long-value", ((b"x-a", b"v" * 6000),), {"x-a": b"v" * 6000}),
    (
        "authorization",
        ((b"authorization", b"Basic eDp5"), (b"x-api-key", b"k")),
        {"authorization": b"Basic eDp5"},
    ),
    (
        "conditional",
        ((b"if-match", b'"x"'), (b"range", b"bytes=0-1")),
        {"if-match": b'"x"', "range": b"bytes=0-1"},
    ),
    (
        "user-agent",
        ((b"user-agent", b"a/1"), (b"accept", b"*/*"), (b"referer", b"http://x/")),
        {"user-agent": b"a/1"},
    ),
):
    rows(
        f"kept-{name}",
        "9110 5.5",
        "a field that is nobody's but the backend's",
        Ask(fields=fields),
        served(Seen(has=want)),
        *((refused(400, "closed"), malformed()) if name in ("8bit-value", "symbols-in-name") else ()),
    )
row(
    "kept-space-around",
    "9112 5.1",
    "whitespace around a value is no part of it",
    get(b"x-a: \t 1 \t \r\nx-b:2\r\n"),
    served(Seen(has={"x-a": b"1", "x-b": b"2"})),
)
row(
    "kept-case",
    "9110 5.1",
    "names are the same in any case",
    get(b"X-UPPER: 1\r\nX-upper: 2\r\n"),
    served(Seen(has={"x-upper": b"1, 2"})),
)
row(
    "kept-case.h2",
    "9113 8.2.1",
    "and lower case in HTTP/2",
    get(b"X-UPPER: 1\r\nX-upper: 2\r\n"),
    served(Seen(has={"x-upper": b"1, 2"})),
    up="h2",
)
rows(
    "long-name",
    "9110 5.1",
    "a name of 4000 bytes: passed on, or refused",
    Ask(fields=((b"x-" + b"n" * 4000, b"1"),)),
    served(Seen(has={"x-" + "n" * 4000: b"1"})),
    refused(400, 431),
    malformed(431),
    via=("h1-h1", "h2-h1", "h1-h2"),
)
row(
    "long-name-70k",
    "6585 5",
    "a name beyond every limit",
    get(b"x-" + b"n" * 70000 + b": 1\r\n"),
    Outcome((400, 431, "closed"), seen="nothing", closed=True),
)
row(
    "many-names",
    "6585 5",
    "ten thousand fields",
    get(b"".join(b"x-%d: 1\r\n" % n for n in range(10000))),
    Outcome((400, 431, "closed"), seen="nothing", closed=True),
)
