"""Who the client is: PROXY headers from those who must send them, fields of trusted proxies, forgeries."""

import http.client
import io
import json
import socket
import ssl
import time

import h2.events

from cases import Suite, expect
from certs import Authority
from lab import service
from suites import proxy_header
from suites.proxy_header import v1, v2
from suites.sockets import Session, trusting

# How long the listener "hasty" waits for a header, in seconds.
HASTE = 1.0


class Stage:
    """One balancer with a listener for each kind of trust."""

    def __init__(self, lab):
        self.ca = Authority(lab.folder)
        pair = self.ca.server("server", ["localhost", "127.0.0.1"])
        self.client = self.ca.client("client", "alice")
        tls = {"certificates": [pair.entry()]}
        auth = {"ca": str(self.ca.cert_file), "mode": "optional"}
        local, everybody = {"address": "127.0.0.1:0"}, ["127.0.0.0/8"]
        listeners = {
            "plain": {},
            "demanding": {"proxy_protocol": everybody},
            "hasty": {"proxy_protocol": everybody, "limits": {"handshake_timeout": f"{HASTE:g}s"}},
            "others": {"proxy_protocol": ["192.0.2.0/24"]},
            "demanding-tls": {"proxy_protocol": everybody, "tls": tls},
            "demanding-h2c": {"proxy_protocol": everybody, "h2c": True},
            "trusting": {"trusted_proxies": everybody},
            "trusting-tls": {"trusted_proxies": ["127.0.0.1"],
                             "tls": {**tls, "client_auth": auth}},
            "both": {"proxy_protocol": everybody, "trusted_proxies": ["203.0.113.0/24"]},
            "h2c": {"h2c": True},
        }
        self.a, self.b = lab.pair()
        self.balancer = lab.understudy({
            "listeners": [{**local, **keys} for keys in listeners.values()],
            "services": {"web": service(self.a, self.b)}}, "a")
        self.addresses = dict(zip(listeners, self.balancer.listeners))
        self.counter = 0

    def mark(self):
        """A path that no other request has."""
        self.counter += 1
        return f"/echo?mark={self.counter}-{time.monotonic_ns()}"

    def arrived(self, mark):
        return [record for record in self.a.journal() if record["path"] == mark]

    def tls(self, *alpn, client=False):
        context = trusting(self.ca.cert_pem, *alpn)
        if client:
            context.load_cert_chain(self.client.cert_file, self.client.key_file)
        return context


suite = Suite("identity", Stage, concurrency=4)


def request(mark, *lines):
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"GET {mark} HTTP/1.1\r\nHost: h.test\r\n{fields}Connection: close\r\n\r\n".encode()


def ask(stage, listener, parts, tls=None, deadline=10):
    """Sends parts, each in a segment of its own; TLS begins after the first.

    Returns the status (None: closed without an answer), the answer's fields, body, and seconds.
    """
    begun = time.monotonic()
    connection = socket.create_connection(stage.addresses[listener][:2], timeout=deadline)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got = b""
    try:
        for number, part in enumerate(parts):
            if tls and number == 1:
                connection = tls.wrap_socket(connection, server_hostname="localhost")
            connection.sendall(part)
            # Time for the part to travel alone; if it does not, the case is merely easier.
            time.sleep(0.002)
        while part := connection.recv(65536):
            got += part
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        connection.close()
    seconds = time.monotonic() - begun
    if not got.startswith(b"HTTP/"):
        return None, {}, got, seconds
    answer = http.client.HTTPResponse(_Bytes(got))
    answer.begin()
    return answer.status, dict(answer.getheaders()), answer.read(), seconds


class _Bytes:
    """What `http.client` takes for a socket."""

    def __init__(self, data):
        self.data = data

    def makefile(self, _mode):
        return io.BytesIO(self.data)


def told(answer):
    """The fields that the backend got, by name; a name that comes twice is an error."""
    status, _, body, _ = answer
    expect(status, 200, body)
    pairs = [tuple(pair) for pair in json.loads(body)["headers"]]
    expect(len({name for name, _ in pairs}), len(pairs), f"a field comes twice: {pairs}")
    return dict(pairs)


def quoted(address):
    return f'"[{address}]"' if ":" in address else address


def is_about(fields, address, proto="http"):
    """Both kinds of fields say this address and nothing else."""
    expect(fields["x-forwarded-for"], address)
    expect(fields["x-forwarded-proto"], proto)
    forwarded = fields["forwarded"].lower()
    assert f"for={quoted(address)}" in forwarded and f"proto={proto}" in forwarded, forwarded
    expect(forwarded.count("for="), 1, forwarded)


# === PROXY headers ===

