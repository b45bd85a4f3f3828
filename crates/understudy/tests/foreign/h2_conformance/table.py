"""The table: what a case is, which outcomes it accepts, and how the outcome of a stream is observed."""

import importlib
import secrets
import time

from . import frames as f
from .inbound import Failed, describe
from .wire import Connection

MODULES = "preface layout numbers states blocks settings control windows requests fields lengths bodies".split()
MODULES += "coding compression floods".split()


CASES = {}


class Outcome:
    """What a server made of a stream and its connection."""

    def __init__(self, connection, stream, alive):
        self.answer = connection.responses.get(stream)
        self.goaway = connection.goaway
        self.closed = connection.closed
        self.alive = alive and not connection.dying()
        self.reset = self.answer.reset if self.answer else None
        self.status = self.answer.status if self.answer and self.answer.ended else None

    def __str__(self):
        words = [describe(self.answer)] if self.answer else []
        if self.goaway is not None:
            words.append(f"GOAWAY {f.error_name(self.goaway)}")
        if self.closed:
            words.append("closed")
        elif not self.alive and not self.goaway:
            words.append("no answer to PING")
        return ", ".join(words or ["carries on"])


class Accept:
    """A set of outcomes, in words and as a test.

    `near` is for what misses the RFC and harms nobody: the stream or the connection ends, but with another error code
    than the RFC names. It passes, and is counted apart.
    """

    def __init__(self, words, test, near=lambda seen: False):
        self.words, self.test, self.near = words, test, near

    def or_near(self, near):
        """The same, with one more outcome that misses the RFC and harms nobody."""
        return Accept(self.words, self.test, lambda seen: self.near(seen) or near(seen))

    def __or__(self, other):
        return Accept(
            f"{self.words}, or {other.words}",
            lambda seen: self.test(seen) or other.test(seen),
            lambda seen: self.near(seen) or other.near(seen),
        )


HARMFUL = (f.NO_ERROR, f.CANCEL, f.REFUSED_STREAM)
"""Codes that tell a client that nothing was wrong, or that it may send the request again."""


def connection_error(*codes):
    """GOAWAY of one of these codes; closing without one is allowed too (RFC 9113 section 5.4.1: it is a SHOULD)."""
    names = "/".join(map(f.error_name, codes))

    def test(seen):
        return seen.goaway in codes or (seen.closed and seen.goaway is None)

    return Accept(f"connection error {names}", test, lambda seen: seen.goaway and seen.closed)


def stream_error(*codes):
    """RST_STREAM; a server may take a stream error for a connection error (RFC 9113 section 5.4.1)."""
    names = "/".join(map(f.error_name, codes))
    harder = connection_error(*codes)

    def near(seen):
        return harder.near(seen) or (seen.reset is not None and seen.reset not in HARMFUL)

    return Accept(f"stream error {names}", lambda seen: seen.reset in codes or harder.test(seen), near)


def answered(*statuses):
    """A whole answer of one of these statuses, and a connection that goes on."""
    text = "/".join(map(str, statuses))
    return Accept(f"{text}", lambda seen: seen.status in statuses and seen.alive)


def _refused(seen):
    return seen.status is not None and (400 <= seen.status < 500 or seen.status == 501) and seen.answer.own()


REFUSED = Accept("4xx of the proxy's own", _refused)
MALFORMED = stream_error(f.PROTOCOL_ERROR) | REFUSED
"""RFC 9113 section 8.1.1: a stream error PROTOCOL_ERROR, possibly after an answer such as 400."""
ALIVE = Accept("nothing: the connection goes on", lambda seen: seen.alive)
FINE = answered(200)


def told(words):
    """For cases that judge by themselves and raise `Failed`."""
    return Accept(words, lambda seen: True)


class Case:
    """One row: where it is from, what it does, what it accepts."""

    def __init__(self, name, section, title, accept, run, *, opened, settings, table, unseen):
        self.name, self.section, self.title, self.accept, self.run = name, section, title, accept, run
        self.opened, self.settings, self.table, self.unseen = opened, settings, table, unseen
        self.alone = name.startswith("floods/")

    def play(self, spot):
        """Runs the case; returns whether it went exactly by the RFC and what was seen; raises `Failed`."""
        connection = Connection(spot, self.table)
        connection.token = secrets.token_hex(8)
        try:
            if self.opened:
                connection.open(self.settings)
            stream = self.run(connection)
            seen = observe(connection, stream)
            exact = self.accept.test(seen)
            if not exact and not self.accept.near(seen):
                raise Failed(str(seen))
            if self.unseen:
                need_unseen(spot, connection.token)
            return exact, str(seen)
        finally:
            connection.close()


def case(section, title, accept, *, name=None, opened=True, settings=(), table=4096, unseen=False):
    """Enters a function into the table. It gets an open connection and returns the stream to look at, or None.

    `unseen`: the origin must never have seen the request, which carries the connection's token.
    """

    def enter(run):
        folder = run.__module__.rpartition(".")[2]
        full = f"{folder}/{name or run.__name__.replace('_', '-')}"
        if full in CASES:
            raise ValueError(f"two cases are named {full}")
        options = {"opened": opened, "settings": settings, "table": table, "unseen": unseen}
        CASES[full] = Case(full, section, title, accept, run, **options)
        return run

    return enter


def observe(connection, stream):
    """Waits until the server has made up its mind about a stream and about the connection."""
    if connection.raw or connection.unfenced:
        return Outcome(connection, stream, True)
    alive = connection.fence()
    if stream is not None:
        connection.attend(lambda: connection.over(stream) or connection.dying())
    if connection.goaway and not connection.closed:
        connection.attend(lambda: connection.closed, 1)
    return Outcome(connection, stream, alive)


def need(condition, text):
    if not condition:
        raise Failed(text)


def need_unseen(spot, token):
    """Asks the origin, through the proxy, whether it saw a request."""
    asking = Connection(spot)
    try:
        asking.open()
        count = asking.fetch(path=f"/seen/{token}").json()
    finally:
        asking.close()
    need(count == 0, f"the origin has seen the request {count} times")


def need_serving(spot, seconds=5.0):
    """A new client is served, soon."""
    begun = time.monotonic()
    fresh = Connection(spot)
    try:
        fresh.open()
        answer = fresh.fetch()
    finally:
        fresh.close()
    took = time.monotonic() - begun
    need(answer.status == 200, f"a new client got {answer.status}")
    need(took < seconds, f"a new client waited {took:.1f} s")


def load():
    """Every case, by name, in the order of the table."""
    for module in MODULES:
        importlib.import_module(f"{__package__}.cases.{module}")
    return CASES
