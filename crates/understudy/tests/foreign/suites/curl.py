"""curl with every protocol and TLS version, and what it can show of a reverse proxy."""

import base64
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile
import time

from cases import Suite, expect
from certs import Authority
from lab import service, wait_until


class Answer:
    """What one run of curl saw."""

    def __init__(self, exit_code, error, heads, body, facts):
        self.exit_code, self.error, self.heads, self.body = exit_code, error, heads, body
        self.status, self.version = facts.get("response_code"), facts.get("http_version")
        self.seconds, self.facts = facts.get("time_total", 0), facts

    def fields(self):
        """The fields of the last head and of the trailers, names in lower case."""
        last = [part for part in re.split(r"(?m)^(?=HTTP/)", self.heads) if part][-1]
        lines = [line.partition(":") for line in last.splitlines()[1:] if ":" in line]
        return {name.lower(): value.strip() for name, _, value in lines}

    def json(self):
        return json.loads(self.body)


class Stage:
    """One balancer with a listener for each subject; a service for each kind of backend."""

    def __init__(self, lab):
        self.folder = lab.folder
        self.ca, self.stranger = Authority(lab.folder), Authority(lab.folder, "stranger")
        names = ["a.test", "localhost", "127.0.0.1", "::1"]
        self.first = self.ca.server("first", names)
        self.rsa = self.ca.server("rsa", ["b.test", "*.wild.test"], kind="rsa")
        both = [self.ca.server(f"both-{kind}", ["both.test"], kind) for kind in ("ecdsa", "rsa")]
        self.client = self.ca.client("client", "alice")
        self.revoked = self.ca.client("revoked", "mallory")
        self.unknown = self.stranger.client("unknown", "eve")
        crl = self.ca.crl("crl", self.revoked)
        pairs = [pair.entry() for pair in (self.first, self.rsa, *both)]
        tls = lambda **keys: {"certificates": pairs, **keys}
        auth = lambda **keys: {"ca": str(self.ca.cert_file), "crl": [str(crl)], **keys}
        local = "127.0.0.1:0"
        self.socket = lab.folder / "http.sock"
        listeners = {
            "plain": {"address": local},
            "h2c": {"address": local, "h2c": True},
            "tls": {"address": local, "tls": tls()},
            "modern": {"address": local, "tls": tls(policy="modern")},
            "h1only": {"address": local, "tls": tls(), "http2": False},
            "required": {"address": local, "tls": tls(client_auth=auth())},
            "optional": {"address": local, "tls": tls(client_auth=auth(mode="optional"))},
            "unix": {"address": f"unix:{self.socket}"},
            "ipv6": {"address": "[::1]:0", "tls": tls()},
            "proxy": {"address": local, "proxy_protocol": ["127.0.0.0/8"]},
            "redirect": {"address": local, "redirect_https": True},
            "redirect-to": {"address": local, "redirect_https": {"port": 8443, "status": 301}},
            "hsts": {"address": local, "tls": tls(), "hsts": {
                "max_age": "8760h", "subdomains": True, "preload": True}},
            "body": {"address": local, "h2c": True, "limits": {"body_bytes": "1MiB"}},
        }
        a, b = lab.pair()
        services = {"web": service(a, b)}
        server = self.ca.server("backend", ["localhost", "127.0.0.1"])
        options = ["--tls", server.cert_file, server.key_file]
        trust = {"tls": {"ca": str(self.ca.cert_file)}}
        extra = {
            "tls": ([*options], trust),
            "tls1": ([*options, "--alpn", "http/1.1"], trust),
            "tls2": ([*options, "--alpn", "h2"], {"protocol": "http2", **trust}),
            "h2c": (["--h2c"], {"protocol": "http2"}),
            "v1": (["--proxy-protocol"], {"proxy_protocol": "v1"}),
            "v2": (["--proxy-protocol"], {"proxy_protocol": "v2"}),
            "v2tls": ([*options, "--proxy-protocol"], {"proxy_protocol": "v2", **trust}),
        }
        self.origins = {}
        for name, (arguments, keys) in extra.items():
            self.origins[name] = lab.origin(f"only-{name}", *arguments)
            services[name] = service(self.origins[name], hold={"timeout": "2s"}, **keys)
        self.origins["unix"] = lab.origin("only-unix", unix=str(lab.folder / "app.sock"))
        services["unix"] = service(self.origins["unix"])
        routes = [{"host": f"{name}.svc", "path": "/", "service": name} for name in services]
        routes.append({"path": "/", "service": "web"})
        self.balancer = lab.understudy(
            {"listeners": list(listeners.values()), "routes": routes, "services": services})
        # One that never gets an active fails its own cases only.
        for name in services:
            wait_until(f"{name} has been probed", lambda: all(
                backend["health"] != "unknown" for backend in self.balancer.status(name)["backends"]))
        self.balancer.wait_active("a", "web")
        self.listeners = dict(zip(listeners, self.balancer.listeners))

    def arguments(self, listener, path, host):
        """How curl reaches a listener under a name of our choice."""
        where = self.listeners[listener]
        if isinstance(where, str):
            return ["--unix-socket", self.socket, f"http://{host or 'localhost'}{path}"]
        address, port = where
        address = f"[{address}]" if ":" in address else address
        secure = listener in ("tls", "modern", "h1only", "required", "optional", "ipv6", "hsts")
        scheme = "https" if secure else "http"
        name = host or address
        return ["--connect-to", f"{name}:{port}:{address}:{port}", f"{scheme}://{name}:{port}{path}"]

    def curl(self, listener, path, *options, host=None, stdin=None):
        """Runs curl once, within 20 s."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            heads, body = pathlib.Path(folder) / "heads", pathlib.Path(folder) / "body"
            command = ["curl", "-sS", "-m", "20", "-D", heads, "-o", body, "-w", "%{json}",
                       "--cacert", self.ca.cert_file, *options,
                       *self.arguments(listener, path, host)]
            done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True)
            facts = json.loads(done.stdout)
            read = lambda file: file.read_bytes() if file.exists() else b""
            return Answer(done.returncode, done.stderr.decode(), read(heads).decode("latin-1"),
                          read(body), facts)


suite = Suite("curl", Stage, concurrency=4)

VERSIONS = {"1.0": "--http1.0", "1.1": "--http1.1", "2": "--http2"}


def reached(answer, version):
    """The request got through, in this version."""
    expect((answer.exit_code, answer.status), (0, 200), answer.error)
    expect(answer.version, version, "version")


# === Protocols and TLS ===

for name, listener, option, version in [
    ("HTTP/1.0", "plain", "--http1.0", "1"), ("HTTP/1.1", "plain", "--http1.1", "1.1"),
    ("HTTP/1.0 over TLS", "tls", "--http1.0", "1"),
    ("HTTP/1.1 over TLS", "tls", "--http1.1", "1.1"),
    ("HTTP/2 over TLS", "tls", "--http2", "2"),
    ("HTTP/2 in the clear by prior knowledge", "h2c", "--http2-prior-knowledge", "2"),
    ("HTTP/1.1 beside h2c", "h2c", "--http1.1", "1.1"),
    ("an h2c upgrade is as if not asked for", "h2c", "--http2", "1.1"),
    ("HTTP/2 not offered where it is off", "h1only", "--http2", "1.1"),
    ("IPv6, HTTP/2", "ipv6", "--http2", "2"), ("Unix socket", "unix", "--http1.1", "1.1"),
]:
    @suite.case(name, listener, option, version)
    def protocol(stage, listener, option, version):
        answer = stage.curl(listener, "/echo", option)
        # RFC 9110 6.2: the answer's version is the highest of ours with the same major number.
        reached(answer, {"1", "1.0", "1.1"} if version == "1" else version)
        expect(answer.json()["version"], {"HTTP/1.0", "HTTP/1.1"}, "towards the backend")


@suite.case("HTTP/2 in the clear is refused where it is off")
def no_h2c(stage):
    answer = stage.curl("plain", "/name", "--http2-prior-knowledge")
    assert answer.exit_code != 0 and answer.status != 200, answer.heads


for listener, tls_version, fine in [
    ("tls", "1.0", False), ("tls", "1.1", False), ("tls", "1.2", True), ("tls", "1.3", True),
    ("modern", "1.1", False), ("modern", "1.2", False), ("modern", "1.3", True),
]:
    for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
        title = f"TLS {tls_version} on {listener}, HTTP/{version}: {'taken' if fine else 'refused'}"

        @suite.case(title, listener, tls_version, fine, option, version)
        def tls_version_case(stage, listener, tls_version, fine, option, version):
            # Without the level curl would not even offer the old ones.
            answer = stage.curl(listener, "/name", option, f"--tlsv{tls_version}",
                                "--tls-max", tls_version, "--ciphers", "DEFAULT@SECLEVEL=0")
            if fine:
                return reached(answer, version)
            expect(answer.exit_code, 35, answer.error)
            assert re.search("alert (protocol version|handshake failure)", answer.error), answer.error


def presented(stage, host, *options):
    """The common name of the certificate that is shown to a client that asks for `host`."""
    answer = stage.curl("tls", "/name", "-k", *options, "-w", "%{stderr}%{certs}%{stdout}%{json}",
                        host=host)
    expect(answer.status, 200, answer.error)
    return re.search(r"Subject:.*?CN = ?(\S+)", answer.error).group(1)


for host, wanted in [("a.test", "a.test"), ("b.test", "b.test"), ("B.TEST", "b.test"),
                     ("x.wild.test", "b.test"), ("unheard-of.test", "a.test"), (None, "a.test")]:
    @suite.case(f"SNI {host or '(none)'} gets the certificate of {wanted}", host, wanted)
    def sni(stage, host, wanted):
        expect(presented(stage, host), wanted)


for host, cipher, wanted in [("a.test", "ECDHE-ECDSA-AES128-GCM-SHA256", "a.test"),
                             ("b.test", "ECDHE-RSA-AES128-GCM-SHA256", "b.test"),
                             ("both.test", "ECDHE-ECDSA-AES128-GCM-SHA256", "both.test"),
                             ("both.test", "ECDHE-RSA-AES128-GCM-SHA256", "both.test")]:
    @suite.case(f"{cipher} with {host}", host, cipher, wanted)
    def cipher_case(stage, host, cipher, wanted):
        expect(presented(stage, host, "--tls-max", "1.2", "--ciphers", cipher), wanted)


# === Client certificates ===

def with_certificate(pair):
    return ["--cert", pair.cert_file, "--key", pair.key_file]


def passed_on(answer):
    """The fields about the client's certificate that the backend got."""
    names = ("client-cert", "x-client-cert-subject", "x-client-cert-fingerprint")
    return {name: value for name, value in answer.json()["headers"] if name in names}


