"""The words that rows are written in: what is sent, what may happen, and what is wrong with what did."""

import re
from dataclasses import dataclass, field

from .message import flaws_of_fields, flaws_of_request, flaws_of_trailers
from .origin1 import Reply

ROWS = []


@dataclass
class Ask:
    """A request in no protocol's own form."""

    method: bytes = b"GET"
    path: bytes = b"/row"
    fields: tuple = ()
    body: bytes | None = None
    trailers: tuple | None = None
    host: bytes | None = b"a.example"
    length: bool = True  # content-length for the body; else chunks, or DATA alone

    def as_h1(self):
        lines = [self.method + b" " + self.path + b" HTTP/1.1"]
        lines += [] if self.host is None else [b"host: " + self.host]
        lines += [name + b": " + value for name, value in self.fields]
        if self.body is None and self.trailers is None:
            return b"\r\n".join(lines) + b"\r\n\r\n"
        body = self.body or b""
        if self.length and self.trailers is None:
            lines.append(b"content-length: %d" % len(body))
            return b"\r\n".join(lines) + b"\r\n\r\n" + body
        lines.append(b"transfer-encoding: chunked")
        chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        last = b"".join(name + b": " + value + b"\r\n" for name, value in self.trailers or ())
        return b"\r\n".join(lines) + b"\r\n\r\n" + chunks + b"0\r\n" + last + b"\r\n"

    def as_h2(self):
        pseudo = [(b":method", self.method), (b":scheme", b"http"), (b":path", self.path)]
        pseudo += [] if self.host is None else [(b":authority", self.host)]
        fields = pseudo + list(self.fields)
        if self.body is not None and self.length and self.trailers is None:
            fields.append((b"content-length", b"%d" % len(self.body)))
        return Section(fields, None if self.body is None else [self.body], self.trailers)


@dataclass
class Section:
    """A request of HTTP/2, field by field, with nothing added."""

    fields: list
    data: list | None = None
    trailers: tuple | None = None


@dataclass
class Seen:
    """What a backend may have been sent: one whole request that is like this."""

    method: bytes | None = None
    target: bytes | None = None
    host: bytes | None = None
    has: dict = field(default_factory=dict)  # name: its values, joined with ", "
    matches: dict = field(default_factory=dict)  # name: a pattern found in its joined value
    lacks: tuple = ()
    body: bytes | None = None
    framing: tuple | None = None
    trailers: tuple | None = None

    def complaints(self, request):
        found = [] if request.whole else ["the backend did not get it whole"]
        for name in ("method", "target"):
            wanted = getattr(self, name)
            if wanted is not None and getattr(request, name) != wanted:
                found.append(f"{name} {getattr(request, name)!r}, not {wanted!r}")
        if self.host is not None and request.hosts != [self.host]:
            found.append(f"hosts {request.hosts}, not {self.host!r}")
        for name, wanted in self.has.items():
            if (value := b", ".join(request.values(name))) != wanted:
                found.append(f"{name}: {value!r}, not {wanted!r}")
        for name, wanted in self.matches.items():
            if not re.search(wanted, value := b", ".join(request.values(name)).lower()):
                found.append(f"{name}: {value!r} is not like {wanted!r}")
        for name in self.lacks:
            if request.values(name):
                found.append(f"{name}: {request.values(name)} reached the backend")
        if self.body is not None and bytes(request.body) != self.body:
            found.append(f"body {bytes(request.body[:80])!r}, not {self.body[:80]!r}")
        if self.framing is not None and request.framing not in self.framing:
            found.append(f"framed by {request.framing}, not {self.framing}")
        if self.trailers is not None and sorted(request.trailers) != sorted(self.trailers):
            found.append(f"trailers {request.trailers}, not {list(self.trailers)}")
        return found

    def __str__(self):
        parts = [f"`{(self.method or b'').decode()} {self.target.decode('latin-1')}`"] if self.target else []
        parts += [f"host `{self.host.decode()}`"] if self.host else []
        parts += [f"`{n}: {v.decode('latin-1')}`" for n, v in self.has.items()]
        parts += [f"`{n}` like `{v.decode('latin-1')}`" for n, v in self.matches.items()]
        parts += ["no " + ", ".join(f"`{name}`" for name in self.lacks)] if self.lacks else []
        parts += [f"{len(self.body)} bytes of body"] if self.body is not None else []
        parts += [f"framed by {' or '.join(self.framing)}"] if self.framing else []
        if self.trailers is not None:
            parts += [f"trailers {', '.join(n.decode() for n, _ in self.trailers) or 'none'}"]
        return "; ".join(parts) or "the request"


NOTHING = "nothing whole"  # a request may have begun, and was broken off
UNTOUCHED = "nothing"


