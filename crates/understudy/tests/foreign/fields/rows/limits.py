"""Limits, to the byte: what is at one is served, what is one beyond is not (RFC 9110 section 15.5, RFC 6585)."""

from ..stage import BODY_BYTES, HEADER_BYTES, HEADERS, URI_BYTES
from ..table import NOTHING, Ask, Outcome, Seen, malformed, refused, row, rows, served


def path(size):
    return b"/row".ljust(size, b"t")


def padded(total):
    """An HTTP/1.1 head of so many bytes, the empty line included."""
    before, after = b"GET /row HTTP/1.1\r\nhost: a.example\r\nx-pad: ", b"\r\n\r\n"
    return before + b"p" * (total - len(before) - len(after)) + after


def counted(count):
    """So many fields, the host (or :authority) among them."""
    return Ask(fields=tuple((b"x-%d" % number, b"1") for number in range(1, count)))


def limit(id, rfc, title, send, *accepts, via=("h1-h1", "h2-h1"), **more):
    rows(f"limit-{id}", rfc, title, send, *accepts, via=via, listener="limits", **more)


limit(
    "uri",
    "9110 15.5.15",
    f"a target of {URI_BYTES} bytes",
    Ask(path=path(URI_BYTES)),
    served(Seen(target=path(URI_BYTES))),
)
limit(
    "uri-over",
    "9110 15.5.15",
    "one more",
    Ask(path=path(URI_BYTES + 1)),
    refused(414),
    Outcome((414,), "nothing"),
)
limit(
    "uri-far-over",
    "9110 15.5.15",
    "sixty thousand more",
    Ask(path=path(60000)),
    refused(414, 431),
    malformed(414, 431),
)
limit("head", "6585 5", f"a head of {HEADER_BYTES} bytes", padded(HEADER_BYTES), served(), via=("h1-h1",))
limit("head-over", "6585 5", "one more", padded(HEADER_BYTES + 1), refused(431), via=("h1-h1",))
limit(
    "head-h2",
    "6585 5",
    "fields of three quarters of that",
    Ask(fields=((b"x-pad", b"p" * (HEADER_BYTES * 3 // 4)),)),
    served(),
    via=("h2-h1",),
)
limit(
    "head-h2-over",
    "9113 10.5.1",
    "fields of more than that",
    Ask(fields=((b"x-pad", b"p" * (HEADER_BYTES + 1)),)),
    malformed(431),
    via=("h2-h1",),
)
limit(
    "head-h2-far-over",
    "9113 10.5.1",
    "of sixteen times that",
    Ask(fields=((b"x-pad", b"p" * HEADER_BYTES * 16),)),
    malformed(431),
    via=("h2-h1",),
)
limit(
    "headers",
    "6585 5",
    f"{HEADERS} fields, the host among them",
    counted(HEADERS),
    served(Seen(has={f"x-{HEADERS - 1}": b"1"})),
    via=("h1-h1",),
)
limit("headers-over", "6585 5", "one more", counted(HEADERS + 1), refused(431), via=("h1-h1",))
# Whether pseudo fields count nobody has laid down.
limit(
    "headers-h2",
    "6585 5",
    f"{HEADERS - 4} fields beside the four that begin with a colon",
    counted(HEADERS - 3),
    served(),
    via=("h2-h1",),
)
limit(
    "headers-h2-over",
    "6585 5",
    f"{HEADERS + 1} beside them",
    counted(HEADERS + 2),
    malformed(431),
    via=("h2-h1",),
)
limit(
    "headers-cookies",
    "9113 10.5.1",
    "crumbs of a cookie are fields, too",
    Ask(fields=((b"cookie", b"a=1"),) * 200),
    malformed(431),
    via=("h2-h1",),
)
for size, name, accepts in (
    (BODY_BYTES, "body", (served(Seen(body=b"b" * BODY_BYTES)),)),
    (BODY_BYTES + 1, "body-over", (Outcome((413,), NOTHING), Outcome(("closed", "reset"), NOTHING))),
):
    limit(
        name,
        "9110 15.5.14",
        f"{size} bytes of content, said before",
        Ask(b"POST", body=b"b" * size),
        *(accepts if name == "body" else (refused(413), Outcome((413,), "nothing"))),
    )
    limit(
        f"{name}-unsaid",
        "9110 15.5.14",
        f"{size} bytes of content, not said before",
        Ask(b"POST", body=b"b" * size, length=False),
        *(accepts if name == "body" else (Outcome((413,), NOTHING, closed=True), Outcome((413,), NOTHING))),
    )
row(
    "limit-body-small-chunks",
    "9110 15.5.14",
    "and in chunks of one byte",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"1\r\nb\r\n" * (BODY_BYTES + 1)
    + b"0\r\n\r\n",
    Outcome((413,), NOTHING, closed=True),
    Outcome(("closed",), NOTHING),
    listener="limits",
)
row(
    "limit-body-get",
    "9110 15.5.14",
    "for any method",
    Ask(b"DELETE", body=b"b" * (BODY_BYTES + 1)),
    refused(413),
    listener="limits",
)
row(
    "limit-expect",
    "9110 10.1.1",
    "who asks first is told before sending",
    lambda it: _expects(it),
    Outcome((413,), "nothing"),
    listener="limits",
)
row(
    "limit-next",
    "9112 9.3",
    "after a refusal nothing of the connection is read as a request",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5000\r\n\r\n"
    + b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n" * 100,
    refused(413, "closed"),
    listener="limits",
)


def _expects(it):
    client = it.client()
    client.send(
        b"POST /row HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        % (BODY_BYTES + 1)
    )
    return client.answer(want_interim=True)
