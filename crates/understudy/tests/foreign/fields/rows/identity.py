"""Who the client is: what it claims counts for nothing, unless it is a trusted proxy (RFC 7239, RFC 9440)."""

import base64
import hashlib
import ssl

from ..table import Ask, Outcome, Seen, refused, row, rows, served

OWN = {"x-forwarded-for": b"127.0.0.1", "x-forwarded-proto": b"http", "x-forwarded-host": b"a.example"}
KNOWN = Seen(has=OWN, matches={"forwarded": rb"^for=\"?127\.0\.0\.1"})

rows("who-plain", "7239 4", "what we know is said, once", Ask(), served(KNOWN))
for name, value in (
    (b"x-forwarded-for", b"6.6.6.6"),
    (b"X-FORWARDED-FOR", b"6.6.6.6, 127.0.0.1"),
    (b"x_forwarded_for", b"6.6.6.6"),
    (b"X-Forwarded_For", b"6.6.6.6"),
    (b"x-forwarded-proto", b"https-6.6.6.6"),
    (b"x_forwarded_proto", b"https"),
    (b"x-forwarded-host", b"6.6.6.6"),
    (b"x-forwarded-port", b"6.6.6.6"),
    (b"x-forwarded-prefix", b"/6.6.6.6"),
    (b"x-forwarded-server", b"6.6.6.6"),
    (b"x-real-ip", b"6.6.6.6"),
    (b"x_real_ip", b"6.6.6.6"),
    (b"forwarded", b"for=6.6.6.6;host=evil"),
    (b"forwarded", b'for=127.0.0.1, for="6.6.6.6:80";by=x, for=_x'),
    (b"client-cert", b":6.6.6.6:"),
    (b"Client_Cert", b":6.6.6.6:"),
    (b"client-cert-chain", b":6.6.6.6:"),
    (b"x-client-cert-subject", b"CN=6.6.6.6"),
    (b"x_client_cert_subject", b"CN=6.6.6.6"),
    (b"x-client-cert-fingerprint", b"6.6.6.6"),
    (b"proxy", b"http://6.6.6.6"),
    (b"X-Client_Cert-Fingerprint", b"6.6.6.6"),
):
    number = len(value)
    wide = name in (b"x-forwarded-for", b"x_forwarded_for", b"forwarded", b"client-cert")
    # HTTP/2 has no upper case.
    via = (
        ("h1-h1", "h2-h1", "h1-h2", "h2-h2") if wide else ("h1-h1", "h2-h1") if name.islower() else ("h1-h1",)
    )
    rows(
        f"forged-{name.decode()}-{number}",
        "9440 4" if b"cert" in name.lower() else "7239 8.1",
        "a client's own word for who it is goes no further",
        Ask(fields=((name, value), (b"x-kept", b"1"))),
        served(Seen(has={**OWN, "x-kept": b"1"})),
        via=via,
    )
rows(
    "forged-twice",
    "7239 8.1",
    "in two lines as in one",
    Ask(
        fields=(
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"forwarded", b"for=6.6.6.6"),
            (b"forwarded", b"for=6.6.6.6"),
        )
    ),
    served(KNOWN),
    via=("h1-h1", "h2-h2"),
)
rows(
    "forged-named",
    "9110 7.6.1",
    "also when `Connection` names it",
    Ask(fields=((b"x-forwarded-for", b"6.6.6.6"), (b"connection", b"x-forwarded-for, forwarded"))),
    served(KNOWN),
    refused(),
    via=("h1-h1",),
)
rows(
    "forged-host",
    "9110 7.2",
    "X-Forwarded-Host is the host that was asked for",
    Ask(path=b"http://other.example/row"),
    served(Seen(host=b"other.example", has={"x-forwarded-host": b"other.example"})),
    via=("h1-h1",),
)
rows(
    "similar-names",
    "9110 5.1",
    "names that only look alike are the client's",
    Ask(
        fields=(
            (b"x-forwarder", b"1"),
            (b"x-real-ips", b"1"),
            (b"x-client-certain", b"1"),
            (b"proxied", b"1"),
        )
    ),
    served(Seen(has={"x-forwarder": b"1", "x-real-ips": b"1", "x-client-certain": b"1", "proxied": b"1"})),
    via=("h1-h1",),
)

