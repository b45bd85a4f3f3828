"""SETTINGS: values, acknowledgements, and that the server keeps to ours (RFC 9113 section 6.5)."""

from .. import frames as f
from ..table import ALIVE, FINE, case, connection_error, need, told

PROTOCOL = connection_error(f.PROTOCOL_ERROR)


def value(name, key, number, accept, section="9113 6.5.2"):
    @case(section, f"{name} = {number:,}, then a GET", accept, name=f"{name.lower().replace('_', '-')}-{number}")
    def run(c):
        c.send(f.settings([(key, number)]))
        return c.request()


value("ENABLE_PUSH", f.ENABLE_PUSH, 0, FINE)
value("ENABLE_PUSH", f.ENABLE_PUSH, 1, FINE)
value("ENABLE_PUSH", f.ENABLE_PUSH, 2, PROTOCOL)
value("ENABLE_PUSH", f.ENABLE_PUSH, 2**32 - 1, PROTOCOL)
value("INITIAL_WINDOW_SIZE", f.INITIAL_WINDOW_SIZE, 2**31 - 1, FINE)
value("INITIAL_WINDOW_SIZE", f.INITIAL_WINDOW_SIZE, 2**31, connection_error(f.FLOW_CONTROL_ERROR))
value("INITIAL_WINDOW_SIZE", f.INITIAL_WINDOW_SIZE, 2**32 - 1, connection_error(f.FLOW_CONTROL_ERROR))
value("MAX_FRAME_SIZE", f.MAX_FRAME_SIZE, 0, PROTOCOL)
value("MAX_FRAME_SIZE", f.MAX_FRAME_SIZE, 16383, PROTOCOL)
value("MAX_FRAME_SIZE", f.MAX_FRAME_SIZE, 16384, FINE)
value("MAX_FRAME_SIZE", f.MAX_FRAME_SIZE, 2**24 - 1, FINE)
value("MAX_FRAME_SIZE", f.MAX_FRAME_SIZE, 2**24, PROTOCOL)
value("MAX_CONCURRENT_STREAMS", f.MAX_CONCURRENT_STREAMS, 0, FINE)
value("HEADER_TABLE_SIZE", f.HEADER_TABLE_SIZE, 2**32 - 1, FINE)
value("MAX_HEADER_LIST_SIZE", f.MAX_HEADER_LIST_SIZE, 16384, FINE)
value("ENABLE_CONNECT_PROTOCOL", f.ENABLE_CONNECT_PROTOCOL, 1, FINE, "8441 3")


@case("9218 2.1", "NO_RFC7540_PRIORITIES = 1 from the start, then a GET", FINE, settings=[(9, 1)])
def no_rfc7540_priorities(c):
    return c.request()


@case("9113 6.5.2", "Settings that nobody has defined, then a GET", FINE)
def unknown(c):
    c.send(f.settings([(0, 1), (0x7F, 2), (0xFFFF, 2**32 - 1)]))
    return c.request()


@case(
    "9113 6.5.3", "The same setting three times in one frame; the last is 10", told("the last counts: 10 bytes come")
)
def last_one_counts(c):
    c.auto_window = False
    c.send(f.settings([(f.INITIAL_WINDOW_SIZE, 0), (f.INITIAL_WINDOW_SIZE, 2**31 - 1), (f.INITIAL_WINDOW_SIZE, 10)]))
    stream = c.request(path="/size/1000")
    c.wait(lambda: stream in c.responses and c.responses[stream].body, "DATA")
    c.fence()
    need(len(c.responses[stream].body) == 10, f"{len(c.responses[stream].body)} bytes came")


@case("9113 6.5.3", "Three SETTINGS frames, one of them empty", told("three acknowledgements"))
def acknowledged_each(c):
    before = c.settings_acks
    c.send(f.settings([(f.ENABLE_PUSH, 0)]) + f.settings() + f.settings([(f.MAX_FRAME_SIZE, 20000)]))
    c.wait(lambda: c.settings_acks == before + 3, "three acknowledgements")
    c.fence()
    need(c.settings_acks == before + 3, f"{c.settings_acks - before} acknowledgements")


@case("9113 6.5.3", "SETTINGS, then PING", told("the acknowledgement comes before the answer to the PING"))
def acknowledged_in_order(c):
    before = c.settings_acks
    c.send(f.settings())
    c.fence()
    need(c.settings_acks == before + 1, "the PING was answered first")


@case("9113 6.5", "An acknowledgement for nothing", ALIVE | PROTOCOL)
def acknowledgement_unasked(c):
    c.send(f.settings(flags=f.ACK))


@case("9113 6.5.2", "ENABLE_PUSH = 2 among good settings", PROTOCOL)
def wrong_among_good(c):
    c.send(f.settings([(f.HEADER_TABLE_SIZE, 4096), (f.ENABLE_PUSH, 2), (f.MAX_FRAME_SIZE, 16384)]))


@case(
    "9113 6.5.2",
    "MAX_FRAME_SIZE is left at 16,384; a GET of 200,000 bytes",
    told("no frame is larger, all bytes come"),
)
def default_frame_size_is_kept(c):
    need(len(c.fetch(path="/size/200000").body) == 200000, "not all bytes came")


@case(
    "7541 4.2",
    "HEADER_TABLE_SIZE = 0 from the start; three GETs",
    told("the answers use no dynamic table"),
    settings=[(f.HEADER_TABLE_SIZE, 0)],
    table=0,
)
def no_dynamic_table(c):
    for _ in range(3):
        need(c.fetch().status == 200, "no 200")
    need(len(c.decoder.header_table.dynamic_entries) == 0, "the table has grown")


@case(
    "7541 4.2",
    "HEADER_TABLE_SIZE falls to 100 in the middle; three GETs",
    told("the next block says the new size first"),
)
def shrinking_table(c):
    for _ in range(2):
        c.fetch()
    c.send(f.settings([(f.HEADER_TABLE_SIZE, 100)]))
    c.fence()
    c.decoder.max_allowed_table_size = 100
    for _ in range(3):
        need(c.fetch().status == 200, "no 200")


@case(
    "7541 4.2",
    "HEADER_TABLE_SIZE falls to 0 and rises to 4096 in two frames; three GETs",
    told("the next block says the lower size first"),
)
def shrinking_and_growing_table(c):
    for _ in range(2):
        c.fetch()
    c.send(f.settings([(f.HEADER_TABLE_SIZE, 0)]) + f.settings([(f.HEADER_TABLE_SIZE, 4096)]))
    c.fence()
    c.decoder.header_table.maxsize = 0  # What we hold after the first of the two frames.
    for _ in range(3):
        need(c.fetch().status == 200, "no 200")


@case(
    "9113 6.5.2",
    "MAX_HEADER_LIST_SIZE = 100, a GET of 50 fields of 100 bytes",
    told("advisory: an answer or a stream error; the connection goes on"),
)
def small_header_list(c):
    c.send(f.settings([(f.MAX_HEADER_LIST_SIZE, 100)]))
    stream = c.request(path="/fields/50")
    c.wait(lambda: c.over(stream), "an answer")
    need(not c.dying(), "the connection has ended")
    need(c.fence() and not c.dying(), "the connection has ended")


@case(
    "9113 6.2",
    "A GET of 150 fields of 100 bytes",
    told("200 with all of them, over CONTINUATIONs if need be; or 502"),
)
def large_answer_head(c):
    answer = c.fetch(path="/fields/150")
    need(answer.status in (200, 502), f"{answer.status}")
    need(answer.status == 502 or sum(name.startswith("x-") for name, _ in answer.fields) >= 151, "fields are missing")
