"""Trailers, both ways and through both protocols (RFC 9110 section 6.5, RFC 9112 section 7.1.2)."""

from ..origin1 import Reply
from ..table import NOTHING, Ask, Outcome, Seen, malformed, row, rows, served

SUM = ((b"x-sum", b"17"),)
WANTED = ((b"te", b"trailers"),)
CHUNKS = b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"

rows(
    "trailer-request",
    "9110 6.5",
    "a request's trailers are relayed",
    Ask(b"POST", fields=((b"trailer", b"x-sum"), (b"x-a", b"1")), body=b"hello", trailers=SUM),
    served(Seen(body=b"hello", trailers=SUM)),
)
rows(
    "trailer-request-unannounced",
    "9110 6.6.2",
    "also those that no Trailer field announced",
    Ask(b"POST", body=b"hello", trailers=SUM),
    served(Seen(body=b"hello", trailers=SUM)),
    via=("h1-h1", "h2-h2"),
)
rows(
    "trailer-request-alone",
    "9113 8.1",
    "trailers without a body",
    Ask(b"POST", body=b"", trailers=SUM),
    served(Seen(body=b"", trailers=SUM)),
    via=("h1-h1", "h2-h1", "h2-h2"),
)
for name, value in (
    (b"content-length", b"99"),
    (b"transfer-encoding", b"chunked"),
    (b"host", b"evil.example"),
    (b"authorization", b"evil"),
    (b"cookie", b"evil=1"),
    (b"x-forwarded-for", b"6.6.6.6"),
    (b"client-cert", b":6.6.6.6:"),
    (b"content-type", b"text/evil"),
    (b"connection", b"x-sum"),
    (b"te", b"gzip"),
    (b"expect", b"100-continue"),
    (b"x_forwarded_for", b"6.6.6.6"),
    (b"forwarded", b"for=6.6.6.6"),
):
    rows(
        f"trailer-forbidden-{name.decode()}",
        "9110 6.5.1",
        "a trailer that must not pose as a field: dropped, or refused",
        Ask(b"POST", body=b"hello", trailers=(*SUM, (name, value))),
        served(Seen(body=b"hello", host=b"a.example")),
        Outcome((400, 502, "closed"), NOTHING, closed=True),
        malformed(),
        Outcome(("reset",), NOTHING),
        via=("h1-h1", "h2-h1", "h1-h2")
        if name in (b"content-length", b"x-forwarded-for", b"host")
        else ("h1-h1",),
    )
rows(
    "trailer-pseudo",
    "9113 8.1",
    "a pseudo field in trailers",
    Ask(b"POST", body=b"hello", trailers=((b":path", b"/evil"),)),
    malformed(),
    Outcome((400, 502, "reset", "closed"), NOTHING),
    via=("h2-h1", "h2-h2"),
)
rows(
    "trailer-upper",
    "9113 8.2.1",
    "upper case in trailers",
    Ask(b"POST", body=b"hello", trailers=((b"X-Sum", b"1"),)),
    malformed(),
    Outcome((400, 502, "reset", "closed"), NOTHING),
    via=("h2-h1", "h2-h2"),
)
rows(
    "trailer-crlf",
    "9113 8.2.1",
    "CR and LF in a trailer",
    Ask(b"POST", body=b"hello", trailers=((b"x-sum", b"1\r\nx-evil: 1"),)),
    malformed(),
    Outcome((400, 502, "reset", "closed"), NOTHING),
    via=("h2-h1", "h2-h2"),
)

# --- Answers. A client of HTTP/1.1 has to ask for them.
for down in ("h1", "h2"):
    for up in ("h1", "h2"):
        row(
            f"trailer-answer.{down}-{up}",
            "9110 6.5.1",
            "an answer's trailers reach a client that accepts them",
            Ask(fields=WANTED + (((b"connection", b"te"),) if down == "h1" else ())),
            served(trailers=SUM),
            down=down,
            up=up,
            reply=Reply(CHUNKS + b"x-sum: 17\r\n\r\n", fields=((b"trailer", b"x-sum"),), trailers=SUM),
        )