for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
    for listener in ("required", "optional"):
        @suite.case(f"client certificate, {listener}, HTTP/{version}", listener, option, version)
        def client_certificate(stage, listener, option, version):
            answer = stage.curl(listener, "/echo", option, *with_certificate(stage.client))
            reached(answer, version)
            sent = passed_on(answer)
            expect(set(sent), {"client-cert", "x-client-cert-subject",
                               "x-client-cert-fingerprint"}.__eq__, "fields")
            expect(sent["client-cert"], f":{base64.b64encode(stage.client.der).decode()}:")
            assert "alice" in sent["x-client-cert-subject"], sent
            digits = sent["x-client-cert-fingerprint"].lower().replace(":", "")
            assert digits.endswith(stage.client.fingerprint), sent

    @suite.case(f"no client certificate, optional, HTTP/{version}", option, version)
    def no_certificate(stage, option, version):
        forged = [part for name in ("Client-Cert", "X-Client-Cert-Subject", "client_cert",
                                    "X-Client-Cert-Fingerprint") for part in ("-H", f"{name}: x")]
        answer = stage.curl("optional", "/echo", option, *forged)
        reached(answer, version)
        expect(passed_on(answer), {}, "forged fields")


for listener in ("required", "optional"):
    for which in ("none", "revoked", "unknown"):
        if (listener, which) == ("optional", "none"):
            continue

        @suite.case(f"client certificate {which}, {listener}: refused", listener, which)
        def refused_certificate(stage, listener, which):
            for most in ("1.2", "1.3"):
                mine = [] if which == "none" else with_certificate(getattr(stage, which))
                answer = stage.curl(listener, "/name", "--tls-max", most, *mine)
                assert answer.exit_code != 0 and answer.status == 0, answer.heads
                # TLS 1.3 clients may have sent their request by the time they are refused (35, 55, 56).
                assert "alert" in answer.error or answer.exit_code in (55, 56), answer.error


