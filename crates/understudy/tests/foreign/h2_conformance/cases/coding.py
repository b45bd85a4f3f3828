"""HPACK as it should be: every form of a field, the dynamic table, its size (RFC 7541)."""

from .. import frames as f
from ..table import FINE, case, need, told


def gets(c, coded, wanted, before=b""):
    """A GET with these coded fields around the plain ones; the origin must get `wanted` of the names in it."""
    answer = c.response(c.headers(before + f.block(c.head()) + coded))
    need(answer.status == 200, f"{answer.status}")
    names = {name for name, _ in wanted}  # Fields of different names have no order (RFC 9110 section 5.3).
    got = [tuple(pair) for pair in answer.json()["fields"] if pair[0] in names]
    need(sorted(got) == sorted(wanted), f"the origin has got {got}")


def form(name, section, title, coded, *wanted):
    @case(section, title, told(f"the origin gets {list(wanted)}"), name=name)
    def run(c):
        gets(c, coded() if callable(coded) else coded, list(wanted))


PAIR = (b"x-form", b"some value")
SAME = ("x-form", "some value")
for packed, how in ((False, "plain"), (True, "huffman")):
    form(
        f"without-indexing-{how}",
        "7541 6.2.2",
        f"Literal without indexing, new name, {how}",
        f.literal(*PAIR, packed=packed),
        SAME,
    )
    form(
        f"incremental-{how}",
        "7541 6.2.1",
        f"Literal with incremental indexing, new name, {how}",
        f.remembered(*PAIR, packed=packed),
        SAME,
    )
    form(
        f"never-indexed-{how}",
        "7541 6.2.3",
        f"Literal never indexed, new name, {how}",
        f.never_indexed(*PAIR, packed=packed),
        SAME,
    )

AGENT = 58  # The entry `user-agent` of the static table.
form(
    "static-name-without-indexing",
    "7541 6.2.2",
    "Literal without indexing, name from the static table",
    f.literal(AGENT, b"t"),
    ("user-agent", "t"),
)
form(
    "static-name-incremental",
    "7541 6.2.1",
    "Literal with incremental indexing, name from the static table",
    f.remembered(AGENT, b"t"),
    ("user-agent", "t"),
)
form(
    "static-name-never-indexed",
    "7541 6.2.3",
    "Literal never indexed, name from the static table",
    f.never_indexed(AGENT, b"t"),
    ("user-agent", "t"),
)
form(
    "static-field",
    "7541 6.1",
    "Entry 16, accept-encoding: gzip, deflate",
    f.indexed(16),
    ("accept-encoding", "gzip, deflate"),
)
form(
    "static-field-of-no-value",
    "7541 6.1",
    "Entry 17, accept-language without a value",
    f.indexed(17),
    ("accept-language", ""),
)
form(
    "static-name-16-as-literal",
    "7541 6.2.2",
    "Entry 15 as name: its number needs a second byte",
    f.literal(15, b"utf-8"),
    ("accept-charset", "utf-8"),
)
form(
    "empty-value-huffman",
    "7541 5.2",
    "An empty value, with Huffman",
    f.remembered(b"x-form", b"", packed=True),
    ("x-form", ""),
)
form(
    "long-value-127",
    "7541 5.1",
    "A value of 127 bytes: its length needs a second byte",
    f.literal(b"x-form", b"v" * 127),
    ("x-form", "v" * 127),
)
form(
    "long-value-300",
    "7541 5.1",
    "A value of 300 bytes: its length needs a third byte",
    f.literal(b"x-form", b"v" * 300),
    ("x-form", "v" * 300),
)
every = bytes(range(33, 127))
form(
    "huffman-every-character",
    "7541 5.2",
    "A value of every visible character, with Huffman",
    f.literal(b"x-form", every, packed=True),
    ("x-form", every.decode()),
)
form(
    "huffman-8-bit",
    "7541 5.2",
    "A value of bytes above 127, with Huffman",
    f.literal(b"x-form", b"\x80\xe4\xff", packed=True),
    ("x-form", "\x80\xe4\xff"),
)
form(
    "padded-integer",
    "7541 5.1",
    "A length of 128 with a needless zero byte behind it",
    lambda: b"\x00\x06x-form\x7f\x81\x00" + b"v" * 128,
    ("x-form", "v" * 128),
)
form(
    "indexed-at-once",
    "7541 2.3.2",
    "A remembered field, and its index in the same block",
    f.remembered(b"x-form", b"1") + f.indexed(62),
    ("x-form", "1"),
    ("x-form", "1"),
)
form(
    "dynamic-name",
    "7541 6.2.1",
    "A remembered field, then its name by index with another value",
    f.remembered(b"x-form", b"1") + f.literal(62, b"2"),
    ("x-form", "1"),
    ("x-form", "2"),
)
form(
    "newest-first",
    "7541 2.3.3",
    "Two remembered fields, then entries 62 and 63",
    f.remembered(b"x-a", b"1") + f.remembered(b"x-b", b"2") + f.indexed(62) + f.indexed(63),
    ("x-a", "1"),
    ("x-b", "2"),
    ("x-b", "2"),
    ("x-a", "1"),
)
form(
    "remembered-twice",
    "7541 2.3.2",
    "The same field remembered twice, then entry 63",
    f.remembered(b"x-a", b"1") * 2 + f.indexed(63),
    *[("x-a", "1")] * 3,
)


