"""Plays the table of HTTP/2 (the package `h2_conformance`) against the balancer: over TLS, and h2c."""

import subprocess
import sys

from cases import Suite
from certs import Authority
from lab import HERE, Trouble


class Stage:
    """The table's own backend, and a balancer with both kinds of listeners."""

    def __init__(self, lab):
        origin = lab.run("table-origin", [sys.executable, "-u", "-m", "h2_conformance.origin"])
        port = int(origin.wait_line(r"(\d+)\s*$").group(1))
        pair = Authority(lab.folder).server("server", ["localhost", "127.0.0.1"])
        local = {"address": "127.0.0.1:0"}
        listeners = [{**local, "tls": {"certificates": [pair.entry()]}}, {**local, "h2c": True}]
        keys = {"backends": [{"name": "a", "url": f"http://127.0.0.1:{port}"}],
                "health": {"http": {"path": "/"}}}
        self.balancer = lab.understudy(
            {"listeners": listeners, "services": {"web": keys}}, "a")


suite = Suite("h2_conformance", Stage)

for title, number, options in (("over TLS", 0, ["--tls"]), ("h2c", 1, [])):
    @suite.case(f"the table, {title}", number, options)
    def table(stage, number, options):
        where = "%s:%d" % stage.balancer.listeners[number]
        command = [sys.executable, "-u", "-m", "h2_conformance", "--connect", where, *options,
                   "--pid", str(stage.balancer.pid)]
        done = subprocess.run(command, cwd=HERE, timeout=300)
        if done.returncode:
            raise Trouble(f"exit code {done.returncode}: see above")


if __name__ == "__main__":
    suite.main()
