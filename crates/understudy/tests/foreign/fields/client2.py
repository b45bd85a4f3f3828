"""A client that sends any HTTP/2 frames and field sections, and reads answers (RFC 9113)."""

import socket
import time

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .client1 import PATIENCE, Ended
from .message import Result

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CODES = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED "
    "FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM "
    "INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()


def code_name(code):
    return CODES[code] if code < len(CODES) else str(code)


class Client2:
    """One connection, by prior knowledge."""

    def __init__(self, address, source=None):
        self.socket = socket.create_connection(address, PATIENCE, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.ended = b"", None
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.results, self.done, self.settings = {}, set(), {}
        self.section = None
        self.next_stream = 1
        self._send(PREFACE + SettingsFrame(0, settings={2: 0, 4: 1 << 20}).serialize())

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def frame(self, frame):
        self._send(frame.serialize())

    def close(self):
        self.socket.close()

    def section_frames(self, stream, fields, end, size=16384):
        """HEADERS and CONTINUATION; nothing about the fields is checked."""
        block = self.encoder.encode([hpack.NeverIndexedHeaderTuple(n, v) for n, v in fields], huffman=False)
        pieces = [block[i : i + size] for i in range(0, len(block), size)] or [b""]
        frames = [HeadersFrame(stream, pieces[0], flags=["END_STREAM"] if end else [])]
        frames += [ContinuationFrame(stream, piece) for piece in pieces[1:]]
        frames[-1].flags.add("END_HEADERS")
        return b"".join(frame.serialize() for frame in frames)

    def ask(self, fields, data=None, trailers=None, end=True):
        """Begins a stream and returns its number. `data` is a list of DATA payloads."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.results[stream] = Result()
        last = data is None and trailers is None
        out = self.section_frames(stream, fields, end and last)
        for number, piece in enumerate(data or []):
            is_last = end and trailers is None and number + 1 == len(data)
            out += DataFrame(stream, piece, flags=["END_STREAM"] if is_last else []).serialize()
        if trailers is not None:
            out += self.section_frames(stream, trailers, True)
        self._send(out)
        return stream

    def data(self, stream, piece, end):
        self.frame(DataFrame(stream, piece, flags=["END_STREAM"] if end else []))

    def cancel(self, stream):
        self.frame(RstStreamFrame(stream, error_code=8))

    def answer(self, stream, patience=PATIENCE, until=None):
        """The answer to a stream once it has ended, or once `until(result)` holds."""
        deadline = time.monotonic() + patience
        result = self.results[stream]
        try:
            while stream not in self.done and not (until and until(result)):
                self._read_frame(deadline)
        except Ended as end:
            result.ending = str(end) if result.ending == "complete" else result.ending
        if 100 <= result.status < 200 and not until:
            result.interim.append((result.status, result.fields))
            result.status, result.fields = 0, []
        return result

    def wait_settings(self, patience=PATIENCE):
        """What the proxy announced."""
        deadline = time.monotonic() + patience
        try:
            while not self.settings:
                self._read_frame(deadline)
        except Ended:
            pass
        return self.settings

    def is_closed(self, patience=PATIENCE):
        """Whether the connection ends, whatever is still said."""
        deadline = time.monotonic() + patience
        try:
            while True:
                self._read_frame(deadline)
        except Ended as end:
            return str(end) == "closed"

    def stray(self):
        return b""

    def _read(self, size, deadline):
        while len(self.buffer) < size:
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
            self.buffer += data
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _read_frame(self, deadline):
        head = self._read(9, deadline)
        if head.startswith(b"HTTP/1"):
            self.ended = "closed"
            raise Ended("closed")
        frame, size = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(self._read(size, deadline)))
        self._take(frame)

    def _take(self, frame):
        stream = frame.stream_id
        if isinstance(frame, SettingsFrame):
            if "ACK" not in frame.flags:
                self.settings = dict(frame.settings) or {"empty": True}
                self.frame(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame):
            if "ACK" not in frame.flags:
                self.frame(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self._take_section(frame)
        elif isinstance(frame, DataFrame):
            self._take_data(frame)
        elif isinstance(frame, RstStreamFrame):
            if stream in self.results and stream not in self.done:
                self._end(stream, "reset", code_name(frame.error_code))
        elif isinstance(frame, GoAwayFrame):
            code = code_name(frame.error_code)
            for number in self.results:
                if number not in self.done and (frame.error_code or number > frame.last_stream_id):
                    self._end(number, "goaway", code)

    def _take_section(self, frame):
        if isinstance(frame, HeadersFrame):
            self.section = [frame.stream_id, b"", "END_STREAM" in frame.flags]
        self.section[1] += bytes(frame.data)
        if "END_HEADERS" not in frame.flags:
            return
        stream, block, end = self.section
        fields = [(bytes(n), bytes(v)) for n, v in self.decoder.decode(block, raw=True)]
        result = self.results.get(stream)
        if result is None:
            return
        if result.status >= 200:
            result.trailers = fields
        else:
            if result.status:
                result.interim.append((result.status, result.fields))
            result.status = int(dict(fields).get(b":status", b"0"))
            result.fields = [(n, v) for n, v in fields if n != b":status"]
        if end:
            self._end(stream)

    def _take_data(self, frame):
        stream, size = frame.stream_id, frame.flow_controlled_length
        if size:
            self.frame(WindowUpdateFrame(0, window_increment=size))
        if stream not in self.results:
            return
        self.results[stream].body += bytes(frame.data)
        if "END_STREAM" in frame.flags:
            self._end(stream)
        elif size:
            self.frame(WindowUpdateFrame(stream, window_increment=size))

    def _end(self, stream, ending="complete", detail=""):
        result = self.results[stream]
        if ending == "reset" and detail == "NO_ERROR" and result.ending == "complete":
            # After a whole answer only (RFC 9113 section 8.1); before its end it is a cut.
            pass
        result.ending, result.detail = ending, detail
        self.done.add(stream)
