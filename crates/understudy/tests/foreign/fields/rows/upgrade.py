"""Switching protocols: only what was asked for, only when the backend has agreed (RFC 9110 section 7.8, RFC 8441)."""

from ..origin1 import OK, Reply
from ..table import Ask, Outcome, Seen, malformed, refused, row, served

ASK = (
    b"GET /row HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-accept: @ACCEPT@\r\n\r\n"
)
SEEN = Seen(
    b"GET",
    b"/row",
    has={"upgrade": b"websocket", "sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ=="},
    matches={"connection": rb"(?i)upgrade"},
)


def tunnel(it):
    """Both directions flow once the backend has said 101; what it sent behind that comes first."""
    client = it.client()
    client.send(ASK)
    result = client.answer()
    if result.status == 101:
        it.check(client.take(5) == b"first", "what came behind the 101")
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        it.check(client.take(18) == b"GET / HTTP/1.1\r\n\r\n", "the tunnel is not transparent")
    return result


def early(it):
    """Bytes behind the request wait for the 101."""
    client = it.client()
    client.send(ASK + b"early")
    it.check(it.wait(lambda: it.origin.seen(), 3), "the request did not arrive")
    # Whatever was sent on with it has arrived when somebody else's request has been through.
    it.stage.fence()
    for request in it.origin.seen():
        it.check(not request.early, f"{request.early!r} was sent on before the backend had agreed")
    it.origin.release()
    result = client.answer()
    if result.status == 101:
        it.check(client.take(10) == b"firstearly", "and then they arrive")
    return result


def refused_then(it):
    """A refused upgrade is an ordinary answer; what follows is an ordinary request, or nothing."""
    client = it.client()
    client.send(
        ASK
        + b"GET /second HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: 6.6.6.6\r\nconnection: close\r\n\r\n"
    )
    result = client.answer()
    # Were it sent on unread, the forged field would be at the backend.
    client.answer(patience=1.0)
    return result


