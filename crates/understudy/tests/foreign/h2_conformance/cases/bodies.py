"""Whole exchanges: what answers look like, interim ones, trailers, many at once (RFC 9113 section 8.1)."""

import hashlib

import h2.config
import h2.connection
import h2.events

from .. import frames as f
from ..inbound import HOP_FIELDS
from ..table import FINE, answered, case, need, told


@case("9113 8.1", "HEAD", told("200 without DATA bytes; content-length as for GET"))
def head(c):
    answer = c.fetch("HEAD", "/size/1234")
    need(answer.status == 200 and not answer.body, f"{answer.status} and {len(answer.body)} bytes")
    need(answer.field("content-length") in ("1234", ""), f"content-length {answer.field('content-length')}")


def bodiless(status):
    @case(
        "9110 6.4.1",
        f"A GET that is answered with {status}",
        told(f"{status} without DATA bytes"),
        name=f"status-{status}",
    )
    def run(c):
        answer = c.fetch(path=f"/status/{status}")
        need(answer.status == status and not answer.body, f"{answer.status} and {len(answer.body)} bytes")


bodiless(204)
bodiless(304)


def status_relayed(status):
    @case(
        "9113 8.3.2",
        f"A GET that is answered with {status}",
        told(f"{status} by the origin, with its body"),
        name=f"status-{status}",
    )
    def run(c):
        answer = c.fetch(path=f"/status/{status}")
        need(answer.status == status and not answer.own() and answer.body == b"status", f"{answer.status}")


for code in (201, 301, 404, 500, 599):
    status_relayed(code)


@case(
    "9113 8.2.2",
    "A GET whose answer has connection-specific fields and capitals",
    told("they are gone; names are in lower case"),
)
def fields_of_the_answer(c):
    answer = c.fetch(path="/hop")
    need(answer.field("x-mixed-case") == "Kept", "x-mixed-case is missing")
    need(not HOP_FIELDS & {name for name, _ in answer.fields}, "connection-specific fields")


@case("9113 8.1", "A GET whose answer has trailers", told("they come after the body, with END_STREAM"))
def trailers(c):
    answer = c.fetch(path="/trailers", fields=[("te", "trailers")])
    need(answer.body == b"body", f"body {bytes(answer.body)}")
    need(("x-sum", "ok") in (answer.trailers or []), f"trailers {answer.trailers}")


@case("9113 8.1", "A GET that is answered with 103, then 200", told("200; the 103 before it, or left out"))
def interim(c):
    answer = c.fetch(path="/interim")
    need(answer.status == 200 and answer.body == b"done", f"{answer.status}")
    need([status for status, _ in answer.interim] in ([], [103]), f"interim {answer.interim}")


@case(
    "9110 10.1.1",
    "POST with expect: 100-continue; the body only after 100, or after half a second",
    told("200, and the origin has the body"),
)
def expectation(c):
    stream = c.request("POST", fields=[("expect", "100-continue"), ("content-length", "3")], end=False)
    c.attend(lambda: stream in c.responses and c.responses[stream].interim, 0.5)
    c.data(stream, b"abc", end=True)
    answer = c.response(stream)
    need(answer.status == 200 and answer.json()["length"] == 3, f"{answer.status}")
    need(all(status == 100 for status, _ in answer.interim), f"interim {answer.interim}")


@case(
    "9113 8.1",
    "A POST that is answered before its body",
    told("the answer comes; then RST_STREAM NO_ERROR or patience"),
)
def early_answer(c):
    stream = c.request("POST", "/early", fields=[("content-length", "100000")], end=False)
    c.wait(lambda: stream in c.responses and c.responses[stream].body, "the answer")
    answer = c.responses[stream]
    need(answer.status == 200 and answer.body == b"early", f"{answer.status}")
    c.upload(stream, bytes(100000))
    c.fence()
    need(answer.reset in (None, f.NO_ERROR), f"RST_STREAM {answer.reset}")
    need(not c.dying() and c.fetch().status == 200, "the connection is not usable")


