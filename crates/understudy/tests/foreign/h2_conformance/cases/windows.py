"""Flow control in both directions (RFC 9113 sections 5.2, 6.9)."""

from .. import frames as f
from ..table import ALIVE, FINE, case, connection_error, need, observe, stream_error, told

MOST = f.LARGEST_WINDOW
NONE = [(f.INITIAL_WINDOW_SIZE, 0)]
FLOW = connection_error(f.FLOW_CONTROL_ERROR)


def begun(c, path="/size/1000"):
    """A GET whose head has come; windows are opened by hand."""
    c.auto_window = False
    stream = c.request(path=path)
    c.wait(lambda: stream in c.responses and c.responses[stream].status is not None, "the head of the answer")
    return stream


def has(c, stream, length):
    """Exactly so many bytes have come, and no more are on their way."""
    c.wait(lambda: len(c.responses[stream].body) >= length, f"{length} bytes")
    c.fence()
    c.attend(lambda: len(c.responses[stream].body) > length, 0.15)
    got = len(c.responses[stream].body)
    need(got == length, f"{got} bytes came, the window was {length}")


@case("9113 6.9.2", "INITIAL_WINDOW_SIZE = 0, a GET", told("the head comes, no body"), settings=NONE)
def no_window(c):
    has(c, begun(c), 0)


@case(
    "9113 6.9.1",
    "INITIAL_WINDOW_SIZE = 0, then windows of 1, 2 and 997 bytes",
    told("exactly so much each time, then the end"),
    settings=NONE,
)
def by_hand(c):
    stream = begun(c)
    for increment, total in ((1, 1), (2, 3)):
        c.give(stream, increment)
        has(c, stream, total)
    c.give(stream, 997)
    need(len(c.response(stream).body) == 1000, "not the whole body")


@case("9113 6.9.2", "INITIAL_WINDOW_SIZE = 1", told("one byte of body"), settings=[(f.INITIAL_WINDOW_SIZE, 1)])
def one_byte(c):
    has(c, begun(c), 1)


@case("9113 6.9.1", "100 windows of one byte, each after the byte before", told("100 bytes"), settings=NONE)
def byte_after_byte(c):
    stream = begun(c, "/size/100")
    for number in range(100):
        c.give(stream, 1)
        c.wait(lambda: len(c.responses[stream].body) == number + 1, f"byte {number}")
    need(c.response(stream).ended, "no end")


@case(
    "9113 6.9.2",
    "INITIAL_WINDOW_SIZE rises from 0 to 600 while a stream waits",
    told("600 bytes on that stream"),
    settings=NONE,
)
def raised_later(c):
    stream = begun(c)
    c.send(f.settings([(f.INITIAL_WINDOW_SIZE, 600)]))
    has(c, stream, 600)


@case(
    "9113 6.9.2",
    "INITIAL_WINDOW_SIZE falls from 500 to 100 after 500 bytes; WINDOW_UPDATE by 400, then by 7",
    told("the window is negative: nothing after the 400, then 7 bytes"),
    settings=[(f.INITIAL_WINDOW_SIZE, 500)],
)
def negative(c):
    stream = begun(c)
    has(c, stream, 500)
    c.send(f.settings([(f.INITIAL_WINDOW_SIZE, 100)]))
    c.fence()
    c.give(stream, 400)
    has(c, stream, 500)
    c.give(stream, 7)
    has(c, stream, 507)


@case(
    "9113 6.9.2",
    "INITIAL_WINDOW_SIZE falls from 500 to 0 and rises to 510 after 500 bytes",
    told("10 bytes more"),
    settings=[(f.INITIAL_WINDOW_SIZE, 500)],
)
def negative_and_back(c):
    stream = begun(c)
    has(c, stream, 500)
    c.send(f.settings(NONE) + f.settings([(f.INITIAL_WINDOW_SIZE, 510)]))
    has(c, stream, 510)


@case(
    "9113 6.9.1",
    "Two GETs of 60,000 bytes on the connection's first 65,535",
    told("65,535 bytes in all; the rest after WINDOW_UPDATE"),
)
def window_of_the_connection(c):
    c.auto_window = False
    streams = [c.request(path="/size/60000") for _ in range(2)]
    c.wait(lambda: c.shown == 0, "the window of the connection to be used")
    c.fence()
    c.give(0, 60000)
    need(all(len(c.response(stream).body) == 60000 for stream in streams), "not all bytes came")


