"""A real gRPC client and server, with health checking and all four kinds of calls through a failover."""

import concurrent.futures
import pathlib
import subprocess
import sys
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cases import Suite, expect
from certs import Authority
from lab import Process, free_port, service, wait_until

Status = grpc.StatusCode
LIMITS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


class Server(Process):
    """A backend that speaks gRPC; the ledger tells what it did, also after its death."""

    def __init__(self, stage, name, secure, port=0):
        self.stage, self.secure, self.backend = stage, secure, name
        self.ledger_path = stage.lab.folder / f"{name}-{id(self):x}.ledger"
        self._start(port)
        stage.lab.processes.append(self)

    def _start(self, port):
        pair = self.stage.pair
        tls = ["--tls", pair.cert_file, pair.key_file] if self.secure else []
        command = [sys.executable, "-m", "origin.grpc_server", "--name", self.backend,
                   "--port", port, "--ledger", self.ledger_path, *tls]
        super().__init__(f"grpc-{self.backend}", command, self.stage.lab.folder)
        self.port = int(self.wait_line(r"^listening on \S+:(\d+)$").group(1))
        self.url = f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def revive(self):
        Process.living.remove(self)
        self._start(self.port)

    def ledger(self):
        """Lines so far: (what, method, id)."""
        if not self.ledger_path.exists():
            return []
        return [tuple(line.split()) for line in self.ledger_path.read_text().splitlines()]


