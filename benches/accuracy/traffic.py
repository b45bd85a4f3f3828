"""Light traffic: one client per service that asks when it is due, on connections it keeps."""

import asyncio
import time

PATIENCE = 15
MOST_AT_ONCE = 200


class Client:
    """Asks one service for `/`, so many times a second."""

    def __init__(self, host, port, rate):
        self.port, self.rate = port, rate
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.idle, self.running = [], set()
        # Of each request: when it was sent, when its answer came, the status (0: none), who answered.
        self.answers = []
        self.task = asyncio.create_task(self.ask_on())

    async def ask_on(self):
        due = time.monotonic()
        while True:
            due += 1 / self.rate
            await asyncio.sleep(max(0, due - time.monotonic()))
            if len(self.running) < MOST_AT_ONCE:
                task = asyncio.create_task(self.ask())
                self.running.add(task)
                task.add_done_callback(self.running.discard)

    async def ask(self):
        sent = time.time()
        try:
            async with asyncio.timeout(PATIENCE):
                status, origin = await self.exchange()
        except (OSError, TimeoutError, EOFError, ValueError):
            status, origin = 0, None
        self.answers.append((sent, time.time(), status, origin))

    async def exchange(self):
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        kept = False
        try:
            writer.write(self.request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", 0)))
            kept = fields.get("connection") != "close" and "transfer-encoding" not in fields
        finally:
            if kept:
                self.idle.append((reader, writer))
            else:
                writer.close()
        return int(head[0].split()[1]), fields.get("x-origin")

    def good_since(self, moment, origin):
        """When the first good answer of that origin came after that moment."""
        times = [at for _, at, status, who in self.answers if status == 200 and who == origin and at >= moment]
        return min(times, default=None)

    def failed(self):
        return sum(status != 200 for _, _, status, _ in self.answers)

    async def end(self):
        tasks = [self.task, *self.running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, writer in self.idle:
            writer.close()


async def ask(address, port, method, path, host="lab", patience=5):
    """One request on a connection of its own: status and body."""
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = unchunked(body)
    return int(head.split()[1]), body


def unchunked(body):
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        parts.append(rest[:length])
        body = rest[length + 2:]
    return b"".join(parts)
