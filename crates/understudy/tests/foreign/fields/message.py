"""Messages as both sides of a proxy see them, and what is wrong with one whoever sent it."""

from dataclasses import dataclass, field

TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Fields about one connection (RFC 9110 section 7.6.1). `te`, `upgrade` and `connection` have rules of
# their own below.
HOP_BY_HOP = (b"keep-alive", b"proxy-connection", b"http2-settings")
# Never in a trailer section (RFC 9110 section 6.5.1): framing, routing, authentication, content.
NOT_IN_TRAILERS = (
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"trailer",
    b"te",
    b"connection",
    b"keep-alive",
    b"expect",
    b"upgrade",
)
# Rows write it into whatever they forge; no backend may find it in a field that says who the client is.
FORGED = b"6.6.6.6"


@dataclass
class Request:
    """A request as it arrived at a backend."""

    version: str  # "1.0", "1.1" or "2"
    method: bytes
    target: bytes
    hosts: list  # the values of Host, or the one of :authority
    fields: list  # (name in lower case, value), without pseudo fields; Host is in it on HTTP/1
    scheme: bytes = b""
    protocol: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    trailers: list = field(default_factory=list)
    framing: str = "none"  # none, length, chunked; data on HTTP/2
    whole: bool = False
    early: bytes = b""  # what came behind an upgrade before it was answered
    flaws: list = field(default_factory=list)

    def values(self, name):
        return [value for known, value in self.fields if known == name.lower().encode()]

    def __str__(self):
        lines = [b" ".join((self.method, self.target, self.version.encode()))]
        lines += [name + b": " + value for name, value in self.fields]
        text = b" | ".join(lines).decode("latin-1")
        end = "" if self.whole else " (not whole)"
        return f"{text} | body {bytes(self.body[:60])!r} {self.framing} trailers {self.trailers}{end}"


@dataclass
class Result:
    """What a client got for one request."""

    status: int = 0  # 0: none
    fields: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)  # (status, fields)
    ending: str = "complete"  # or closed, reset, goaway, timeout, malformed
    detail: str = ""

    @property
    def complete(self):
        return self.ending == "complete"

    def values(self, name):
        return [value for known, value in self.fields if known == name.lower().encode()]

    def __str__(self):
        fields = " | ".join(f"{n.decode('latin-1')}: {v.decode('latin-1')}" for n, v in self.fields)
        interim = f" after {[status for status, _ in self.interim]}" if self.interim else ""
        return (
            f"{self.status or 'no answer'}{interim} {self.ending} {self.detail} [{fields}] "
            f"body {self.body[:80]!r} trailers {self.trailers}"
        )


def flaws_of_fields(fields, http2=False):
    """What no recipient should be sent (RFC 9110 section 5.5, RFC 9113 section 8.2.1)."""
    found = []
    for name, value in fields:
        if not name or not TOKEN.issuperset(name):
            found.append(f"field name {name!r}")
        if http2 and name != name.lower():
            found.append(f"upper case in {name!r}")
        if any(byte in b"\r\n\0" for byte in value):
            found.append(f"CR, LF or NUL in {name!r}: {value!r}")
        if any((byte < 32 and byte != 9) or byte == 127 for byte in value):
            found.append(f"control character in {name!r}: {value!r}")
        if value != value.strip(b" \t"):
            found.append(f"space around the value of {name!r}: {value!r}")
    return found


def flaws_of_trailers(trailers):
    return flaws_of_fields(trailers) + [
        f"trailer {name!r}"
        for name, _ in trailers
        if name.lower() in NOT_IN_TRAILERS or name.startswith(b":") or says_who(name.lower())
    ]


def says_who(name):
    """Whether applications read this field to learn who the client is; `_` is `-` to many of them."""
    name = name.replace(b"_", b"-")
    return name.startswith(b"x-forwarded-") or name in (
        b"forwarded",
        b"x-real-ip",
        b"client-cert",
        b"client-cert-chain",
        b"x-client-cert-subject",
        b"x-client-cert-fingerprint",
        b"proxy",
    )


def flaws_of_request(request, may_forge):
    """What no backend may be sent, whatever the row. `may_forge`: the client is a trusted proxy."""
    found = list(request.flaws) + flaws_of_fields(request.fields, request.version == "2")
    found += flaws_of_trailers(request.trailers)
    lengths, codings = request.values("content-length"), request.values("transfer-encoding")
    if len(request.hosts) != 1:
        found.append(f"hosts {request.hosts}")
    if len(lengths) > 1 or any(not length.isdigit() for length in lengths):
        found.append(f"content-length {lengths}")
    if codings and (lengths or [one.lower() for one in codings] != [b"chunked"]):
        found.append(f"transfer-encoding {codings} with content-length {lengths}")
    for name in HOP_BY_HOP:
        if request.values(name.decode()):
            found.append(f"hop-by-hop field {name!r}")
    if request.values("te") not in ([], [b"trailers"]):
        found.append(f"te {request.values('te')}")
    named = b",".join(request.values("connection")).lower().split(b",")
    # What a client named is the proxy's to remove, with the name.
    if not {name.strip() for name in named} <= {b"", b"close", b"keep-alive", b"upgrade", b"te"}:
        found.append(f"connection {request.values('connection')}")
    if any(b"h2c" in value.lower() for value in request.values("upgrade")):
        found.append(f"upgrade {request.values('upgrade')}")
    if request.version == "2":
        found += [
            f"{name} in HTTP/2"
            for name in ("connection", "transfer-encoding", "upgrade", "host")
            if request.values(name) and (name != "host" or request.values(name) != request.hosts)
        ]
        if not request.target.startswith(b"/") and request.target != b"*":
            found.append(f":path {request.target!r}")
    if not may_forge:
        found += [
            f"forged {name!r}: {value!r}"
            for name, value in request.fields
            if says_who(name) and (FORGED in value or b"_" in name or name == b"proxy")
        ]
    return found
