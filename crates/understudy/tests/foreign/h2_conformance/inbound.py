"""What a server sends, parsed by `hyperframe` and `hpack` and held to the rules that bind every server in every case:
sizes of frames, states of streams, windows, names of fields. A breach raises `Failed`.
"""

import json

import hyperframe.exceptions
import hyperframe.frame
from hpack import Decoder, HPACKError

from . import frames as f

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


class Inbound:
    """The server's half of a connection; `Connection` adds ours, with `send`."""

    def __init__(self, table):
        self.received = bytearray()
        self.raw = False  # Whether what comes is kept as bytes, for it need not be HTTP/2.
        self.goaway = None
        self.settings = {}
        self.settings_frames = self.settings_acks = 0
        self.pongs = []
        self.responses = {}
        self.highest = 0  # The highest stream that we have opened.
        self.rooms = {}  # Stream to bytes we may send on it beside the initial window; 0 is the connection.
        self.shown = 65535  # Bytes the server may still send on this connection.
        self.auto_window = True
        self.auto_ack = True
        self.block = None  # The field block that has begun: answer, END_STREAM, bytes.
        self.decoder = Decoder(max_header_list_size=1 << 20)
        self.decoder.max_allowed_table_size = table

    def parse(self):
        while len(self.received) >= 9 and not self.raw:
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
            raise Failed(f"the first frame is {name_of(read)}, not SETTINGS (RFC 9113 3.4)")
        if self.block and not isinstance(read, hyperframe.frame.ContinuationFrame):
            raise Failed(f"{name_of(read)} within a field block (RFC 9113 6.10)")
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
                answer = self._answer(read)
                answer.reset = read.error_code if answer.reset is None else answer.reset
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
            raise Failed(f"{name_of(read)} on stream {read.stream_id}, which we never opened (RFC 9113 5.1.1)")
        answer = self.responses.setdefault(read.stream_id, Response())
        if isinstance(read, hyperframe.frame.RstStreamFrame):
            return answer
        if answer.over():
            raise Failed(f"{name_of(read)} on stream {read.stream_id} after its end (RFC 9113 5.1)")
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


def name_of(read):
    return type(read).__name__.removesuffix("Frame")


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
