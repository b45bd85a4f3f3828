"""Accepts connections, finds out what they speak, and keeps the journal; see `--help`.

Prints `listening on ADDRESS` and `control on ADDRESS`. The control port is plain HTTP: `/_journal`
lists the requests so far, `/_probes` the last requests for `/healthz`, and `/_health/503` sets what
those are answered from now on.
"""

import argparse
import asyncio
import collections
import json
import os
import socket
import ssl
import struct
import sys

from origin import http1, http2


class Origin:
    """What all connections share."""

    def __init__(self, name):
        self.name = name
        self.health = 200
        # Bounded, as a load may run for long.
        self.journal = collections.deque(maxlen=50_000)
        self.probes = collections.deque(maxlen=20)
        self.connections = 0


class Refused(Exception):
    """A connection that did not begin as it had to."""


async def read_proxy_header(loop, connection):
    """The PROXY header (v1 or v2) as a dict; not a byte behind it is read."""
    async def exactly(count):
        data = b""
        while len(data) < count:
            more = await loop.sock_recv(connection, count - len(data))
            if not more:
                raise Refused("ended within the PROXY header")
            data += more
        return data

    begin = await exactly(12)
    if begin == b"\r\n\r\n\x00\r\nQUIT\n":
        command, family, length = struct.unpack("!BBH", await exactly(4))
        rest = await exactly(length)
        found = {"version": 2, "command": {0x20: "LOCAL", 0x21: "PROXY"}.get(command)}
        sizes = {0x11: (4, socket.AF_INET), 0x21: (16, socket.AF_INET6)}
        if found["command"] == "PROXY" and family in sizes:
            size, kind = sizes[family]
            found["source"] = socket.inet_ntop(kind, rest[:size])
            found["destination"] = socket.inet_ntop(kind, rest[size:2 * size])
            ports = struct.unpack("!HH", rest[2 * size:2 * size + 4])
            found["source_port"], found["destination_port"] = ports
        return found
    line = begin
    while not line.endswith(b"\r\n"):
        if len(line) > 107 or not b"PROXY ".startswith(line[:6]):
            raise Refused(f"no PROXY header: {line!r}")
        line += await exactly(1)
    words = line.decode().split()
    found = {"version": 1, "command": words[1]}
    if words[1] != "UNKNOWN":
        found.update(source=words[2], destination=words[3],
                     source_port=int(words[4]), destination_port=int(words[5]))
    return found


async def serve(origin, options, tls, connection):
    """One connection, from accept to its end."""
    loop = asyncio.get_running_loop()
    origin.connections += 1
    facts = {"connection": origin.connections}
    try:
        if options.proxy_protocol:
            facts["proxy"] = await read_proxy_header(loop, connection)
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    except (Refused, OSError) as error:
        print("refused:", error, file=sys.stderr, flush=True)
        connection.close()
        return
    try:
        await _speak(origin, options, facts, reader, writer)
    except (OSError, EOFError, asyncio.IncompleteReadError) as error:
        print("ended:", repr(error), file=sys.stderr, flush=True)
    finally:
        writer.close()


async def _speak(origin, options, facts, reader, writer):
    session = writer.get_extra_info("ssl_object")
    if session:
        facts.update(tls=session.version(), sni=getattr(session, "asked_name", None))
        client = session.getpeercert()
        facts["client"] = client and dict(pair[0] for pair in client["subject"])
        if session.selected_alpn_protocol() == "h2":
            return await http2.serve(origin, facts, reader, writer)
    elif options.h2c:
        return await http2.serve(origin, facts, reader, writer)
    return await http1.serve(origin, facts, reader, writer)


async def control(origin, reader, writer):
    """One command: `GET /_journal`, `GET /_probes` or `GET /_health/STATUS`."""
    line = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
    if line.startswith("/_health/"):
        origin.health = int(line.rpartition("/")[2])
    body = json.dumps(list(origin.probes if line == "/_probes" else origin.journal)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()


def listen(options):
    """The listening socket and its address."""
    if options.unix:
        if os.path.exists(options.unix):
            os.unlink(options.unix)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(options.unix)
        address = f"unix:{options.unix}"
    else:
        listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        address = "%s:%d" % listener.getsockname()[:2]
    listener.listen(4096)
    listener.setblocking(False)
    return listener, address


def tls_context(options):
    """What a TLS backend offers and asks for."""
    if not options.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    context.set_alpn_protocols(options.alpn.split(","))
    context.sni_callback = lambda session, name, _context: setattr(session, "asked_name", name)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unix", help="a path instead of host and port")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--client-ca", help="clients must have a certificate of this authority")
    parser.add_argument("--alpn", default="h2,http/1.1", help="what it takes over TLS")
    parser.add_argument("--h2c", action="store_true", help="HTTP/2 in the clear, and nothing else")
    parser.add_argument("--proxy-protocol", action="store_true", help="demands a PROXY header")
    options = parser.parse_args()

    origin, tls = Origin(options.name), tls_context(options)
    listener, address = listen(options)
    commands = await asyncio.start_server(
        lambda reader, writer: control(origin, reader, writer), "127.0.0.1", 0)
    print(f"listening on {address}", flush=True)
    print("control on 127.0.0.1:%d" % commands.sockets[0].getsockname()[1], flush=True)
    loop, running = asyncio.get_running_loop(), set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        if not options.unix:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = loop.create_task(serve(origin, options, tls, connection))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main())
