"""The admin API against its own OpenAPI document, by schemathesis; and who gets in."""

import http.client
import json
import os
import random
import re
import subprocess
import sys

from cases import Suite, expect
from lab import PATIENCE, Trouble, service, wait_until

# A failure names its seed; this one is then played again.
SEED = int(os.environ.get("UNDERSTUDY_SEED") or random.SystemRandom().randrange(1 << 32))
# Cases made for one operation, in each phase that makes them up.
EXAMPLES = 40
# For one run of schemathesis, in seconds; a limit against hanging, not a budget to be used up.
DEADLINE = 240

DOCUMENT = "/api/v1/openapi.json"
# Never ends, so it has tests of its own.
STREAM = "/api/v1/events/stream"

# What it may say to data that fit the document, as the order may be impossible all the same (409,
# 422), or the name not one of ours (404); and to data that do not.
RULES = """\
{parameters}
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
negative_data_rejection.expected-statuses = ["400", "404", "405", "413", "415", "422"]
"""
KNOWN_NAMES = '[parameters]\n"path.service" = "web"\n"path.backend" = "b"\n'


class Stage:
    """A balancer with a token of each kind."""

    def __init__(self, lab):
        self.lab = lab
        self.a, self.b = lab.pair()
        self.reader, reads = self._token("watcher", "read")
        self.writer, writes = self._token("ops", "write")
        self.balancer = lab.understudy({
            "listeners": [{"address": "127.0.0.1:0"}],
            "services": {"web": service(self.a, self.b)},
            "admin": {
                "address": "127.0.0.2:0",
                "socket": str(lab.folder / "admin.sock"),
                "tokens": [reads, writes],
            },
        })
        status = lambda: json.loads(self.ask("GET", "/status", self.writer)[2])
        wait_until("a is active", lambda: status()["services"][0]["active"] == "a")
        # Once seen, a token is remembered; until then it would wait with the guesses of a case below.
        expect(self.ask("GET", "/status", self.reader)[0], 200, "the token for reading")

    def _token(self, name, access):
        """A new token, as the binary makes them, and its entry in the config."""
        command = [self.lab.binary, "token", "--name", name, "--access", access]
        made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r'hash: "([^"]+)"', made).group(1)
        return made.splitlines()[0], {"name": name, "access": access, "hash": found}

    def ask(self, method, path, token=None, body=None):
        """One request: status, fields in lower case, body."""
        fields = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            fields["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(*self.balancer.admin[:2], timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=fields)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            # A stream goes on for ever; its head is all that is asked for.
            text = b"" if "event-stream" in found.get("content-type", "") else answer.read()
            return answer.status, found, text
        finally:
            connection.close()

    def operations(self):
        """Method and path of every operation of the document, with names of our own in it."""
        paths = json.loads(self.ask("GET", DOCUMENT, self.writer)[2])["paths"]
        names = {"{service}": "web", "{backend}": "b", "{id}": "1"}
        for path, item in paths.items():
            for name, value in names.items():
                path = path.replace(name, value)
            for method in item:
                yield method.upper(), path

    def schemathesis(self, name, parameters):
        """Runs it with all checks; `parameters` are values for parts of the path."""
        rules = self.lab.folder / f"{name}.toml"
        rules.write_text(RULES.format(parameters=parameters))
        host, port = self.balancer.admin[:2]
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(rules), "run",
            f"http://{host}:{port}{DOCUMENT}", "--header", f"Authorization: Bearer {self.writer}",
            "--exclude-path", STREAM, "--checks", "all",
            # Guessing is slowed down (429); who gets in is asked below, at its pace.
            "--exclude-checks", "ignored_auth",
            "--mode", "all", "--max-examples", str(EXAMPLES), "--request-timeout", str(PATIENCE),
            "--continue-on-failure", "--seed", str(SEED), "--no-color", "--warnings", "off",
        ]
        run = subprocess.run(command, cwd=self.lab.folder, capture_output=True, text=True,
                             errors="replace", timeout=DEADLINE)
        made = re.search(r"(\d+) generated", run.stdout)
        print(f"     schemathesis: {name}: seed {SEED}, {made and made.group(1)} requests", flush=True)
        if run.returncode:
            raise Trouble(f"UNDERSTUDY_SEED={SEED}\n{run.stdout[-12000:]}{run.stderr[-3000:]}")
        expect(made and int(made.group(1)) > 500, True, "requests were made")
        expect(self.balancer.runs(), True, "the balancer runs")
        expect(self.ask("GET", "/livez")[0], 200, "and answers")


suite = Suite("admin_api", Stage)


@suite.case("every operation, good and bad data, sequences of calls: names that are there", "known", KNOWN_NAMES)
@suite.case("the same with any names", "any", "")
def by_the_document(stage, name, parameters):
    stage.schemathesis(name, parameters)


@suite.case("without a token, every operation says 401 and how to send one")
def no_token(stage):
    for method, path in stage.operations():
        body = "{}" if method == "POST" else None
        status, fields, text = stage.ask(method, path, body=body)
        expect(status, 401, f"{method} {path}")
        expect(fields.get("www-authenticate", ""), lambda f: f.startswith("Bearer"), f"{method} {path}")
        expect(fields["content-type"], "application/problem+json", f"{method} {path}")
        expect(json.loads(text)["type"], "urn:understudy:problem:token-needed", f"{method} {path}")


@suite.case("with a wrong token, every operation says 401; guessing is slowed down")
def wrong_token(stage):
    slowed = 0
    for method, path in stage.operations():
        body = "{}" if method == "POST" else None

        def answered():
            nonlocal slowed
            status = stage.ask(method, path, "understudy_wrong", body)[0]
            slowed += status == 429
            return status != 429 and status
        expect(wait_until(f"{method} {path}", answered, pause=0.05), 401, f"{method} {path}")
    print(f"     {slowed} times asked to wait", flush=True)


@suite.case("a token for reading reads everything and changes nothing")
def read_token(stage):
    for method, path in stage.operations():
        body = "{}" if method == "POST" else None
        status, _, text = stage.ask(method, path, stage.reader, body)
        if method == "GET":
            expect(status, {200, 404}, f"{method} {path}")
        else:
            expect(status, 403, f"{method} {path}")
            expect(json.loads(text)["type"], "urn:understudy:problem:read-only", f"{method} {path}")


@suite.case("an order of a page of another site is refused, with the token, too")
def other_site(stage):
    host, port = stage.balancer.admin[:2]
    for name, value in (("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")):
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        connection.request("POST", "/api/v1/services/web/lock", body="{}", headers={
            "Authorization": f"Bearer {stage.writer}", "Content-Type": "application/json", name: value})
        expect(connection.getresponse().status, 403, name)
        connection.close()


if __name__ == "__main__":
    suite.main()