@case("7541 6.1", "A GET of nothing but entries of the static table and :authority", FINE)
def static_head(c):
    coded = (
        f.indexed(2)
        + f.indexed(7 if c.spot.tls else 6)
        + f.literal(4, b"/echo")
        + f.literal(1, c.spot.authority.encode())
    )
    return c.headers(coded)


@case("7541 2.2", "A remembered field; its index in the next request", told("the origin gets it again"))
def across_requests(c):
    gets(c, f.remembered(b"x-form", b"kept"), [("x-form", "kept")])
    gets(c, f.indexed(62), [("x-form", "kept")])


@case(
    "7541 6.2.3",
    "A never-indexed field between two remembered ones; then entries 62 and 63",
    told("it has not entered the table"),
)
def never_indexed_is_not_remembered(c):
    coded = (
        f.remembered(b"x-a", b"1")
        + f.never_indexed(b"x-n", b"0")
        + f.literal(b"x-l", b"0")
        + f.remembered(b"x-b", b"2")
    )
    gets(c, coded, [("x-a", "1"), ("x-b", "2")])
    gets(c, f.indexed(62) + f.indexed(63), [("x-b", "2"), ("x-a", "1")])


@case(
    "7541 2.2",
    "A remembered field in a request with a name in capitals; its index in the next",
    told("a malformed request feeds the table, too"),
)
def after_a_malformed_request(c):
    stream = c.headers(f.block(c.head()) + f.remembered(b"x-form", b"kept") + f.literal(b"X-Capital", b"1"))
    c.wait(lambda: c.over(stream) or c.dying(), "the end of the malformed request")
    if not c.dying():
        gets(c, f.indexed(62), [("x-form", "kept")])


@case(
    "7541 2.2", "A remembered field in trailers; its index in the next request", told("trailers feed the table, too")
)
def after_trailers(c):
    stream = c.request("POST", end=False)
    c.headers(f.remembered(b"x-form", b"kept"), stream=stream)
    c.response(stream)
    gets(c, f.indexed(62), [("x-form", "kept")])


@case(
    "7541 2.2",
    "A remembered field in a request too many; its index later",
    told("a refused request feeds the table, too"),
)
def after_a_refused_request(c):
    most = c.settings.get(f.MAX_CONCURRENT_STREAMS, 100)
    streams = [c.request("POST", end=False) for _ in range(most)]
    refused = c.headers(f.block(c.head()) + f.remembered(b"x-form", b"kept"))
    c.wait(lambda: c.over(refused), "the end of the stream too many")
    if c.dying():
        return
    for stream in streams:
        c.data(stream, end=True)
        c.response(stream)
    gets(c, f.indexed(62), [("x-form", "kept")])


