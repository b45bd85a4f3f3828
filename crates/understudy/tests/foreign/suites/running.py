"""Long-running exchanges in threads of their own: server-sent events, downloads, uploads, WebSockets."""

import http.client
import threading
import time

import h2.events
import h2.exceptions

from suites.sockets import Extended, Plain, Session

# A part every so many seconds.
GAP = 0.1


class Running:
    """One exchange; `complete` says that it ended as it should, `ended` when it ended in any way."""

    def __init__(self, kind, protocol, address, tls, seconds):
        self.kind, self.protocol, self.address, self.tls = kind, protocol, address, tls
        self.parts = round(seconds / GAP)
        self.progress, self.complete, self.ended, self.said = 0, False, None, ""
        self.origin = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __repr__(self):
        state = "complete" if self.complete else f"not complete, {self.said or 'running'}"
        return f"<{self.kind} {self.protocol}: {self.progress} parts, {state}>"

    def path(self):
        parts, gap = self.parts, round(GAP * 1000)
        return {"sse": f"/sse?count={parts}&gap={gap}", "upload": "/echo?upload",
                "download": f"/drip?count={parts}&gap={gap}&bytes=1000", "websocket": "/ws"}[self.kind]

    def _run(self):
        steps = {"websocket": self._websocket, "h1": self._h1, "h2": self._h2}
        try:
            steps["websocket" if self.kind == "websocket" else self.protocol]()
            self.complete = True
        except (OSError, EOFError, http.client.HTTPException, h2.exceptions.ProtocolError,
                AssertionError) as error:
            self.said = repr(error)
        self.ended = time.monotonic()

    def _websocket(self):
        # Idle: it says nothing until it is over.
        kind = Plain if self.protocol == "h1" else Extended
        client = kind(self.address, "/ws", self.tls)
        client.send("who")
        self.origin = client.receive()
        self.progress = 1
        self.said = f"close {client.wait_end(60)[0]}"
        raise EOFError(self.said)

    def _h1(self):
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        options = {"context": self.tls} if self.tls else {}
        connection = kind("localhost", self.address[1], timeout=20, **options)
        if self.kind == "upload":
            connection.putrequest("POST", self.path())
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            for _ in range(self.parts):
                connection.send(b"3e8\r\n" + bytes(1000) + b"\r\n")
                self.progress += 1
                self._pause(connection.sock)
            connection.send(b"0\r\n\r\n")
        else:
            connection.request("GET", self.path())
        answer = connection.getresponse()
        assert answer.status == 200, f"status {answer.status}"
        body = b""
        # One character at a time would be slow; `read1` returns what is there.
        while part := answer.read1(65536):
            body += part
            self._arrived(body)
        # The library raises when chunks end early, but not when a length is not reached.
        assert answer.length in (None, 0), f"{answer.length} bytes are missing"
        connection.close()

    def _pause(self, sock):
        """Waits for the next part; notices an early answer or the end of the connection."""
        sock.settimeout(GAP)
        try:
            # A look at the plain socket below TLS would see tickets.
            early = sock.recv(1) if self.tls else sock.recv(1, 2)
        except TimeoutError:
            early = None
        sock.settimeout(20)
        assert early is None, f"an early end: {early}"

    def _h2(self):
        session = Session(self.address, self.tls)
        method = "POST" if self.kind == "upload" else "GET"
        stream = session.request(self.path(), method, end=method == "GET")
        kinds = (h2.events.ResponseReceived, h2.events.DataReceived, h2.events.StreamEnded,
                 h2.events.StreamReset)
        body = b""
        for _ in range(self.parts if method == "POST" else 0):
            session.h2.send_data(stream, bytes(1000))
            session.flush()
            self.progress += 1
            early = session.wait(kinds, stream, GAP)
            assert early is None and not session.over, f"an early end: {early}"
        if method == "POST":
            session.h2.end_stream(stream)
            session.flush()
        while True:
            event = session.wait(kinds, stream, 20)
            match event:
                case h2.events.ResponseReceived():
                    assert dict(event.headers)[":status"] == "200", event.headers
                case h2.events.DataReceived():
                    body += event.data
                    self._arrived(body)
                case h2.events.StreamEnded():
                    return session.close()
                case _:
                    raise EOFError(f"{event}, connection over: {session.over}")

    def _arrived(self, body):
        if self.kind == "sse":
            self.progress = body.count(b"\n\n")
            self.origin = self.origin or body.split(b" ")[1].decode()
        elif self.kind == "download":
            self.progress = len(body) // 1000
