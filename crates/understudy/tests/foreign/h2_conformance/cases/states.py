"""Every frame in every state of a stream (RFC 9113 section 5.1)."""

from .. import frames as f
from ..table import ALIVE, FINE, case, connection_error, need, stream_error, told

IDLE = connection_error(f.PROTOCOL_ERROR)
CLOSED = stream_error(f.STREAM_CLOSED)
# "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error of type
# STREAM_CLOSED", or PROTOCOL_ERROR where it is sure; it may as well process the frame minimally and discard it.
DISCARDED = ALIVE | stream_error(f.STREAM_CLOSED) | connection_error(f.PROTOCOL_ERROR)


def frame_of(name, c, stream):
    trailers = f.block([("x-late", "1")])
    return {
        "DATA": lambda: f.frame(f.DATA, f.END_STREAM, stream, b"abc"),
        "HEADERS": lambda: f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, trailers),
        "PRIORITY": lambda: f.frame(f.PRIORITY, 0, stream, f.dependency()),
        "RST_STREAM": lambda: f.reset(stream),
        "WINDOW_UPDATE": lambda: f.window_update(stream, 100),
        "CONTINUATION": lambda: f.frame(f.CONTINUATION, f.END_HEADERS, stream, trailers),
    }[name]()


def row(state, name, accept, make, section="9113 5.1", judged=True):
    """A frame on a stream that `make` has brought into a state; afterwards the connection must still work."""
    short = state.split(",")[0].replace(" ", "-").replace("(", "").replace(")", "")

    @case(section, f"{name} on a stream that is {state}", accept, name=f"{short}-{name.lower().replace('_', '-')}")
    def run(c):
        if make is waiting:
            with c.together():
                stream = make(c)
                c.send(frame_of(name, c, stream))
        else:
            stream = make(c)
            c.send(frame_of(name, c, stream))
        return stream if judged else None


# === Idle ===

for kind, accept in {
    "DATA": connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED),
    "RST_STREAM": IDLE,
    "WINDOW_UPDATE": IDLE,
    "CONTINUATION": IDLE,
    "PRIORITY": ALIVE,
}.items():
    row("idle", kind, accept, lambda c: c.next_stream, judged=False)


# === Half-closed (remote): the request is complete, the answer is not ===


def waiting(c):
    return c.request(path="/slow/300")


for kind, accept in {
    "DATA": CLOSED,
    "HEADERS": CLOSED | connection_error(f.PROTOCOL_ERROR),
    "CONTINUATION": connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED),
    "PRIORITY": FINE,
    "WINDOW_UPDATE": FINE,
}.items():
    row("half-closed (remote)", kind, accept, waiting)
row("half-closed (remote)", "RST_STREAM", ALIVE, waiting, judged=False)


@case("9113 5.1", "A second request on a stream that waits for its answer", CLOSED)
def request_on_a_waiting_stream(c):
    with c.together():
        stream = waiting(c)
        c.headers(f.block(c.head()), stream=stream)
    return stream


# === Closed: request and answer are complete ===


def finished(c):
    stream = c.request()
    c.response(stream)
    return stream


for kind, accept in {
    "DATA": DISCARDED,
    "HEADERS": DISCARDED,
    "CONTINUATION": connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED),
    "PRIORITY": ALIVE,
    "WINDOW_UPDATE": ALIVE,
    "RST_STREAM": ALIVE,
}.items():
    row("closed, by END_STREAM on both sides", kind, accept, finished, judged=False)


# === Closed by our own RST_STREAM ===


def cancelled(c):
    stream = c.request("POST", end=False)
    c.send(f.reset(stream))
    return stream


for kind, accept in {
    "DATA": DISCARDED,
    "HEADERS": DISCARDED,
    "CONTINUATION": connection_error(f.PROTOCOL_ERROR, f.STREAM_CLOSED),
    "PRIORITY": ALIVE,
    "WINDOW_UPDATE": ALIVE | DISCARDED,
    "RST_STREAM": ALIVE | DISCARDED,
}.items():
    row("cancelled, by our RST_STREAM", kind, accept, cancelled, judged=False)


# === Closed by the server's RST_STREAM ===


@case(
    "9113 5.1", "DATA on the way while the server resets the stream", told("it is discarded: the next GET gets 200")
)
def refused_then_data(c):
    stream = c.headers(f.block(c.head("POST", fields=[("X-Capital", "x")])), end=False)
    c.data(stream, bytes(1000))
    c.data(stream, bytes(1000), end=True)
    c.wait(lambda: c.over(stream), "the end of the malformed request")
    if not c.dying():
        need(c.fetch().status == 200, "no 200 on the next stream")


@case(
    "9113 5.1",
    "3 times 60,000 bytes on streams that the server has reset",
    told("they count against the window and are given back"),
)
def window_of_discarded_data(c):
    for _ in range(3):
        stream = c.headers(f.block(c.head("POST", fields=[("X-Capital", "x")])), end=False)
        c.wait(lambda: c.over(stream) or c.dying(), "the end of the malformed request")
        if c.dying():
            return  # It takes the malformed request for a connection error, which is allowed.
        for size in (16000, 16000, 16000, 12000):
            c.data(stream, bytes(size))
        c.rooms[0] = c.rooms.get(0, 65535) - 60000
        c.fence()
        if c.dying():
            return
        c.wait(lambda: c.room(c.next_stream) > 0, "the window to be given back")
    stream = c.request("POST", end=False)
    c.upload(stream, bytes(60000))
    need(c.response(stream).json()["length"] == 60000, "the origin has another length")


@case("9113 5.1", "Trailers, then DATA", CLOSED)
def data_after_trailers(c):
    with c.together():
        stream = c.request("POST", "/slow/300", end=False)
        c.data(stream, b"abc")
        c.headers(f.block([("x-sum", "1")]), stream=stream)
        c.data(stream, b"def", end=True)
    return stream


@case("9113 5.1", "RST_STREAM in the middle of a body, then a GET", FINE)
def reset_while_open(c):
    stream = c.request("POST", end=False)
    c.data(stream, b"abc")
    c.send(f.reset(stream))
    return c.request()


@case(
    "9113 5.1",
    "RST_STREAM in the middle of an answer, then a GET",
    told("200, and no more of the first answer after that"),
)
def reset_of_a_running_answer(c):
    c.auto_window = False
    stream = c.request(path="/size/1000000")
    c.wait(lambda: stream in c.responses and len(c.responses[stream].body) > 0, "the first DATA")
    c.send(f.reset(stream))
    c.fence()
    got = len(c.responses[stream].body)
    c.give(0, 1 << 20)
    need(c.fetch().status == 200, "no 200 on the next stream")
    need(len(c.responses[stream].body) == got, "DATA on a stream that was reset long ago")


@case("9113 5.4.2", "RST_STREAM with an unknown error code, then a GET", FINE)
def unknown_error_code(c):
    stream = c.request("POST", end=False)
    c.send(f.reset(stream, 0xFFFF_FFFF))
    return c.request()


@case(
    "7541 2.2",
    "HEADERS with a remembered field on a stream that we cancelled; then its index",
    told("the field reaches the origin"),
)
def compression_of_discarded_headers(c):
    stream = cancelled(c)
    late = f.remembered(b"x-late", b"kept")
    c.send(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, late))
    c.fence()
    if c.dying():
        return  # A connection error is allowed.
    answer = c.response(c.headers(f.block(c.head()) + f.indexed(62)))
    need(["x-late", "kept"] in answer.json()["fields"], "the origin has not got the field")
