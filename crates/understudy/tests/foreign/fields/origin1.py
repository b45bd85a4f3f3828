"""A backend that speaks HTTP/1.1: records every request strictly, and answers what the row says."""

import asyncio
import base64
import hashlib
import re
import threading
from dataclasses import dataclass

from .message import TOKEN, Request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
FENCE = b"/fence-"


@dataclass
class Reply:
    """How a row's backend behaves. `fields`, `body` and so on are for an HTTP/2 backend."""

    raw: bytes = OK
    early: bool = False  # answer by the head alone, before the body
    close: bool = False  # end the connection afterwards
    gate: bool = False  # wait for `Origin.release` before answering
    echo: bool = False  # after a 101: send back whatever comes
    status: int = 200
    fields: tuple = ()
    body: bytes | None = b"ok"
    trailers: tuple | None = None
    interim: tuple = ()  # of (status, fields)
    reset: int | None = None  # error code of a RST_STREAM that ends the answer


class Origin:
    """What both kinds of backends share: a loop in a thread of its own, and what was seen."""

    def __init__(self):
        self.lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        self.links = set()
        self.reset(Reply())
        server = self.loop.run_until_complete(
            self.loop.create_server(lambda: self.link(), "127.0.0.1", 0, backlog=512)
        )
        self.address = server.sockets[0].getsockname()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def link(self):
        return Link(self)

    def reset(self, reply):
        """Forgets the row before; what its connections still bring is counted nowhere."""
        with self.lock:
            self.reply, self.requests, self.released = reply, [], threading.Event()

    def begin(self, request):
        """A request has begun. Says how to answer it."""
        with self.lock:
            if request.target.startswith(FENCE):
                return Reply(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request.target) + request.target,
                    body=request.target,
                )
            self.requests.append(request)
            return self.reply

    def seen(self):
        with self.lock:
            return list(self.requests)

    def release(self):
        """Opens the gate of `Reply.gate`."""
        self.released.set()
        self.loop.call_soon_threadsafe(lambda: [link.advance() for link in list(self.links)])

    def poke(self, data):
        """Sends bytes on every connection, asked for or not. Says how many there are."""

        async def write():
            for link in list(self.links):
                link.transport.write(data)
            return len(self.links)

        return asyncio.run_coroutine_threadsafe(write(), self.loop).result(5)

    def open_links(self):
        async def count():
            return len(self.links)

        return asyncio.run_coroutine_threadsafe(count(), self.loop).result(5)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


def accept_key(keys):
    """The answer to a WebSocket's key (RFC 6455 section 4.2.2)."""
    text = b"".join(keys) + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(text).digest())


class Link(asyncio.Protocol):
    """One connection from the proxy."""

    def __init__(self, origin):
        self.origin, self.buffer = origin, b""
        self.request = self.reply = self.released = None
        self.left = 0  # bytes of a body of known length; -1 while chunks come
        self.tunnel = False
        self.stopped = False

    def connection_made(self, transport):
        self.transport = transport
        self.origin.links.add(self)

    def connection_lost(self, _error):
        self.origin.links.discard(self)

    def data_received(self, data):
        self.buffer += data
        self.advance()

    def advance(self):
        while not self.stopped and self._step():
            pass

    def _step(self):
        """Takes one thing out of the buffer; false when more bytes are needed."""
        if self.tunnel:
            if self.reply.echo and self.buffer:
                self.transport.write(self.buffer)
                self.buffer = b""
            return False
        if self.request is None:
            return self._head()
        if not self.request.whole:
            done = self._chunk() if self.left < 0 else self._length()
            if not done:
                return False
        if self.request.whole:
            return self._answer()
        return True

    def _head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
        lines = head.split(b"\r\n")
        request = Request("1.1", b"", b"", [], [])
        match = re.fullmatch(rb"([^ ]+) ([^ ]+) HTTP/(1\.[01])", lines[0])
        if match:
            request.method, request.target = match[1], match[2]
            request.version = match[3].decode()
            if any(byte <= 32 or byte == 127 for byte in match[2]):
                request.flaws.append(f"request line {lines[0]!r}")
        else:
            request.flaws.append(f"request line {lines[0]!r}")
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not name or not TOKEN.issuperset(name):
                request.flaws.append(f"field line {line!r}")
            request.fields.append((name.lower(), value.strip(b" ")))
        request.hosts = request.values("host")
        self.request, self.reply = request, self.origin.begin(request)
        self.released = self.origin.released
        self._framing(request)
        if self.reply.early:
            self._write()
        elif not request.whole and request.values("expect"):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _framing(self, request):
        lengths, codings = request.values("content-length"), request.values("transfer-encoding")
        if codings:
            request.framing, self.left = "chunked", -1
        elif lengths and lengths[0].isdigit():
            request.framing, self.left = "length", int(lengths[0])
        else:
            request.framing, self.left = "none", 0
        request.whole = self.left == 0

    def _length(self):
        taken, self.buffer = self.buffer[: self.left], self.buffer[self.left :]
        self.request.body += taken
        self.left -= len(taken)
        self.request.whole = self.left == 0
        return self.request.whole

    def _chunk(self):
        """One whole chunk, or the last with its trailers. No extension may arrive here."""
        line, found, rest = self.buffer.partition(b"\r\n")
        if not found:
            return False
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
            self.request.flaws.append(f"chunk size {line!r}")
            self.stopped = True
            return False
        size = int(line, 16)
        if size:
            if len(rest) < size + 2:
                return False
            if rest[size : size + 2] != b"\r\n":
                self.request.flaws.append("no line end after a chunk")
                self.stopped = True
                return False
            self.request.body += rest[:size]
            self.buffer = rest[size + 2 :]
            return True
        section = b"\r\n" + rest
        end = section.find(b"\r\n\r\n")
        if end < 0:
            return False
        for trailer in section[2:end].split(b"\r\n") if end else []:
            name, colon, value = trailer.partition(b":")
            if not colon:
                self.request.flaws.append(f"trailer line {trailer!r}")
            self.request.trailers.append((name.lower(), value.strip(b" \t")))
        self.buffer = section[end + 4 :]
        self.request.whole = True
        return True

    def _answer(self):
        if self.reply.gate and not self.released.is_set():
            self.request.early = self.buffer
            return False
        if self.request.values("upgrade"):
            self.request.early = self.buffer
        if not self.reply.early:
            self._write()
        if self.reply.raw.startswith(b"HTTP/1.1 101"):
            self.tunnel = True
            return True
        self.request = None
        return True

    def _write(self):
        raw = self.reply.raw
        if b"@ACCEPT@" in raw:
            raw = raw.replace(b"@ACCEPT@", accept_key(self.request.values("sec-websocket-key")))
        self.transport.write(raw)
        if self.reply.close:
            self.transport.close()
            self.stopped = True
