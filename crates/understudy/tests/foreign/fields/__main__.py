"""Runs the table: `python -m fields --proxy understudy --binary PATH`, from the folder above."""

import argparse
import collections
import sys
import tempfile
import threading
import time

from . import rows  # noqa: F401  (fills the table)
from .drive import play
from .peers import differs
from .stage import LISTENERS, PEERS, UPS, Stage
from .table import ROWS


def arguments():
    parser = argparse.ArgumentParser(prog="fields", description=__doc__)
    parser.add_argument("--proxy", choices=("understudy", *PEERS), default="understudy")
    parser.add_argument("--binary", help="the understudy to run")
    parser.add_argument("--only", help="rows whose id begins so", default="")
    parser.add_argument("--list", action="store_true", help="print the table as Markdown")
    given = parser.parse_args()
    if given.proxy == "understudy" and not (given.binary or given.list):
        parser.error("--binary says which understudy to run")
    return given


def as_markdown():
    print("| id | RFC | from, to | what | accepted |\n|---|---|---|---|---|")
    for row in ROWS:
        accepted = "; or ".join(str(outcome) for outcome in row.accepts).replace("|", "\\|")
        where = "" if row.listener == "plain" else f" ({row.listener})"
        print(f"| {row.id} | {row.rfc} | {row.down}, {row.up}{where} | {row.title} | {accepted} |")


def run_stage(given, up, chosen, folder, results):
    """All rows of one kind of backend, one after the other: each knows that what a backend sees is its own."""
    stage = Stage(given.proxy, up, given.binary, folder)
    try:
        for row in chosen:
            begun = time.monotonic()
            try:
                found = play(row, stage)
            except Exception as error:  # noqa: BLE001  (a row must not end the table)
                found = [f"the row itself: {error!r}"]
            if not stage.process.runs():
                found.append(f"the proxy ended:\n{stage.process.tail()}")
            results[row.id] = found
            report(given, row, found, time.monotonic() - begun)
            if not stage.process.runs():
                return
    finally:
        stage.end()


def report(given, row, found, seconds):
    if row_differs(given, row):
        word = "differs" if found else "agrees, though said to differ"
    else:
        word = "FAILED" if found else "ok"
    lines = [f"{word:8} {row.id:40} {row.rfc:16} {seconds * 1000:5.0f} ms"]
    lines += [f"           {text}" for text in found if word == "FAILED"]
    # In one piece: the stages take turns on the terminal.
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def row_differs(given, row):
    return differs(given.proxy, row.id)


def main():
    given = arguments()
    if given.list:
        as_markdown()
        return 0
    begun, results = time.monotonic(), {}
    chosen = [
        row
        for row in ROWS
        if row.id.startswith(given.only)
        and row.listener in LISTENERS[given.proxy]
        and row.up in UPS[given.proxy]
    ]
    with tempfile.TemporaryDirectory(prefix="fields-") as folder:
        threads = [
            threading.Thread(
                target=run_stage, args=(given, up, [r for r in chosen if r.up == up], folder, results)
            )
            for up in UPS[given.proxy]
            if any(row.up == up for row in chosen)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    failed = [r.id for r in chosen if results.get(r.id, ["not run"]) and not row_differs(given, r)]
    differ = collections.Counter(row_differs(given, row) for row in chosen)[True]
    print(
        f"\n{given.proxy}: {len(chosen)} of {len(ROWS)} rows, {len(failed)} failed, "
        f"{differ} known to differ, {time.monotonic() - begun:.0f} s"
    )
    for name in failed:
        print(f"  {name}")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