# === Backends of each kind ===

for name, towards in [("tls", "HTTP/2"), ("tls1", "HTTP/1.1"), ("tls2", "HTTP/2"),
                      ("h2c", "HTTP/2"), ("unix", "HTTP/1.1")]:
    for listener, option, version in [("plain", "--http1.1", "1.1"), ("tls", "--http2", "2")]:
        @suite.case(f"backend {name} from HTTP/{version}", name, towards, listener, option, version)
        def backend(stage, name, towards, listener, option, version):
            answer = stage.curl(listener, "/echo", option, "-k", "-d", "hello", host=f"{name}.svc")
            reached(answer, version)
            seen = answer.json()
            expect((seen["version"], seen["received"]), (towards, 5))
            if listener == "tls":
                return
            answer = stage.curl(listener, "/size/3000000", option, host=f"{name}.svc")
            expect(len(answer.body), 3_000_000)


for name, number in (("v1", 1), ("v2", 2), ("v2tls", 2)):
    @suite.case(f"PROXY header to backend {name}", name, number)
    def proxy_out(stage, name, number):
        answer = stage.curl("tls", "/echo", "-k", host=f"{name}.svc")
        reached(answer, "2")
        header = answer.json()["proxy"]
        expect((header["version"], header["command"]),
               (number, "TCP4" if number == 1 else "PROXY"), "header")
        expect(header["source"], "127.0.0.1")
        expect(header["source_port"], answer.facts["local_port"], "the client's own port")
        expect(header["destination_port"], stage.listeners["tls"][1])
        # A probe is about nobody.
        probe = stage.origins[name].probes()[-1]["proxy"]
        expect((probe["version"], probe["command"]), (number, "UNKNOWN" if number == 1 else "LOCAL"))


