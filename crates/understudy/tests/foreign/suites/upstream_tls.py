"""TLS towards backends: whom the balancer trusts, as whom it comes, and which names it uses."""

import base64
import datetime
import hashlib
import json

from cryptography.hazmat.primitives import serialization

from cases import Suite, expect
from certs import Authority, DAY
from lab import fetch, service, wait_until


def pin(pair):
    """`sha256//` of the public key, as curl has it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key = pair.key.public_key().public_bytes(serialization.Encoding.DER, form)
    return f"sha256//{base64.b64encode(hashlib.sha256(key).digest()).decode()}"


class Stage:
    """One balancer, and for each case a service with a backend of its own."""

    def __init__(self, lab):
        self.ca, self.stranger = Authority(lab.folder), Authority(lab.folder, "stranger")
        good = self.ca.server("good", ["localhost", "127.0.0.1"])
        named = self.ca.server("named", ["backend.internal"])
        old = self.ca.server("old", ["127.0.0.1"], begins=-3 * DAY, ends=-DAY)
        client, wrong = self.ca.client("client", "balancer"), self.stranger.client("wrong", "other")
        trust = {"ca": str(self.ca.cert_file)}
        options = lambda pair, *more: ["--tls", pair.cert_file, pair.key_file, *more]
        asks = options(good, "--client-ca", self.ca.cert_file)
        # By service: the backend's options, the keys of `tls`, further keys, and whether it works.
        table = {
            "trusted": (options(good), trust, {}, True),
            "not-trusted": (options(good), {"ca": str(self.stranger.cert_file)}, {}, False),
            "system-roots": (options(good), {}, {}, False),
            "insecure": (options(good), {"insecure": True}, {}, True),
            "expired": (options(old), trust, {}, False),
            "wrong-name": (options(named), trust, {}, False),
            "server-name": (options(named), {**trust, "server_name": "backend.internal"}, {}, True),
            "verify-name": (options(named), {**trust, "server_name": "sni.test",
                                             "verify_name": "backend.internal"}, {}, True),
            "wrong-verify-name": (options(named), {**trust, "server_name": "backend.internal",
                                                   "verify_name": "other.internal"}, {}, False),
            "client-certificate": (asks, {**trust, "certificate": client.entry()}, {}, True),
            "no-client-certificate": (asks, trust, {}, False),
            "wrong-client-certificate": (asks, {**trust, "certificate": wrong.entry()}, {}, False),
            "pinned": (options(good), {**trust, "pins": [pin(named), pin(good)]}, {}, True),
            "wrongly-pinned": (options(good), {**trust, "pins": [pin(named)]}, {}, False),
            "insecure-wrongly-pinned": (
                options(good), {"insecure": True, "pins": [pin(named)]}, {}, False),
            "insecure-pinned": (options(old), {"insecure": True, "pins": [pin(old)]}, {}, True),
            "probes-differ": (options(good), {"ca": str(self.stranger.cert_file)},
                              {"probe": trust}, True),
            "http2": (options(good), trust, {"protocol": "http2"}, True),
            "http1": (options(good), trust, {"protocol": "http1"}, True),
            "http2-not-spoken": (
                options(good, "--alpn", "http/1.1"), trust, {"protocol": "http2"}, False),
        }
        services, self.origins, self.works = {}, {}, {}
        for name, (arguments, tls, keys, works) in table.items():
            self.origins[name] = lab.origin(f"for-{name}", *arguments)
            services[name] = service(self.origins[name], tls=tls, hold={"timeout": "500ms"},
                                     **{key: keys[key] for key in keys if key != "probe"})
            if "probe" in keys:
                services[name]["health"]["tls"] = keys["probe"]
            self.works[name] = works
        routes = [{"host": f"{name}.svc", "path": "/", "service": name} for name in services]
        self.balancer = lab.understudy(
            {"listeners": [{"address": "127.0.0.1:0"}], "routes": routes, "services": services})

    def get(self, name):
        """Status and what the backend got."""
        fields = {"Host": f"{name}.svc"}
        status, _, body = fetch(self.balancer.listeners[0], "/echo", headers=fields)
        return status, json.loads(body) if status == 200 else body

    def backend(self, name):
        return self.balancer.status(name)["backends"][0]


suite = Suite("upstream_tls", Stage)


@suite.case("who must work, works; who must not, does not, and gets no request")
def table(stage):
    wrong = []
    for name, works in stage.works.items():
        if name == "probes-differ":
            continue
        wanted = "up" if works else "down"
        wait_until(f"{name} has a health", lambda: stage.backend(name)["health"] != "unknown")
        status = stage.get(name)[0]
        if (stage.backend(name)["health"], status) != (wanted, 200 if works else 503):
            wrong.append((name, stage.backend(name), status))
        if not works and stage.origins[name].journal():
            wrong.append((name, "a request arrived"))
    expect(wrong, [])


@suite.case("probes may have other settings than traffic")
def probes(stage):
    wait_until("probes pass", lambda: stage.backend("probes-differ")["health"] == "up")
    status, body = stage.get("probes-differ")
    expect(status, {502, 503}, str(body))
    expect(stage.origins["probes-differ"].journal(), [])


@suite.case("the backend sees the client certificate and the names")
def seen(stage):
    client = stage.get("client-certificate")[1]["client"]
    expect(client["commonName"], "balancer")
    expect(stage.get("server-name")[1]["sni"], "backend.internal")
    expect(stage.get("verify-name")[1]["sni"], "sni.test")
    # An address is no name for SNI (RFC 6066 section 3).
    expect(stage.get("trusted")[1]["sni"], None)


@suite.case("HTTP/2 by ALPN, unless told otherwise")
def protocols(stage):
    for name, version in (("trusted", "HTTP/2"), ("http2", "HTTP/2"), ("http1", "HTTP/1.1")):
        expect(stage.get(name)[1]["version"], version, name)


@suite.case("the log says why")
def log(stage):
    for pattern in ("(?i)expired", "(?i)pin"):
        stage.balancer.wait_log(pattern)


@suite.case("expiry of backends' certificates is in the metrics")
def expiry(stage):
    def found():
        in_a_month = datetime.datetime.now().timestamp() + 31 * 86400
        return {
            labels.get("service") for sample, labels, value in stage.balancer.metrics()
            if "certificate" in sample and "backend" in str(labels) and 1e9 < value < in_a_month
        }
    wait_until("it is there", lambda: {"trusted", "http2"} <= found())


if __name__ == "__main__":
    suite.main()
