"""The HTTP/1.1 origin behind the proxy under test: says what it received. It judges nothing.

`python -m h2_conformance.origin --port 0` prints its port and serves until it is ended. Every answer carries
`x-origin: 1`, so that a case can tell an answer of the origin from one that the proxy made.

    /echo        what arrived, as JSON: method, target, fields, length and digest of the body, trailers
    /size/N      a body of N bytes
    /status/N    an answer with this status; a body only where one is allowed
    /trailers    a chunked body with a trailer field `x-sum: ok`
    /slow        an empty answer after half a second; `/slow/MS` after so many milliseconds; none if the client leaves
    /hold        reads none of the body for a second, then answers
    /early       answers before it reads the body
    /interim     103 with a `link`, then 200
    /hop         connection-specific fields and names in capitals in the answer
    /truncated   announces 1000 bytes, sends 500, closes
    /fields/N    N fields of 100 bytes in the answer
    /seen/TOKEN  how many heads contained the token `case-TOKEN`
    /peak/TOKEN  how many `/slow` with this token waited at once, at most
"""

import argparse
import asyncio
import hashlib
import json
import re
import socket

HEAD_LIMIT = 1 << 20
TOKEN = re.compile(rb"case-([0-9a-f]{16})")


class Request:
    """One request as it arrived; text is Latin-1, so that no byte is lost."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, _, rest = lines[0].partition(" ")
        self.target, _, self.version = rest.rpartition(" ")
        self.fields = [line.partition(":")[::2] for line in lines[1:] if line]
        self.fields = [(name.lower(), value.strip(" \t")) for name, value in self.fields]
        self.length = 0
        self.digest = hashlib.sha256()
        self.trailers = []

    def field(self, name):
        return ", ".join(value for known, value in self.fields if known == name)

    def take(self, piece):
        self.length += len(piece)
        self.digest.update(piece)

    async def read_body(self, reader):
        if "chunked" in self.field("transfer-encoding").lower():
            while size := int((await reader.readline()).split(b";")[0], 16):
                self.take((await reader.readexactly(size + 2))[:-2])
            while (line := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                self.trailers.append((name.lower(), value.strip()))
        else:
            left = int(self.field("content-length") or 0)
            while left:
                piece = await reader.read(min(left, 65536))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", left)
                self.take(piece)
                left -= len(piece)

    def echo(self):
        return json.dumps(
            {
                "method": self.method,
                "target": self.target,
                "fields": self.fields,
                "length": self.length,
                "sha256": self.digest.hexdigest(),
                "trailers": self.trailers,
            }
        ).encode()


def answer(status, body=b"", fields=(), length=None):
    """An answer with a length; None as body leaves the length out."""
    lines = [f"HTTP/1.1 {status} Word", "x-origin: 1"]
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        lines.append(f"content-length: {len(body) if length is None else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def pattern(length):
    """A body whose bytes tell their place."""
    return (b"0123456789abcdef" * (length // 16 + 1))[:length]


class Origin:
    """Answers requests and remembers the tokens it has seen."""

    def __init__(self):
        self.seen, self.waiting, self.peak = {}, {}, {}

    async def serve(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Clients of an origin may go at any time; garbage ends the connection.
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        for token in TOKEN.findall(head):
            self.seen[token.decode()] = self.seen.get(token.decode(), 0) + 1
        request = Request(head)
        word, _, number = request.target.partition("?")[0].strip("/").partition("/")
        if request.field("expect").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if word == "early":
            writer.write(answer(200, b"early"))
            await writer.drain()
        if word == "hold":
            await asyncio.sleep(1)
        await request.read_body(reader)
        if word != "early":
            await self.reply(request, word, number, reader, writer)
        await writer.drain()
        return word != "truncated" and "close" not in request.field("connection").lower()

    async def reply(self, request, word, number, reader, writer):
        if word == "slow":
            await self.wait(request, reader, int(number or 500) / 1000)
            writer.write(answer(200))
        elif word == "size":
            body = pattern(int(number))
            writer.write(answer(200, b"" if request.method == "HEAD" else body, length=len(body)))
        elif word == "status":
            bodiless = number in ("204", "304") or request.method == "HEAD"
            writer.write(answer(number, None if bodiless else b"status"))
        elif word == "trailers":
            head = answer(200, None, [("Transfer-Encoding", "chunked"), ("Trailer", "x-sum")])
            writer.write(head + b"4\r\nbody\r\n0\r\nx-sum: ok\r\n\r\n")
        elif word == "interim":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preconnect\r\n\r\n" + answer(200, b"done"))
        elif word == "hop":
            fields = [("Connection", "keep-alive"), ("Keep-Alive", "timeout=9"), ("X-Mixed-Case", "Kept")]
            writer.write(answer(200, b"hop", fields + [("Proxy-Connection", "keep-alive")]))
        elif word == "truncated":
            writer.write(answer(200, bytes(500), length=1000))
        elif word == "fields":
            writer.write(answer(200, b"fields", [(f"x-{n}", f"{n:0100}") for n in range(int(number))]))
        elif word in ("seen", "peak"):
            counts = self.seen if word == "seen" else self.peak
            writer.write(answer(200, json.dumps(counts.get(number, 0)).encode()))
        else:
            writer.write(answer(200, b"" if request.method == "HEAD" else request.echo()))

    async def wait(self, request, reader, seconds):
        """Waits, and counts who waits; a client that leaves ends it, as a real handler would see."""
        key = request.target.partition("case-")[2]
        self.waiting[key] = self.waiting.get(key, 0) + 1
        self.peak[key] = max(self.peak.get(key, 0), self.waiting[key])
        try:
            if not await asyncio.wait_for(reader.read(1), seconds):
                raise asyncio.IncompleteReadError(b"", 1)
        except TimeoutError:
            pass
        finally:
            self.waiting[key] -= 1


async def main():
    options = argparse.ArgumentParser(prog="h2_conformance.origin", description=__doc__.split("\n")[0])
    options.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = options.parse_args().port
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A small buffer lets a body that nobody reads be felt by who sends it.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        bound.bind(("127.0.0.1", port))
        server = await asyncio.start_server(Origin().serve, sock=bound, limit=HEAD_LIMIT)
        print(bound.getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
