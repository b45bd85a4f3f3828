"""Processes of a test: the balancer, backends that can be killed, a folder; all ended by their ids.

Everything listens on loopback, at ports the kernel chooses. What a failed test needs to say (logs,
status) is kept until the lab ends.
"""

import atexit
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent

# Within this time (seconds) anything that is due has happened, on the slowest machine.
PATIENCE = 20.0


class Trouble(AssertionError):
    """Something did not happen that had to; the text says what, and what was seen instead."""


def wait_until(what, look, deadline=PATIENCE, pause=0.01):
    """Calls `look` until it returns something true, and returns that. Errors of I/O mean not yet."""
    begun, last = time.monotonic(), None
    while True:
        try:
            last = look()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError) as error:
            last = error
        if time.monotonic() - begun > deadline:
            raise Trouble(f"not within {deadline:g} s: {what}; last seen: {last!r}")
        time.sleep(pause)


def find(program):
    """Where a program is, or None; daemons live where a user's PATH does not look."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return shutil.which(program, path=path)


def free_port(host="127.0.0.1"):
    """A port that was free a moment ago; for programs that cannot be given port 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Process:
    """A program that was started here; its output is kept in files of the lab."""

    living, numbers = [], itertools.count()

    def __init__(self, name, command, folder, env=None):
        self.name = name
        self.command = [str(part) for part in command]
        # Cases run side by side: counting files would give two of them the same number.
        number = next(Process.numbers)
        self._out = pathlib.Path(folder) / f"{name}-{number}.out"
        self._err = pathlib.Path(folder) / f"{name}-{number}.err"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env={**os.environ, "PYTHONPATH": str(HERE), **(env or {})},
            )
        Process.living.append(self)

    @property
    def pid(self):
        return self.process.pid

    def stdout(self):
        return self._out.read_text(errors="replace")

    def stderr(self):
        return self._err.read_text(errors="replace")

    def runs(self):
        return self.process.poll() is None

    def signal(self, number):
        """Sends a signal, unless the process has ended."""
        if self.runs():
            self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and waits for the end: afterwards its ports refuse."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGSTOP: it hangs, the kernel goes on accepting for it."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def end(self, grace=3.0):
        """SIGTERM, then SIGKILL; returns the exit code."""
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            self.kill()
        if self in Process.living:
            Process.living.remove(self)
        return self.process.returncode

    def wait_line(self, pattern):
        """The first match of a regular expression in what it has printed."""
        def look():
            found = re.search(pattern, self.stdout(), re.MULTILINE)
            if not found and not self.runs():
                raise Trouble(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return found
        return wait_until(f"{self.name} prints {pattern!r}", look)

    def tail(self, lines=30):
        """The end of its log."""
        text = (self.stdout() + self.stderr()).splitlines()
        return "\n".join(text[-lines:])


@atexit.register
def _end_all():
    for process in list(Process.living):
        process.resume()
        process.kill()


def _end_on_signal(number, _frame):
    raise SystemExit(128 + number)


signal.signal(signal.SIGTERM, _end_on_signal)


class Origin(Process):
    """A backend of ours (the package `origin`): killed, stopped, made sick, revived at the same address."""

    def __init__(self, folder, name, *options, port=0, host="127.0.0.1", unix=None):
        self.folder, self.options, self.host, self.unix = folder, options, host, unix
        self._start(name, port)

    def _start(self, name, port):
        where = ["--unix", self.unix] if self.unix else ["--host", self.host, "--port", port]
        command = [sys.executable, "-m", "origin", "--name", name, *where, *self.options]
        super().__init__(name, command, self.folder)
        found = self.wait_line(r"^listening on (\S+)$").group(1)
        self.port = 0 if self.unix else int(found.rpartition(":")[2])

    @property
    def address(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix:{self.unix}" if self.unix else f"{host}:{self.port}"

    @property
    def url(self):
        scheme = "https" if "--tls" in self.options else "http"
        return self.address if self.unix else f"{scheme}://{self.address}"

    def revive(self):
        """Starts it again at the same address, after a kill."""
        Process.living.remove(self)
        self._start(self.name, self.port)

    def set_health(self, status):
        """What it answers to probes from now on; its other answers stay as they are."""
        self._control(f"/_health/{status}")

    def journal(self):
        """Every request it got but probes: dicts with `method`, `path`, `headers`, `version` ..."""
        return json.loads(self._control("/_journal"))

    def probes(self):
        """The last few requests for `/healthz`, as in the journal."""
        return json.loads(self._control("/_probes"))

    def _control(self, path):
        # The control port is another one: plain HTTP whatever the backend speaks, and not journalled.
        port = int(self.wait_line(r"^control on \S+:(\d+)$").group(1))
        return fetch(("127.0.0.1", port), path)[2]


class Understudy(Process):
    """The balancer under test with one config; `listeners` are its addresses in the order of the config."""

    def __init__(self, binary, folder, config, log="info"):
        self.config_path = pathlib.Path(folder) / f"understudy-{id(self):x}.yaml"
        self._ports = {}
        self.write(config)
        command = [binary, "run", "--log", log, "-c", self.config_path]
        super().__init__("understudy", command, folder)
        self.admin = _address(self.wait_line(r"^admin on (\S+)$").group(1))
        found = re.findall(r"^listening on (\S+)", self.stdout(), re.MULTILINE)
        self.listeners = [_address(text) for text in found]

    def write(self, config):
        """Puts a config (a dict) where the balancer reads it, at once; JSON is YAML."""
        listeners = self._apart(config["listeners"])
        whole = {"admin": {"address": "127.0.0.2:0"}, "workers": 2, **config, "listeners": listeners}
        text = json.dumps(whole, indent=1)
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config_path)

    def _apart(self, listeners):
        """Gives listeners whose addresses are the same, with port 0, ports: the address names them."""
        seen, apart = set(), []
        for number, listener in enumerate(listeners):
            address = listener["address"]
            if address in seen:
                host = address.rpartition(":")[0]
                port = self._ports.setdefault(number, free_port(host.strip("[]")))
                listener = {**listener, "address": f"{host}:{port}"}
            seen.add(address)
            apart.append(listener)
        return apart

    def reload(self, config, result="success"):
        """Writes a config and waits until it has been taken, or refused with `result="failure"`."""
        before = self.metric("understudy_reloads_total", result=result)
        self.write(config)
        self.signal(signal.SIGHUP)
        self.wait_metric("understudy_reloads_total", lambda n: n > before, result=result)

    def status(self, service=None):
        """What `/status` says of a service, the first unless named."""
        services = json.loads(fetch(self.admin, "/status")[2])["services"]
        found = [s for s in services if service in (None, s["name"])]
        return found[0]

    def active(self, service=None):
        return self.status(service)["active"]

    def metrics(self):
        """Every sample of a scrape: (name, labels, value)."""
        samples = []
        for line in fetch(self.admin, "/metrics")[2].decode().splitlines():
            found = re.match(r"([a-zA-Z_:0-9]+)(?:\{(.*)\})? (\S+)$", line)
            if found:
                labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or "")
                samples.append((found.group(1), dict(labels), float(found.group(3))))
        return samples

    def metric(self, name, **labels):
        """The sum of the samples that have these labels; 0 if there is none."""
        return sum(
            value for sample, had, value in self.metrics()
            if sample == name and all(had.get(key) == want for key, want in labels.items())
        )

    def wait_metric(self, name, look, **labels):
        """Waits until the sum is as `look` wants it."""
        last = []

        def seen():
            last[:] = [self.metric(name, **labels)]
            return look(last[0])
        try:
            wait_until(f"{name}{labels}", seen)
        except Trouble as trouble:
            raise Trouble(f"{trouble}; value {last}\n{self.tail()}") from None

    def wait_active(self, backend, service=None):
        """Waits until this backend has the traffic (`None`: nobody has)."""
        try:
            wait_until(f"{backend} is active", lambda: self.active(service) == backend)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.status(service)}\n{self.tail()}") from None

    def wait_health(self, backend, health, service=None):
        """Waits until a backend is `up`, `down` or `unknown`."""
        def look():
            backends = self.status(service)["backends"]
            return any(b["name"] == backend and b["health"] == health for b in backends)
        wait_until(f"{backend} is {health}", look)

    def wait_log(self, pattern, since=0):
        """Waits until its log, from this offset on, matches; returns the match."""
        look = lambda: re.search(pattern, self.stderr()[since:], re.IGNORECASE)
        try:
            return wait_until(f"the log says {pattern!r}", look)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.stderr()[since:][-3000:]}") from None


