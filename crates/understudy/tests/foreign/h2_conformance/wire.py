"""One connection of a client that may break every rule, to a server that may break none.

It sends exactly the bytes it is told to. What comes back is parsed by `hyperframe` and `hpack` and held to the rules
that bind every server in every case (frame sizes, stream states, windows, field names); a breach raises `Failed`.
It does not judge the answer to what was sent: the cases do.
"""

import json
import select
import socket
import ssl
import time

import hyperframe.exceptions
import hyperframe.frame
from hpack import Decoder, HPACKError

from . import frames as f

PATIENCE = 4.0
"""Seconds until an answer that does not come is said to be missing."""

HOP_FIELDS = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


class Failed(Exception):
    """The server did not do what the case asks for; the text says what it did."""


class Response:
    """What has come back on one stream."""

    def __init__(self):
        self.status = None
        self.fields = []
        self.body = bytearray()
        self.trailers = None
        self.interim = []
        self.ended = False
        self.reset = None

    def over(self):
        return self.ended or self.reset is not None

    def field(self, name):
        return ", ".join(value for known, value in self.fields if known == name)

    def own(self):
        """Whether the proxy made this answer; the origin signs its own."""
        return not self.field("x-origin")

    def json(self):
        return json.loads(bytes(self.body))


class Spot:
    """Where the server under test is, and how to speak to it."""

    def __init__(self, host, port, tls, authority):
        self.host, self.port, self.tls, self.authority = host, port, tls, authority
        self.scheme = "https" if tls else "http"


