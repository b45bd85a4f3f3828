"""`Expect: 100-continue` (RFC 9110 section 10.1.1)."""

from ..origin1 import Reply
from ..table import Ask, Outcome, Seen, refused, row, rows, served

EXPECT = ((b"expect", b"100-continue"),)


def waits(it):
    """A client that sends its body only when told to, and then another request."""
    client = it.client()
    head = b"POST /row HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    client.send(head)
    result = client.answer(want_interim=True)
    if result.status != 100:
        return result
    client.send(b"hello")
    result = client.answer()
    if result.status == 200:
        client.send(b"GET /next HTTP/1.1\r\nhost: a.example\r\n\r\n")
        following = client.answer()
        it.check(following.status == 200, f"the next request on the connection got {following}")
    return result


def refuses(it):
    """The backend refuses by the head; the body may or may not be asked for."""
    client = it.client()
    client.send(b"POST /row HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    result = client.answer(want_interim=True)
    if result.status == 100:
        client.send(b"hello")
        result = client.answer()
    return result


rows(
    "expect-waits",
    "9110 10.1.1",
    "a client that waits is told to go on, and its connection is good for more",
    waits,
    served([Seen(body=b"hello"), Seen(target=b"/next")]),
    via=("h1-h1", "h1-h2"),
)
rows(
    "expect-refused",
    "9110 10.1.1",
    "a refusal by the head arrives, and nothing of the body becomes a request",
    refuses,
    Outcome((403,), body=b"no"),
    via=("h1-h1", "h1-h2"),
    reply=Reply(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", early=True, status=403, body=b"no"),
)
rows(
    "expect-at-once",
    "9110 10.1.1",
    "a body sent at once is read once",
    Ask(b"POST", fields=EXPECT, body=b"hello"),
    served(Seen(body=b"hello")),
)
rows(
    "expect-case",
    "9110 10.1.1",
    "in any case",
    Ask(b"POST", fields=((b"expect", b"100-Continue"),), body=b"hello"),
    served(Seen(body=b"hello")),
    refused(417, closed=False),
    via=("h1-h1", "h2-h1"),
)
rows(
    "expect-no-body",
    "9110 10.1.1",
    "without a body it says nothing",
    Ask(fields=EXPECT),
    served(Seen(body=b"")),
    refused(417, closed=False),
    via=("h1-h1", "h2-h1", "h1-h2"),
)
rows(
    "expect-other",
    "9110 10.1.1",
    "an expectation nobody knows: passed on, or 417",
    Ask(b"POST", fields=((b"expect", b"x"),), body=b"hello"),
    served(Seen(body=b"hello")),
    Outcome((400, 417), seen="nothing"),
    via=("h1-h1", "h2-h1"),
)
row(
    "expect-http10",
    "9110 10.1.1",
    "HTTP/1.0 is not told to go on",
    b"POST /row HTTP/1.0\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    served(Seen(body=b"hello"), interim=()),
    refused(417),
)
row(
    "expect-chunks",
    "9110 10.1.1",
    "with chunks",
    b"POST /row HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    served(Seen(body=b"hello")),
)