class Client:
    """Calls through one channel."""

    def __init__(self, channel):
        self.channel = channel
        make = lambda kind, method: getattr(channel, kind)(f"/understudy.Test/{method}")
        for method in ("Echo", "Wait", "Fail", "Remaining"):
            setattr(self, method.lower(), make("unary_unary", method))
        self.count = make("unary_stream", "Count")
        self.collect = make("stream_unary", "Collect")
        self.chat = make("stream_stream", "Chat")
        self.health = health_pb2_grpc.HealthStub(channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


class Scene:
    """Two gRPC servers, of which `dead` ones are ports that refuse, and the balancer."""

    def __init__(self, stage, secure_backends=False, dead=False, **keys):
        self.stage, self.servers = stage, []
        if dead:
            listed = [{"name": name, "url": f"http://127.0.0.1:{free_port()}"} for name in "ab"]
        else:
            self.servers = [Server(stage, name, secure_backends) for name in "ab"]
            listed = [{"name": s.backend, "url": s.url} for s in self.servers]
            self.a, self.b = self.servers
        trust = {"tls": {"ca": str(stage.ca.cert_file)}} if secure_backends else {}
        probe = {"tcp": {}, "interval": "250ms"}
        keys = {**service(), "backends": listed, "health": probe, "protocol": "http2", **trust, **keys}
        address = "127.0.0.1:0"
        listeners = [{"address": address, "h2c": True},
                     {"address": address, "tls": {"certificates": [stage.pair.entry()]}}]
        self.balancer = stage.lab.understudy(
            {"listeners": listeners, "services": {"web": keys}}, active=None if dead else "a")
        if not dead:
            self.balancer.wait_health("b", "up")

    def client(self, secure):
        address = "%s:%d" % self.balancer.listeners[1 if secure else 0]
        if secure:
            trust = grpc.ssl_channel_credentials(self.stage.ca.cert_pem)
            return Client(grpc.secure_channel(address, trust, LIMITS))
        return Client(grpc.insecure_channel(address, LIMITS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.balancer, *self.servers):
            process.end()


class Stage:
    """Certificates, and one scene for each kind of backend for the cases that break nothing."""

    def __init__(self, lab):
        self.lab = lab
        self.ca = Authority(lab.folder)
        self.pair = self.ca.server("server", ["localhost", "127.0.0.1"])
        self.steady = {secure: Scene(self, secure) for secure in (False, True)}


suite = Suite("grpc", Stage, concurrency=3)


def code_of(call):
    """The status of a call that may fail, of any kind."""
    try:
        call()
        return Status.OK
    except grpc.RpcError as error:
        return error.code()


# === What passes through ===

for outside in (False, True):
    for inside in (False, True):
        word = {False: "h2c", True: "TLS"}
        where = f"{word[outside]} to {word[inside]}"

        @suite.case(f"{where}: the four kinds of calls", outside, inside)
        def kinds(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                expect(client.echo(b"hello", timeout=10), b"a:hello")
                expect([m for m in client.count(b"3 1", timeout=10)], [b"a:0", b"a:1", b"a:2"])
                expect(client.collect(iter([b"12", b"345"]), timeout=10), b"a:2:5")
                chat = client.chat(iter([b"x", b"y"]), timeout=10)
                expect(list(chat), [b"a:x", b"a:y"])

        @suite.case(f"{where}: metadata and trailers", outside, inside)
        def metadata(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                _, call = client.echo.with_call(b"", timeout=10, metadata=[("x-given", "a b, c")])
                first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
                expect((first["x-server"], first["x-given"]), ("a", "a b, c"))
                expect((last["x-trailer"], last["x-bytes-bin"]), ("a", b"\x00\xff\n"))

        @suite.case(f"{where}: a failure of the server is the server's", outside, inside)
        def failure(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                try:
                    client.fail(b"", timeout=10)
                    raise AssertionError("it succeeded")
                except grpc.RpcError as error:
                    expect(error.code(), Status.FAILED_PRECONDITION)
                    expect(error.details(), "nicht möglich: 100 %\n")
                    expect(dict(error.trailing_metadata())["x-trailer"], "a")

        @suite.case(f"{where}: large messages", outside, inside)
        def large(stage, outside, inside):
            body = bytes(range(256)) * 40_000
            with stage.steady[inside].client(outside) as client:
                assert client.echo(body, timeout=20) == b"a:" + body, "changed on the way"

        @suite.case(f"{where}: health service", outside, inside)
        def health(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                request = health_pb2.HealthCheckRequest(service="understudy.Test")
                serving = health_pb2.HealthCheckResponse.SERVING
                expect(client.health.Check(request, timeout=10).status, serving)
                watch = client.health.Watch(request, timeout=10)
                expect(next(watch).status, serving)
                watch.cancel()

        @suite.case(f"{where}: a message arrives while the stream is open", outside, inside)
        def unbuffered(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                stream, begun = client.count(b"100 200", timeout=30), time.monotonic()
                expect((next(stream), next(stream)), (b"a:0", b"a:1"))
                assert time.monotonic() - begun < 5
                stream.cancel()

        @suite.case(f"{where}: cancellation reaches the server", outside, inside)
        def cancel(stage, outside, inside):
            scene, name = stage.steady[inside], f"cancel-{outside}"
            with scene.client(outside) as client:
                for method, message in (("Wait", b"30000"), ("Count", b"1000 100")):
                    call = f"{name}-{method}"
                    if method == "Wait":
                        future = client.wait.future(message, metadata=[("id", call)], timeout=60)
                    else:
                        future = client.count(message, metadata=[("id", call)], timeout=60)
                    wait_until("it runs", lambda: ("begin", method, call) in scene.a.ledger())
                    begun = time.monotonic()
                    future.cancel()
                    ended = lambda: any(line[2] == call and line[0] != "begin"
                                        for line in scene.a.ledger())
                    wait_until("the server hears of it", ended, 5)
                    assert time.monotonic() - begun < 5

        @suite.case(f"{where}: the deadline is passed on", outside, inside)
        def deadline_passed_on(stage, outside, inside):
            with stage.steady[inside].client(outside) as client:
                left = float(client.remaining(b"", timeout=7))
                # The client's library rounds up.
                assert 4 < left < 7.5, left


# === Deadlines and nobody there ===

def raw(scene, timeout, path="/understudy.Test/Echo"):
    """A call by curl, which gives up later than the deadline it asks for: who answers is not curl."""
    address = "http://%s:%d%s" % (*scene.balancer.listeners[0], path)
    command = ["curl", "-sS", "-m", "20", "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null",
               "-X", "POST", "--data-binary", "@-", "-H", "content-type: application/grpc",
               "-H", "te: trailers", address]
    if timeout:
        command += ["-H", f"grpc-timeout: {timeout}"]
    # An answer that comes before the request is sent to its end is followed by RST_STREAM (NO_ERROR,
    # RFC 9113 8.1), which curl 7.88 now and then takes for a broken stream (92).
    for _ in range(5):
        begun = time.monotonic()
        done = subprocess.run(command, input=b"\0\0\0\0\0", capture_output=True)
        if done.returncode != 92:
            break
    expect(done.returncode, 0, done.stderr)
    lines = done.stdout.decode().splitlines()
    fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return lines[0].split()[1], fields, time.monotonic() - begun


@suite.case("nobody is active: the deadline ends the call, by us")
def deadline_while_held(stage):
    with Scene(stage, dead=True, hold={"timeout": "8s"}) as scene:
        for timeout in ("500m", "500000u", "1S"):
            status, fields, seconds = raw(scene, timeout)
            expect((status, fields.get("grpc-status")), ("200", "4"), str(fields))
            assert fields["content-type"].startswith("application/grpc"), fields
            least = 1 if timeout == "1S" else 0.5
            assert least * 0.95 <= seconds < least + 1.5, seconds
        with scene.client(False) as client:
            begun = time.monotonic()
            expect(code_of(lambda: client.echo(b"", timeout=1)), Status.DEADLINE_EXCEEDED)
            assert time.monotonic() - begun < 3
            # A wait that was given up is not one that goes on.
            scene.balancer.wait_metric("understudy_requests_waiting", lambda n: n == 0)


@suite.case("nobody is active and the wait ends: UNAVAILABLE")
def unavailable(stage):
    with Scene(stage, dead=True, hold={"timeout": "1s"}) as scene:
        status, fields, seconds = raw(scene, None)
        expect((status, fields.get("grpc-status")), ("200", "14"), str(fields))
        assert fields["content-type"].startswith("application/grpc"), fields
        assert 0.9 < seconds < 3, seconds
        for secure in (False, True):
            with scene.client(secure) as client:
                expect(code_of(lambda: client.echo(b"", timeout=10)), Status.UNAVAILABLE)
                stream = lambda: list(client.count(b"1 1", timeout=10))
                expect(code_of(stream), Status.UNAVAILABLE)
                chat = lambda: list(client.chat(iter([b"x"]), timeout=10))
                expect(code_of(chat), Status.UNAVAILABLE)


@suite.case("too many wait: UNAVAILABLE or RESOURCE_EXHAUSTED at once, not HTML")
def overflow(stage):
    with Scene(stage, dead=True, hold={"timeout": "10s", "requests": 0}) as scene:
        status, fields, seconds = raw(scene, None)
        expect((status, fields.get("grpc-status") in ("14", "8")), ("200", True), str(fields))
        assert seconds < 2, seconds


@suite.case("a hung server: the deadline ends the call, by us")
def deadline_at_hung(stage):
    with Scene(stage) as scene:
        expect(raw(scene, None)[1].get("grpc-status"), "0")
        scene.a.stop()
        status, fields, seconds = raw(scene, "400m")
        expect((status, fields.get("grpc-status")), ("200", "4"), str(fields))
        assert 0.35 < seconds < 2, seconds


# === Failover ===

@suite.case("killed between calls: the same channel goes on at the standby", False)
@suite.case("killed between calls: the same channel goes on at the standby, TLS", True)
def killed_between(stage, secure):
    with Scene(stage, secure) as scene, scene.client(secure) as client:
        expect(client.echo(b"1", timeout=10), b"a:1")
        scene.a.kill()
        scene.balancer.wait_active("b")
        expect(client.echo(b"2", timeout=10), b"b:2")
        expect(list(client.count(b"2 1", timeout=10)), [b"b:0", b"b:1"])
        expect(client.collect(iter([b"1"]), timeout=10), b"b:1:1")
        expect(list(client.chat(iter([b"x"]), timeout=10)), [b"b:x"])
        scene.a.revive()
        scene.balancer.wait_active("a")
        expect(client.echo(b"3", timeout=10), b"a:3")


@suite.case("calls begun while nobody is active are served by the standby", False)
@suite.case("calls begun while nobody is active are served by the standby, TLS", True)
def begun_during(stage, secure):
    with Scene(stage, secure) as scene, scene.client(secure) as client:
        expect(client.echo(b"", timeout=10), b"a:")
        scene.a.kill()
        # By then the end of its connections has been seen; the decision takes two failures more.
        scene.balancer.wait_metric(
            "understudy_probes_total", lambda n: n >= 1, backend="a", verdict="fail")
        with concurrent.futures.ThreadPoolExecutor(40) as executor:
            unary = [executor.submit(client.echo, b"%d" % i, timeout=15) for i in range(20)]
            streams = [executor.submit(lambda: list(client.count(b"2 1", timeout=15)))
                       for _ in range(5)]
            chats = [executor.submit(lambda: list(client.chat(iter([b"x"]), timeout=15)))
                     for _ in range(5)]
            collects = [executor.submit(lambda: client.collect(iter([b"1"]), timeout=15))
                        for _ in range(5)]
            expect([f.result() for f in unary], [b"b:%d" % i for i in range(20)])
            expect({tuple(f.result()) for f in streams}, {(b"b:0", b"b:1")}.__eq__)
            expect({tuple(f.result()) for f in chats}, {(b"b:x",)}.__eq__)
            expect({f.result() for f in collects}, {b"b:1:1"}.__eq__)


@suite.case("killed under a load of unary calls: each at most once, only those under way fail", False)
@suite.case("killed under a load of unary calls: the same, TLS", True)
def killed_under_load(stage, secure):
    callers = 4
    with Scene(stage, secure) as scene, scene.client(secure) as client:
        results, over = [], threading.Event()

        def caller(number):
            i = 0
            while not over.is_set():
                call, i = f"{number}-{i}", i + 1
                begun = time.monotonic()
                try:
                    answer = client.echo(b"", timeout=15, metadata=[("id", call)])
                    results.append((call, begun, Status.OK, answer[:1]))
                except grpc.RpcError as error:
                    results.append((call, begun, error.code(), error.details()))

        with concurrent.futures.ThreadPoolExecutor(callers) as executor:
            runs = [executor.submit(caller, number) for number in range(callers)]
            try:
                wait_until("a load", lambda: len(results) > 100)
                scene.a.kill()
                killed = time.monotonic()
                served = lambda: sum(r[3] == b"b" for r in results)
                wait_until("the standby serves", lambda: served() > 100)
            finally:
                over.set()
            for run in runs:
                run.result()
        failed = [r for r in results if r[2] != Status.OK]
        for _, begun, code, _ in failed:
            expect(code, Status.UNAVAILABLE, str(failed))
            # While the process is being torn down its connections still take what is sent.
            assert begun < killed + 0.05, f"begun {begun - killed:.3f} s after: {failed}"
        first, second = ({line[2] for line in s.ledger() if line[0] == "begin"}
                         for s in scene.servers)
        assert not first & second, f"sent twice: {first & second}"


@suite.case("streams that run when the server is killed end with UNAVAILABLE", False)
@suite.case("streams that run when the server is killed end with UNAVAILABLE, TLS", True)
def running_streams(stage, secure):
    with Scene(stage, secure) as scene, scene.client(secure) as client:
        more = threading.Event()

        def requests():
            yield b"first"
            more.wait(20)
            yield b"second"

        count, chat = client.count(b"1000 20", timeout=30), client.chat(requests(), timeout=30)
        collect = client.collect.future(requests(), timeout=30, metadata=[("id", "collect")])
        wait = client.wait.future(b"20000", timeout=30, metadata=[("id", "wait")])
        expect((next(count), next(chat)), (b"a:0", b"a:first"))
        begun = lambda: {line[2] for line in scene.a.ledger()} >= {"collect", "wait"}
        wait_until("all four run", begun)
        scene.a.kill()
        killed = time.monotonic()
        for name, call in [("count", lambda: list(count)), ("chat", lambda: list(chat)),
                           ("collect", collect.result), ("wait", wait.result)]:
            expect(code_of(call), Status.UNAVAILABLE, name)
        assert time.monotonic() - killed < 5
        more.set()
        expect(client.echo(b"new", timeout=15), b"b:new")
        expect([line for line in scene.b.ledger() if line[1] in ("Wait", "Collect")], [])


@suite.case("a hung server: later calls go to the standby")
def hung(stage):
    # A call that no server knows is answered with 200 and a grpc-status: alive. A connection alone
    # would be accepted by the kernel.
    probe = {"method": "POST", "path": "/understudy.Test/None", "status": 200,
             "headers": {"content-type": "application/grpc"}}
    health = {"http": probe, "interval": "250ms", "timeout": "500ms"}
    with Scene(stage, health=health) as scene, scene.client(False) as client:
        expect(client.echo(b"1", timeout=10), b"a:1")
        scene.a.stop()
        scene.balancer.wait_active("b")
        expect(client.echo(b"2", timeout=15), b"b:2")
        scene.a.resume()


if __name__ == "__main__":
    suite.main()
