"""HTTP/2 towards backends: what was never carried out is sent again, what may have been is not.

The backend here is scripted: it refuses, resets, says goodbye or dies when it is told to.
"""

import concurrent.futures
import http.client
import json
import socket
import threading
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from cases import Suite, expect
from lab import fetch, service

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 2, 7, 11


class Scripted:
    """An h2c server in threads. `script(attempt)` says what becomes of the n-th request, from 1.

    Requests for `/healthz` are answered with 200 and not counted.
    """

    def __init__(self, script):
        self.script, self.seen, self.lock = script, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.name, self.url = "scripted", "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            arguments = (connection, self.connections)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, connection, number):
        server = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        server.initiate_connection()
        heads, bodies = {}, {}
        try:
            connection.sendall(server.data_to_send())
            while data := connection.recv(65536):
                for event in server.receive_data(data):
                    if isinstance(event, RequestReceived):
                        heads[event.stream_id] = dict(event.headers)
                        bodies[event.stream_id] = b""
                    elif isinstance(event, DataReceived):
                        bodies[event.stream_id] += event.data
                        server.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, StreamEnded):
                        stream = event.stream_id
                        if not self._answer(server, number, stream, heads[stream], bodies[stream]):
                            return
                connection.sendall(server.data_to_send())
        except (OSError, ProtocolError):
            pass
        finally:
            try:
                connection.sendall(server.data_to_send())
            except OSError:
                pass
            connection.close()

    def _answer(self, server, number, stream, head, body):
        """Acts on one request; false to end the connection."""
        if head[":path"] == "/healthz":
            action = "answer"
        else:
            with self.lock:
                self.seen.append((head[":method"], body, number))
                action = self.script(len(self.seen))
        match action:
            case "answer" | "answer and leave":
                server.send_headers(stream, [(":status", "200")])
                server.send_data(stream, body, end_stream=True)
                if action == "answer and leave":
                    server.close_connection(NO_ERROR, last_stream_id=stream)
                    return False
            case "refuse":
                server.reset_stream(stream, REFUSED_STREAM)
            case "reset":
                server.reset_stream(stream, INTERNAL_ERROR)
            case "leave":
                # The stream is above the last one that will be looked at: RFC 9113 6.8.
                server.close_connection(NO_ERROR, last_stream_id=max(0, stream - 2))
                return False
            case "calm":
                server.close_connection(ENHANCE_YOUR_CALM, last_stream_id=max(0, stream - 2))
                return False
            case "die":
                return False
        return True

    def end(self):
        self.listener.close()


class Scene:
    """The balancer before one scripted backend."""

    def __init__(self, lab, script):
        self.backend = Scripted(script)
        keys = service(self.backend, protocol="http2", hold={"timeout": "3s"})
        self.balancer = lab.understudy(
            {"workers": 1, "listeners": [{"address": "127.0.0.1:0"}], "services": {"web": keys}},
            "scripted")

    def ask(self, method, body=b""):
        """Status and body."""
        connection = http.client.HTTPConnection(*self.balancer.listeners[0], timeout=15)
        try:
            connection.request(method, "/x", body or None)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.balancer.end()
        self.backend.end()


suite = Suite("upstream_h2", concurrency=4)


def once(action):
    """A script: the first request meets this, all others are answered."""
    return lambda attempt: action if attempt == 1 else "answer"


for title, action in [("REFUSED_STREAM", "refuse"), ("GOAWAY below the stream", "leave"),
                      ("GOAWAY below the stream, ENHANCE_YOUR_CALM", "calm")]:
    @suite.case(f"{title}: also a POST is sent again", action)
    def never_sent(lab, action):
        with Scene(lab, once(action)) as scene:
            expect(scene.ask("POST", b"the order"), (200, b"the order"))
            expect([seen[:2] for seen in scene.backend.seen], [("POST", b"the order")] * 2)

for title, action in [("RST_STREAM INTERNAL_ERROR", "reset"), ("the connection breaks", "die")]:
    @suite.case(f"{title}: a POST is sent once, and gets 502", action)
    def may_have_been(lab, action):
        with Scene(lab, once(action)) as scene:
            expect(scene.ask("POST", b"the order")[0], 502)
            expect(len(scene.backend.seen), 1, "how often it was sent")
            expect(scene.ask("POST", b"another")[0], 200, "the next one")

    @suite.case(f"{title}: a GET is sent again", action)
    def repeatable(lab, action):
        with Scene(lab, once(action)) as scene:
            expect(scene.ask("GET")[0], 200)
            expect(len(scene.backend.seen), 2)

for action in ("refuse", "leave", "reset"):
    @suite.case(f"for ever {action}: it ends, after a bounded number of attempts", action)
    def for_ever(lab, action):
        with Scene(lab, lambda _: action) as scene:
            begun = time.monotonic()
            status, _ = scene.ask("GET")
            expect(status, {502, 503, 504})
            assert time.monotonic() - begun < 8
            # Three for those that were carried out; what was refused may be tried for as long as it
            # may wait, but not in a loop.
            assert len(scene.backend.seen) <= 100, len(scene.backend.seen)


@suite.case("a graceful GOAWAY: the answer arrives, the next request has a new connection")
def graceful(lab):
    with Scene(lab, lambda _: "answer and leave") as scene:
        for number in range(5):
            expect(scene.ask("POST", b"%d" % number), (200, b"%d" % number))
        expect([seen[1] for seen in scene.backend.seen], [b"%d" % n for n in range(5)])
        expect(len({seen[2] for seen in scene.backend.seen}), 5, "connections")


def slow_requests(balancer, count):
    """So many at once; the connections they came on, by what the backend says."""
    address = balancer.listeners[0]
    with concurrent.futures.ThreadPoolExecutor(count) as executor:
        begun = time.monotonic()
        runs = [executor.submit(fetch, address, f"/slow/700?{n}") for n in range(count)]
        answers = [run.result() for run in runs]
        seconds = time.monotonic() - begun
    expect({status for status, *_ in answers}, {200}.__eq__)
    return [json.loads(body)["connection"] for _, _, body in answers], seconds


@suite.case("connections.streams: a full connection gets a neighbour")
def several_connections(lab):
    origin = lab.origin("full", "--h2c")
    keys = service(origin, protocol="http2", connections={"streams": 5})
    balancer = lab.understudy(
        {"workers": 1, "listeners": [{"address": "127.0.0.1:0"}], "services": {"web": keys}}, "full")
    used, seconds = slow_requests(balancer, 20)
    most = max(used.count(connection) for connection in used)
    assert most <= 5, f"{most} on one connection"
    assert seconds < 2.5, f"they waited for each other: {seconds} s"


@suite.case("a hundred at once share connections")
def shared(lab):
    origin = lab.origin("shared", "--h2c")
    keys = service(origin, protocol="http2")
    balancer = lab.understudy(
        {"workers": 1, "listeners": [{"address": "127.0.0.1:0"}], "services": {"web": keys}},
        "shared")
    used, seconds = slow_requests(balancer, 100)
    assert len(set(used)) <= 10, f"{len(set(used))} connections"
    assert seconds < 5, seconds


if __name__ == "__main__":
    suite.main()
