"""PING and GOAWAY (RFC 9113 sections 6.7 and 6.8)."""

from .. import frames as f
from ..table import ALIVE, FINE, case, need, told


@case("9113 6.7", "PING", told("the same 8 bytes come back, once"))
def ping(c):
    c.send(f.ping(b"\x00\xff12345\x0a"))
    c.fence()
    need(c.pongs.count(b"\x00\xff12345\x0a") == 1, f"answers: {c.pongs}")


@case("9113 6.7", "Three PINGs", told("three answers, in order"))
def pings_in_order(c):
    marks = [b"mark---" + digit for digit in (b"1", b"2", b"3")]
    c.send(b"".join(map(f.ping, marks)))
    c.wait(lambda: len(c.pongs) >= 3, "three answers")
    need(c.pongs == marks, f"answers: {c.pongs}")


@case("9113 6.7", "An acknowledgement of a PING that was never sent", told("no answer; the connection goes on"))
def ping_acknowledged_unasked(c):
    c.send(f.ping(b"not-mine", f.ACK))
    need(c.fence() and not c.dying(), "the connection has ended")
    need(b"not-mine" not in c.pongs, "it was answered")


@case("9113 6.7", "PING while a request waits for its answer", told("the answer to the PING comes first"))
def ping_overtakes(c):
    stream = c.request(path="/slow/1500")
    need(c.fence() and not c.over(stream), "the PING waited for the request")
    c.response(stream)


@case("9113 6.8", "GOAWAY while a request runs", told("the request is answered with 200"))
def goaway_while_running(c):
    stream = c.request(path="/slow/300")
    c.send(f.goaway())
    need(c.response(stream).status == 200, "no 200")


@case("9113 6.8", "GOAWAY while a body is on its way", told("the request is answered with 200"))
def goaway_within_a_body(c):
    stream = c.request("POST", end=False)
    c.data(stream, b"abc")
    c.send(f.goaway())
    c.data(stream, b"def", end=True)
    need(c.response(stream).json()["length"] == 6, "the origin has another length")


@case(
    "9113 6.8",
    "GOAWAY with debug data and a last stream that never was",
    told("it is taken: PING is answered, or the connection is closed"),
)
def goaway_with_debug(c):
    c.send(f.goaway(2**31 - 2, 0xFFFF_FFFF, b"debug data" * 100))
    c.send(f.ping(b"goodbye!"))
    c.wait(lambda: c.closed or b"goodbye!" in c.pongs, "an answer or the end")
    need(not c.goaway, f"GOAWAY {c.goaway}")


@case("9113 6.8", "GOAWAY twice, the second with a lower stream", told("the running request is answered with 200"))
def goaway_twice(c):
    stream = c.request(path="/slow/300")
    c.send(f.goaway(100) + f.goaway(0))
    need(c.response(stream).status == 200, "no 200")


@case("9113 5.4.2", "Three requests, each cancelled at once; then a GET", FINE)
def cancelling_goes_on(c):
    for _ in range(3):
        c.send(f.reset(c.request(path="/slow/300")))
    c.fence()
    return c.request()


@case("9113 6.3", "PRIORITY of many idle streams", ALIVE)
def priorities(c):
    c.send(b"".join(f.frame(f.PRIORITY, 0, n, f.dependency(n - 2 if n > 2 else 0)) for n in range(1, 99, 2)))
