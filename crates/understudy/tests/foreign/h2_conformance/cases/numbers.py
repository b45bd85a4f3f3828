"""Stream identifiers: which frames go where, and in which order (RFC 9113 sections 5.1.1 and 6)."""

from .. import frames as f
from ..table import ALIVE, FINE, answered, case, connection_error, need, stream_error, told

PROTOCOL = connection_error(f.PROTOCOL_ERROR)
REUSED = connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED)
PAYLOADS = {
    "DATA": (f.DATA, b"abc"),
    "PRIORITY": (f.PRIORITY, f.dependency()),
    "RST_STREAM": (f.RST_STREAM, bytes(4)),
    "CONTINUATION": (f.CONTINUATION, b"\x82"),
    "PUSH_PROMISE": (f.PUSH_PROMISE, b"\0\0\0\2\x82"),
    "SETTINGS": (f.SETTINGS, b""),
    "PING": (f.PING, bytes(8)),
    "GOAWAY": (f.GOAWAY, bytes(8)),
    "WINDOW_UPDATE": (f.WINDOW_UPDATE, b"\0\0\0\1"),
}
SECTIONS = {
    "DATA": "6.1",
    "PRIORITY": "6.3",
    "RST_STREAM": "6.4",
    "SETTINGS": "6.5",
    "PUSH_PROMISE": "6.6",
    "PING": "6.7",
    "GOAWAY": "6.8",
    "WINDOW_UPDATE": "6.9",
    "CONTINUATION": "6.10",
}


@case("9113 6.2", "HEADERS on stream 0", PROTOCOL)
def headers_on_0(c):
    c.send(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 0, f.block(c.head())))


def on_connection(name):
    @case(f"9113 {SECTIONS[name]}", f"{name} on stream 0", PROTOCOL, name=f"{name.lower()}-on-0".replace("_", "-"))
    def run(c):
        kind, payload = PAYLOADS[name]
        c.send(f.frame(kind, 0, 0, payload))


def on_stream(name):
    @case(f"9113 {SECTIONS[name]}", f"{name} on an open stream", PROTOCOL, name=f"{name.lower()}-on-a-stream")
    def run(c):
        kind, payload = PAYLOADS[name]
        c.send(f.frame(kind, 0, c.request("POST", end=False), payload))


for kind_name in ("DATA", "PRIORITY", "RST_STREAM", "CONTINUATION", "PUSH_PROMISE"):
    on_connection(kind_name)
for kind_name in ("SETTINGS", "PING", "GOAWAY"):
    on_stream(kind_name)


@case("9113 8.4", "PUSH_PROMISE from a client on an open stream", PROTOCOL)
def push_promise_from_a_client(c):
    kind, payload = PAYLOADS["PUSH_PROMISE"]
    c.send(f.frame(kind, f.END_HEADERS, c.request("POST", end=False), payload))


@case("9113 5.1.1", "HEADERS on stream 2", PROTOCOL)
def headers_on_even(c):
    c.headers(f.block(c.head()), stream=2)


def on_even(name):
    accept = connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED)

    @case(
        "9113 5.1",
        f"{name} on stream 2, which only a server could open",
        accept,
        name=f"{name.lower()}-on-even".replace("_", "-"),
    )
    def run(c):
        kind, payload = PAYLOADS[name]
        c.send(f.frame(kind, 0, 2, payload))


for kind_name in ("DATA", "RST_STREAM", "WINDOW_UPDATE"):
    on_even(kind_name)


@case("9113 5.1.1", "A request on stream 5, then one on stream 3", REUSED)
def decreasing(c):
    c.headers(f.block(c.head()), stream=5)
    c.headers(f.block(c.head()), stream=3)


@case("9113 5.1.1", "A request on stream 5 that is answered, then one on stream 1", REUSED)
def decreasing_after_the_answer(c):
    c.response(c.headers(f.block(c.head()), stream=5))
    c.headers(f.block(c.head()), stream=1)


@case(
    "9113 5.1.1",
    "A request on stream 1 that is answered, then another on stream 1",
    REUSED | stream_error(f.STREAM_CLOSED),
)
def same_again(c):
    c.fetch()
    c.headers(f.block(c.head()), stream=1)


@case("9113 5.1.1", "Requests on streams 1 and 1001", FINE)
def skipping(c):
    c.fetch()
    return c.headers(f.block(c.head()), stream=1001)


@case("9113 5.1.1", "A request on stream 2^31-1, the last one", answered(200))
def last_of_all(c):
    return c.headers(f.block(c.head()), stream=2**31 - 1)


@case(
    "9113 5.1",
    "DATA on stream 3 after HEADERS on stream 5 closed it unused",
    ALIVE | REUSED | stream_error(f.STREAM_CLOSED),
)
def data_on_a_skipped_stream(c):
    c.response(c.headers(f.block(c.head()), stream=5))
    c.data(3, b"abc")


@case("9113 5.3.2", "PRIORITY on an idle stream, then a GET on a lower one", FINE)
def priority_on_idle(c):
    c.send(f.frame(f.PRIORITY, 0, 9, f.dependency(7, exclusive=True)))
    return c.request()


@case("9113 5.3", "PRIORITY of a stream that depends on itself", ALIVE | stream_error(f.PROTOCOL_ERROR))
def priority_on_itself(c):
    stream = c.request("POST", end=False)
    c.send(f.frame(f.PRIORITY, 0, stream, f.dependency(stream)))
    return None


@case("9113 5.3", "HEADERS of a stream that depends on itself", FINE | stream_error(f.PROTOCOL_ERROR))
def headers_on_itself(c):
    coded = f.dependency(c.next_stream) + f.block(c.head())
    return c.headers(coded, flags=f.END_HEADERS | f.PRIORITIZED)


@case("9113 6.2", "HEADERS with a priority", FINE)
def headers_with_priority(c):
    coded = f.dependency(3, 255, exclusive=True) + f.block(c.head())
    return c.headers(coded, flags=f.END_HEADERS | f.PRIORITIZED)


# === How many streams at once ===


@case("9113 5.1.2", "As many streams at once as announced", told("all are answered with 200"))
def as_many_as_announced(c):
    most = min(c.settings.get(f.MAX_CONCURRENT_STREAMS, 100), 250)
    streams = [c.request("POST", end=False) for _ in range(most)]
    for stream in streams:
        c.data(stream, b"abc", end=True)
    statuses = {c.response(stream).status for stream in streams}
    need(statuses == {200}, f"statuses {statuses}")


@case("9113 5.1.2", "One stream more than announced", stream_error(f.REFUSED_STREAM, f.PROTOCOL_ERROR))
def one_too_many(c):
    most = c.settings.get(f.MAX_CONCURRENT_STREAMS)
    need(most is not None and most < 2000, "no useful limit is announced")
    for _ in range(most):
        c.request("POST", end=False)
    return c.request("POST", end=False)


@case(
    "9113 5.1.2", "One stream too many; then the others end, and another comes", told("the last is answered with 200")
)
def room_again(c):
    most = c.settings.get(f.MAX_CONCURRENT_STREAMS, 100)
    streams = [c.request("POST", end=False) for _ in range(most)]
    c.fence()
    refused = c.request("POST", end=False)
    c.wait(lambda: c.over(refused), "the end of the stream too many")
    if c.dying():
        return  # A connection error is allowed, see one-too-many.
    for stream in streams:
        c.data(stream, end=True)
        c.response(stream)
    need(c.fetch().status == 200, "no 200 after the others had ended")