@case("9113 6.9", "A GET without a window of its own beside one with", told("the second is answered"), settings=NONE)
def stalled_neighbour(c):
    stalled = begun(c, "/size/100000")
    free = c.request(path="/size/1000")
    c.give(free, 1000)
    need(len(c.response(free).body) == 1000, "not the whole body")
    need(not c.over(stalled), "the stalled one has ended")


@case("9113 6.9", "An empty answer without a window", told("END_STREAM needs no window"), settings=NONE)
def empty_answer(c):
    c.auto_window = False
    need(c.fetch(path="/size/0").status == 200, "no 200")


@case(
    "9113 6.9.2",
    "A GET of 1,000,000 bytes in windows of 1,000",
    told("all of them, unharmed"),
    settings=[(f.INITIAL_WINDOW_SIZE, 1000)],
)
def large_through_small_windows(c):
    body = c.fetch(path="/size/1000000").body
    need(bytes(body) == b"0123456789abcdef" * 62500, f"{len(body)} bytes, or others")


@case("9113 6.9", "POST of 1,000,000 bytes within the server's windows", told("200, and the origin has all"))
def upload(c):
    stream = c.request("POST", end=False)
    c.upload(stream, bytes(1_000_000))
    need(c.response(stream).json()["length"] == 1_000_000, "the origin has another length")


@case("9113 6.9.1", "POST of 3,000 bytes, each padded by 255", told("padding is given back to both windows; 200"))
def padded_upload(c):
    stream = c.request("POST", end=False)
    c.upload(stream, bytes(3000), size=1, padding=255)
    need(c.response(stream).json()["length"] == 3000, "the origin has another length")


# === WINDOW_UPDATE out of range ===


@case("9113 6.9", "WINDOW_UPDATE by 0 on the connection", connection_error(f.PROTOCOL_ERROR))
def zero(c):
    c.send(f.window_update(0, 0))


@case("9113 6.9", "WINDOW_UPDATE by 0 on a stream", stream_error(f.PROTOCOL_ERROR))
def zero_on_a_stream(c):
    stream = c.request("POST", end=False)
    c.send(f.window_update(stream, 0))
    return stream


@case("9113 6.9.1", "WINDOW_UPDATEs beyond 2^31-1 on the connection", FLOW)
def overflow(c):
    c.send(f.window_update(0, MOST) + f.window_update(0, MOST))


@case("9113 6.9.1", "WINDOW_UPDATE by one byte more than 2^31-1 allows on the connection", FLOW)
def overflow_by_one(c):
    c.send(f.window_update(0, MOST - 65535 + 1))


@case("9113 6.9.1", "WINDOW_UPDATE to exactly 2^31-1 on the connection, then a GET", FINE)
def largest(c):
    c.send(f.window_update(0, MOST - 65535))
    return c.request()


@case("9113 6.9.1", "WINDOW_UPDATEs beyond 2^31-1 on a stream", stream_error(f.FLOW_CONTROL_ERROR))
def overflow_of_a_stream(c):
    stream = c.request("POST", end=False)
    c.send(f.window_update(stream, MOST) + f.window_update(stream, MOST))
    return stream


@case("9113 6.9.2", "INITIAL_WINDOW_SIZE = 2^31-1 while a stream has had a WINDOW_UPDATE", FLOW)
def overflow_by_settings(c):
    stream = c.request("POST", end=False)
    c.send(f.window_update(stream, 100) + f.settings([(f.INITIAL_WINDOW_SIZE, MOST)]))


@case("9113 6.9", "WINDOW_UPDATE on a stream whose answer is complete", ALIVE)
def late(c):
    stream = c.request()
    c.response(stream)
    c.send(f.window_update(stream, 1000))


# === More than the server allows ===


@case(
    "9113 6.9.1",
    "24 MiB of DATA to an origin that does not read, without regard to the windows",
    told("stream error FLOW_CONTROL_ERROR, or the server stops reading"),
)
def ignored_by_us(c):
    stream = c.request("POST", "/hold", end=False)
    for _ in range(1536):
        c.data(stream, bytes(f.LARGEST_FRAME))
        if not c.attend(lambda: c.over(stream) or c.dying() or len(c.outgoing) < 1 << 20, 0.3):
            return None  # It takes no more.
        if c.over(stream) or c.dying():
            break
    seen = observe(c, stream)
    need(stream_error(f.FLOW_CONTROL_ERROR).test(seen), str(seen))


@case("9113 6.9.1", "The server's whole window in one body, to a slow origin", told("the windows allow it: 200"))
def used_up(c):
    stream = c.request("POST", "/slow/200", end=False)
    c.upload(stream, bytes(c.settings.get(f.INITIAL_WINDOW_SIZE, 65535)))
    need(c.response(stream).status == 200, "no 200")
