"""Certificate files exchanged under the running balancer, the ways people and tools do it.

New handshakes get the new chain, old connections live on; a pair that is no pair changes nothing, and
the balancer says so in its log and its metrics.
"""

import datetime
import os
import signal
import socket
import ssl

from cryptography import x509

import certs
from cases import Suite, expect
from certs import Authority, write_over
from lab import service, wait_until
from suites.wire import Wire

HOUR = datetime.timedelta(hours=1)


class Scene:
    """A balancer with one TLS listener, whose pair is `tls.crt` and `tls.key` in a folder of its own."""

    def __init__(self, stage, name, mounted=False):
        self.ca, self.stage = stage.ca, stage
        self.folder = stage.lab.folder / name.replace(" ", "-")
        self.folder.mkdir()
        self.cert, self.key = self.folder / "tls.crt", self.folder / "tls.key"
        self.first = self.issue("first")
        if mounted:
            # As Kubernetes mounts a secret: files are links through `..data` to a dated folder.
            self.mount(self.first, "..2026_01")
            for file in (self.cert, self.key):
                file.symlink_to(f"..data/{file.name}")
        else:
            self.cert.write_bytes(self.first.cert_pem)
            self.key.write_bytes(self.first.key_pem)
        tls = {"certificates": [{"cert": str(self.cert), "key": str(self.key)}]}
        listeners = [{"address": "127.0.0.1:0", "tls": tls}]
        self.config = {"listeners": listeners, "services": {"web": service(stage.a)}}
        self.balancer = stage.lab.understudy(self.config, "a")
        self.address = self.balancer.listeners[0]

    def issue(self, name, **keys):
        return self.ca.server(f"{self.folder.name}-{name}", ["localhost", f"{name}.test"], **keys)

    def mount(self, pair, dated):
        """Puts a pair into a new dated folder and turns `..data` to it in one step."""
        inside = self.folder / dated
        inside.mkdir()
        (inside / "tls.crt").write_bytes(pair.cert_pem)
        (inside / "tls.key").write_bytes(pair.key_pem)
        (self.folder / "..data_tmp").symlink_to(dated)
        os.replace(self.folder / "..data_tmp", self.folder / "..data")

    def replace(self, pair):
        write_over(self.key, pair.key_pem)
        write_over(self.cert, pair.cert_pem)

    def serial(self):
        """Of the certificate that a new handshake gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self.address, timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return x509.load_der_x509_certificate(secure.getpeercert(True)).serial_number

    def wait_shown(self, pair):
        wait_until(f"{pair.name} is shown", lambda: self.serial() == pair.serial)
        # Every worker shows it, not only the one that was asked.
        expect({self.serial() for _ in range(20)}, {pair.serial}.__eq__)

    def wire(self):
        return Wire(self.address, certs_context(self.ca))

    def wait_complaint(self, since, name):
        """The log names the file, and a metric says that a file was refused."""
        self.balancer.wait_log(rf"(?i)(warn|error)[^\n]*{name}", since)

        def complained():
            return [
                (sample, labels, value) for sample, labels, value in self.balancer.metrics()
                if (sample == "understudy_reloads_total" and labels["result"] == "failure" and value)
                or ("certificate" in sample and "success" in sample and value == 0)
                or ("certificate" in sample and "fail" in sample and value)
            ]
        wait_until("a metric says so", complained)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.balancer.end()


def certs_context(ca):
    context = ssl.create_default_context(cadata=ca.cert_pem.decode())
    context.set_alpn_protocols(["http/1.1"])
    return context


class Stage:
    """An authority and one backend for all."""

    def __init__(self, lab):
        self.lab = lab
        self.ca, self.stranger = Authority(lab.folder), Authority(lab.folder, "stranger")
        self.a = lab.origin("a")


suite = Suite("certs", Stage, concurrency=4)


@suite.case("renamed over: new handshakes get the new one, old connections live on")
def renamed(stage):
    with Scene(stage, "renamed") as scene:
        scene.wait_shown(scene.first)
        old = [scene.wire() for _ in range(4)]
        expect([wire.get()[0] for wire in old], [200] * 4)
        second = scene.issue("second")
        scene.replace(second)
        scene.wait_shown(second)
        expect([wire.get()[0] for wire in old], [200] * 4, "the old connections")


@suite.case("another kind of key")
def another_kind(stage):
    with Scene(stage, "kind") as scene:
        second = scene.issue("second", kind="rsa")
        scene.replace(second)
        scene.wait_shown(second)


@suite.case("written in place")
def in_place(stage):
    with Scene(stage, "in-place") as scene:
        second = scene.issue("second")
        scene.key.write_bytes(second.key_pem)
        scene.cert.write_bytes(second.cert_pem)
        scene.wait_shown(second)


@suite.case("links turned, as Kubernetes does, twice")
def mounted(stage):
    with Scene(stage, "mounted", mounted=True) as scene:
        scene.wait_shown(scene.first)
        for number in (2, 3):
            pair = scene.issue(f"pair{number}")
            scene.mount(pair, f"..2026_0{number}")
            scene.wait_shown(pair)


@suite.case("without the file watch: SIGHUP")
def signalled(stage):
    with Scene(stage, "signalled") as scene:
        second = scene.issue("second")
        scene.replace(second)
        scene.balancer.signal(signal.SIGHUP)
        scene.wait_shown(second)


def broken(scene, how):
    """Puts something that is no pair in place; returns the name that a complaint must have."""
    second = scene.issue("second")
    match how:
        case "half a certificate":
            write_over(scene.key, second.key_pem)
            write_over(scene.cert, second.cert_pem[: len(second.cert_pem) // 2])
        case "the key of another":
            write_over(scene.key, second.key_pem)
        case "the certificate of another":
            write_over(scene.cert, second.cert_pem)
        case "an empty certificate":
            write_over(scene.cert, b"")
        case "an empty key":
            write_over(scene.key, b"")
        case "no PEM":
            write_over(scene.cert, b"hello\n")
        case "certificate gone":
            scene.cert.unlink()
        case "expired":
            scene.replace(scene.issue("old", begins=-2 * certs.DAY, ends=-HOUR))
        case _:
            raise ValueError(how)
    return r"tls\.(crt|key)"


for how in ("half a certificate", "the key of another", "the certificate of another",
            "an empty certificate", "an empty key", "no PEM", "certificate gone", "expired"):
    @suite.case(f"{how}: the old pair stays, and the balancer says so", how)
    def refused(stage, how):
        with Scene(stage, how) as scene:
            since = len(scene.balancer.stderr())
            with scene.wire() as old:
                expect(old.get()[0], 200)
                name = broken(scene, how)
                scene.wait_complaint(since, name)
                expect({scene.serial() for _ in range(10)}, {scene.first.serial}.__eq__)
                expect(old.get()[0], 200, "the old connection")
            # And it is not stuck: a good pair is taken.
            third = scene.issue("third")
            scene.replace(third)
            scene.wait_shown(third)


@suite.case("a reload of the config with a bad pair changes nothing")
def bad_config(stage):
    with Scene(stage, "bad-config") as scene:
        other = scene.issue("other")
        pairs = [scene.config["listeners"][0]["tls"]["certificates"][0],
                 {"cert": str(other.cert_file), "key": str(scene.first.key_file)}]
        listener = {"address": "127.0.0.1:0", "tls": {"certificates": pairs}}
        scene.balancer.reload({**scene.config, "listeners": [listener]}, result="failure")
        scene.wait_shown(scene.first)


@suite.case("expiry of every certificate is in the metrics")
def expiry(stage):
    with Scene(stage, "expiry") as scene:
        def found():
            ends = scene.first.certificate.not_valid_after_utc.timestamp()
            return [
                sample for sample, labels, value in scene.balancer.metrics()
                if "certificate" in sample and "listener" in str(labels) + sample
                and abs(value - ends) < 2
            ]
        assert found(), "no metric has the time of expiry"


@suite.case("trusted authorities and CRLs of clients are exchanged too")
def client_trust(stage):
    folder = stage.lab.folder / "trust"
    folder.mkdir()
    server = stage.ca.server("trust-server", ["localhost"])
    client = stage.ca.client("trust-client")
    bundle, crl = folder / "ca.pem", folder / "crl.pem"
    bundle.write_bytes(stage.ca.cert_pem)
    nobody = stage.ca.crl("crl-nobody").read_bytes()
    crl.write_bytes(nobody)
    auth = {"ca": str(bundle), "crl": [str(crl)]}
    tls = {"certificates": [server.entry()], "client_auth": auth}
    config = {"listeners": [{"address": "127.0.0.1:0", "tls": tls}],
              "services": {"web": service(stage.a)}}
    balancer = stage.lab.understudy(config, "a")

    def served():
        context = certs_context(stage.ca)
        context.load_cert_chain(client.cert_file, client.key_file)
        try:
            with Wire(balancer.listeners[0], context) as wire:
                return wire.get()[0] == 200
        except (OSError, ssl.SSLError):
            return False
    assert served(), "a good client is refused"
    write_over(crl, stage.ca.crl("crl-client", client).read_bytes())
    wait_until("the revoked one is refused", lambda: not served())
    write_over(crl, nobody)
    wait_until("it is served again", served)
    write_over(bundle, stage.stranger.cert_pem)
    wait_until("its authority is no longer trusted", lambda: not served())
    balancer.end()


if __name__ == "__main__":
    suite.main()