@case(
    "9113 4.3",
    "A block cut within an index, a length and a Huffman string",
    told("the origin gets both fields whole"),
)
def cut_anywhere(c):
    coded = (
        f.block(c.head()) + f.remembered(b"x-form", b"v" * 200, packed=True) + f.literal(15, b"utf-8", packed=True)
    )
    cut = len(f.block(c.head())) + 9
    stream = c.headers(coded[:cut], flags=0)
    c.send(
        f.frame(f.CONTINUATION, 0, stream, coded[cut:-6]) + f.frame(f.CONTINUATION, f.END_HEADERS, stream, coded[-6:])
    )
    got = c.response(stream).json()["fields"]
    need(["x-form", "v" * 200] in got and ["accept-charset", "utf-8"] in got, f"the origin has got {got}")


# === The size of the table ===


def numbered(count, first=0):
    """Fields of 100 bytes each in the table: name 3, value 65, overhead 32 (RFC 7541 section 4.1)."""
    return b"".join(f.remembered(b"x-n", b"%065d" % number) for number in range(first, first + count))


def last_of(number):
    return ("x-n", f"{number:065}")


def table_row(name, section, title, *blocks):
    """Requests with these blocks, one after the other; each is (coded, wanted)."""

    @case(section, title, told("every request arrives as meant"), name=name)
    def run(c):
        need(c.settings.get(f.HEADER_TABLE_SIZE, 4096) >= 4096, "the table is smaller than 4,096 bytes")
        for coded, wanted in blocks:
            gets(c, coded, wanted)


FULL = [(numbered(40), [last_of(n) for n in range(40)])]
table_row(
    "table-full",
    "7541 4.4",
    "40 fields of 100 bytes fill the table; then the oldest and the newest",
    *FULL,
    (f.indexed(101) + f.indexed(62), [last_of(0), last_of(39)]),
)
table_row(
    "eviction",
    "7541 4.4",
    "The 41st field drives out the first; then the oldest left",
    *FULL,
    (numbered(1, 40) + f.indexed(101), [last_of(40), last_of(1)]),
)
table_row(
    "name-of-an-evicted-entry",
    "7541 4.4",
    "A new field takes its name from the entry that it drives out",
    *FULL,
    (f.remembered(101, b"y" * 65) + f.indexed(62), [("x-n", "y" * 65)] * 2),
)
LARGE = f.remembered(b"x-big", b"v" * 5000)
table_row(
    "entry-larger-than-the-table",
    "7541 4.4",
    "A field larger than the table empties it; then another is remembered",
    (f.remembered(b"x-a", b"1"), [("x-a", "1")]),
    (LARGE, [("x-big", "v" * 5000)]),
    (f.remembered(b"x-b", b"2") + f.indexed(62), [("x-b", "2")] * 2),
)


def sized(name, title, updates, coded, *wanted):
    @case("7541 6.3", title, told(f"the origin gets {list(wanted)}"), name=f"table-size-{name}")
    def run(c):
        gets(c, f.remembered(b"x-old", b"0"), [("x-old", "0")])
        gets(c, coded, list(wanted), b"".join(map(f.table_size, updates)))


TWICE = [("x-form", "1")] * 2
sized("same", "A size update to 4,096", [4096], f.remembered(b"x-form", b"1") + f.indexed(62), *TWICE)
sized("smaller", "A size update to 100", [100], f.remembered(b"x-form", b"1") + f.indexed(62), *TWICE)
sized(
    "zero-and-back",
    "Size updates to 0 and to 4,096 in one block",
    [0, 4096],
    f.remembered(b"x-form", b"1") + f.indexed(62),
    *TWICE,
)
sized("zero", "A size update to 0; fields that ask to be remembered", [0], f.remembered(b"x-form", b"1") * 2, *TWICE)
sized("keeps-what-fits", "A size update to 60; the field of before still fits", [60], f.indexed(62), ("x-old", "0"))
