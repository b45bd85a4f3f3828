"""Server-sent events, long downloads and uploads, idle WebSockets at a failover and a failback.

Under each policy: what goes on, what ends when, and whether the balancer's figures say so.
"""

import json
import signal
import time

import h2.events

from cases import Suite, expect
from certs import Authority
from lab import Trouble, service, wait_until
from suites.running import Running
from suites.sockets import Goaway, Session, trusting

KINDS = [(kind, protocol) for kind in ("sse", "download", "upload", "websocket")
         for protocol in ("h1", "h2")]


class Scene:
    """Two backends and a balancer; HTTP/1.1 in the clear, HTTP/2 over TLS."""

    def __init__(self, stage, **keys):
        self.a, self.b = stage.lab.pair()
        self.trust = lambda: trusting(stage.ca.cert_pem, "h2")
        tls = {"certificates": [stage.pair.entry()]}
        listeners = [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}]
        services = {"web": service(self.a, self.b, **keys)}
        self.text = json.dumps({"listeners": listeners, "services": services})
        self.balancer = stage.lab.understudy(self.config(), "a")
        self.balancer.wait_health("b", "up")

    def config(self):
        """A copy of the config, to be changed."""
        return json.loads(self.text)

    def begin(self, kind, protocol, seconds):
        plain, secure = self.balancer.listeners
        if protocol == "h1":
            return Running(kind, protocol, plain, None, seconds)
        return Running(kind, protocol, secure, self.trust(), seconds)

    def begin_all(self, seconds, old):
        """One of each kind, all under way at this backend."""
        runs = [self.begin(kind, protocol, seconds) for kind, protocol in KINDS]
        self.under_way(runs, old)
        return runs

    def under_way(self, runs, old):
        wait_until("all are under way", lambda: all(run.progress for run in runs))
        uploads = sum(run.kind == "upload" for run in runs)
        arrived = lambda: sum(r["path"] == "/echo?upload" and not r["complete"]
                              for r in old.journal())
        try:
            wait_until("the uploads have arrived", lambda: arrived() >= uploads)
        except Trouble as trouble:
            raise Trouble(f"{trouble}: {runs} {old.journal()}") from None

    def left(self, count, closed):
        """Waits until the figures of the streams are these."""
        self.balancer.wait_metric("understudy_streams_left_total", lambda n: n == count)
        self.balancer.wait_metric("understudy_streams_closed_total", lambda n: n == closed)

    def move(self, which):
        """The backend that will be left, the next, and what starts the move."""
        if which == "failover":
            return self.a, self.b, lambda: self.a.set_health(503)
        self.a.set_health(503)
        self.balancer.wait_active("b")
        return self.b, self.a, lambda: self.a.set_health(200)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.balancer, self.a, self.b):
            process.end()


class Stage:
    """Certificates."""

    def __init__(self, lab):
        self.lab = lab
        self.ca = Authority(lab.folder)
        self.pair = self.ca.server("server", ["localhost", "127.0.0.1"])


suite = Suite("streams", Stage, concurrency=3)


def all_ended(runs, deadline):
    try:
        wait_until("all have ended", lambda: all(run.ended for run in runs), deadline)
    except Trouble as trouble:
        raise Trouble(f"{trouble}: {runs}") from None


