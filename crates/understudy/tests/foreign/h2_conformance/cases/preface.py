"""The connection preface (RFC 9113 section 3.4)."""

from .. import frames as f
from ..table import FINE, Accept, case, connection_error, need, told

INVALID = connection_error(f.PROTOCOL_ERROR)
CLOSED = Accept("closed, without an answer in HTTP/2", lambda seen: seen.closed and seen.status is None)


@case("9113 3.4", "The preface, an empty SETTINGS frame, a GET", FINE)
def valid(c):
    return c.request()


@case(
    "9113 3.4",
    "Preface, SETTINGS and a GET in one write, before anything of the server's is read",
    FINE,
    opened=False,
)
def all_at_once(c):
    c.highest = stream = c.stream()
    get = f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, f.block(c.head()))
    c.send(f.MAGIC + f.settings() + get)
    return stream


@case("9113 3.4", "Preface, SETTINGS and a GET, byte by byte", FINE, opened=False)
def byte_by_byte(c):
    c.highest = stream = c.stream()
    get = f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, f.block(c.head()))
    c.auto_ack = False  # It would come amid the bytes of ours.
    for byte in f.MAGIC + f.settings() + get:
        c.send(bytes([byte]))
        c.pump(0.001)
    return stream


@case("9113 3.4", "The client's preface only", told("the server sends SETTINGS and acknowledges ours"), opened=False)
def server_preface(c):
    c.send(f.MAGIC + f.settings())
    c.wait(lambda: c.settings_frames == 1 and c.settings_acks == 1, "SETTINGS and an acknowledgement")


@case("9113 3.4", "24 other bytes in place of the magic", CLOSED, opened=False)
def wrong_magic(c):
    c.raw = True
    c.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + f.settings())
    c.attend(lambda: c.closed or c.received.startswith(b"HTTP/1.1 "))
    c.closed = c.closed or c.received.startswith(b"HTTP/1.1 ")


@case("9113 3.4", "The magic, then PING in place of SETTINGS", INVALID, opened=False)
def ping_for_settings(c):
    c.send(f.MAGIC + f.ping())


@case("9113 3.4", "The magic, then HEADERS in place of SETTINGS", INVALID, opened=False)
def headers_for_settings(c):
    c.send(f.MAGIC)
    c.request()


@case("9113 3.4", "The magic, then an acknowledgement of SETTINGS in place of SETTINGS", INVALID, opened=False)
def acknowledgement_for_settings(c):
    c.send(f.MAGIC + f.settings(flags=f.ACK))


@case("9113 3.4", "The magic, then SETTINGS on stream 1", INVALID, opened=False)
def settings_on_a_stream(c):
    c.send(f.MAGIC + f.frame(f.SETTINGS, 0, 1))


@case(
    "9113 3.4",
    "The magic once more in the middle of a connection",
    connection_error(f.PROTOCOL_ERROR, f.FRAME_SIZE_ERROR),
)
def magic_later(c):
    need(c.largest_frame() < 0x505249, "its first bytes are the size of a frame that this server takes")
    c.fetch()
    c.send(f.MAGIC + bytes(f.LARGEST_FRAME))


@case(
    "9113 3.3",
    "Bytes of HTTP/1.1 after ALPN has chosen h2",
    told("closed; in the clear, an answer in HTTP/1.1"),
    opened=False,
)
def http1_after_alpn(c):
    c.raw = True
    c.send(f"GET /echo HTTP/1.1\r\nhost: {c.spot.authority}\r\nconnection: close\r\n\r\n".encode())
    c.wait(lambda: c.closed, "the end of the connection")
    spoke_http1 = c.received.startswith(b"HTTP/1.1 200")
    need(not (c.spot.tls and spoke_http1), "answered in HTTP/1.1, though ALPN had chosen h2")


@case(
    "9113 6.5.2", "Nothing but the preface", told("SETTINGS_MAX_CONCURRENT_STREAMS is announced, and not below 100")
)
def announced_streams(c):
    most = c.settings.get(f.MAX_CONCURRENT_STREAMS)
    need(most is not None, "no limit is announced")
    need(100 <= most <= 1000, f"the limit is {most}")


@case(
    "9113 6.5.2",
    "Nothing but the preface",
    told("SETTINGS_MAX_HEADER_LIST_SIZE, if announced, is no more than 2 MiB"),
)
def announced_header_list(c):
    most = c.settings.get(f.MAX_HEADER_LIST_SIZE, 16384)
    need(4096 <= most <= 1 << 21, f"the size is {most}")
