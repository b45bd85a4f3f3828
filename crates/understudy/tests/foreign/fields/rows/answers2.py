"""Answers of an HTTP/2 backend, and what is wrong with some (RFC 9113 sections 8.1 to 8.3)."""

from ..origin1 import Reply
from ..table import Ask, Outcome, Seen, row, rows, served

BOTH = ("h1-h2", "h2-h2")
BAD = Outcome((502,))
CUT = Outcome((200,), complete=False)
GONE = Outcome(("closed", "reset"))
POST = Ask(b"POST", body=b"x")


def answer(id, rfc, title, reply, *accepts, ask=POST, via=BOTH, **more):
    rows(f"answer2-{id}", rfc, title, ask, *accepts, via=via, reply=reply, **more)


answer(
    "plain",
    "9113 8.1",
    "an ordinary answer",
    Reply(fields=((b"content-length", b"2"), (b"x-a", b"1"))),
    served(Seen(b"POST", b"/row", b"a.example", body=b"x"), has={"content-length": b"2", "x-a": b"1"}),
)
answer("no-length", "9113 8.1", "of unknown length", Reply(), served())
answer("empty", "9113 8.1", "without a body", Reply(body=None), served(body=b""))
answer(
    "length-more",
    "9113 8.1.1",
    "less DATA than the length said",
    Reply(fields=((b"content-length", b"9"),)),
    CUT,
    BAD,
    GONE,
)
answer(
    "length-less",
    "9113 8.1.1",
    "more DATA than the length said",
    Reply(fields=((b"content-length", b"1"),)),
    CUT,
    BAD,
    GONE,
)
answer(
    "length-none",
    "9113 8.1.1",
    "no DATA, and a length",
    Reply(fields=((b"content-length", b"2"),), body=None),
    CUT,
    BAD,
    GONE,
)
answer(
    "length-two",
    "9113 8.1.1",
    "two lengths",
    Reply(fields=((b"content-length", b"2"), (b"content-length", b"3"))),
    CUT,
    BAD,
    GONE,
)
answer(
    "length-bad",
    "9113 8.1.1",
    "a length that is no number",
    Reply(fields=((b"content-length", b"+2"),)),
    CUT,
    BAD,
    GONE,
)
for name, value in (
    (b"connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"keep-alive", b"1"),
    (b"upgrade", b"x"),
    (b"proxy-connection", b"close"),
):
    answer(
        f"field-{name.decode()}",
        "9113 8.2.2",
        "a connection-specific field: malformed, or dropped",
        Reply(fields=((name, value),)),
        BAD,
        GONE,
        *(() if name == b"connection" else (served(lacks=(name.decode(),)),)),
        served(),
    )
for name, field in {
    "upper": (b"X-A", b"1"),
    "space": (b"x a", b"1"),
    "empty": (b"", b"1"),
    "colon": (b"x:a", b"1"),
    "crlf": (b"x-a", b"1\r\nx-b: 2"),
    "nul": (b"x-a", b"1\0"),
    "lf": (b"x-a", b"1\n2"),
    "cr": (b"x-a", b"1\r2"),
    "name-crlf": (b"x-a\r\nx-b", b"1"),
}.items():
    answer(
        f"field-{name}",
        "9113 8.2.1",
        "a malformed field in an answer: not passed on",
        Reply(fields=(field,)),
        BAD,
        GONE,
        served(lacks=("x-b", "x-a")),
    )
for name, status in {"99": 99, "1000": 1000, "0": 0}.items():
    answer(f"status-{name}", "9113 8.3.2", "a status that is none", Reply(status=status), BAD, GONE)
answer("status-twice", "9113 8.3", "two statuses", Reply(fields=((b":status", b"404"),)), BAD, GONE)
answer(
    "status-last",
    "9113 8.3",
    "a pseudo field behind the others",
    Reply(fields=((b"x-a", b"1"), (b":status", b"404"))),
    BAD,
    GONE,
)
answer("pseudo", "9113 8.3.2", "a pseudo field of requests", Reply(fields=((b":path", b"/"),)), BAD, GONE)
answer(
    "trailer-pseudo",
    "9113 8.1",
    "a pseudo field in trailers",
    Reply(trailers=((b":status", b"200"),)),
    CUT,
    BAD,
    GONE,
)
answer(
    "trailer-crlf",
    "9113 8.2.1",
    "CR and LF in trailers",
    Reply(trailers=((b"x-a", b"1\r\nx-b: 1"),)),
    CUT,
    BAD,
    GONE,
    served(trailers=()),
    ask=Ask(b"POST", fields=((b"te", b"trailers"),), body=b"x"),
    via=("h2-h2",),
)
answer("reset", "9113 5.4.2", "an answer that is reset", Reply(reset=2), CUT, BAD, GONE)
answer("reset-cancel", "9113 5.4.2", "or cancelled", Reply(reset=8), CUT, BAD, GONE)
answer(
    "reset-no-error", "9113 8.1", "or reset without an error before its end", Reply(reset=0), CUT, BAD, GONE
)
answer(
    "reset-length",
    "9113 8.1.1",
    "or within its length",
    Reply(fields=((b"content-length", b"9"),), reset=2),
    CUT,
    BAD,
    GONE,
)
answer("204", "9110 15.3.5", "204", Reply(status=204, body=None), served(status=204, body=b""), ask=Ask())
for status, method in ((204, b"GET"), (304, b"GET"), (200, b"HEAD")):
    answer(
        "head-data" if method == b"HEAD" else f"{status}-data",
        "9110 6.4.1",
        f"{status} to {method.decode()} has no content, but the backend sends DATA",
        Reply(status=status),
        BAD,
        served(status=status, body=b""),
        GONE,
        Outcome((status,), complete=False, body=b""),
        ask=Ask(method),
    )
answer(
    "304",
    "9113 8.1.1",
    "304 keeps a length",
    Reply(status=304, fields=((b"content-length", b"6"), (b"etag", b'"x"')), body=None),
    served(status=304, body=b"", has={"etag": b'"x"'}),
    ask=Ask(),
)
answer(
    "head",
    "9113 8.1.1",
    "so does an answer to HEAD",
    Reply(fields=((b"content-length", b"6"),), body=None),
    served(Seen(b"HEAD"), body=b"", has={"content-length": b"6"}),
    ask=Ask(b"HEAD"),
)
answer(
    "early",
    "9113 8.1",
    "an answer before the body is whole arrives",
    Reply(status=413, body=b"big", early=True),
    Outcome((413,), body=b"big"),
    ask=Ask(b"POST", body=b"x" * 1000),
)
answer(
    "cookies",
    "9113 8.2.3",
    "Set-Cookie fields stay apart",
    Reply(fields=((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))),
    served(has={"set-cookie": b"a=1, b=2"}),
)
answer(
    "8bit",
    "9110 5.5",
    "8-bit characters in a value",
    Reply(fields=((b"x-a", b"caf\xc3\xa9 \xff"),)),
    served(has={"x-a": b"caf\xc3\xa9 \xff"}),
    BAD,
)
row(
    "answer2-http10",
    "9112 7.1",
    "a client of HTTP/1.0 gets no chunks",
    b"GET /row HTTP/1.0\r\nhost: a.example\r\n\r\n",
    served(lacks=("transfer-encoding",), closed=True),
    up="h2",
)
row(
    "answer2-pipeline",
    "9112 9.3.2",
    "pipelined requests are answered in order, each once",
    b"".join(b"GET /row%d HTTP/1.1\r\nhost: a.example\r\n\r\n" % n for n in range(3)),
    served([Seen(target=b"/row%d" % n) for n in range(3)]),
    answers=3,
    up="h2",
)
