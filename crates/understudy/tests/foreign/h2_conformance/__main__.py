"""`python -m h2_conformance --connect HOST:PORT`: plays the table against a proxy with `origin.py` behind it."""

import argparse
import concurrent.futures
import sys
import time

from .inbound import Failed
from .table import load
from .wire import Spot

WORKERS = 16
BROKEN = (Failed, OSError, ValueError, KeyError, IndexError)
"""Faults of the server; the last three come of answers that are not what the origin sends."""


def arguments():
    options = argparse.ArgumentParser(prog="h2_conformance", description=__doc__)
    options.add_argument("--connect", metavar="HOST:PORT", help="where the proxy listens")
    options.add_argument("--tls", action="store_true", help="TLS with ALPN h2; else HTTP/2 by prior knowledge")
    options.add_argument("--authority", metavar="NAME", default="localhost", help="name in :authority and SNI")
    options.add_argument(
        "--only", metavar="ID", action="append", help="only the cases whose id begins so; may repeat"
    )
    options.add_argument(
        "--pid", type=int, help="process of the proxy: floods must not make it grow by more than 64 MiB"
    )
    options.add_argument(
        "--strict", action="store_true", help="what misses the letter of the RFC and harms nobody fails, too"
    )
    options.add_argument("--list", action="store_true", help="print the table as Markdown and exit")
    return options.parse_args()


def print_table(cases):
    print("| case | section | what is sent | accepted |\n|---|---|---|---|")
    for row in cases:
        print(f"| {row.name} | {row.section} | {row.title} | {row.accept.words} |".replace("`|`", "`\\|`"))


def play(row, spot):
    """How a case went, what was seen, seconds."""
    begun = time.monotonic()
    try:
        exact, seen = row.play(spot)
        return "ok" if exact else "near", seen, time.monotonic() - begun
    except BROKEN as error:
        text = str(error) if isinstance(error, Failed) else repr(error)
        return "FAIL", text, time.monotonic() - begun


class Report:
    """A line per case, and the failures once more at the end."""

    def __init__(self, total):
        self.total, self.done, self.near, self.failures = total, 0, 0, []

    def line(self, row, verdict, seen, took):
        self.done += 1
        print(f"{verdict:4} {self.done:3}/{self.total} {took:5.2f} s  {row.name}: {seen}", flush=True)
        self.near += verdict == "near"
        if verdict == "FAIL":
            self.failures.append((row, seen))

    def summary(self, took, strict):
        for row, seen in self.failures:
            print(f"\nFAIL {row.name} (RFC {row.section})\n  sent      {row.title}")
            print(f"  accepted  {row.accept.words}\n  seen      {seen}")
        passed = self.done - len(self.failures)
        print(f"\n{passed} of {self.total} cases passed in {took:.1f} s, {self.near} of them not to the letter")
        return 1 if self.failures or (strict and self.near) else 0


def main():
    options = arguments()
    cases = [row for row in load().values() if not options.only or row.name.startswith(tuple(options.only))]
    if options.list:
        print_table(cases)
        return 0
    if not options.connect or not cases:
        print("nothing to do: give --connect, and an id that exists", file=sys.stderr)
        return 2
    host, _, port = options.connect.rpartition(":")
    spot = Spot(host.strip("[]"), int(port), options.tls, options.authority, options.pid)
    begun = time.monotonic()
    report = Report(len(cases))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        running = {pool.submit(play, row, spot): row for row in cases if not row.alone}
        for future in concurrent.futures.as_completed(running):
            report.line(running[future], *future.result())
    # A flood would slow its neighbours down, and they it: one at a time.
    for row in cases:
        if row.alone:
            report.line(row, *play(row, spot))
    return report.summary(time.monotonic() - begun, options.strict)


if __name__ == "__main__":
    sys.exit(main())