@case(
    "9113 8.1.1",
    "A GET whose answer is cut off",
    told("RST_STREAM or the end of the connection, never END_STREAM; or 502"),
)
def truncated(c):
    stream = c.request(path="/truncated")
    c.wait(lambda: c.over(stream), "the end")
    answer = c.responses.get(stream)
    need(
        answer is None or not answer.ended or answer.status == 502, f"{len(answer.body)} of 1000 bytes look complete"
    )


@case("9113 8.1", "GET with END_STREAM on an empty DATA frame", FINE)
def get_ended_by_data(c):
    stream = c.request(end=False)
    c.data(stream, end=True)
    return stream


@case("9113 8.1", "POST of 2,000,000 bytes that are echoed as a digest", told("every byte arrives, in order"))
def large_upload(c):
    body = b"".join(number.to_bytes(4, "big") for number in range(500_000))
    stream = c.request("POST", end=False)
    c.upload(stream, body)
    need(c.response(stream, 10).json()["sha256"] == hashlib.sha256(body).hexdigest(), "other bytes")


@case("9113 8.1", "A GET of 3,000,000 bytes", told("every byte arrives, in order"))
def large_download(c):
    body = c.response(c.request(path="/size/3000000"), 10).body
    need(bytes(body) == b"0123456789abcdef" * 187500, f"{len(body)} bytes, or others")


@case("9113 5", "100 GETs of 20,000 bytes at once", told("all come whole"))
def many_at_once(c):
    streams = [c.request(path="/size/20000") for _ in range(100)]
    lengths = {len(c.response(stream, 10).body) for stream in streams}
    need(lengths == {20000}, f"lengths {lengths}")


@case("9113 5", "20 POSTs whose DATA is interleaved", told("every body arrives unmixed"))
def interleaved(c):
    streams = [c.request("POST", end=False) for _ in range(20)]
    for part in range(10):
        for stream in streams:
            c.data(stream, bytes([stream % 256]) * 100, end=part == 9)
    for stream in streams:
        digest = hashlib.sha256(bytes([stream % 256]) * 1000).hexdigest()
        need(c.response(stream).json()["sha256"] == digest, f"other bytes on stream {stream}")


@case("9113 6.1", "1,500 DATA frames of 20 bytes on 10 streams, in one burst", told("every body arrives whole"))
def small_pieces(c):
    with c.together():
        streams = [c.request("POST", end=False) for _ in range(10)]
        for part in range(150):
            for stream in streams:
                c.data(stream, b"small message here..", end=part == 149)
    for stream in streams:
        need(c.response(stream).json()["length"] == 3000, f"another length on stream {stream}")


@case("9113 5", "A slow GET, then a fast one", told("the fast one is answered first"))
def overtaking(c):
    slow, fast = c.request(path="/slow/1500"), c.request()
    c.response(fast)
    need(not c.over(slow), "the slow one was first")
    c.response(slow)


@case("9113 9.1", "200 GETs, one after the other", told("all are answered on one connection"))
def one_after_the_other(c):
    for _ in range(200):
        need(c.fetch(path="/size/10").status == 200, "no 200")


@case("9110 15.5.6", "TRACE", answered(200, 400, 403, 405, 501))
def trace(c):
    return c.request("TRACE")


@case(
    "9113 3-8",
    "20 GETs and POSTs by the library `h2`, which checks all that a server sends",
    told("all are answered; nothing is wrong"),
    opened=False,
)
def by_another_client(c):
    c.raw = True
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    waiting, bodies = set(), {}
    for number in range(20):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, c.head("POST" if number % 2 else "GET"), end_stream=not number % 2)
        if number % 2:
            client.send_data(stream, b"abc" * number, end_stream=True)
        waiting.add(stream)
    c.send(client.data_to_send())
    while waiting:
        c.wait(lambda: c.received, "more of the answers")
        for event in client.receive_data(bytes(c.received)):
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, h2.events.StreamEnded):
                waiting.discard(event.stream_id)
        c.received.clear()
        c.send(client.data_to_send())
    need(len(bodies) == 20 and all(b'"length"' in body for body in bodies.values()), f"{len(bodies)} bodies")
