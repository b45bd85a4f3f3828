"""What is answered at which path, whatever protocol carries it.

A channel has `interim(status, fields)`, `whole(status, fields, body)` for an answer that is sent
whole or not at all, `head(status, fields, length)`, `data(bytes)`, `end(trailers)`, and
`tunnel(fields)` for what becomes a stream of bytes both ways, until `hang_up()`.
"""

import asyncio
import hashlib
import json
import urllib.parse

from origin import websocket


class Request:
    """A request's head, and its body as it comes."""

    def __init__(self, origin, facts, method, path, version, fields, body, protocol=None):
        self.origin, self.method, self.version, self.fields = origin, method, version, fields
        self.path, _, query = path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        self.body, self.trailers, self.protocol = body, [], protocol
        self.record = {
            "name": origin.name, "method": method, "path": path, "version": version,
            "headers": fields, "received": 0, "complete": False, "aborted": False, **facts,
        }
        # Probes are apart: tests count requests.
        (origin.probes if self.path == "/healthz" else origin.journal).append(self.record)

    def field(self, name):
        """The first value of a field, or None."""
        return next((value for known, value in self.fields if known.lower() == name), None)

    def number(self, key, default):
        return int(self.query.get(key, default))

    async def read(self):
        """The whole body's length and SHA-256, counted in the record as it comes."""
        digest = hashlib.sha256()
        async for part in self.body(self):
            self.record["received"] += len(part)
            digest.update(part)
        self.record.update(complete=True, trailers=self.trailers)
        return digest.hexdigest()


async def answer(request, channel):
    """Answers one request."""
    name, _, argument = request.path.strip("/").partition("/")
    handler = PATHS.get(name, _echo)
    try:
        await handler(request, channel, argument)
    except (OSError, EOFError, asyncio.CancelledError, asyncio.IncompleteReadError):
        request.record["aborted"] = True
        raise


async def _whole(channel, body, status=200, fields=(), kind="text/plain"):
    await channel.whole(status, [("content-type", kind), *fields], body)


async def _health(request, channel, _argument):
    await request.read()
    await _whole(channel, b"health\n", request.origin.health)


async def _echo(request, channel, _argument):
    digest = await request.read()
    seen = {**request.record, "sha256": digest}
    await _whole(channel, json.dumps(seen).encode(), kind="application/json")


async def _name(request, channel, _argument):
    await request.read()
    await _whole(channel, request.origin.name.encode(), fields=[("x-origin", request.origin.name)])


async def _size(request, channel, argument):
    await request.read()
    left = int(argument)
    await channel.head(200, [], left)
    while left > 0:
        await channel.data(bytes(min(left, 65536)))
        left -= 65536
    await channel.end()


async def _chunked(request, channel, argument):
    await request.read()
    await channel.head(200, [], None)
    await channel.data(bytes(int(argument)))
    await channel.end()


async def _slow(request, channel, argument):
    await asyncio.sleep(int(argument) / 1000)
    await _echo(request, channel, argument)


async def _status(request, channel, argument):
    await request.read()
    status = int(argument)
    body = b"" if status in (204, 304) else b"status\n"
    await _whole(channel, body, status)


async def _trailers(request, channel, _argument):
    await request.read()
    await channel.head(200, [("trailer", "x-sum")], None)
    await channel.data(b"hello")
    await channel.end([("x-sum", "42")])


async def _early(request, channel, _argument):
    await request.read()
    await channel.interim(103, [("link", "</style.css>; rel=preload; as=style")])
    await _whole(channel, b"late\n")


async def _sse(request, channel, _argument):
    await request.read()
    await channel.head(200, [("content-type", "text/event-stream")], None)
    for number in range(request.number("count", 1_000_000)):
        await channel.data(f"data: {request.origin.name} {number}\n\n".encode())
        await asyncio.sleep(request.number("gap", 50) / 1000)
    await channel.end()


async def _drip(request, channel, _argument):
    # A long download whose length is known: being cut short is visible.
    await request.read()
    count, size = request.number("count", 100), request.number("bytes", 1000)
    await channel.head(200, [], count * size)
    for _ in range(count):
        await channel.data(bytes(size))
        await asyncio.sleep(request.number("gap", 50) / 1000)
    await channel.end()


async def _hang(request, channel, _argument):
    await request.read()
    # Until the connection or the stream goes, which cancels or raises.
    await channel.gone()
    raise EOFError("the client went away")


async def _reject(request, channel, argument):
    # Answers before the body has been read, and reads it nevertheless.
    await _whole(channel, b"no\n", int(argument))
    await request.read()


async def _not_upgrade(_request, channel, _argument):
    await _whole(channel, b"no upgrade\n")


async def _websocket(request, channel, _argument):
    if request.query.get("late"):
        request.record["early"] = await channel.early_bytes(request.number("late", 500) / 1000)
    fields = [] if request.protocol else [
        ("upgrade", "websocket"), ("connection", "Upgrade"),
        ("sec-websocket-accept", websocket.accept(request.field("sec-websocket-key") or "")),
    ]
    read, write = await channel.tunnel(fields)
    await websocket.echo(request, read, write)
    await channel.hang_up()


PATHS = {
    "healthz": _health, "echo": _echo, "name": _name, "size": _size, "chunked": _chunked,
    "slow": _slow, "status": _status, "trailers": _trailers, "early": _early, "sse": _sse,
    "drip": _drip, "hang": _hang, "reject": _reject, "not-upgrade": _not_upgrade,
    "ws": _websocket,
}