TUNNEL = Reply(SWITCH + b"first", echo=True)
row(
    "upgrade-tunnel",
    "9110 7.8",
    "a switch that was asked for is relayed, both ways",
    tunnel,
    Outcome(
        (101,), SEEN, has={"upgrade": b"websocket", "sec-websocket-accept": b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}
    ),
    reply=TUNNEL,
)
row(
    "upgrade-early-bytes",
    "9110 7.8",
    "bytes behind the request are not sent before the backend has agreed",
    early,
    Outcome((101,), SEEN),
    reply=Reply(SWITCH + b"first", echo=True, gate=True),
)
row(
    "upgrade-200",
    "9110 7.8",
    "a 200 is no switch",
    refused_then,
    Outcome((200,), body=b"ok"),
    reply=Reply(OK),
)
row(
    "upgrade-403",
    "9110 7.8",
    "nor is a refusal",
    refused_then,
    Outcome((403,), body=b"no"),
    reply=Reply(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"),
)
row(
    "upgrade-426",
    "9110 15.5.22",
    "426 says which protocol is wanted",
    Ask(),
    Outcome((426,), has={"upgrade": b"websocket"}),
    reply=Reply(
        b"HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n"
    ),
)
row(
    "upgrade-other",
    "9110 7.8",
    "a switch to something else than was asked for",
    ASK,
    Outcome((502,)),
    reply=Reply(SWITCH.replace(b"upgrade: websocket", b"upgrade: evil")),
)
row(
    "upgrade-http10",
    "9110 7.8",
    "HTTP/1.0 cannot switch",
    ASK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    served(Seen(lacks=("upgrade",))),
    refused(),
)
row(
    "upgrade-unnamed-101",
    "9110 7.8",
    "101 to a client whose `Connection` did not say upgrade",
    ASK.replace(b"connection: Upgrade\r\n", b""),
    Outcome((502, 400)),
    reply=TUNNEL,
)
row(
    "upgrade-h2c-list",
    "9113 3.1",
    "h2c in a list with others",
    ASK.replace(b"upgrade: websocket", b"upgrade: websocket, h2c"),
    served(),
    refused(),
)
row(
    "upgrade-body",
    "9110 7.8",
    "with content, it ends before the switch",
    ASK.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n") + b"hello",
    served(Seen(body=b"hello")),
    refused(400, 413, 501),
)
row(
    "upgrade-post",
    "9110 7.8",
    "a websocket is asked for with GET",
    ASK.replace(b"GET", b"POST"),
    served(),
    refused(400, 405),
)
row(
    "upgrade-malformed",
    "9110 7.8",
    "a protocol that is none",
    ASK.replace(b"upgrade: websocket", b"upgrade: web socket"),
    served(),
    refused(),
)

# --- HTTP/2.
CONNECT = [
    (b":method", b"CONNECT"),
    (b":scheme", b"http"),
    (b":path", b"/row"),
    (b":authority", b"a.example"),
]


def extended(*pseudo, **fields):
    def send(it):
        client = it.client()
        settings = client.wait_settings()
        it.check(settings, "no SETTINGS")
        stream = client.ask([*pseudo, (b"sec-websocket-version", b"13")], end=False, data=[])
        announced = settings.get(8) == 1
        result = client.answer(stream, until=lambda r: r.status)
        if not announced:
            it.check(result.status != 200, "extended CONNECT was not announced, and was accepted")
        if result.status == 200:
            it.check(fields.get("ok", False), "this one must not be accepted")
            client.data(stream, b"ping", False)
            answer = client.answer(stream, until=lambda r: len(r.body) >= 9)
            it.check(answer.body == b"firstping", f"the tunnel gave {answer.body!r}")
            client.cancel(stream)
        result.ending = "complete" if result.status == 200 else result.ending
        return result

    return send


ACCEPT = Seen(
    b"GET",
    b"/row",
    b"a.example",
    has={"upgrade": b"websocket"},
    lacks=("content-length", "transfer-encoding"),
)
row(
    "connect-extended",
    "8441 5",
    "a WebSocket over HTTP/2 becomes an upgrade, if it was announced",
    extended((b":method", b"CONNECT"), (b":protocol", b"websocket"), *CONNECT[1:], ok=True),
    Outcome((200,), ACCEPT),
    malformed(405, 501),
    down="h2",
    reply=Reply(SWITCH + b"first", echo=True),
)
row(
    "connect-extended-unknown",
    "8441 4",
    "a protocol nobody knows",
    extended((b":method", b"CONNECT"), (b":protocol", b"evil"), *CONNECT[1:]),
    malformed(400, 404, 405, 501),
    down="h2",
)
row(
    "connect-extended-no-path",
    "8441 4",
    "without :path and :scheme it is malformed",
    extended((b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":authority", b"a.example")),
    malformed(400, 405, 501),
    down="h2",
)
row(
    "connect-extended-get",
    "8441 4",
    ":protocol is for CONNECT",
    extended((b":method", b"GET"), (b":protocol", b"websocket"), *CONNECT[1:]),
    malformed(),
    down="h2",
)
row(
    "connect-plain",
    "9113 8.5",
    "CONNECT is refused",
    extended((b":method", b"CONNECT"), (b":authority", b"b.example:443")),
    malformed(400, 403, 405, 501),
    down="h2",
)
row(
    "connect-with-path",
    "9113 8.5",
    "CONNECT with :scheme and :path is malformed",
    extended(*CONNECT),
    malformed(400, 403, 405, 501),
    down="h2",
)
row(
    "connect-refused",
    "8441 5",
    "what the backend says to it is said to the client",
    lambda it: _refused_connect(it),
    Outcome((403,), body=b"no"),
    malformed(405, 501),
    down="h2",
    reply=Reply(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"),
)
row(
    "connect-200",
    "8441 5",
    "a 200 of an HTTP/1.1 backend is no switch, and to the client it would be one",
    lambda it: _refused_connect(it),
    malformed(502, 405, 501),
    Outcome((502, 500, 400, 405, 501)),
    down="h2",
    reply=Reply(OK),
)


def _refused_connect(it):
    client = it.client()
    stream = client.ask(
        [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            *CONNECT[1:],
            (b"sec-websocket-version", b"13"),
        ],
        end=False,
        data=[],
    )
    return client.answer(stream)