rows(
    "trailer-answer-unasked",
    "9110 6.5.1",
    "one that did not say so gets them or not, and a whole answer",
    Ask(),
    served(),
    reply=Reply(CHUNKS + b"x-sum: 17\r\n\r\n", fields=((b"trailer", b"x-sum"),), trailers=SUM),
)
rows(
    "trailer-answer-unannounced",
    "9110 6.6.2",
    "HTTP/2 clients get them announced or not: gRPC never announces",
    Ask(fields=WANTED),
    served(trailers=SUM),
    via=("h2-h1", "h2-h2"),
    reply=Reply(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 17\r\n\r\n",
        trailers=SUM,
    ),
)
rows(
    "trailer-answer-forbidden",
    "9110 6.5.1",
    "an answer's trailers cannot frame or route either",
    Ask(fields=WANTED),
    served(trailers=SUM),
    served(),
    Outcome((502,)),
    Outcome((200,), complete=False),
    via=("h2-h1", "h1-h1", "h2-h2"),
    reply=Reply(
        CHUNKS
        + b"x-sum: 17\r\ncontent-length: 9\r\nset-cookie: evil=1\r\ntransfer-encoding: chunked\r\n\r\n",
        trailers=(*SUM, (b"content-length", b"9"), (b"set-cookie", b"evil=1")),
    ),
)
rows(
    "trailer-answer-malformed",
    "9112 7.1.2",
    "an answer whose trailers are no field lines is cut, or ends without them",
    Ask(fields=WANTED),
    Outcome((502, "closed", "reset")),
    Outcome((200,), complete=False),
    served(trailers=()),
    via=("h2-h1", "h1-h1"),
    reply=Reply(CHUNKS + b"no colon\r\n\r\n"),
)
rows(
    "trailer-grpc",
    "9113 8.1",
    "a gRPC answer: head, messages, trailers",
    Ask(
        b"POST",
        b"/s/M",
        fields=(*WANTED, (b"content-type", b"application/grpc")),
        body=b"\0\0\0\0\0",
        length=False,
    ),
    served(
        Seen(
            b"POST", b"/s/M", has={"te": b"trailers", "content-type": b"application/grpc"}, body=b"\0\0\0\0\0"
        ),
        body=b"\0\0\0\0\0",
        trailers=((b"grpc-status", b"0"),),
        has={"content-type": b"application/grpc"},
    ),
    via=("h2-h2",),
    reply=Reply(
        fields=((b"content-type", b"application/grpc"),),
        body=b"\0\0\0\0\0",
        trailers=((b"grpc-status", b"0"),),
    ),
)
rows(
    "trailer-grpc-only",
    "9113 8.1",
    "a gRPC answer of trailers only",
    Ask(
        b"POST",
        b"/s/M",
        fields=(*WANTED, (b"content-type", b"application/grpc")),
        body=b"\0\0\0\0\0",
        length=False,
    ),
    served(body=b"", has={"grpc-status": b"5", "content-type": b"application/grpc"}),
    via=("h2-h2",),
    reply=Reply(fields=((b"content-type", b"application/grpc"), (b"grpc-status", b"5")), body=None),
)
rows(
    "trailer-grpc-failed",
    "gRPC",
    "a failure of the proxy is a gRPC answer with a grpc-status, not a page",
    Ask(
        b"POST",
        b"/s/M",
        fields=(*WANTED, (b"content-type", b"application/grpc")),
        body=b"\0\0\0\0\0",
        length=False,
    ),
    served(body=b"", has={"content-type": b"application/grpc", "grpc-status": b"14"}),
    served(body=b"", has={"content-type": b"application/grpc", "grpc-status": b"13"}),
    via=("h2-h1", "h2-h2"),
    reply=Reply(b"this is no HTTP\r\n\r\n", close=True, status=0),
)