for name, (header, address) in proxy_header.GOOD.items():
    for way in ("whole", "byte by byte", "with the request"):
        @suite.case(f"{name}, {way}", header, address, way)
        def good(stage, header, address, way):
            mark = stage.mark()
            parts = {
                "whole": [header, request(mark)],
                "byte by byte": [*(bytes([byte]) for byte in header[:200]), header[200:],
                                 request(mark)],
                "with the request": [header + request(mark)],
            }[way]
            fields = told(ask(stage, "demanding", [part for part in parts if part]))
            is_about(fields, address)

for name, header in proxy_header.BAD.items():
    @suite.case(f"{name}: no answer", header)
    def bad(stage, header):
        mark = stage.mark()
        status, _, body, seconds = ask(stage, "hasty", [header + request(mark)])
        assert status in (None, 400), (status, body)
        assert seconds < HASTE + 2, f"closed after {seconds} s"
        expect(stage.arrived(mark), [])

for name, header in {"v1": v1("198.51.100.7"), "v2": v2("198.51.100.7"),
                     "v1 UNKNOWN": b"PROXY UNKNOWN\r\n", "v2 LOCAL": v2(command=0x20)}.items():
    for listener in ("plain", "others", "h2c", "trusting"):
        @suite.case(f"{name} from somebody who may not, on {listener}", listener, header)
        def not_allowed(stage, listener, header):
            mark = stage.mark()
            status, _, body, _ = ask(stage, listener, [header + request(mark)])
            assert status in (None, 400), (status, body)
            expect(stage.arrived(mark), [])


@suite.case("v2 AF_UNSPEC: the receiver is free to take or to refuse it")
def unspecified(stage):
    mark = stage.mark()
    answer = ask(stage, "demanding", [v2() + request(mark)])
    if answer[0] == 200:
        is_about(told(answer), "127.0.0.1")
    else:
        expect((answer[0] in (None, 400), stage.arrived(mark)), (True, []))


@suite.case("who is not in the list needs no header")
def others(stage):
    is_about(told(ask(stage, "others", [request(stage.mark())])), "127.0.0.1")


for name, part in {"nothing": b"", "half of v1": b"PROXY TCP4 198.51", "half of v2":
                   v2("198.51.100.7")[:20], "a byte": b"P"}.items():
    @suite.case(f"{name}, and then silence: closed after handshake_timeout", part)
    def silence(stage, part):
        status, _, _, seconds = ask(stage, "hasty", [part] if part else [])
        assert status in (None, 408), status
        assert HASTE * 0.9 <= seconds < HASTE + 1.5, seconds


@suite.case("one byte at a time does not prolong handshake_timeout")
def drip(stage):
    with socket.create_connection(stage.addresses["hasty"], timeout=10) as connection:
        begun, header = time.monotonic(), proxy_header.LONGEST
        try:
            for byte in header:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.1)
                try:
                    if not connection.recv(1):
                        break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
        seconds = time.monotonic() - begun
        assert HASTE * 0.9 <= seconds < HASTE + 1.5, seconds


for name, header in {"v1": v1("198.51.100.7"), "v2": v2("198.51.100.7")}.items():
    @suite.case(f"{name} before TLS", header)
    def before_tls(stage, header):
        parts = [header, request(stage.mark())]
        is_about(told(ask(stage, "demanding-tls", parts, stage.tls())), "198.51.100.7", "https")

    for listener, alpn in (("demanding-h2c", None), ("demanding-tls", "h2")):
        @suite.case(f"{name} before HTTP/2, {listener}", header, listener, alpn)
        def before_h2(stage, header, listener, alpn):
            tls = stage.tls(alpn) if alpn else None
            session = Session(stage.addresses[listener], tls, first=header)
            for _ in range(2):
                fields = h2_fields(session, stage.mark())
                is_about(fields, "198.51.100.7", "https" if alpn else "http")
            session.close()


def h2_fields(session, mark, fields=()):
    """What the backend got of one request over HTTP/2."""
    stream, body = session.request(mark, fields=fields), b""
    kinds = (h2.events.DataReceived, h2.events.StreamEnded, h2.events.StreamReset)
    while isinstance(event := session.wait(kinds, stream), h2.events.DataReceived):
        body += event.data
    assert isinstance(event, h2.events.StreamEnded), event
    return told((200, {}, body, 0))


# === Forwarded, X-Forwarded-* ===

FORGED = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: evil.test",
          "X-Forwarded-Port: 6", "Forwarded: for=6.6.6.6;proto=gopher;host=evil.test",
          "Client-Cert: :AAAA:", "X-Client-Cert-Subject: CN=root",
          "X-Client-Cert-Fingerprint: 00"]


def no_trace(fields):
    text = json.dumps(fields).lower()
    for trace in ("6.6.6.6", "gopher", "evil", ":aaaa:", "cn=root"):
        assert trace not in text, f"{trace} in {fields}"
    for name in ("client-cert", "x-client-cert-subject", "x-client-cert-fingerprint"):
        assert name not in fields, fields


