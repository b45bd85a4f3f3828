"""The backend's HTTP/2, on the library `h2`; also extended CONNECT (RFC 8441)."""

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset,
    TrailersReceived, WindowUpdated, RemoteSettingsChanged,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from origin.answers import Request, answer


async def serve(origin, facts, reader, writer):
    """All streams of one connection."""
    connection = _Connection(origin, facts, reader, writer)
    try:
        await connection.run()
    finally:
        for task in connection.tasks.values():
            task.cancel()


class _Connection:
    def __init__(self, origin, facts, reader, writer):
        self.origin, self.facts, self.reader, self.writer = origin, facts, reader, writer
        config = H2Configuration(client_side=False, header_encoding="latin-1")
        self.h2 = H2Connection(config)
        # As initial values: those that are set later are not sent before the first acknowledgement.
        self.h2.local_settings = Settings(client=False, initial_values={
            SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, SettingCodes.MAX_CONCURRENT_STREAMS: 100,
            SettingCodes.MAX_HEADER_LIST_SIZE: 65536})
        self.channels, self.tasks = {}, {}
        self.window = asyncio.Event()

    async def run(self):
        self.h2.initiate_connection()
        self.flush()
        while data := await self.reader.read(65536):
            try:
                events = self.h2.receive_data(data)
            except ProtocolError as error:
                self.flush()
                raise EOFError(f"protocol error: {error!r}") from error
            for event in events:
                self._take(event)
            self.flush()
            await self.writer.drain()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    def _take(self, event):
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                queue = self.channels[event.stream_id].incoming
                queue.put_nowait((event.data, event.flow_controlled_length))
            case TrailersReceived():
                self.channels[event.stream_id].request.trailers.extend(event.headers)
            case StreamEnded():
                self.channels[event.stream_id].incoming.put_nowait((None, 0))
            case StreamReset():
                self.tasks[event.stream_id].cancel()
            case WindowUpdated() | RemoteSettingsChanged():
                self.window.set()
            case ConnectionTerminated():
                self.facts["goaway"] = int(event.error_code)

    def _begin(self, event):
        pseudo = {name: value for name, value in event.headers if name.startswith(":")}
        fields = [(name, value) for name, value in event.headers if not name.startswith(":")]
        if ":authority" in pseudo:
            fields.insert(0, ("host", pseudo[":authority"]))
        channel = _Channel(self, event.stream_id)
        channel.request = Request(
            self.origin, {**self.facts, "scheme": pseudo.get(":scheme")}, pseudo[":method"],
            pseudo.get(":path", ""), "HTTP/2", fields, channel.parts, pseudo.get(":protocol"))
        self.channels[event.stream_id] = channel
        task = asyncio.get_running_loop().create_task(self._answer(channel))
        self.tasks[event.stream_id] = task

    async def _answer(self, channel):
        try:
            await answer(channel.request, channel)
        except (ProtocolError, OSError, EOFError):
            channel.request.record["aborted"] = True


class _Channel:
    """One stream."""

    def __init__(self, connection, stream):
        self.connection, self.stream, self.request = connection, stream, None
        self.incoming, self.streaming = asyncio.Queue(), False

    async def read(self):
        """The next bytes; empty at the end."""
        data, size = await self.incoming.get()
        if size:
            self.connection.h2.acknowledge_received_data(size, self.stream)
            self.connection.flush()
        return data or b""

    async def parts(self, _request):
        while part := await self.read():
            yield part

    async def interim(self, status, fields):
        await self.head(status, fields, None)

    async def whole(self, status, fields, body):
        # One write, as far as the windows allow.
        self._head(status, fields, len(body))
        if status not in (204, 304):
            await self.data(body)
        await self.end()

    async def head(self, status, fields, length):
        self.streaming = True
        self._head(status, fields, length)
        self.connection.flush()

    def _head(self, status, fields, length):
        fields = [(":status", str(status)), *fields]
        if length is not None and status not in (204, 304):
            fields.append(("content-length", str(length)))
        self.connection.h2.send_headers(self.stream, fields)

    async def data(self, data):
        if self.request.method == "HEAD":
            return
        h2 = self.connection.h2
        while data:
            room = min(h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size)
            if room <= 0:
                self.connection.flush()
                self.connection.window.clear()
                await self.connection.window.wait()
                continue
            h2.send_data(self.stream, data[:room])
            data = data[room:]
            if data or self.streaming:
                self.connection.flush()
                await self.connection.writer.drain()

    async def end(self, trailers=()):
        if trailers:
            self.connection.h2.send_headers(self.stream, trailers, end_stream=True)
        else:
            self.connection.h2.end_stream(self.stream)
        self.connection.flush()

    async def gone(self):
        """Waits for ever: a reset stream, or the end of the connection, cancels."""
        await asyncio.Event().wait()

    async def early_bytes(self, seconds):
        await asyncio.sleep(seconds)
        return sum(size for _, size in list(self.incoming._queue))

    async def tunnel(self, fields):
        await self.head(200, fields, None)
        return self.read, self.data

    async def hang_up(self):
        await self.end()