@dataclass
class Outcome:
    """One way in which a row may end well."""

    statuses: tuple  # numbers; "closed", "reset": no answer but that
    seen: object = None  # Seen, a list of them, NOTHING, UNTOUCHED; None: anything without a flaw
    has: dict = field(default_factory=dict)
    lacks: tuple = ()
    body: bytes | None = None
    complete: bool = True
    trailers: tuple | None = None
    interim: tuple | None = None  # statuses
    closed: bool = False  # the client's connection ends

    def complaints(self, result, seen, is_closed):
        found = self._of_status(result)
        for name, wanted in self.has.items():
            if (value := b", ".join(result.values(name))) != wanted:
                found.append(f"answer's {name}: {value!r}, not {wanted!r}")
        for name in self.lacks:
            if result.values(name):
                found.append(f"answer's {name}: {result.values(name)}")
        if self.body is not None and result.body != self.body:
            found.append(f"answer's body {result.body[:80]!r}, not {self.body[:80]!r}")
        if self.trailers is not None and sorted(result.trailers) != sorted(self.trailers):
            found.append(f"answer's trailers {result.trailers}, not {list(self.trailers)}")
        interim = tuple(status for status, _ in result.interim if status != 100)
        if self.interim is not None and interim != self.interim:
            found.append(f"interim {interim}, not {self.interim}")
        found += self._of_seen(seen)
        # It takes a while to find that a connection stays open: only if all else is right.
        if self.closed and not found and not is_closed():
            found.append("the connection was not closed")
        return found

    def _of_status(self, result):
        ending = "reset" if result.ending == "goaway" else result.ending
        if not result.status:
            return [] if ending in self.statuses else [f"{ending} instead of {self.statuses}"]
        if result.status not in self.statuses:
            return [f"{result.status} instead of {self.statuses}"]
        if self.complete != result.complete:
            return [f"the answer is {result.ending}"]
        return ["malformed answer"] if result.ending == "malformed" else []

    def _of_seen(self, seen):
        if self.seen is None:
            return []
        if self.seen == UNTOUCHED:
            return ["it reached the backend"] if seen else []
        if self.seen == NOTHING:
            return ["it reached the backend whole"] if any(r.whole for r in seen) else []
        wanted = self.seen if isinstance(self.seen, list) else [self.seen]
        if len(wanted) != len(seen):
            return [f"{len(seen)} requests at the backend, not {len(wanted)}"]
        return [text for want, got in zip(wanted, seen) for text in want.complaints(got)]

    def __str__(self):
        parts = [" or ".join(str(status) for status in self.statuses)]
        parts += [] if self.complete else ["an answer that is visibly cut"]
        parts += ["then closed"] if self.closed else []
        parts += [f"`{n}: {v.decode('latin-1')}`" for n, v in self.has.items()]
        parts += ["no " + ", ".join(f"`{name}`" for name in self.lacks)] if self.lacks else []
        parts += [f"body of {len(self.body)} bytes"] if self.body is not None else []
        parts += [f"interim {list(self.interim)}"] if self.interim is not None else []
        if self.trailers is not None:
            parts += [f"trailers {', '.join(n.decode() for n, _ in self.trailers) or 'none'}"]
        if self.seen is not None:
            seen = self.seen if isinstance(self.seen, list) else [self.seen]
            parts += [f"backend: {' / '.join(str(one) for one in seen)}"]
        return ", ".join(parts)


@dataclass
class Row:
    """One case: what is sent, and the ways in which it may end well."""

    id: str
    rfc: str
    title: str
    send: object  # bytes, Ask, Section, or a function (see drive.py)
    accepts: tuple  # of Outcome
    reply: Reply = field(default_factory=Reply)
    down: str = "h1"
    up: str = "h1"
    listener: str = "plain"
    answers: int = 1  # how many answers to read; the last is judged
    may_forge: bool = False
    pieces: bool = False  # one byte per segment
    source: str | None = None


def row(id, rfc, title, send, *accepts, **more):
    """Adds a row; outcomes are alternatives."""
    assert accepts and not any(known.id == id for known in ROWS), id
    ROWS.append(Row(id, rfc, title, send, accepts, **more))


def rows(id, rfc, title, ask, *accepts, via=("h1-h1", "h2-h1", "h1-h2", "h2-h2"), **more):
    """The same request by each of these ways, downstream first."""
    for way in via:
        down, up = way.split("-")
        row(f"{id}.{way}", rfc, title, ask, *accepts, down=down, up=up, **more)


def refused(*statuses, seen=UNTOUCHED, closed=True, **more):
    """Not served. On HTTP/1 the connection ends, for nobody knows where the next request begins."""
    return Outcome(statuses or (400,), seen=seen, closed=closed, **more)


def malformed(*statuses, **more):
    """The same on HTTP/2: a stream error, or an answer that says so (RFC 9113 section 8.1.1)."""
    return Outcome((*(statuses or (400,)), "reset", "closed"), seen=UNTOUCHED, **more)


def served(seen=None, status=200, body=b"ok", **more):
    return Outcome((status,), seen=seen or Seen(), body=body, **more)


def universal(row, result, seen):
    """What must hold in every row, whichever way it ended."""
    found = [text for request in seen for text in flaws_of_request(request, row.may_forge)]
    found += [f"answer: {text}" for text in flaws_of_fields(result.fields, row.down == "h2")]
    found += [f"answer: {text}" for text in flaws_of_trailers(result.trailers)]
    lengths, codings = result.values("content-length"), result.values("transfer-encoding")
    if lengths and codings or len(lengths) > 1:
        found.append(f"answer: content-length {lengths} and transfer-encoding {codings}")
    if row.down == "h2":
        names = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
        found += [f"answer: {name!r} in HTTP/2" for name, _ in result.fields if name in names]
    if result.ending == "malformed":
        found.append(f"answer: malformed: {result.detail}")
    if result.ending == "timeout":
        found.append("answer: none in time")
    return found
