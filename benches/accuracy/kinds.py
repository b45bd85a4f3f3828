"""The kinds of faults: what each needs of the config, how it is done, and what must follow.

`MOVE` kinds must be found in every run, `STAY` kinds must never move the traffic; `LOOK` kinds are shown
and not judged. A kind's `worst` names the sentence of `understudy explain` that its time is held against.
"""

import asyncio
import datetime
import os
import random
import resource
import signal
import subprocess
import sys
import time

from ground import NameServer, Program, asks_our_name_server, lab
from traffic import ask

MOVE, STAY, LOOK = "move", "stay", "look"
# Faults come at random moments of two probe intervals, so that they meet every phase of the probes.
SPREAD_SECONDS = 2
PAUSES = 3
# Each byte of a health body that drips; the body has seven.
DRIP_MS = 300
# With so many descriptors nothing can be accepted: the standard streams have the numbers.
NO_MORE_DESCRIPTORS = 3


class Kind:
    """One kind of fault; by itself none."""

    worst = None
    expect = MOVE
    watch = 10
    traffic = True
    health = {}
    # Further keys of each service.
    keys = {}
    scheme = "http"

    def __init__(self, name, words, **settings):
        self.name, self.words = name, words
        for key, value in settings.items():
            setattr(self, key, value)

    def host(self, backend):
        """How the config names the backend."""
        return backend.place.address

    async def before(self, bench):
        """Prepares what all runs share, before the backends start."""

    def started_with(self, bench):
        """What the balancer's process does before it becomes the balancer."""
        return None

    async def fault(self, bench, service):
        """Does it to the primary of a service; returns when the fault began, in seconds since 1970."""
        raise NotImplementedError

    async def after(self, bench):
        """Ends what `before` and `fault` began and the ground does not know of."""

    async def faults(self, bench):
        """Does it to every service, each at its own moment."""
        async def one(service):
            await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
            service.fault = await self.fault(bench, service)

        await asyncio.gather(*(one(service) for service in bench.services))


class Signal(Kind):
    async def fault(self, bench, service):
        now = time.time()
        service.primary.program.signal(self.number)
        return now


class Pauses(Kind):
    """Stops and continues, like a long collection of garbage."""

    async def fault(self, bench, service):
        begun = time.time()
        for _ in range(PAUSES):
            service.primary.program.signal(signal.SIGSTOP)
            await asyncio.sleep(self.seconds)
            service.primary.program.signal(signal.SIGCONT)
            await asyncio.sleep(random.uniform(1.5, 3))
        return begun


class Filter(Kind):
    """Rules for packets where the primary lives."""

    async def fault(self, bench, service):
        begun = None
        for rule in self.rules:
            await service.primary.place.filter(*rule.split())
            # A rule holds when its command ends; to start the command takes a busy machine a while.
            begun = begun or time.time()
        return begun


class Control(Kind):
    """The primary is told to behave so."""

    async def fault(self, bench, service):
        now = time.time()
        place = service.primary.place
        status, body = await ask(place.address, service.primary.port, "PUT", f"/control?{self.settings}")
        if status != 204:
            raise lab.Trouble(f"the origin refused {self.settings}: {body}")
        return now


class Latency(Kind):
    async def fault(self, bench, service):
        now = time.time()
        bench.ground.slow_down(service.primary.place, self.seconds)
        return now


class Descriptors(Kind):
    """The primary cannot accept another connection; those it has go on."""

    async def fault(self, bench, service):
        now = time.time()
        limits = (NO_MORE_DESCRIPTORS, NO_MORE_DESCRIPTORS)
        resource.prlimit(service.primary.program.pid, resource.RLIMIT_NOFILE, limits)
        return now


class Expired(Kind):
    """The primaries' certificates run out while everything runs."""

    scheme = "https"
    # The first handshakes take a busy machine a while, and this is not about whom it starts with.
    keys = {"startup_grace": "20s"}
    # Until the certificates run out: everything must be up by then.
    PREPARE = 20
    BATCHES = 4

    async def before(self, bench):
        self.ends = [int(time.time()) + self.PREPARE + number for number in range(self.BATCHES)]
        addresses = [backend.place.address for service in bench.services for backend in service.backends]
        await authority(bench.ground, addresses, self.ends + [int(time.time()) + 86400])

    async def fault(self, bench, service):
        raise lab.Trouble("they expire by themselves")

    def certificate(self, service, backend):
        is_primary = backend is service.primary
        return service.number % self.BATCHES if is_primary else self.BATCHES

    async def faults(self, bench):
        for service in bench.services:
            # A certificate is good for the whole second in which it ends.
            service.fault = self.ends[service.number % self.BATCHES] + 1
        if time.time() > self.ends[0]:
            raise lab.Trouble("the certificates ran out before everything was up; is the machine this busy?")
        await asyncio.sleep(self.ends[-1] + 1 - time.time())


