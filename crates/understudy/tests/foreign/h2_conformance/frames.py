"""Bytes of HTTP/2 frames and HPACK fields, right or wrong as the caller wishes (RFC 9113 section 4, RFC 7541)."""

import struct

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, ENABLE_CONNECT_PROTOCOL = 4, 5, 6, 8

ERRORS = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()
(
    NO_ERROR,
    PROTOCOL_ERROR,
    INTERNAL_ERROR,
    FLOW_CONTROL_ERROR,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
    INADEQUATE_SECURITY,
    HTTP_1_1_REQUIRED,
) = range(14)

LARGEST_FRAME = 16384
LARGEST_WINDOW = 2**31 - 1


def error_name(code):
    return ERRORS[code] if code < len(ERRORS) else f"error {code:#x}"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame; `stream` may carry the reserved bit, `length` may lie."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values=(), flags=0):
    """A SETTINGS frame of pairs, in this order; a pair may come twice."""
    return frame(SETTINGS, flags, 0, b"".join(struct.pack(">HI", key, value) for key, value in values))


def ping(payload=b"conform!", flags=0):
    return frame(PING, flags, 0, payload)


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def goaway(last=0, code=NO_ERROR, debug=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def dependency(parent=0, weight=15, exclusive=False):
    """The five bytes of a priority, as in PRIORITY and in HEADERS."""
    return struct.pack(">IB", parent | (0x80000000 if exclusive else 0), weight)


def padded(payload, padding, filler=b"\0"):
    return bytes([padding]) + payload + filler * padding


# === HPACK ===


def integer(value, bits, pattern=0):
    """RFC 7541 section 5.1: a number in a prefix of so many bits; `pattern` fills the bits above."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([pattern | value])
    coded = bytearray([pattern | most])
    value -= most
    while value >= 128:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def huffman(text):
    return HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)


def string(text, packed=False):
    """RFC 7541 section 5.2: a string, with or without Huffman."""
    body = huffman(text) if packed else text
    return integer(len(body), 7, 0x80 if packed else 0) + body


def indexed(index):
    """RFC 7541 section 6.1."""
    return integer(index, 7, 0x80)


def literal(name, value, pattern=0x00, bits=4, packed=False):
    """RFC 7541 section 6.2.2; the name is bytes or an index. Other forms differ in pattern and bits."""
    start = integer(name, bits, pattern) if isinstance(name, int) else bytes([pattern]) + string(name, packed)
    return start + string(value, packed)


def remembered(name, value, packed=False):
    """RFC 7541 section 6.2.1: a literal that enters the dynamic table."""
    return literal(name, value, 0x40, 6, packed)


def never_indexed(name, value, packed=False):
    """RFC 7541 section 6.2.3."""
    return literal(name, value, 0x10, 4, packed)


def table_size(size):
    """RFC 7541 section 6.3."""
    return integer(size, 5, 0x20)


def octets(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def block(fields):
    """Fields in the plainest form: literals without indexing, without Huffman."""
    return b"".join(literal(octets(name), octets(value)) for name, value in fields)
