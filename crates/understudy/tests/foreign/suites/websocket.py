"""WebSockets through a failover and a failback, with each policy for streams, in three transports."""

import concurrent.futures
import socket
import time

from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from cases import Suite, expect
from certs import Authority
from lab import service, wait_until
from suites.sockets import Extended, Plain, Refused, trusting

# So many of each transport, so that a window shows.
EACH = 4


class Scene:
    """Two backends, a balancer with three listeners."""

    def __init__(self, stage, options=(), **keys):
        self.stage = stage
        self.a, self.b = stage.lab.pair(*options)
        pair = {"certificates": [stage.pair.entry()]}
        listeners = [{"address": "127.0.0.1:0", "h2c": True},
                     {"address": "127.0.0.1:0", "tls": pair}]
        self.balancer = stage.lab.understudy(
            {"listeners": listeners, "services": {"web": service(self.a, self.b, **keys)}}, "a")
        self.balancer.wait_health("b", "up")

    def open(self, transport, path="/ws"):
        """A new WebSocket: `ws`, `wss`, `h2` or `h2c`."""
        plain, secure = self.balancer.listeners
        tls = lambda *alpn: trusting(self.stage.ca.cert_pem, *alpn)
        match transport:
            case "ws":
                return Plain(plain, path)
            case "wss":
                return Plain(secure, path, tls("http/1.1"))
            case "h2":
                return Extended(secure, path, tls("h2"))
            case "h2c":
                return Extended(plain, path)
        raise ValueError(transport)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.balancer, self.a, self.b):
            process.end()


class Stage:
    """Certificates, and a scene for the cases that break nothing."""

    def __init__(self, lab):
        self.lab = lab
        self.ca = Authority(lab.folder)
        self.pair = self.ca.server("server", ["localhost", "127.0.0.1"])
        self.steady = Scene(self)
        options = ["--tls", self.pair.cert_file, self.pair.key_file]
        trust = {"tls": {"ca": str(self.ca.cert_file), "server_name": "localhost"}}
        self.kinds = {
            "https by ALPN": lambda: Scene(self, options, **trust),
            "h2c": lambda: Scene(self, ["--h2c"], protocol="http2"),
        }


suite = Suite("websocket", Stage, concurrency=4)

TRANSPORTS = ("ws", "wss", "h2", "h2c")


def says(client):
    """Which backend is at the other end."""
    client.send("who")
    return client.receive()


# === What passes through ===

for transport in TRANSPORTS:
    @suite.case(f"{transport}: text, bytes, big and fragmented messages, ping", transport)
    def messages(stage, transport):
        client = stage.steady.open(transport)
        expect(says(client), "a")
        for message in ("grüße", b"\x00\xff" * 10, b"x" * 5_000_000, "", "y" * 70_000):
            client.send(message)
            assert client.receive(20) == message, f"{len(message)} changed on the way"
        client.send(["one ", "two ", "", "three"])
        expect(client.receive(), "one two three")
        assert client.ping(), "no pong"
        client.close()

    @suite.case(f"{transport}: many messages in flight come in order", transport)
    def order(stage, transport):
        client = stage.steady.open(transport)
        for number in range(500):
            client.send(str(number))
        expect([client.receive() for _ in range(500)], [str(n) for n in range(500)])
        client.close()

    @suite.case(f"{transport}: a refusal of the backend is the answer", transport)
    def refusal(stage, transport):
        for status in (403, 404):
            try:
                stage.steady.open(transport, f"/status/{status}").close()
                raise AssertionError("it was upgraded")
            except Refused as refused:
                expect(refused.status, status)

    @suite.case(f"{transport}: a 200 is not an upgrade", transport)
    def not_upgrade(stage, transport):
        try:
            stage.steady.open(transport, "/not-upgrade").close()
            raise AssertionError("it was upgraded")
        except Refused as refused:
            # In HTTP/1.1 the 200 is an ordinary answer; in HTTP/2 it would say: connected.
            wanted = {200} if transport in ("ws", "wss") else {502, 501, 403}
            expect(refused.status, lambda s: s in wanted or str(s).startswith("reset"))

for kind in ("https by ALPN", "h2c"):
    @suite.case(f"backends that speak {kind}", kind)
    def backend_kind(stage, kind):
        with stage.kinds[kind]() as scene:
            for transport in TRANSPORTS:
                client = scene.open(transport)
                expect(says(client), "a")
                client.send(b"x" * 300_000)
                expect(len(client.receive()), 300_000)
                client.close()


