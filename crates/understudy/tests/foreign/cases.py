"""A table of cases: names, functions, a line for each, an exit code.

A case is a function that raises when something is wrong. It gets what the suite's `stage` made.
"""

import argparse
import concurrent.futures
import os
import re
import sys
import time
import traceback


class Suite:
    """The cases of one file; `main` runs them."""

    def __init__(self, name, stage=None, concurrency=1):
        # `stage(lab)` builds what all cases share; without it they get the lab itself.
        self.name, self.stage, self.concurrency, self.cases = name, stage, concurrency, []

    def case(self, title, *arguments):
        """Adds a function as a case; with arguments it may be added several times."""
        def add(function):
            self.cases.append((title, function, arguments))
            return function
        return add

    def main(self):
        """Reads the command line, runs the cases and ends the process: 1 if any failed."""
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        parser.add_argument("--binary", required=True, help="the balancer under test")
        parser.add_argument("--only", default="", help="a regular expression on the cases' titles")
        parser.add_argument("--list", action="store_true", help="prints the titles only")
        options = parser.parse_args()
        chosen = [case for case in self.cases if re.search(options.only, case[0])]
        if options.list:
            print("\n".join(title for title, *_ in chosen))
            return
        # Imported here, so that `--list` works without anything being installed.
        from lab import Lab
        with Lab(os.path.abspath(options.binary)) as lab:
            failed = self._run(lab, chosen)
        print(f"{self.name}: {len(chosen) - failed} of {len(chosen)} pass", flush=True)
        sys.exit(1 if failed or not chosen else 0)

    def _run(self, lab, chosen):
        shared = self.stage(lab) if self.stage else lab
        with concurrent.futures.ThreadPoolExecutor(self.concurrency) as executor:
            runs = [executor.submit(_one, self.name, case, shared) for case in chosen]
            return sum(not run.result() for run in runs)


def _one(suite, case, shared):
    title, function, arguments = case
    begun = time.monotonic()
    try:
        function(shared, *arguments)
        trouble = None
    except Exception as error:  # A case may fail in any way; the others go on.
        trouble = error
    spent = time.monotonic() - begun
    line = f"{'FAIL' if trouble else 'ok  '} {suite}: {title} ({spent:.1f} s)"
    if trouble:
        text = "".join(traceback.format_exception(trouble))
        line += "\n" + "\n".join(f"     | {part}" for part in text.splitlines())
    # One write, as others print at the same time.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return trouble is None


def expect(actual, wanted, what=""):
    """Fails unless equal, or one of a set, or true for a function."""
    if callable(wanted):
        fine = wanted(actual)
    elif isinstance(wanted, (set, frozenset)):
        fine = actual in wanted
    else:
        fine = actual == wanted
    if not fine:
        shown = getattr(wanted, "__name__", wanted)
        raise AssertionError(f"{what}: got {actual!r}, want {shown!r}")
