"""Interim answers (RFC 9110 section 15.2, RFC 8297)."""

from ..origin1 import OK, Reply
from ..table import Ask, Outcome, row, rows, served

HINTS = Reply(
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n" + OK,
    interim=((103, ((b"link", b"</a>"),)), (102, ()), (103, ((b"link", b"</b>"),))),
)

rows(
    "interim-103",
    "9110 15.2",
    "103 and 102 reach the client in order, or not at all; the last answer is the answer",
    Ask(),
    served(interim=(103, 102, 103), lacks=("link",)),
    served(interim=(), lacks=("link",)),
    reply=HINTS,
)
row(
    "interim-http10",
    "9110 15.2",
    "HTTP/1.0 knows none",
    b"GET /row HTTP/1.0\r\nhost: a.example\r\n\r\n",
    served(interim=()),
    reply=HINTS,
)
rows(
    "interim-100",
    "9110 15.2.1",
    "a 100 that nobody waits for is harmless",
    Ask(),
    served(),
    reply=Reply(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + OK, interim=((100, ()), (100, ()))),
)
rows(
    "interim-length",
    "9112 6.3",
    "an interim answer has no content, whatever it says",
    Ask(),
    served(),
    Outcome((502,)),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 103 Early Hints\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n" + OK),
)
rows(
    "interim-cut",
    "9112 8",
    "an interim answer and no other",
    Ask(b"POST", body=b""),
    Outcome((502, 504, "reset", "closed")),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 103 Early Hints\r\n\r\n", close=True),
)
rows(
    "interim-101",
    "9110 15.2.2",
    "101 that nobody asked for",
    Ask(),
    Outcome((502,)),
    via=("h1-h1", "h2-h1"),
    reply=Reply(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + OK),
)
rows(
    "interim-101-h2",
    "9113 8.6",
    "101 is not of HTTP/2",
    Ask(),
    Outcome((502,)),
    via=("h1-h2", "h2-h2"),
    reply=Reply(interim=((101, ((b"upgrade", b"x"),)),)),
)
for code in (104, 199):
    rows(
        f"interim-{code}",
        "9110 15.2",
        "interim answers nobody knows are interim",
        Ask(),
        served(),
        via=("h1-h1", "h2-h1"),
        reply=Reply(b"HTTP/1.1 %d Unknown\r\n\r\n" % code + OK),
    )
rows(
    "interim-endless",
    "9110 15.2",
    "ten thousand of them, and an answer: it arrives, or 502",
    Ask(b"POST", body=b""),
    served(),
    Outcome((502,)),
    via=("h1-h1",),
    reply=Reply(b"HTTP/1.1 103 Early Hints\r\nx-pad: 1\r\n\r\n" * 10000 + OK),
)
