"""PROXY headers, right and wrong ones, as bytes (the specification of HAProxy, sections 2.1 and 2.2)."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

# So long as a header of version 1 can be, with its end: 107 bytes.
LONGEST = (b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n")


def v1(source, destination="192.0.2.1", source_port=4711, destination_port=443):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def v2(source=None, destination="192.0.2.1", command=0x21, family=None, tlvs=b"", length=None,
       source_port=4711, destination_port=443):
    """A header of version 2; without a source its family is AF_UNSPEC."""
    addresses = b""
    if source:
        ends = [ipaddress.ip_address(end) for end in (source, destination)]
        addresses = b"".join(end.packed for end in ends)
        addresses += struct.pack("!HH", source_port, destination_port)
        family = family if family is not None else {4: 0x11, 6: 0x21}[ends[0].version]
    body = addresses + tlvs
    length = len(body) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family or 0, length) + body


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


SIX = {"source": "2001:db8::7", "destination": "2001:db8::1"}

# What the header is, and what the client's address is then.
GOOD = {
    "v1 TCP4": (v1("198.51.100.7"), "198.51.100.7"),
    "v1 TCP6": (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 UNKNOWN with addresses, 107 bytes": (LONGEST, "127.0.0.1"),
    "v2 TCP4": (v2("198.51.100.7"), "198.51.100.7"),
    "v2 TCP6": (v2(**SIX), "2001:db8::7"),
    "v2 LOCAL": (v2(command=0x20), "127.0.0.1"),
    "v2 LOCAL with an address": (v2("198.51.100.7", command=0x20), "127.0.0.1"),
    "v2 TLVs": (v2("198.51.100.7", tlvs=tlv(0x01, b"h2") + tlv(0x04, bytes(9))
                   + tlv(0xE0, b"own")), "198.51.100.7"),
    "v2 1500 bytes of TLVs": (v2("198.51.100.7", tlvs=tlv(0xE1, bytes(1500))), "198.51.100.7"),
}

# Nothing behind these may be answered.
BAD = {
    "none at all": b"",
    "v1 in lower case": v1("198.51.100.7").lower(),
    "v1 without ports": b"PROXY TCP4 198.51.100.7 192.0.2.1\r\n",
    "v1 with a word too many": b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2 3\r\n",
    "v1 with a bad address": b"PROXY TCP4 198.51.100.777 192.0.2.1 1 2\r\n",
    "v1 with an address of the other family": b"PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n",
    "v1 with a port that is none": b"PROXY TCP4 198.51.100.7 192.0.2.1 65536 2\r\n",
    "v1 with two blanks": b"PROXY TCP4  198.51.100.7 192.0.2.1 1 2\r\n",
    "v1 with a bare line feed": b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\n",
    "v1 with an unheard-of family": b"PROXY UDP4 198.51.100.7 192.0.2.1 1 2\r\n",
    "v1 of 108 bytes": LONGEST[:-2] + b"0\r\n",
    "v1 without an end": b"PROXY TCP4 " + b"1" * 200,
    "v2 of version 1": v2("198.51.100.7", command=0x11),
    "v2 with an unheard-of command": v2("198.51.100.7", command=0x2F),
    "v2 too short for its family": v2("198.51.100.7", length=4),
    "v2 TCP6 with addresses of IPv4": v2("198.51.100.7", family=0x21),
    "v2 with a broken signature": b"\r\n\r\n\x00\r\nQUIT\r" + v2("198.51.100.7")[12:],
}
