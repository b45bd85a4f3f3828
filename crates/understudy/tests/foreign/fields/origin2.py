"""A backend that speaks HTTP/2 by prior knowledge, on the `h2` library, which checks what it is sent."""

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .message import Request
from .origin1 import Link, Origin


class Origin2(Origin):
    """Answers from `Reply.status`, `.fields`, `.body`, `.trailers`, `.interim` and `.reset`."""

    def link(self):
        return Link2(self)


class Link2(Link):
    """One connection from the proxy."""

    def __init__(self, origin):
        super().__init__(origin)
        self.streams = {}
        self.http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding=False,
                # Rows send wrong answers on purpose.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    def connection_made(self, transport):
        super().connection_made(transport)
        self.http2.initiate_connection()
        self._flush()

    def data_received(self, data):
        try:
            for event in self.http2.receive_data(data):
                self._event(event)
        except h2.exceptions.ProtocolError as error:
            # Closed as well, so that nobody mistakes it for a whole request.
            request = Request("2", b"", b"", [], [], flaws=[f"HTTP/2: {error!r}"])
            self.origin.begin(request)
            self._flush()
            self.transport.close()
            return
        self._flush()

    def _flush(self):
        self.transport.write(self.http2.data_to_send())

    def _event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self._head(event)
        elif isinstance(event, h2.events.DataReceived):
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            request, _ = self.streams[event.stream_id]
            request.body += event.data
            request.framing = "data"
        elif isinstance(event, h2.events.TrailersReceived):
            request, _ = self.streams[event.stream_id]
            request.trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            request, reply = self.streams[event.stream_id]
            request.whole = True
            if not reply.early and not reply.gate:
                self._write2(event.stream_id, reply)
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(event.stream_id, None)

    def _head(self, event):
        fields = [(bytes(n), bytes(v)) for n, v in event.headers]
        pseudo = dict((n, v) for n, v in fields if n.startswith(b":"))
        request = Request(
            "2",
            pseudo.get(b":method", b""),
            pseudo.get(b":path", b""),
            [pseudo[b":authority"]] if b":authority" in pseudo else [],
            [(n, v) for n, v in fields if not n.startswith(b":")],
            scheme=pseudo.get(b":scheme", b""),
            protocol=pseudo.get(b":protocol", b""),
        )
        if not request.hosts:
            request.hosts = request.values("host")
        reply = self.origin.begin(request)
        self.streams[event.stream_id] = (request, reply)
        if reply.early:
            self._write2(event.stream_id, reply)
        elif event.stream_ended is None and request.values("expect"):
            self.http2.send_headers(event.stream_id, [(b":status", b"100")])

    def advance(self):
        if self.origin.released.is_set():
            for stream, (request, reply) in list(self.streams.items()):
                if reply.gate and request.whole:
                    del self.streams[stream]
                    self._write2(stream, reply)
            self._flush()

    def _write2(self, stream, reply):
        send = self.http2.send_headers
        for status, fields in reply.interim:
            send(stream, [(b":status", b"%d" % status), *fields])
        head = [(b":status", b"%d" % reply.status), *reply.fields]
        bare = reply.body is None and reply.trailers is None and reply.reset is None
        send(stream, head, end_stream=bare)
        if reply.body is not None:
            last = reply.trailers is None and reply.reset is None
            self.http2.send_data(stream, reply.body, end_stream=last)
        if reply.reset is not None:
            self.http2.reset_stream(stream, reply.reset)
        elif reply.trailers is not None:
            send(stream, list(reply.trailers), end_stream=True)