class Lab:
    """A folder and what runs in it; use as `with Lab(binary) as lab`."""

    def __init__(self, binary):
        self.binary = binary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="foreign-"))
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _trace):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def origin(self, name, *options, **where):
        """Starts a backend; see `origin/__main__.py` for the options."""
        origin = Origin(self.folder, name, *options, **where)
        self.processes.append(origin)
        return origin

    def run(self, name, command):
        """Starts any other program."""
        process = Process(name, command, self.folder)
        self.processes.append(process)
        return process

    def understudy(self, config, active=None, log="info"):
        """Starts the balancer; waits until `/readyz` agrees and, if given, this backend is active."""
        balancer = Understudy(self.binary, self.folder, config, log)
        self.processes.append(balancer)
        wait_until("ready", lambda: fetch(balancer.admin, "/readyz")[0] == 200)
        if active is not None:
            balancer.wait_active(active)
        return balancer

    def pair(self, *options):
        """A primary `a` and a standby `b`."""
        return self.origin("a", *options), self.origin("b", *options)


def service(*backends, **keys):
    """A service of these backends, probed at `/healthz`, with short failback; other keys as given."""
    listed = [{"name": backend.name, "url": backend.url} for backend in backends]
    health = {"http": {"path": "/healthz", "status": 200}, "interval": "250ms"}
    failback = {"auto": {"hold_down": "500ms"}}
    return {"backends": listed, "health": health, "failback": failback, **keys}


def fetch(address, path="/", method="GET", headers=None):
    """One plain request on a connection of its own: status, fields in lower case, body."""
    connection = http.client.HTTPConnection(*address[:2], timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, fields, answer.read()
    finally:
        connection.close()


def _address(text):
    """`127.0.0.1:80` or `[::1]:80` as host and port; a Unix socket's path as it is."""
    host, colon, port = text.rpartition(":")
    if text.startswith(("unix:", "/")) or not colon or not port.isdigit():
        return text.removeprefix("unix:")
    return host.strip("[]"), int(port)
