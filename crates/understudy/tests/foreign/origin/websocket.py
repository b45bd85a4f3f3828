"""A WebSocket that echoes: frames are those of `wsproto`, the handshake is not made here."""

import base64
import hashlib

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(key):
    """The value of Sec-WebSocket-Accept, RFC 6455 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()


async def echo(request, read, write):
    """Sends every message back until the other side closes; `who` is answered with our name."""
    record, connection = request.record, Connection(ConnectionType.SERVER)
    record.update(messages=0, closed=None)
    while True:
        data = await read()
        connection.receive_data(data or None)
        for event in connection.events():
            match event:
                case TextMessage(data="who"):
                    await write(connection.send(TextMessage(data=request.origin.name)))
                case TextMessage() | BytesMessage():
                    record["messages"] += event.message_finished
                    await write(connection.send(event))
                case Ping():
                    await write(connection.send(event.response()))
                case CloseConnection():
                    record["closed"] = int(event.code)
                    if data:
                        await write(connection.send(event.response()))
                    return
        if not data:
            return
