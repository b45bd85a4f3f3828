"""One connection of a client that may break every rule: it sends exactly the bytes it is told to.

It does not judge what comes back: `inbound.py` holds that to what binds every server, the cases judge the rest.
"""

import contextlib
import resource
import select
import socket
import ssl
import time

from . import frames as f
from .inbound import Failed, Inbound, describe

PATIENCE = 10.0
"""Seconds until an answer that does not come is said to be missing."""


class Spot:
    """Where the server under test is, and how to speak to it."""

    def __init__(self, host, port, tls, authority, pid=None):
        self.host, self.port, self.tls, self.authority = host, port, tls, authority
        self.pid = pid
        self.scheme = "https" if tls else "http"

    def memory(self):
        """Resident bytes of the server, 0 if nobody has said which process it is."""
        if self.pid is None:
            return 0
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()


class Connection(Inbound):
    """A connection; `open` makes the preface, everything else sends what it is told."""

    def __init__(self, spot, table=4096):
        super().__init__(table)
        self.spot = spot
        self.socket = socket.create_connection((spot.host, spot.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = None
        self.outgoing = bytearray()
        self.corked = None
        self.closed = False
        self.reading = True
        self.unfenced = False  # Whether a PING would break what has been begun.
        self.next_stream = 1
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
        # The server's preface may have come with the end of the handshake. It is answered when ours is out.
        self.received += self._decrypt()

    # === Sending ===

    def send(self, data):
        """Queues bytes and writes what the socket takes now; the rest goes out while something is awaited."""
        if self.corked is not None:
            self.corked += data
            return
        if self.tls and not self.closed:
            self.tls.write(data)
            data = self.outward.read()
        self.outgoing += data
        self._write()

    @contextlib.contextmanager
    def together(self):
        """What is sent within goes out in one piece, so that the server has it all before it can answer."""
        self.corked = bytearray()
        yield
        data, self.corked = bytes(self.corked), None
        self.send(data)

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
        start = [
            (":method", method),
            (":scheme", self.spot.scheme),
            (":path", path),
            (":authority", self.spot.authority),
        ]
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

    def largest_frame(self):
        """The largest frame the server takes (RFC 9113 section 4.2)."""
        return self.settings.get(f.MAX_FRAME_SIZE, f.LARGEST_FRAME)

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
        self.parse()
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
        self.parse()

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
