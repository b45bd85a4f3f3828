"""Probes of the gRPC health protocol (`health.grpc`), asked of grpcio's own health service."""

import json

import grpc

from cases import Suite, expect
from certs import Authority
from lab import fetch, service, wait_until
from origin.grpc_server import SERVICE
from suites.grpc import Server


class Stage:
    """Certificates for the servers that want them."""

    def __init__(self, lab):
        self.lab = lab
        self.ca = Authority(lab.folder)
        self.pair = self.ca.server("server", ["localhost", "127.0.0.1"])


class Scene:
    """Two gRPC servers and the balancer, which asks them for the health of `asked`."""

    def __init__(self, stage, asked="", secure=False, active="a", **keys):
        self.servers = self.a, self.b = [Server(stage, name, secure) for name in "ab"]
        listed = [{"name": server.backend, "url": server.url} for server in self.servers]
        trust = {"tls": {"ca": str(stage.ca.cert_file)}} if secure else {}
        probe = {"grpc": {"service": asked} if asked else {}, "interval": "250ms"}
        keys = {**service(), "backends": listed, "health": probe, **trust, **keys}
        config = {"listeners": [{"address": "127.0.0.1:0"}], "services": {"web": keys}}
        self.balancer = stage.lab.understudy(config, active=active)
        if active:
            self.balancer.wait_health("b", "up")

    def tell(self, server, status, of=""):
        """Has the health service of a server say this from now on."""
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/SetHealth")
            call(f"{of} {status}".encode(), timeout=10, wait_for_ready=True)

    def wait_words(self, words):
        """Waits until the log or the status says so."""
        def look():
            return words in self.balancer.stderr() or \
                words in json.dumps(json.loads(fetch(self.balancer.admin, "/status")[2]))
        wait_until(f"it says {words!r}", look)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.balancer, *self.servers):
            process.end()


suite = Suite("health_grpc", Stage, concurrency=4)

for protocol in ("auto", "http1", "http2"):
    @suite.case(f"NOT_SERVING moves the service, SERVING brings it back; protocol {protocol}", protocol)
    def flips(stage, protocol):
        with Scene(stage, protocol=protocol) as scene:
            scene.tell(scene.a, "NOT_SERVING")
            scene.balancer.wait_active("b")
            scene.balancer.wait_health("a", "down")
            scene.wait_words("NOT_SERVING")
            scene.tell(scene.a, "SERVING")
            scene.balancer.wait_active("a")


@suite.case("over TLS")
def over_tls(stage):
    with Scene(stage, secure=True, protocol="http2") as scene:
        scene.a.kill()
        scene.balancer.wait_active("b")
        scene.a.revive()
        scene.balancer.wait_active("a")


@suite.case("the health of a named service counts, not that of the server")
def named(stage):
    with Scene(stage, asked=SERVICE) as scene:
        scene.tell(scene.a, "NOT_SERVING")
        # Whoever asked for the server as a whole would have left it before this.
        scene.tell(scene.b, "NOT_SERVING", of=SERVICE)
        scene.balancer.wait_health("b", "down")
        expect(scene.balancer.active(), "a")
        scene.tell(scene.b, "SERVING", of=SERVICE)
        scene.balancer.wait_health("b", "up")
        scene.tell(scene.a, "UNKNOWN", of=SERVICE)
        scene.balancer.wait_active("b")
        scene.wait_words(f"the service {SERVICE} is UNKNOWN")


@suite.case("a service that the server does not know is down, and the words say so")
def unknown(stage):
    with Scene(stage, asked="no.such.Service", active=None) as scene:
        for name in "ab":
            scene.balancer.wait_health(name, "down")
        scene.wait_words("does not know the service no.such.Service")


@suite.case("a server that is killed is left")
def killed(stage):
    with Scene(stage) as scene:
        scene.a.kill()
        scene.balancer.wait_active("b")


@suite.case("a server that hangs is left")
def hangs(stage):
    with Scene(stage) as scene:
        scene.a.stop()
        scene.balancer.wait_active("b")


if __name__ == "__main__":
    suite.main()