# --- From a trusted proxy.
row(
    "trusted-appends",
    "7239 4",
    "a trusted proxy's chain is kept, its address appended",
    Ask(
        fields=(
            (b"x-forwarded-for", b"192.0.2.7"),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"b.example"),
        )
    ),
    served(
        Seen(
            has={
                "x-forwarded-for": b"192.0.2.7, 127.0.0.1",
                "x-forwarded-proto": b"https",
                "x-forwarded-host": b"b.example",
            }
        )
    ),
    listener="trusted",
    may_forge=True,
)
row(
    "trusted-long-chain",
    "7239 8.1",
    "what stands left of the trusted part stays left of it",
    Ask(fields=((b"x-forwarded-for", b"6.6.6.6, 192.0.2.7, 10.1.1.1"),)),
    served(Seen(matches={"x-forwarded-for": rb"192\.0\.2\.7, 10\.1\.1\.1, 127\.0\.0\.1$"})),
    listener="trusted",
    may_forge=True,
)
row(
    "trusted-two-lines",
    "9110 5.3",
    "two lines are one list",
    Ask(fields=((b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-for", b"10.1.1.1"))),
    served(Seen(has={"x-forwarded-for": b"192.0.2.7, 10.1.1.1, 127.0.0.1"})),
    listener="trusted",
    may_forge=True,
)
row(
    "trusted-forwarded",
    "7239 4",
    "Forwarded is kept, an element appended",
    Ask(fields=((b"forwarded", b"for=192.0.2.7;proto=https"),)),
    served(Seen(matches={"forwarded": rb"^for=192\.0\.2\.7;proto=https, *for=\"?127\.0\.0\.1"})),
    listener="trusted",
    may_forge=True,
)
row(
    "trusted-forwarded-quoted",
    "7239 6",
    "IPv6, ports, quotes, obfuscated names",
    Ask(fields=((b"forwarded", b'for="[2001:db8::1]:4711";by=_x, for=unknown, for="_a.b"'),)),
    served(Seen(matches={"forwarded": rb'for="\[2001:db8::1\]:4711".*, *for=\"?127\.0\.0\.1'})),
    listener="trusted",
    may_forge=True,
)
row(
    "trusted-forwarded-malformed",
    "7239 4",
    "a malformed one is dropped, for nobody knows where its elements end",
    Ask(fields=((b"forwarded", b'for="6.6.6.6'),)),
    served(Seen(matches={"forwarded": rb"^for=\"?127\.0\.0\.1"})),
    refused(),
    listener="trusted",
)
row(
    "trusted-proto-malformed",
    "7239 5.4",
    "a malformed X-Forwarded-Proto is replaced",
    Ask(fields=((b"x-forwarded-proto", b"https, 6.6.6.6; x"),)),
    served(Seen(has={"x-forwarded-proto": b"http"})),
    refused(),
    listener="trusted",
)
row(
    "trusted-twins",
    "7239 8.1",
    "underscore twins are nobody's, trusted or not",
    Ask(fields=((b"x_forwarded_for", b"6.6.6.6"), (b"x-forwarded-for", b"192.0.2.7"))),
    served(Seen(has={"x-forwarded-for": b"192.0.2.7, 127.0.0.1"}, lacks=("x_forwarded_for",))),
    listener="trusted",
)
row(
    "trusted-certificate",
    "9440 4",
    "a certificate is not taken from anybody",
    Ask(fields=((b"client-cert", b":6.6.6.6:"), (b"x-client-cert-subject", b"CN=6.6.6.6"))),
    served(Seen(lacks=("client-cert", "x-client-cert-subject"))),
    listener="trusted",
)
row(
    "trusted-not",
    "7239 8.1",
    "who is not in the list is not believed",
    Ask(
        fields=(
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"x-forwarded-proto", b"https"),
            (b"forwarded", b"for=6.6.6.6"),
        )
    ),
    served(
        Seen(
            has={"x-forwarded-for": b"127.0.0.2", "x-forwarded-proto": b"http"},
            matches={"forwarded": rb"^for=\"?127\.0\.0\.2"},
        )
    ),
    listener="trusted",
    source="127.0.0.2",
)
row(
    "trusted-none-said",
    "7239 4",
    "a trusted proxy that says nothing is the client",
    Ask(),
    served(Seen(has={"x-forwarded-for": b"127.0.0.1"})),
    listener="trusted",
)
row(
    "trusted-h2",
    "7239 4",
    "the same over HTTP/2",
    Ask(fields=((b"x-forwarded-for", b"192.0.2.7"),)),
    served(Seen(has={"x-forwarded-for": b"192.0.2.7, 127.0.0.1"})),
    listener="trusted",
    down="h2",
    may_forge=True,
)


# --- Client certificates.
def over_tls(certificate, fields=b""):
    def send(it):
        client = it.client(tls=it.stage.tls(certificate))
        client.send(b"GET /row HTTP/1.1\r\nhost: localhost\r\n" + fields + b"\r\n")
        result = client.answer()
        der = ssl.PEM_cert_to_DER_cert(it.stage.client.cert_pem.decode())
        for request in it.origin.seen():
            value = b":" + base64.b64encode(der) + b":"
            it.check(
                request.values("client-cert") == ([value] if certificate else []),
                "Client-Cert is not the certificate",
            )
            said = request.values("x-client-cert-fingerprint")
            print_ = hashlib.sha256(der).hexdigest().encode()
            it.check(
                [one.lower().replace(b":", b"").removeprefix(b"sha256") for one in said]
                == ([print_] if certificate else []),
                f"fingerprint {said}, not {print_}",
            )
            it.check(
                [b"somebody" in one for one in request.values("x-client-cert-subject")]
                == ([True] if certificate else []),
                "subject",
            )
        return result

    return send


FORGED = (
    b"client-cert: :6.6.6.6:\r\nClient_Cert: :6.6.6.6:\r\nx-client-cert-subject: CN=6.6.6.6\r\n"
    b"x-client-cert-fingerprint: 6.6.6.6\r\nclient-cert-chain: :6.6.6.6:\r\n"
)
for name, certificate, fields in (
    ("given", True, b""),
    ("none", False, b""),
    ("given-forged", True, FORGED),
    ("none-forged", False, FORGED),
    ("given-named", True, b"connection: client-cert, x-client-cert-subject, x-client-cert-fingerprint\r\n"),
):
    row(
        f"certificate-{name}",
        "9440 2.2",
        "a verified client certificate is passed on, and nothing else for one",
        over_tls(certificate, fields),
        served(),
        Outcome((400,)),
        listener="mtls",
    )
