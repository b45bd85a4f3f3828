"""PROXY protocol in front of requests (its specification 2.9, sections 2.1 and 2.2)."""

import socket
import struct

from ..table import Outcome, Seen, row, served

GET = b"GET /row HTTP/1.1\r\nhost: a.example\r\n\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command=1, family=0x11, addresses=None, tlvs=b"", length=None):
    if addresses is None:
        addresses = (
            socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 4711, 80)
        )
    body = addresses + tlvs
    head = struct.pack(">BBH", 0x20 | command, family, len(body) if length is None else length)
    return SIGNATURE + head + body


V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack(">HH", 4711, 80)
)
FROM_V4 = served(
    Seen(
        target=b"/row", has={"x-forwarded-for": b"192.0.2.7"}, matches={"forwarded": rb"^for=\"?192\.0\.2\.7"}
    )
)
FROM_V6 = served(Seen(target=b"/row", has={"x-forwarded-for": b"2001:db8::7"}))
FROM_PEER = served(Seen(target=b"/row", has={"x-forwarded-for": b"127.0.0.1"}))

GONE = Outcome((400, "closed"), seen="nothing", closed=True)
for name, header, outcome in (
    ("v1-tcp4", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n", FROM_V4),
    ("v1-tcp6", b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", FROM_V6),
    ("v1-unknown", b"PROXY UNKNOWN\r\n", FROM_PEER),
    ("v1-unknown-rest", b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", FROM_PEER),
    ("v2-inet", v2(), FROM_V4),
    ("v2-inet6", v2(family=0x21, addresses=V6), FROM_V6),
    ("v2-local", v2(command=0, family=0, addresses=b""), FROM_PEER),
    ("v2-local-addresses", v2(command=0), FROM_PEER),
    ("v2-unspecified", v2(family=0, addresses=b""), FROM_PEER),
    ("v2-tlvs", v2(tlvs=b"\x04\0\x20" + b"\0" * 32 + b"\x05\0\x04abcd"), FROM_V4),
):
    for pieces in (False, True):
        # Of an unspecified family the receiver may think what it likes (section 2.2).
        other = (GONE,) if name == "v2-unspecified" else ()
        row(
            f"proxied-{name}{'-pieces' if pieces else ''}",
            "PROXY 2.1" if name[1] == "1" else "PROXY 2.2",
            "the client is who the header says"
            if outcome is not FROM_PEER
            else "the client is who connected",
            header + GET,
            outcome,
            *other,
            listener="proxied",
            pieces=pieces,
        )
for name, data, rfc in (
    ("missing", GET, "PROXY 2"),
    ("v1-too-long", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80" + b" " * 80 + b"\r\n" + GET, "PROXY 2.1"),
    ("v1-lf", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\n" + GET, "PROXY 2.1"),
    ("v1-port", b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 80\r\n" + GET, "PROXY 2.1"),
    ("v1-address", b"PROXY TCP4 192.0.2.777 192.0.2.1 4711 80\r\n" + GET, "PROXY 2.1"),
    ("v1-family", b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 80\r\n" + GET, "PROXY 2.1"),
    ("v1-lower", b"proxy TCP4 192.0.2.7 192.0.2.1 4711 80\r\n" + GET, "PROXY 2.1"),
    ("v1-words", b"PROXY TCP4 192.0.2.7\r\n" + GET, "PROXY 2.1"),
    ("v2-version", SIGNATURE + b"\x31\x11\0\0" + GET, "PROXY 2.2"),
    ("v2-command", v2(command=15) + GET, "PROXY 2.2"),
    ("v2-short", v2(addresses=b"\0" * 4) + GET, "PROXY 2.2"),
):
    row(
        f"proxied-bad-{name}",
        rfc,
        "a connection without a proper header is closed",
        data,
        GONE,
        listener="proxied",
    )
row(
    "proxied-twice",
    "PROXY 2",
    "a second header is no request",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nPROXY TCP4 6.6.6.6 192.0.2.1 4711 80\r\n" + GET,
    Outcome((400, 405, 501, "closed"), seen="nothing", closed=True),
    listener="proxied",
)
row(
    "proxied-forged",
    "7239 8.1",
    "behind a header the client's own claims count no more than without",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET /row HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: 6.6.6.6\r\n\r\n",
    FROM_V4,
    listener="proxied",
)
row(
    "proxied-stranger",
    "PROXY 2",
    "who is not in the list may not send one",
    b"PROXY TCP4 6.6.6.6 192.0.2.1 4711 80\r\n" + GET,
    GONE,
    listener="proxied",
    source="127.0.0.2",
)
row(
    "proxied-stranger-v2",
    "PROXY 2",
    "in neither form",
    v2() + GET,
    GONE,
    listener="proxied",
    source="127.0.0.2",
)
row(
    "proxied-stranger-plain",
    "PROXY 2",
    "and is served without",
    GET,
    served(Seen(has={"x-forwarded-for": b"127.0.0.2"})),
    listener="proxied",
    source="127.0.0.2",
)
row(
    "proxied-unasked",
    "PROXY 2",
    "where none is configured it is a bad request",
    b"PROXY TCP4 6.6.6.6 192.0.2.1 4711 80\r\n" + GET,
    Outcome((400, 405, 501, "closed"), seen="nothing", closed=True),
)
