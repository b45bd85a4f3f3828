"""content-length against DATA (RFC 9113 section 8.1.1)."""

from .. import frames as f
from ..table import MALFORMED, case, need, told


def mismatch(name, title, length, bodies, *, trailers=False, close=True, unseen=False):
    """A POST that announces one length and sends another, in these pieces; none means END_STREAM on HEADERS."""

    @case("9113 8.1.1", title, MALFORMED, name=name, unseen=unseen)
    def run(c):
        fields = (
            [("content-length", length)] if isinstance(length, str) else [("content-length", part) for part in length]
        )
        with c.together():
            stream = c.request("POST", "/echo?case-" + c.token, fields, end=not bodies)
            for number, body in enumerate(bodies, 1):
                c.data(stream, body, end=close and not trailers and number == len(bodies))
            if trailers:
                c.headers(f.block([("x-sum", "1")]), stream=stream)
        return stream


mismatch("too-much", "content-length: 3, 5 bytes", "3", [b"abcde"])
mismatch("too-much-in-pieces", "content-length: 3, 2 and 2 bytes", "3", [b"ab", b"cd"])
mismatch("too-much-unfinished", "content-length: 3, 5 bytes, no END_STREAM", "3", [b"abcde"], close=False)
mismatch("too-little", "content-length: 5, 3 bytes", "5", [b"abc"])
mismatch("too-little-in-pieces", "content-length: 5, 1 and 3 bytes", "5", [b"a", b"bcd"])
mismatch("too-little-and-trailers", "content-length: 5, 3 bytes, trailers", "5", [b"abc"], trailers=True)
mismatch("too-much-and-trailers", "content-length: 1, 3 bytes, trailers", "1", [b"abc"], trailers=True)
mismatch("zero-with-body", "content-length: 0, 3 bytes", "0", [b"abc"])
mismatch("none-on-headers", "content-length: 5, END_STREAM on HEADERS", "5", [], unseen=True)
mismatch("none-on-empty-data", "content-length: 5, empty DATA with END_STREAM", "5", [b""])

for word, text in {
    "negative": "-1",
    "with-plus": "+3",
    "in-hex": "0x3",
    "with-space": "3 3",
    "with-letters": "3abc",
    "with-underscore": "0_3",
    "empty": "",
    "beyond-64-bit": "18446744073709551619",
    "with-many-digits": "9" * 40,
}.items():
    mismatch(f"number-{word}", f"content-length: {text}; 3 bytes", text, [b"abc"], unseen=True)
mismatch("two-different", "content-length: 3 and content-length: 4; 3 bytes", ["3", "4"], [b"abc"], unseen=True)
mismatch("list-of-different", "content-length: 3, 4; 3 bytes", "3, 4", [b"abc"], unseen=True)


def exact(name, title, length, bodies, *, padding=None):
    total = sum(map(len, bodies))

    @case("9113 8.1.1", title, told(f"200, and the origin has {total} bytes"), name=name)
    def run(c):
        stream = c.request("POST", fields=[] if length is None else [("content-length", length)], end=not bodies)
        for number, body in enumerate(bodies, 1):
            end = f.END_STREAM if number == len(bodies) else 0
            payload = body if padding is None else f.padded(body, padding)
            c.send(f.frame(f.DATA, end | (0 if padding is None else f.PADDED), stream, payload))
        answer = c.response(stream)
        need(answer.status == 200, f"{answer.status}")
        need(answer.json()["length"] == total, f"the origin has {answer.json()['length']} bytes")


exact("right", "content-length: 3, 3 bytes", "3", [b"abc"])
exact("right-in-pieces", "content-length: 3, in three pieces", "3", [b"a", b"b", b"c"])
exact("right-with-padding", "content-length: 3, 3 bytes and 50 of padding", "3", [b"abc"], padding=50)
exact("right-then-empty", "content-length: 3, 3 bytes, then empty DATA with END_STREAM", "3", [b"abc", b""])
exact("zero", "content-length: 0, END_STREAM on HEADERS", "0", [])
exact("zero-with-empty-data", "content-length: 0, empty DATA", "0", [b""])
exact("unsaid", "No content-length, 6 bytes", None, [b"abc", b"def"])
exact("unsaid-nothing", "POST without content-length, END_STREAM on HEADERS", None, [])


@case("9110 8.6", "content-length: 3 twice, 3 bytes", told("malformed, or one length at the origin"))
def two_equal(c):
    stream = c.request("POST", fields=[("content-length", "3")] * 2, end=False)
    c.data(stream, b"abc", end=True)
    c.wait(lambda: c.over(stream) or c.dying(), "an answer")
    answer = c.responses.get(stream)
    if answer and answer.status == 200:
        lengths = [value for name, value in answer.json()["fields"] if name == "content-length"]
        need(lengths in (["3"], []), f"content-length at the origin: {lengths}")


@case("9110 9.3.1", "GET with a body of 3 bytes", told("the origin has all of it, or the proxy answers 4xx"))
def get_with_body(c):
    stream = c.request(fields=[("content-length", "3")], end=False)
    c.data(stream, b"abc", end=True)
    answer = c.response(stream)
    need(
        (answer.own() and 400 <= answer.status < 500) or answer.json()["length"] == 3, "the origin has another length"
    )


@case(
    "9113 8.1",
    "After a body that was too short: another request",
    told("the origin does not take it for the rest of the first"),
)
def too_little_poisons_nobody(c):
    stream = c.request("POST", fields=[("content-length", "500")], end=False)
    c.data(stream, b"abc", end=True)
    c.wait(lambda: c.over(stream) or c.dying(), "the end of the malformed request")
    if c.dying():
        return
    for number in range(5):
        answer = c.fetch(path=f"/echo?{number}")
        need(answer.status == 200 and answer.json()["target"] == f"/echo?{number}", "an answer of another request")