for spelling in (str, str.lower, str.upper):
    @suite.case(f"a stranger's own fields are dropped ({spelling.__name__})", spelling)
    def forged(stage, spelling):
        lines = [spelling(line.partition(":")[0]) + ":" + line.partition(":")[2] for line in FORGED]
        fields = told(ask(stage, "plain", [request(stage.mark(), *lines)]))
        no_trace(fields)
        is_about(fields, "127.0.0.1")
        expect(fields["x-forwarded-host"], "h.test")
        expect(fields["x-forwarded-port"], str(stage.addresses["plain"][1]))


@suite.case("twins with underscores are dropped or refused")
def underscores(stage):
    lines = [line.partition(":")[0].replace("-", "_") + ":" + line.partition(":")[2]
             for line in FORGED if "-" in line.partition(":")[0]]
    for line in lines:
        mark = stage.mark()
        answer = ask(stage, "plain", [request(mark, line)])
        if answer[0] == 400:
            expect(stage.arrived(mark), [])
        else:
            no_trace(told(answer))


@suite.case("the same over HTTP/2")
def forged_h2(stage):
    session = Session(stage.addresses["h2c"])
    pairs = [line.split(": ", 1) for line in FORGED]
    fields = h2_fields(session, stage.mark(), [(name.lower(), value) for name, value in pairs])
    no_trace(fields)
    is_about(fields, "127.0.0.1")
    session.close()


@suite.case("Connection cannot take our fields away")
def connection_named(stage):
    names = "x-forwarded-for, forwarded, x-forwarded-proto, x-forwarded-host, host, close"
    mark = stage.mark()
    whole = request(mark).replace(b"Connection: close", f"Connection: {names}".encode())
    fields = told(ask(stage, "plain", [whole]))
    is_about(fields, "127.0.0.1")
    expect(fields["host"], "h.test")


@suite.case("a trusted proxy is believed, and its own address is added")
def trusted(stage):
    fields = told(ask(stage, "trusting", [request(
        stage.mark(), "X-Forwarded-For: 203.0.113.9, 198.51.100.2", "X-Forwarded-Proto: https",
        "X-Forwarded-Host: www.test", "X-Forwarded-Port: 8443")]))
    expect(fields["x-forwarded-for"], "203.0.113.9, 198.51.100.2, 127.0.0.1")
    expect((fields["x-forwarded-proto"], fields["x-forwarded-host"]), ("https", "www.test"))
    expect(fields["x-forwarded-port"], "8443")
    # RFC 7239 7.4: both fields tell the same chain.
    addresses = [part.strip().split(";")[0] for part in fields["forwarded"].lower().split(",")]
    expect(addresses, ["for=203.0.113.9", "for=198.51.100.2", "for=127.0.0.1"])


@suite.case("Forwarded of a trusted proxy is believed")
def trusted_forwarded(stage):
    fields = told(ask(stage, "trusting", [request(
        stage.mark(), 'Forwarded: for="[2001:db8::9]:99";proto=https;host=www.test')]))
    assert fields["forwarded"].startswith('for="[2001:db8::9]:99"'), fields["forwarded"]
    assert "for=127.0.0.1" in fields["forwarded"], fields["forwarded"]
    assert fields["x-forwarded-for"].startswith("2001:db8::9"), fields["x-forwarded-for"]


@suite.case("a trusted proxy that says nothing is the client itself")
def trusted_silent(stage):
    is_about(told(ask(stage, "trusting", [request(stage.mark())])), "127.0.0.1")


@suite.case("trust follows the address of the PROXY header, not that of the connection")
def both(stage):
    line = "X-Forwarded-For: 192.0.2.99"
    for source, wanted in [("203.0.113.5", "192.0.2.99, 203.0.113.5"),
                           ("198.51.100.5", "198.51.100.5")]:
        header = v2(source)
        fields = told(ask(stage, "both", [header, request(stage.mark(), line)]))
        expect(fields["x-forwarded-for"], wanted)
    # The connection itself is from 127.0.0.1, which is not in trusted_proxies.
    fields = told(ask(stage, "both", [v2(command=0x20), request(stage.mark(), line)]))
    expect(fields["x-forwarded-for"], "127.0.0.1")


@suite.case("client certificate fields are ours, also from a trusted proxy")
def certificate(stage):
    lines = [line for line in FORGED if "lient" in line]
    for with_certificate in (False, True):
        context = stage.tls(client=with_certificate)
        fields = told(ask(stage, "trusting-tls", [b"", request(stage.mark(), *lines)], context))
        if not with_certificate:
            no_trace(fields)
            continue
        assert "alice" in fields["x-client-cert-subject"], fields
        assert ":AAAA:" not in fields["client-cert"], fields
        digits = fields["x-client-cert-fingerprint"].replace(":", "").lower()
        assert digits.endswith(stage.client.fingerprint), digits


if __name__ == "__main__":
    suite.main()
