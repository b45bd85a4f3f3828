"""nghttp2's load generator: without an error, also while the primary is killed or hangs."""

import json
import re
import subprocess
import time

from cases import Suite, expect
from certs import Authority
from lab import Trouble, find, service, wait_until


class Stage:
    """What the cases share: certificates. Each has backends and a balancer of its own."""

    def __init__(self, lab):
        self.lab = lab
        if not find("h2load"):
            raise Trouble("h2load is missing: apt-get install nghttp2-client")
        self.pair = Authority(lab.folder).server("server", ["localhost", "127.0.0.1"])

    def start(self, **keys):
        """Two backends and the balancer: TLS, h2c and plain listeners."""
        self.a, self.b = self.lab.pair()
        tls = {"certificates": [self.pair.entry()]}
        address = "127.0.0.1:0"
        listeners = [{"address": address, "tls": tls}, {"address": address, "h2c": True}]
        services = {"web": service(self.a, self.b, **keys)}
        self.text = json.dumps({"listeners": listeners, "services": services})
        balancer = self.lab.understudy(self.config(), active="a")
        balancer.wait_health("b", "up")
        ports = [address[1] for address in balancer.listeners]
        self.urls = {"TLS": f"https://127.0.0.1:{ports[0]}", "h2c": f"http://127.0.0.1:{ports[1]}"}
        return balancer

    def config(self):
        """A copy of the config, to be changed."""
        return json.loads(self.text)

    def end(self, balancer):
        for process in (balancer, self.a, self.b):
            process.end()


def load(url, *options):
    command = ["h2load", *(str(option) for option in options), f"{url}/name"]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(process, deadline=60):
    """The figures of the report; the rest of it is in `text`."""
    text, _ = process.communicate(timeout=deadline)
    line = re.search(r"^requests: (.*)$", text, re.MULTILINE)
    assert line, text
    figures = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", line.group(1))}
    codes = re.search(r"^status codes: (.*)$", text, re.MULTILINE).group(1)
    figures["2xx"] = int(re.search(r"(\d+) 2xx", codes).group(1))
    return figures, text


def all_succeeded(figures, text):
    wrong = {name: figures[name] for name in ("failed", "errored", "timeout")}
    expect(wrong, {"failed": 0, "errored": 0, "timeout": 0}, text)
    expect(figures["2xx"], figures["total"], text)
    expect(figures["succeeded"], figures["total"], text)


suite = Suite("h2load", Stage)

for listener, protocol, options in [
    ("TLS", "HTTP/2", []), ("h2c", "HTTP/2", []),
    ("TLS", "HTTP/1.1", ["--h1"]), ("h2c", "HTTP/1.1", ["--h1"]),
]:
    @suite.case(f"{protocol} on {listener}: 6000 requests, no error", listener, options)
    def steady(stage, listener, options):
        balancer = stage.start()
        try:
            streams = [] if options else ["-m", 25]
            process = load(stage.urls[listener], "-n", 6000, "-c", 4, *streams, *options)
            all_succeeded(*finished(process))
        finally:
            stage.end(balancer)


def _kill(origin):
    origin.kill()


def _stop(origin):
    origin.stop()


for fault in (_kill, _stop):
    for listener in ("TLS", "h2c"):
        name = {"_kill": "SIGKILL", "_stop": "SIGSTOP"}[fault.__name__]

        @suite.case(f"{name} of the primary under 100 streams on 4 connections, {listener}",
                    name, fault, listener)
        def fault_under_load(stage, name, fault, listener):
            balancer = stage.start()
            try:
                # 25 streams on each of 4 connections, for as long as it takes to see both backends.
                process = load(stage.urls[listener], "-n", 20000, "-c", 4, "-m", 25)
                wait_until("the load runs", lambda: len(stage.a.journal()) > 1000)
                fault(stage.a)
                begun = time.monotonic()
                balancer.wait_active("b")
                spent = time.monotonic() - begun
                figures, text = finished(process)
                all_succeeded(figures, text)
                journal = stage.b.journal()
                assert len(journal) > 1000, f"the standby served {len(journal)} only"
                expect(balancer.metric("understudy_requests_failed_total"), 0)
                print(f"     h2load: {name}: {figures['total']} answered; b active after"
                      f" {spent * 1000:.0f} ms; longest {_longest(text)}", flush=True)
            finally:
                stage.end(balancer)


@suite.case("reloads under 100 streams on 4 connections, of the service and of the certificate")
def reload_under_load(stage):
    balancer = stage.start()
    try:
        process = load(stage.urls["TLS"], "-n", 20000, "-c", 4, "-m", 25)
        wait_until("the load runs", lambda: len(stage.a.journal()) > 1000)
        for number in range(5):
            config = stage.config()
            config["services"]["web"]["hold"] = {"requests": 900 + number}
            stage.pair.rewrite()
            balancer.reload(config)
        assert process.poll() is None, "the load was over before the reloads"
        all_succeeded(*finished(process))
    finally:
        stage.end(balancer)


def _longest(text):
    return re.search(r"time for request: +\S+ +(\S+)", text).group(1)


if __name__ == "__main__":
    suite.main()