for move in ("failover", "failback"):
    @suite.case(f"{move}, keep: all go on to their end", move)
    def keep(stage, move):
        with Scene(stage, streams={move: "keep"}) as scene:
            old, new, start = scene.move(move)
            runs = scene.begin_all(5, old)
            start()
            scene.balancer.wait_active(new.name)
            before = {run: run.progress for run in runs}
            fresh = scene.begin("sse", "h1", 0.5)
            bodies = [run for run in runs if run.kind != "websocket"]
            all_ended([*bodies, fresh], 15)
            assert all(run.complete for run in [*bodies, fresh]), runs
            expect(fresh.origin, new.name, "where a new one goes")
            assert all(run.progress > before[run] + 5 for run in bodies), f"{before} {runs}"
            idle = [run for run in runs if run.kind == "websocket"]
            assert not any(run.ended for run in idle), idle
            scene.left(len(runs), 0)

    for policy, deadline, window in [("drain", 2.5, 1.5), ("close", 0.0, 1.5)]:
        @suite.case(f"{move}, {policy}: long ones end in the window, short ones as they should",
                    move, policy, deadline, window)
        def ended(stage, move, policy, deadline, window):
            keys = {"window": f"{window:g}s"}
            if policy == "drain":
                keys["deadline"] = f"{deadline:g}s"
            with Scene(stage, streams={move: {policy: keys}}) as scene:
                old, new, start = scene.move(move)
                long = scene.begin_all(20, old)
                short = []
                if policy == "drain":
                    short = [scene.begin(kind, protocol, 2) for kind, protocol in KINDS[:6]]
                    scene.under_way(short, old)
                start()
                scene.balancer.wait_active(new.name)
                begun = time.monotonic()
                fresh = scene.begin("sse", "h2", 0.5)
                all_ended([*long, *short, fresh], deadline + window + 5)
                expect((fresh.complete, fresh.origin), (True, new.name), "a new one")
                assert all(run.complete for run in short), f"cut short: {short}"
                assert not any(run.complete for run in long), f"look complete: {long}"
                times = {run: run.ended - begun for run in long}
                assert min(times.values()) >= deadline - 0.4, f"too early: {times}"
                assert max(times.values()) <= deadline + window + 1, f"too late: {times}"
                scene.left(len(long) + len(short), len(long))
                gone = lambda: [r for r in old.journal() if r["path"] != "/name"
                                and not (r["aborted"] or r["complete"] or r.get("closed"))]
                wait_until("the old backend hears of all ends", lambda: not gone(), 5)


@suite.case("the primary is killed: each ends soon, none looks complete, new ones go on")
def killed(stage):
    with Scene(stage) as scene:
        runs = scene.begin_all(20, scene.a)
        scene.a.kill()
        killed = time.monotonic()
        all_ended(runs, 10)
        late = [run for run in runs if run.ended - killed > 3]
        assert not late, late
        assert not any(run.complete for run in runs), runs
        fresh = [scene.begin(kind, protocol, 0.5) for kind, protocol in KINDS[:6]]
        all_ended(fresh, 15)
        assert all(run.complete for run in fresh), fresh


@suite.case("a reload that changes the service leaves them alone")
def reloaded(stage):
    with Scene(stage) as scene:
        runs = scene.begin_all(3, scene.a)
        config = scene.config()
        config["services"]["web"]["hold"] = {"requests": 77}
        scene.balancer.reload(config)
        fresh = scene.begin("sse", "h2", 0.5)
        bodies = [run for run in [*runs, fresh] if run.kind != "websocket"]
        all_ended(bodies, 15)
        assert all(run.complete for run in bodies), runs
        assert not any(run.ended for run in runs if run.kind == "websocket"), runs


@suite.case("SIGTERM: HTTP/2 gets GOAWAY, what runs is finished, the exit code is 0")
def terminated(stage):
    with Scene(stage) as scene:
        runs = [scene.begin(kind, protocol, 2) for kind, protocol in KINDS[:6]]
        scene.under_way(runs, scene.a)
        session = Session(scene.balancer.listeners[1], scene.trust())
        slow = session.request("/slow/1500")
        wait_until("it is under way", lambda: any(
            r["path"] == "/slow/1500" for r in scene.a.journal()))
        scene.balancer.signal(signal.SIGTERM)
        goaway = session.wait(Goaway)
        assert goaway and goaway.error_code == 0, goaway
        answer = session.wait(h2.events.ResponseReceived, slow)
        assert answer and dict(answer.headers)[":status"] == "200", answer
        all_ended(runs, 15)
        assert all(run.complete for run in runs), runs
        session.close()
        expect(scene.balancer.process.wait(timeout=20), 0, "exit code")


@suite.case("a load of ordinary requests is not counted as streams")
def not_streams(stage):
    with Scene(stage, streams={"failover": {"close": {"window": "1s"}}}) as scene:
        for _ in range(20):
            run = scene.begin("download", "h1", 0.1)
            all_ended([run], 5)
            assert run.complete, run
        scene.a.set_health(503)
        scene.balancer.wait_active("b")
        scene.left(0, 0)


@suite.case("a silent stream outlives `idle`, and ends at `stream_idle`")
def silence(stage):
    timeouts = {"idle": "600ms", "stream_idle": "3s"}
    with Scene(stage, timeouts=timeouts) as scene:
        runs = [scene.begin("websocket", protocol, 0) for protocol in ("h1", "h2")]
        wait_until("they are open", lambda: all(run.progress for run in runs))
        begun = time.monotonic()
        all_ended(runs, 10)
        for run in runs:
            seconds = run.ended - begun
            assert 2.5 < seconds < 5, f"{seconds} s: {run}"


if __name__ == "__main__":
    suite.main()