@suite.case("PROXY header from curl")
def proxy_in(stage):
    answer = stage.curl("proxy", "/echo", "--haproxy-protocol")
    reached(answer, "1.1")
    fields = dict(answer.json()["headers"])
    expect(fields["x-forwarded-for"], "127.0.0.1")


# === What passes through ===

EVERYWHERE = [("plain", "--http1.0", "1.0"), ("plain", "--http1.1", "1.1"),
              ("tls", "--http1.1", "1.1"), ("tls", "--http2", "2"),
              ("h2c", "--http2-prior-knowledge", "2")]

for listener, option, version in EVERYWHERE:
    where = f"HTTP/{version} on {listener}"

    @suite.case(f"{where}: HEAD", listener, option)
    def head(stage, listener, option):
        answer = stage.curl(listener, "/size/12345", option, "-I")
        expect((answer.exit_code, answer.status), (0, 200), answer.error)
        expect(answer.fields()["content-length"], "12345")

    @suite.case(f"{where}: 20 MB down", listener, option)
    def download(stage, listener, option):
        answer = stage.curl(listener, "/size/20000000", option)
        expect((answer.exit_code, len(answer.body)), (0, 20_000_000), answer.error)

    @suite.case(f"{where}: 20 MB up", listener, option)
    def upload(stage, listener, option):
        body = b"0123456789abcdef" * 1_250_000
        answer = stage.curl(listener, "/echo", option, "-H", "Expect:", "--data-binary", "@-",
                            stdin=body)
        expect((answer.exit_code, answer.status), (0, 200), answer.error)
        expect(answer.json()["sha256"], hashlib.sha256(body).hexdigest())

    if version != "1.0":
        @suite.case(f"{where}: upload of unknown length", listener, option)
        def chunked_upload(stage, listener, option):
            answer = stage.curl(listener, "/echo", option, "-T", "-", stdin=b"x" * 300_000)
            expect((answer.exit_code, answer.status), (0, 200), answer.error)
            expect(answer.json()["received"], 300_000)

        @suite.case(f"{where}: Expect: 100-continue", listener, option)
        def expect_continue(stage, listener, option):
            # curl would wait the whole 15 s for a 100 that does not come.
            answer = stage.curl(listener, "/echo", option, "-H", "Expect: 100-continue",
                                "--expect100-timeout", "15", "--data-binary", "@-",
                                stdin=b"y" * 100_000)
            expect((answer.exit_code, answer.status), (0, 200), answer.error)
            expect(answer.json()["received"], 100_000)
            assert answer.seconds < 10, answer.seconds
            assert " 100" in answer.heads.splitlines()[0], answer.heads

        @suite.case(f"{where}: trailers", listener, option)
        def trailers(stage, listener, option):
            answer = stage.curl(listener, "/trailers", option, "-H", "TE: trailers")
            expect((answer.exit_code, answer.body), (0, b"hello"), answer.error)
            expect(answer.fields().get("x-sum"), "42")

        @suite.case(f"{where}: 103", listener, option)
        def early_hints(stage, listener, option):
            answer = stage.curl(listener, "/early", option)
            expect((answer.exit_code, answer.status), (0, 200), answer.error)
            first, second = [part for part in re.split(r"(?m)^(?=HTTP/)", answer.heads) if part]
            assert " 103" in first.splitlines()[0] and "style.css" in first, answer.heads
            assert " 200" in second.splitlines()[0], answer.heads

    @suite.case(f"{where}: SSE arrives while it is open", listener, option)
    def sse(stage, listener, option):
        command = ["curl", "-sSN", "-m", "20", "-k", option,
                   *stage.arguments(listener, "/sse?gap=300&count=50", None)]
        begun = time.monotonic()
        with subprocess.Popen([str(p) for p in command], stdout=subprocess.PIPE) as process:
            try:
                expect(process.stdout.readline(), b"data: a 0\n")
                first = time.monotonic() - begun
                assert process.stdout.readline() == b"\n"
                expect(process.stdout.readline(), b"data: a 1\n")
                # The whole stream takes 15 s.
                assert first < 5 and process.poll() is None, first
            finally:
                process.kill()

    @suite.case(f"{where}: 204 and 304 without a body", listener, option)
    def bodiless(stage, listener, option):
        for status in (204, 304):
            answer = stage.curl(listener, f"/status/{status}", option)
            expect((answer.exit_code, answer.status, answer.body), (0, status, b""), answer.error)


