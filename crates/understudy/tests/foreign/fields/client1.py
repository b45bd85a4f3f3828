"""A client that sends any bytes and reads HTTP/1.1 strictly (RFC 9112)."""

import select
import socket
import struct
import time

from .message import TOKEN, Result

PATIENCE = 4.0  # seconds for an answer


class Malformed(Exception):
    """What arrived is no HTTP."""


class Ended(Exception):
    """The connection ended, in the way its text says: closed or timeout."""


class Client1:
    """One connection. `source` is the address it comes from."""

    def __init__(self, address, source=None, tls=None):
        self.socket = socket.create_connection(address, PATIENCE, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.ended = None

    def send(self, data, pieces=False):
        """Sends bytes, each in a segment of its own if asked to; a refusal is seen when reading."""
        try:
            for part in [data[i : i + 1] for i in range(len(data))] if pieces else [data]:
                self.socket.sendall(part)
        except OSError:
            pass

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _fill(self, deadline):
        if self.ended:
            raise Ended(self.ended)
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise Ended("timeout") from None
        except OSError:
            data = b""
        if not data:
            self.ended = "closed"
            raise Ended("closed")
        self.buffer += data

    def _line(self, deadline):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > 1 << 20:
                raise Malformed("a line without an end")
            self._fill(deadline)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line:
            raise Malformed(f"bare CR or LF in {line!r}")
        return line

    def take(self, size, patience=PATIENCE):
        """So many bytes, or fewer if the connection ends."""
        deadline = time.monotonic() + patience
        try:
            while len(self.buffer) < size:
                self._fill(deadline)
        except Ended:
            pass
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _fields(self, deadline):
        fields = []
        while line := self._line(deadline):
            name, colon, value = line.partition(b":")
            if not colon or not name or not TOKEN.issuperset(name):
                raise Malformed(f"field line {line!r}")
            fields.append((name.lower(), value.strip(b" \t")))
        return fields

    def answer(self, head=False, patience=PATIENCE, want_interim=False):
        """The next final answer, or the next of any kind; what ended instead is in its `ending`."""
        deadline = time.monotonic() + patience
        result = Result()
        try:
            while True:
                self._status(result, deadline)
                if result.status >= 200 or result.status == 101 or want_interim:
                    break
                result.interim.append((result.status, result.fields))
                result.status, result.fields = 0, []
            if result.status >= 200:
                self._body(result, head, deadline)
        except Ended as end:
            result.ending = str(end)
        except Malformed as trouble:
            result.ending, result.detail = "malformed", str(trouble)
        return result

    def _status(self, result, deadline):
        line = self._line(deadline)
        version, _, rest = line.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit():
            raise Malformed(f"status line {line!r}")
        fields = self._fields(deadline)
        result.status, result.fields = int(rest[:3]), fields

    def _body(self, result, head, deadline):
        codings, lengths = result.values("transfer-encoding"), result.values("content-length")
        if len(set(lengths)) > 1 or (codings and lengths):
            raise Malformed(f"two framings: {codings} {lengths}")
        if head or result.status in (204, 304):
            return
        if codings:
            if codings != [b"chunked"]:
                raise Malformed(f"transfer-encoding {codings}")
            self._chunks(result, deadline)
        elif lengths:
            while len(self.buffer) < int(lengths[0]):
                try:
                    self._fill(deadline)
                except Ended:
                    result.body, self.buffer = self.buffer, b""
                    raise
            size = int(lengths[0])
            result.body, self.buffer = self.buffer[:size], self.buffer[size:]
        else:
            try:
                while True:
                    self._fill(deadline)
            except Ended as end:
                result.body, self.buffer = self.buffer, b""
                if str(end) != "closed":
                    raise

    def _chunks(self, result, deadline):
        while True:
            size = int(self._line(deadline).split(b";")[0], 16)
            if size == 0:
                result.trailers = self._fields(deadline)
                return
            while len(self.buffer) < size + 2:
                try:
                    self._fill(deadline)
                except Ended:
                    result.body += self.buffer[:size]
                    raise
            result.body += self.buffer[:size]
            if self.buffer[size : size + 2] != b"\r\n":
                raise Malformed("no line end after a chunk")
            self.buffer = self.buffer[size + 2 :]

    def is_closed(self, patience=PATIENCE):
        """Whether the connection ends without another byte."""
        deadline = time.monotonic() + patience
        if self.buffer:
            return False
        try:
            self._fill(deadline)
        except Ended as end:
            return str(end) == "closed"
        return False

    def stray(self):
        """Bytes that have arrived and were not asked for."""
        try:
            while not self.ended and select.select([self.socket], [], [], 0)[0]:
                self._fill(time.monotonic() + 0.1)
        except (Ended, ValueError):
            pass
        return self.buffer
