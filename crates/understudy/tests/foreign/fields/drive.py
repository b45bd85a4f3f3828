"""Plays one row on a stage and judges both sides of it."""

import inspect
import time

from .client1 import Client1
from .client2 import Client2
from .message import Result
from .table import Ask, Section, universal


class Play:
    """What a row's own function is given when a request and an answer are not enough."""

    def __init__(self, row, stage):
        self.row, self.stage, self.origin = row, stage, stage.origin
        self.clients = []
        self.extra = []  # complaints of its own

    def client(self, source=None, tls=None, listener=None, down=None):
        down = down or self.row.down
        address = self.stage.address(listener or self.row.listener, down)
        source = source or self.row.source
        made = Client2(address, source) if down == "h2" else Client1(address, source, tls)
        self.clients.append(made)
        return made

    def check(self, truth, text):
        if not truth:
            self.extra.append(text)

    def wait(self, look, patience):
        """Until `look` holds, or so many seconds; says whether it does."""
        deadline = time.monotonic() + patience
        while not look() and time.monotonic() < deadline:
            time.sleep(0.005)
        return look()

    def end(self):
        for client in self.clients:
            client.close()


def play(row, stage):
    """The complaints about a row: empty if it is as it must be."""
    stage.origin.reset(row.reply)
    it = Play(row, stage)
    try:
        result = _send(row, it)
        # Behind everything of this row on its way through the proxy, and a check of what it left.
        trouble = stage.fence()
        seen = stage.origin.seen()
        found = it.extra + universal(row, result, seen)
        found += _best(row, it, result, seen)
        for client in it.clients:
            if stray := client.stray():
                found.append(f"more than was asked for: {stray[:80]!r}")
    finally:
        it.end()
    found += [trouble] if trouble else []
    if found:
        found.append(f"client got: {result}")
        found += [f"backend saw: {request}" for request in seen] or ["backend saw: nothing"]
    return found


def _send(row, it):
    if inspect.isfunction(row.send):
        return row.send(it)
    client = it.client()
    if row.down == "h2":
        section = row.send.as_h2() if isinstance(row.send, Ask) else row.send
        assert isinstance(section, Section), row.id
        return client.answer(client.ask(section.fields, section.data, section.trailers))
    data = row.send.as_h1() if isinstance(row.send, Ask) else row.send
    client.send(data, row.pieces)
    result = Result()
    for _ in range(row.answers):
        result = client.answer(head=b"HEAD " in data[:5])
        if not result.complete:
            break
    return result


def _best(row, it, result, seen):
    """The complaints of the outcome that fits best."""
    client = it.clients[-1] if it.clients else None
    known = []

    def is_closed():
        # On HTTP/2 only the stream ends.
        if row.down == "h2" or client is None:
            return True
        if not known:
            known.append(client.is_closed(1.0))
        return known[0]

    return min((o.complaints(result, seen, is_closed) for o in row.accepts), key=len)