# === Redirect, HSTS, size ===

@suite.case("redirect to https")
def redirect(stage):
    for method in ("GET", "POST"):
        answer = stage.curl("redirect", "/a%20b?c=d", "-X", method, host="a.test")
        expect(answer.status, 308)
        location = answer.fields()["location"]
        expect(location, "https://a.test/a%20b?c=d")


@suite.case("redirect with port and status")
def redirect_to(stage):
    answer = stage.curl("redirect-to", "/x", host="a.test")
    expect((answer.status, answer.fields()["location"]), (301, "https://a.test:8443/x"))


@suite.case("HSTS where it is switched on, nowhere else")
def hsts(stage):
    for option in ("--http1.1", "--http2"):
        value = stage.curl("hsts", "/name", option).fields()["strict-transport-security"]
        parts = {part.strip().lower() for part in value.split(";")}
        expect(parts, {"max-age=31536000", "includesubdomains", "preload"}.__eq__)
        assert "strict-transport-security" not in stage.curl("tls", "/name", option).fields()


@suite.case("body_bytes: 413")
def body_bytes(stage):
    # Over HTTP/2 curl 7.88 loses an answer that comes while it uploads, as long as the window is open;
    # also nginx's, with `http2_body_preread_size 1m`. The suite `limits` asks the same there.
    whole = stage.curl("body", "/echo", "--data-binary", "@-", stdin=b"z" * 1_048_576)
    expect(whole.status, 200, whole.error)
    over = stage.curl("body", "/echo", "-H", "Expect:", "--data-binary", "@-",
                      stdin=b"z" * 1_048_577)
    expect(over.status, 413, over.error)


if __name__ == "__main__":
    suite.main()
