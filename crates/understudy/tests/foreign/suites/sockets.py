"""WebSocket clients for the suites: the library `websockets` over HTTP/1.1, `h2` with `wsproto` over HTTP/2."""

import asyncio
import dataclasses
import socket
import ssl
import struct
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import websockets.asyncio.client
import websockets.exceptions
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage


class Refused(Exception):
    """The handshake was answered with another status."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


# The library's client without asyncio reads and writes one TLS session from two threads, which OpenSSL does
# not allow: handshakes hang now and then. So all of them live on one event loop, in one thread.
_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def _await(coroutine):
    """Runs on the loop, and waits for the result, but not for ever."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result(timeout=60)


class Plain:
    """A WebSocket over HTTP/1.1 (`ws`, or `wss` with a TLS context)."""

    def __init__(self, address, path="/ws", tls=None, host="localhost"):
        connection = socket.create_connection(address[:2], timeout=10)
        scheme = "wss" if tls else "ws"

        async def opened():
            return await websockets.asyncio.client.connect(
                f"{scheme}://{host}:{address[1]}{path}", sock=connection, ssl=tls, proxy=None,
                server_hostname=host if tls else None, open_timeout=10, close_timeout=2,
                max_size=None, compression=None)
        try:
            self.socket = _await(opened())
        except websockets.exceptions.InvalidStatus as error:
            raise Refused(error.response.status_code) from error

    def send(self, message):
        """Text, bytes, or an iterable of them: fragments of one message."""
        _await(self.socket.send(message))

    def receive(self, timeout=10):
        return _await(asyncio.wait_for(self.socket.recv(), timeout))

    def ping(self):
        """Waits for the answer to a ping; true if it comes."""
        async def answered():
            await asyncio.wait_for(await self.socket.ping(), 10)
            return True
        return _await(answered())

    def wait_end(self, deadline):
        """(close code or None, when): None for an end without a goodbye."""
        try:
            while True:
                self.receive(deadline)
        except websockets.exceptions.ConnectionClosed as error:
            return (error.rcvd.code if error.rcvd else None), time.monotonic()

    def close(self):
        _await(self.socket.close())


@dataclasses.dataclass(frozen=True, eq=False)
class Goaway:
    """A GOAWAY frame."""

    last_stream: int
    error_code: int


class Session:
    """An HTTP/2 connection used by one thread."""

    def __init__(self, address, tls=None, host="localhost", first=b""):
        self.socket = socket.create_connection(address[:2], timeout=10)
        # A PROXY header, perhaps; it comes before TLS.
        self.socket.sendall(first)
        self.host, self.scheme = f"{host}:{address[1]}", "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
            assert self.socket.selected_alpn_protocol() == "h2", "no HTTP/2"
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()
        self.events, self.over, self.goaway, self.unread = [], False, None, b""

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, path, method="GET", fields=(), end=True):
        """Begins a stream; returns its number."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", self.scheme), (":authority", self.host),
                (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def pump(self, timeout):
        """Reads once; false at the end of the connection, or after the time."""
        if self.over:
            return False
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        self.over = not data
        for event in self.h2.receive_data(self._frames(data)):
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.events.append(event)
        try:
            self.flush()
        except OSError:
            self.over = True
        return not self.over

    def _frames(self, data):
        """What the library is to see: whole frames but GOAWAY.

        With GOAWAY the library takes the connection for closed; it is not (RFC 9113 6.8).
        """
        self.unread, seen = self.unread + data, b""
        while len(self.unread) >= 9:
            size = 9 + int.from_bytes(self.unread[:3], "big")
            if len(self.unread) < size:
                break
            frame, self.unread = self.unread[:size], self.unread[size:]
            if frame[3] == 7:
                self.goaway = Goaway(*struct.unpack("!II", frame[9:17]))
                self.events.append(self.goaway)
            else:
                seen += frame
        return seen

    def wait(self, kind, stream=None, deadline=10):
        """The next event of one of these kinds (of this stream), or None if it does not come."""
        ends = time.monotonic() + deadline
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            left = ends - time.monotonic()
            if left <= 0 or not self.pump(left) and self.over:
                return None

    def close(self):
        self.socket.close()


class Extended:
    """A WebSocket over HTTP/2: extended CONNECT, RFC 8441."""

    def __init__(self, address, path="/ws", tls=None, host="localhost"):
        self.session = Session(address, tls, host)
        self.session.wait(h2.events.RemoteSettingsChanged)
        announced = self.session.h2.remote_settings.get(
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
        assert announced == 1, f"ENABLE_CONNECT_PROTOCOL is {announced}"
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13"),
                  ("origin", "http://localhost")]
        self.stream = self.session.request(path, "CONNECT", fields, end=False)
        ends = (h2.events.ResponseReceived, h2.events.StreamReset)
        answer = self.session.wait(ends, self.stream)
        if not isinstance(answer, h2.events.ResponseReceived):
            raise Refused(f"reset: {answer}")
        self.fields = dict(answer.headers)
        if self.fields[":status"] != "200":
            raise Refused(int(self.fields[":status"]))
        self.frames, self.parts = Connection(ConnectionType.CLIENT), []

    def _write(self, data):
        connection = self.session.h2
        while data:
            room = min(connection.local_flow_control_window(self.stream),
                       connection.max_outbound_frame_size)
            if room <= 0:
                self.session.pump(10)
                continue
            connection.send_data(self.stream, data[:room])
            self.session.flush()
            data = data[room:]

    def send(self, message):
        parts = [message] if isinstance(message, (str, bytes)) else list(message)
        for number, part in enumerate(parts):
            kind = TextMessage if isinstance(part, str) else BytesMessage
            finished = number == len(parts) - 1
            self._write(self.frames.send(kind(data=part, message_finished=finished)))

    def _next(self, timeout):
        """The next frame; None when the stream has ended."""
        data = (h2.events.DataReceived, h2.events.StreamEnded, h2.events.StreamReset)
        ends = time.monotonic() + timeout
        while True:
            for event in self.frames.events():
                return event
            event = self.session.wait(data, self.stream, max(0, ends - time.monotonic()))
            if isinstance(event, h2.events.DataReceived):
                self.frames.receive_data(event.data)
            elif event is None and not self.session.over:
                raise TimeoutError("no frame")
            else:
                return None

    def receive(self, timeout=10):
        parts = []
        while True:
            match self._next(timeout):
                case TextMessage() | BytesMessage() as event:
                    parts.append(event.data)
                    if event.message_finished:
                        return type(parts[0])().join(parts)
                case Ping() as event:
                    self._write(self.frames.send(event.response()))
                case other:
                    raise EOFError(f"no message but {other}")

    def ping(self):
        self._write(self.frames.send(Ping(payload=b"here")))
        match self._next(10):
            case Pong(payload=payload):
                return bytes(payload) == b"here"
        return False

    def wait_end(self, deadline):
        ends = time.monotonic() + deadline
        while True:
            match self._next(ends - time.monotonic()):
                case CloseConnection() as event:
                    return int(event.code), time.monotonic()
                case None:
                    return None, time.monotonic()

    def close(self):
        self.session.close()


def trusting(ca_pem, *alpn):
    """A TLS context that trusts one authority and offers these protocols."""
    context = ssl.create_default_context(cadata=ca_pem.decode())
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
