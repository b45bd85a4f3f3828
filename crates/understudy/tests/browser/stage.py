"""What the cases look at: backends, a balancer with tokens, clients, and a watch on the API."""

import http.client
import json
import re
import subprocess
import threading
import time

import browser  # noqa: F401  (knows where the lab is)
from lab import PATIENCE, Lab, fetch, free_port, service, wait_until

HOST = "127.0.0.1"


def token(binary, name, access):
    """A new token, as the binary makes them, and its entry in the config."""
    command = [binary, "token", "--name", name, "--access", access]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r'hash: "([^"]+)"', made).group(1)
    return made.splitlines()[0], {"name": name, "access": access, "hash": found}


def config(services, tokens=(), routes=()):
    """A config with an admin listener at a port of its own, so that a page finds it again after a restart."""
    admin = {"address": f"{HOST}:{free_port(HOST)}", "socket": "off", "tokens": list(tokens)}
    whole = {"listeners": [{"address": f"{HOST}:0"}], "services": services, "admin": admin, "workers": 1}
    return {**whole, "routes": list(routes)} if routes else whole


def routes(services):
    """Each service by a host of its own name; the first is for everybody else, too."""
    first, *others = services
    return [{"host": f"{name}.test", "path": "/", "service": name} for name in others] + [
        {"host": "*", "path": "/", "service": first}]


def base(balancer):
    return f"http://{balancer.admin[0]}:{balancer.admin[1]}"


def ask(balancer, path, secret=None):
    fields = {"Authorization": f"Bearer {secret}"} if secret else {}
    return json.loads(fetch(balancer.admin, path, headers=fields)[2])


def wait_active(balancer, name, backend, secret=None):
    wait_until(f"{backend} is active", lambda: ask(balancer, f"/api/v1/services/{name}", secret)["active"] == backend)


class Clients:
    """A few clients that ask again and again, until the end of the `with`."""

    def __init__(self, address, count=4, pause=0.01):
        self.address, self.pause, self.answers = address, pause, 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def _ask(self):
        connection = None
        while not self._over.wait(self.pause):
            try:
                connection = connection or http.client.HTTPConnection(*self.address[:2], timeout=PATIENCE)
                connection.request("GET", "/")
                connection.getresponse().read()
                self.answers += 1
            except (OSError, http.client.HTTPException):
                connection = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until("clients have answers", lambda: self.answers > 20)
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)


class Watch:
    """Notes when the API first says that a service has another active, by the clock on the wall."""

    def __init__(self, balancer, name, secret=None):
        self.balancer, self.name, self.secret, self.moved_at = balancer, name, secret, None
        self.epoch = ask(balancer, f"/api/v1/services/{name}", secret)["epoch"]
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            seen = ask(self.balancer, f"/api/v1/services/{self.name}", self.secret)
            if seen["epoch"] > self.epoch and seen["active"]:
                self.moved_at = time.time() * 1000
                return
            time.sleep(0.005)

    def wait(self):
        self._thread.join(PATIENCE)
        return self.moved_at


__all__ = ["Clients", "Lab", "Watch", "ask", "base", "config", "routes", "service", "token", "wait_active", "wait_until"]
