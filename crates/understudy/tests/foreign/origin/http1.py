"""The backend's HTTP/1.1: strict enough to notice what must not arrive, otherwise simple."""

import asyncio

from origin.answers import Request, answer


async def serve(origin, facts, reader, writer):
    """Requests of one connection, one after the other."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as rest:
            if rest.partial:
                raise
            return
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, version = first.split(" ")
        fields = [_field(line) for line in lines]
        body = _Body(reader, writer, fields)
        request = Request(origin, facts, method, path, version, fields, body.parts)
        channel = _Channel(request, reader, writer)
        await answer(request, channel)
        if channel.over or (request.field("connection") or "").lower() == "close":
            return
        if not body.done:
            await request.read()


def _field(line):
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise EOFError(f"not a field: {line!r}")
    return name, value.strip()


class _Body:
    """The body of a request, by its length or its chunks (RFC 9112 section 6)."""

    def __init__(self, reader, writer, fields):
        self.reader, self.writer, self.done = reader, writer, False
        known = {name.lower(): value for name, value in fields}
        self.length = int(known.get("content-length", 0))
        self.chunked = known.get("transfer-encoding", "").lower() == "chunked"
        self.expects = known.get("expect", "").lower() == "100-continue"
        if self.chunked and "content-length" in known:
            raise EOFError("both lengths")

    async def parts(self, request):
        """What comes, as it comes; trailers go into the request."""
        if self.done:
            return
        if self.expects:
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = self.length
        while not self.chunked and left:
            part = await self._some(left)
            left -= len(part)
            yield part
        while self.chunked:
            left = int(await self._line(), 16)
            if left == 0:
                while line := await self._line():
                    request.trailers.append(_field(line))
                break
            while left:
                part = await self._some(left)
                left -= len(part)
                yield part
            await self._line()
        self.done = True

    async def _some(self, limit):
        part = await self.reader.read(min(limit, 65536))
        if not part:
            raise EOFError("ended within a body")
        return part

    async def _line(self):
        return (await self.reader.readuntil(b"\r\n"))[:-2].decode("latin-1")


class _Channel:
    """How an answer goes out."""

    def __init__(self, request, reader, writer):
        self.request, self.reader, self.writer = request, reader, writer
        self.over, self.chunked = False, False

    async def interim(self, status, fields):
        self.writer.write(_head(status, fields))
        await self.writer.drain()

    async def whole(self, status, fields, body):
        # One write: being killed or stopped between head and body would be another test.
        if status not in (204, 304):
            fields = [*fields, ("content-length", str(len(body)))]
        unsent = self.request.method == "HEAD" or status in (204, 304)
        self.writer.write(_head(status, fields) + (b"" if unsent else body))
        await self.writer.drain()

    async def head(self, status, fields, length):
        fields = list(fields)
        self.chunked = length is None
        if self.chunked:
            fields.append(("transfer-encoding", "chunked"))
        elif status not in (204, 304):
            fields.append(("content-length", str(length)))
        self.writer.write(_head(status, fields))
        await self.writer.drain()

    async def data(self, data):
        if self.request.method == "HEAD" or not data:
            return
        if self.chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.writer.write(data)
        await self.writer.drain()
        if self.reader.at_eof() or self.writer.is_closing():
            raise EOFError("the other side has gone")

    async def end(self, trailers=()):
        if self.chunked and self.request.method != "HEAD":
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self.writer.write(f"0\r\n{lines}\r\n".encode())
            await self.writer.drain()

    async def gone(self):
        """Waits for the other side to go away."""
        await self.reader.read(1)
        self.over = True

    async def early_bytes(self, seconds):
        """How many bytes come within this time although nothing has been answered."""
        try:
            await asyncio.wait_for(asyncio.shield(self._filled()), seconds)
        except TimeoutError:
            pass
        return len(self.reader._buffer)  # Looked at, not read: they belong to the tunnel.

    async def _filled(self):
        while not self.reader._buffer:
            await asyncio.sleep(0.005)

    async def tunnel(self, fields):
        self.over = True
        self.writer.write(_head(101, fields))

        async def write(data):
            self.writer.write(data)
            await self.writer.drain()
        return (lambda: self.reader.read(65536)), write

    async def hang_up(self):
        """The connection ends with the tunnel anyway."""


def _head(status, fields):
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()