class Connection:
    """A connection; `open` makes the preface, everything else sends what it is told."""

    def __init__(self, spot, table=4096):
        self.spot = spot
        self.socket = socket.create_connection((spot.host, spot.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = None
        self.outgoing, self.received = bytearray(), bytearray()
        self.closed = False
        self.reading = True
        self.goaway = None
        self.settings = {}
        self.settings_frames = self.settings_acks = 0
        self.pongs = []
        self.responses = {}
        self.next_stream = 1
        self.highest = 0
        self.rooms = {}  # Stream to bytes we may send on it; 0 is the connection.
        self.shown = 65535  # Bytes the server may still send on this connection.
        self.auto_window = True
        self.auto_ack = True
        self.block = None
        self.decoder = Decoder(max_header_list_size=1 << 20)
        self.decoder.max_allowed_table_size = table
        if spot.tls:
            self._handshake()
        self.socket.setblocking(False)

    def _handshake(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = self.spot.authority.rpartition(":")[0] or self.spot.authority
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outward.read())
                piece = self.socket.recv(65536)
                if not piece:
                    raise Failed("closed within the TLS handshake") from None
                self.inward.write(piece)
        self.socket.sendall(self.outward.read())
        if self.tls.selected_alpn_protocol() != "h2":
            raise Failed(f"ALPN chose {self.tls.selected_alpn_protocol()}, not h2")

    # === Sending ===

    def send(self, data):
        """Queues bytes and writes what the socket takes now; the rest goes out while something is awaited."""
        if self.tls and not self.closed:
            self.tls.write(data)
            data = self.outward.read()
        self.outgoing += data
        self._write()

    def open(self, settings=()):
        """Sends the preface and waits for the server's (RFC 9113 section 3.4)."""
        self.send(f.MAGIC + f.settings(settings))
        self.wait(lambda: self.settings_frames and self.settings_acks, "SETTINGS and the acknowledgement of ours")

    def stream(self):
        """A stream identifier that has not been used."""
        number, self.next_stream = self.next_stream, self.next_stream + 2
        return number

    def head(self, method="GET", path="/echo", fields=()):
        """The fields of a plain request."""
        start = [(":method", method), (":scheme", self.spot.scheme), (":path", path), (":authority", self.spot.authority)]
        return start + list(fields)

    def headers(self, coded, end=True, stream=None, flags=f.END_HEADERS):
        """Sends a HEADERS frame of this block; returns its stream."""
        stream = stream or self.stream()
        self.highest = max(self.highest, stream)
        self.send(f.frame(f.HEADERS, flags | (f.END_STREAM if end else 0), stream, coded))
        return stream

    def request(self, method="GET", path="/echo", fields=(), end=True):
        return self.headers(f.block(self.head(method, path, fields)), end)

    def data(self, stream, payload=b"", end=False):
        self.send(f.frame(f.DATA, f.END_STREAM if end else 0, stream, payload))

    def upload(self, stream, body, end=True, size=f.LARGEST_FRAME, padding=None):
        """Sends a body as the server's windows allow."""
        sent = 0
        extra = 0 if padding is None else padding + 1
        while sent < len(body):
            self.wait(lambda: self.room(stream) > extra or self.over(stream), "room to send a body")
            if self.over(stream):
                return
            piece = body[sent : sent + min(size, self.room(stream) - extra)]
            flags = 0 if padding is None else f.PADDED
            if end and sent + len(piece) == len(body):
                flags |= f.END_STREAM
            self.send(f.frame(f.DATA, flags, stream, piece if padding is None else f.padded(piece, padding)))
            self.rooms[0] = self.rooms.get(0, 65535) - len(piece) - extra
            self.rooms[stream] = self.rooms.get(stream, 0) - len(piece) - extra
            sent += len(piece)

    def room(self, stream):
        """Bytes that may be sent on a stream now."""
        start = self.settings.get(f.INITIAL_WINDOW_SIZE, 65535)
        return min(self.rooms.get(0, 65535), start + self.rooms.get(stream, 0), f.LARGEST_FRAME)

    # === Waiting ===

    def over(self, stream):
        return self.closed or (stream in self.responses and self.responses[stream].over())

    def dying(self):
        """Whether the server has ended the connection, or says that it does for an error of ours."""
        return self.closed or bool(self.goaway)

    def wait(self, until, what, seconds=PATIENCE):
        """Pumps until the condition holds; fails when time or connection end before."""
        if not self.attend(until, seconds):
            raise Failed(f"{'connection ended' if self.closed else 'timeout'} before {what}{self._state()}")

    def attend(self, until, seconds=PATIENCE):
        """Pumps until the condition holds; false when time or connection end before."""
        end = time.monotonic() + seconds
        while not until():
            left = end - time.monotonic()
            if self.closed or left <= 0:
                return bool(until())
            self.pump(left)
        return True

    def fence(self):
        """Whether the server has processed all that was sent so far: it has answered a PING, or is gone."""
        mark = b"fence%03d" % (len(self.pongs) % 1000)
        self.send(f.ping(mark))
        return self.attend(lambda: mark in self.pongs or self.dying())

    def response(self, stream, seconds=PATIENCE):
        """The whole answer on a stream."""
        self.wait(lambda: self.over(stream), f"an answer on stream {stream}", seconds)
        answer = self.responses.get(stream)
        if answer is None or not answer.ended:
            raise Failed(f"no answer on stream {stream}: {describe(answer)}{self._state()}")
        return answer

    def fetch(self, *args, **kwargs):
        """A whole exchange on a new stream."""
        return self.response(self.request(*args, **kwargs))

    def _state(self):
        return "" if self.goaway is None else f", after GOAWAY {f.error_name(self.goaway)}"

    # === The socket ===

    def _write(self):
        try:
            while self.outgoing and not self.closed:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.outgoing.clear()  # What the server said before it closed is still to be read.

    def pump(self, seconds):
        """Moves bytes both ways, at most once, waiting at most so long."""
        readers = [self.socket] if self.reading else []
        readable, writable, _ = select.select(readers, [self.socket] if self.outgoing else [], [], seconds)
        if writable:
            self._write()
        if readable:
            self._read()

    def _read(self):
        try:
            piece = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.closed = True
            return
        if self.tls:
            self.inward.write(piece)
            piece = self._decrypt()
        self.received += piece
        self._parse()

    def _decrypt(self):
        plain = bytearray()
        try:
            while piece := self.tls.read(1 << 16):
                plain += piece
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.closed = True
        return plain

    def close(self):
        self.socket.close()

    # === What the server sends ===

    def _parse(self):
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if length > f.LARGEST_FRAME:
                raise Failed(f"a frame of {length} bytes, larger than we announced")
            if len(self.received) < 9 + length:
                return
            head, body = self.received[:9], self.received[9 : 9 + length]
            del self.received[: 9 + length]
            try:
                read, _ = hyperframe.frame.Frame.parse_frame_header(memoryview(bytes(head)))
                read.parse_body(memoryview(bytes(body)))
            except hyperframe.exceptions.HyperframeError as error:
                raise Failed(f"a malformed frame: {error!r}") from None
            self._take(read, length)

    def _take(self, read, length):
        if not self.settings_frames and not isinstance(read, hyperframe.frame.SettingsFrame):
            raise Failed(f"the first frame is {read.name}, not SETTINGS (RFC 9113 3.4)")
        if self.block and not isinstance(read, hyperframe.frame.ContinuationFrame):
            raise Failed(f"{read.name} within a field block (RFC 9113 6.10)")
        match read:
            case hyperframe.frame.SettingsFrame():
                self._take_settings(read)
            case hyperframe.frame.PingFrame():
                self._take_ping(read)
            case hyperframe.frame.GoAwayFrame():
                self.goaway = self.goaway or read.error_code
            case hyperframe.frame.WindowUpdateFrame():
                self._take_window(read)
            case hyperframe.frame.RstStreamFrame():
                self._answer(read).reset = read.error_code
            case hyperframe.frame.HeadersFrame():
                self.block = (self._answer(read), "END_STREAM" in read.flags, bytearray(read.data))
                self._end_block(read)
            case hyperframe.frame.ContinuationFrame():
                if not self.block:
                    raise Failed("CONTINUATION without HEADERS (RFC 9113 6.10)")
                self.block[2].extend(read.data)
                self._end_block(read)
            case hyperframe.frame.DataFrame():
                self._take_data(read, length)
            case hyperframe.frame.PushPromiseFrame():
                raise Failed("PUSH_PROMISE from a proxy that has nothing to push")
            case _:
                pass  # PRIORITY, ALTSVC and extensions bind nobody.

    def _answer(self, read):
        if read.stream_id % 2 == 0 or read.stream_id > self.highest:
            raise Failed(f"{read.name} on stream {read.stream_id}, which we never opened (RFC 9113 5.1.1)")
        answer = self.responses.setdefault(read.stream_id, Response())
        if isinstance(read, hyperframe.frame.RstStreamFrame):
            return answer
        if answer.over():
            raise Failed(f"{read.name} on stream {read.stream_id} after its end (RFC 9113 5.1)")
        return answer

    def _take_settings(self, read):
        if "ACK" in read.flags:
            self.settings_acks += 1
            return
        self.settings_frames += 1
        self.settings.update(read.settings)
        if not f.LARGEST_FRAME <= self.settings.get(f.MAX_FRAME_SIZE, f.LARGEST_FRAME) < 2**24:
            raise Failed("SETTINGS_MAX_FRAME_SIZE out of range (RFC 9113 6.5.2)")
        if self.settings.get(f.INITIAL_WINDOW_SIZE, 0) > f.LARGEST_WINDOW or self.settings.get(f.ENABLE_PUSH):
            raise Failed("SETTINGS that a server must not send (RFC 9113 6.5.2)")
        if self.auto_ack:
            self.send(f.settings(flags=f.ACK))

    def _take_ping(self, read):
        if "ACK" in read.flags:
            self.pongs.append(read.opaque_data)
        elif self.auto_ack:
            self.send(f.ping(read.opaque_data, f.ACK))

    def _take_window(self, read):
        base = 65535 if read.stream_id == 0 else 0
        self.rooms[read.stream_id] = self.rooms.get(read.stream_id, base) + read.window_increment

    def _take_data(self, read, length):
        answer = self._answer(read)
        if answer.status is None:
            raise Failed("DATA before HEADERS (RFC 9113 8.1)")
        self.shown -= length
        if self.shown < 0:
            raise Failed("more DATA than the window of the connection (RFC 9113 6.9)")
        answer.body += read.data
        answer.ended = "END_STREAM" in read.flags
        if self.auto_window and length:
            self.give(0, length)
            if not answer.ended:
                self.give(read.stream_id, length)

    def give(self, stream, increment):
        """Lets the server send so much more."""
        if stream == 0:
            self.shown += increment
        self.send(f.window_update(stream, increment))

    def _end_block(self, read):
        if "END_HEADERS" not in read.flags:
            return
        (answer, end, coded), self.block = self.block, None
        try:
            fields = self.decoder.decode(bytes(coded), raw=True)
        except HPACKError as error:
            raise Failed(f"a field block that does not decode: {error!r}") from None
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        for name, value in fields:
            if name != name.lower() or name in HOP_FIELDS:
                raise Failed(f"the field `{name}: {value}` in an answer (RFC 9113 8.2)")
        answer.ended = end
        if answer.status is not None:
            if not end or any(name.startswith(":") for name, _ in fields):
                raise Failed("trailers without END_STREAM or with a pseudo-header (RFC 9113 8.1)")
            answer.trailers = fields
            return
        pseudo = [name for name, _ in fields if name.startswith(":")]
        if pseudo != [":status"] or fields[0][0] != ":status":
            raise Failed(f"pseudo-headers {pseudo} in an answer (RFC 9113 8.3.2)")
        status = int(fields[0][1])
        if 100 <= status < 200 and not end:
            answer.interim.append((status, fields[1:]))
        else:
            answer.status, answer.fields = status, fields[1:]


def describe(answer):
    """An answer in a few words."""
    if answer is None:
        return "nothing"
    words = [] if answer.status is None else [str(answer.status) + (" by the proxy" if answer.own() else "")]
    if answer.reset is not None:
        words.append(f"RST_STREAM {f.error_name(answer.reset)}")
    elif not answer.ended:
        words.append("unfinished")
    return " then ".join(words)