class Names(Kind):
    """Backends have names, and the only name server falls silent."""

    def host(self, backend):
        return f"{backend.name}.lab"

    async def before(self, bench):
        names = {
            self.host(backend): backend.place.address for service in bench.services for backend in service.backends
        }
        self.server = await NameServer.start(names)

    def started_with(self, bench):
        return asks_our_name_server(bench.ground.path("resolv.conf"))

    async def faults(self, bench):
        self.server.silent = True
        self.server.asked = 0
        for service in bench.services:
            service.fault = time.time()

    async def after(self, bench):
        if self.server.silent and not self.server.asked:
            raise lab.Trouble("nobody asked the silent name server: that was no test")
        self.server.end()


class Starvation(Kind):
    """Busy processes compete with the balancer for all cores."""

    async def faults(self, bench):
        for number in range(self.processes):
            Program(f"busy {number}", [sys.executable, "-c", "while True: pass"])
        for service in bench.services:
            service.fault = time.time()


def loss(chain):
    return f"{chain} -m statistic --mode random --probability 0.3 -j DROP"


HEALTH = {"http": {"path": "/healthz"}}
TEXT = {"http": {"path": "/healthz", "expect": {"text": "health"}}}
QUIET = {"traffic": False}

KINDS = [
    Signal("kill", "SIGKILL", number=signal.SIGKILL, worst="dead"),
    Signal("kill-quiet", "SIGKILL, no traffic", number=signal.SIGKILL, worst="dead_quiet", **QUIET),
    Signal("stop", "SIGSTOP", number=signal.SIGSTOP, worst="hung"),
    Signal("stop-quiet", "SIGSTOP, no traffic", number=signal.SIGSTOP, worst="hung_quiet", **QUIET),
    Filter("blackhole", "blackhole", rules=["INPUT -j DROP", "OUTPUT -j DROP"], worst="hung"),
    Filter("blackhole-quiet", "blackhole, no traffic", rules=["INPUT -j DROP", "OUTPUT -j DROP"],
           worst="hung_quiet", **QUIET),
    Filter("reset", "RST", rules=["INPUT -p tcp -j REJECT --reject-with tcp-reset"], worst="dead"),
    Control("drip", "slow drip of the health body", settings=f"health_drip_ms={DRIP_MS}", health=TEXT,
            worst="hung_quiet"),
    Expired("expired", "TLS certificate expired", worst="dead_quiet"),
    Control("vhost", "wrong vhost answers 200", settings="health_text=welcome", health=TEXT, worst="dead_quiet"),
    Control("health", "503 on health only", settings="health=503", health=HEALTH, worst="dead_quiet"),
    Descriptors("descriptors", "no file descriptors left", worst="hung_quiet"),
    Filter("loss", "30 % packet loss", rules=[loss("INPUT")], expect=STAY, watch=20),
    Filter("loss-quiet", "30 % packet loss, no traffic", rules=[loss("INPUT")], expect=STAY, watch=20, **QUIET),
    Latency("latency", "+200 ms latency", seconds=0.2, expect=STAY, watch=12),
    Pauses("pause-300", f"{PAUSES} pauses of 0.3 s", seconds=0.3, expect=STAY, watch=4),
    Pauses("pause-800", f"{PAUSES} pauses of 0.8 s", seconds=0.8, expect=STAY, watch=4),
    Names("names", "DNS gone", expect=STAY, watch=20),
    Starvation("starved", "our CPU starved by 4 processes", processes=4, expect=STAY, watch=20),
    Filter("loss-both", "30 % loss in both directions", rules=[loss("INPUT"), loss("OUTPUT")], expect=LOOK, watch=20),
]


async def authority(ground, addresses, ends):
    """An authority `ca.pem` and one certificate per end, `0.pem` and so on, all with the key `key.pem`."""
    names = ",".join(f"IP:{address}" for address in addresses)
    settings = ground.write("ca.conf", f"""
[ca]
default_ca = here
[here]
database = {ground.write("index", "")}
new_certs_dir = {ground.folder.name}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[leaf]
subjectAltName = {names}
""")
    path = ground.path
    await openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=accuracy authority", "-keyout", path("ca.key"), "-out", path("ca.pem"),
    )
    await openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=backend",
        "-keyout", path("key.pem"), "-out", path("request.pem"),
    )
    for number, end in enumerate(ends):
        end = datetime.datetime.fromtimestamp(end, datetime.timezone.utc)
        await openssl(
            "ca", "-batch", "-notext", "-config", settings, "-extensions", "leaf", "-in", path("request.pem"),
            "-cert", path("ca.pem"), "-keyfile", path("ca.key"), "-out", path(f"{number}.pem"),
            "-startdate", "20200101000000Z", "-enddate", end.strftime("%Y%m%d%H%M%SZ"),
        )


async def openssl(*arguments):
    process = await asyncio.create_subprocess_exec(
        "openssl", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "OPENSSL_CONF": "/dev/null"} if arguments[0] == "ca" else None,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise lab.Trouble(f"openssl {arguments[0]}: {output.decode(errors='replace').strip()}")