UPGRADE = ("GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


@suite.case("bytes behind the request for an upgrade are not sent early")
def not_early(stage):
    path = "/ws?late=400&mark=early"
    frame = Connection(ConnectionType.CLIENT).send(TextMessage(data="hasty"))
    with socket.create_connection(stage.steady.balancer.listeners[0], timeout=10) as connection:
        connection.sendall(UPGRADE.format(path=path).encode() + frame)
        got = b""
        while b"hasty" not in got:
            part = connection.recv(4096)
            if not part:
                break
            got += part
        assert got.startswith(b"HTTP/1.1 101"), got
        assert b"hasty" in got, f"lost: {got}"
    record, = [r for r in stage.steady.a.journal() if r["path"] == path]
    expect(record["early"], 0, "bytes before the 101")


@suite.case("what follows a refused upgrade is a request like any other, or nothing")
def smuggled(stage):
    with socket.create_connection(stage.steady.balancer.listeners[0], timeout=2) as connection:
        behind = b"GET /name?behind HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
        connection.sendall(UPGRADE.format(path="/not-upgrade").encode() + behind)
        got = b""
        try:
            while got.count(b"HTTP/1.1 200") < 2 and (part := connection.recv(4096)):
                got += part
        except TimeoutError:
            pass
        assert got.startswith(b"HTTP/1.1 200"), got
    for record in stage.steady.a.journal():
        if record["path"] == "/name?behind":
            expect(dict(record["headers"])["x-forwarded-for"], "127.0.0.1", "passed on as it came")


# === Failover and failback ===

def endings(clients, deadline):
    """How each ends: (code, when)."""
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as executor:
        return list(executor.map(lambda client: client.wait_end(deadline), clients))


def moved(scene, move):
    """Prepares, and returns the backend that is left, its successor, and what starts the move."""
    if move == "failover":
        return scene.a, scene.b, lambda: scene.a.set_health(503)
    scene.a.set_health(503)
    scene.balancer.wait_active("b")
    return scene.b, scene.a, lambda: scene.a.set_health(200)


def opened(scene, old):
    clients = [scene.open(transport) for transport in ("ws", "wss", "h2") for _ in range(EACH)]
    for client in clients:
        expect(says(client), old.name)
    return clients


for move in ("failover", "failback"):
    @suite.case(f"{move}, keep: they go on, new ones go to the new active", move)
    def keep(stage, move):
        with Scene(stage, streams={move: "keep"}) as scene:
            old, new, start = moved(scene, move)
            clients = opened(scene, old)
            start()
            scene.balancer.wait_active(new.name)
            ends = time.monotonic() + 2.5
            while time.monotonic() < ends:
                for client in clients:
                    expect(says(client), old.name)
            for transport in ("ws", "wss", "h2"):
                expect(says(scene.open(transport)), new.name, f"a new {transport}")
            # They end like any others.
            for client in clients:
                client.close()

    for policy, least, window in [("drain", 2.0, 2.0), ("close", 0.0, 2.0)]:
        @suite.case(f"{move}, {policy}: closed with 1012 or 1001, spread over the window",
                    move, policy, least, window)
        def ended(stage, move, policy, least, window):
            keys = {"window": f"{window:g}s"}
            if policy == "drain":
                keys["deadline"] = f"{least:g}s"
            with Scene(stage, streams={move: {policy: keys}}) as scene:
                old, new, start = moved(scene, move)
                clients = opened(scene, old)
                start()
                scene.balancer.wait_active(new.name)
                begun = time.monotonic()
                expect(says(scene.open("ws")), new.name, "a new one")
                if policy == "drain":
                    for client in clients:
                        expect(says(client), old.name, "before the deadline")
                ends = endings(clients, least + window + 5)
                codes = {code for code, _ in ends}
                assert codes <= {1001, 1012}, f"close codes {codes}"
                times = sorted(when - begun for _, when in ends)
                assert times[0] >= least - 0.4, f"too early: {times}"
                assert times[-1] <= least + window + 1, f"too late: {times}"
                # A dozen at random in the window: all within a fifth of it would be no spreading.
                assert times[-1] - times[0] > window / 5, f"all at once: {times}"
                wait_until("the old backend hears of it",
                           lambda: all(r.get("closed") or r["aborted"] for r in old.journal()
                                       if r["path"] == "/ws"), 5)


@suite.case("the primary is killed: every WebSocket ends soon, new ones go to the standby")
def killed(stage):
    with Scene(stage) as scene:
        clients = opened(scene, scene.a)
        scene.a.kill()
        begun = time.monotonic()
        for _, when in endings(clients, 10):
            assert when - begun < 3, when - begun
        for transport in TRANSPORTS:
            expect(says(scene.open(transport)), "b")


@suite.case("a handshake begun while nobody is active waits for the standby")
def handshake_held(stage):
    with Scene(stage) as scene:
        scene.a.kill()
        with concurrent.futures.ThreadPoolExecutor() as executor:
            waiting = [executor.submit(scene.open, transport) for transport in TRANSPORTS]
            expect([says(client.result()) for client in waiting], ["b"] * len(TRANSPORTS))


if __name__ == "__main__":
    suite.main()
