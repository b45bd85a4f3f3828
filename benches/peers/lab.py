"""Processes, ports and configurations of the benches. Python 3, standard library only.

Everything listens on 127.0.0.1, everything started here is ended here, by its process id.
"""

import atexit
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICKS = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """Something that ends the comparison, in words for the reader."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program):
    """Where a program is, or None; daemons live where a user's PATH does not look."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return shutil.which(program, path=path)


def descendants(pid):
    """The process and all its children, parents first."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry))
        except OSError:
            pass  # It ended while we looked.
    found = [pid]
    for process in found:
        found.extend(children.get(process, []))
    return found


class Child:
    """A program running on one core (`None`: on any), with whatever it starts itself."""

    living = []

    def __init__(self, name, arguments, core):
        self.name = name
        # Unlinked at once: only the child and we can reach it.
        self.output = tempfile.TemporaryFile()
        command = arguments if core is None else ["taskset", "-c", str(core)] + arguments
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT
        )
        Child.living.append(self)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        # Positional, because the child writes at the same file offset.
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def cpu_seconds(self):
        """User and system time of the process and its children so far."""
        total = 0
        for pid in descendants(self.pid):
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return total / TICKS

    def signal(self, number):
        for pid in descendants(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def end(self):
        pids = descendants(self.pid)
        if self.process.poll() is None:
            # The parent first, so that it takes its children with it.
            self.process.terminate()
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                pass
        for pid in pids[1:] + ([pids[0]] if self.process.poll() is None else []):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        if self in Child.living:
            Child.living.remove(self)


@atexit.register
def end_all():
    for child in list(Child.living):
        child.end()


def end_on_signal(number, _frame):
    raise SystemExit(128 + number)


signal.signal(signal.SIGTERM, end_on_signal)
signal.signal(signal.SIGINT, end_on_signal)


def wait_until(what, deadline, look):
    """Looks until `look` returns something true; an error or nothing means not yet."""
    begun = time.monotonic()
    last = None
    while time.monotonic() - begun < deadline:
        try:
            found = look()
            if found:
                return found
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.02)
    raise Trouble(f"not within {deadline} s: {what} ({last})")


def fetch(port, path="/", method="GET", patience=5):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


class Tools:
    """Our own programs, built once."""

    def __init__(self, build, understudy_wanted, profile="release"):
        metadata = subprocess.run(
            ["cargo", "metadata", "--format-version", "1", "--no-deps"],
            cwd=ROOT, check=True, capture_output=True,
        )
        self.folder = os.path.join(json.loads(metadata.stdout)["target_directory"], profile)
        if build:
            packages = ["-p", "benches", "--bin", "origin", "--bin", "openloop"]
            if understudy_wanted:
                packages += ["-p", "understudy", "--bin", "understudy"]
            say(f"building ({profile}) ...")
            build = ["cargo", "build", "--profile", profile, "--quiet"]
            if subprocess.run(build + packages, cwd=ROOT).returncode:
                raise Trouble("the build failed")

    def path(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            raise Trouble(f"{path} is missing: run without --no-build")
        return path


class Origin(Child):
    """A backend of ours."""

    def __init__(self, tools, name, core, port=0):
        arguments = ["--listen", f"127.0.0.1:{port}", "--name", name, "--body-bytes", "128"]
        super().__init__(f"origin {name}", [tools.path("origin")] + arguments, core)
        line = wait_until(
            f"{self.name} listens", 10,
            lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", self.said()),
        )
        self.port = int(line.group(1))


NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  {log}; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream service {{
    server 127.0.0.1:{primary}; server 127.0.0.1:{standby} backup;
    keepalive 64; keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      {forwarded}
    }}
  }}
}}
"""

# What our lines of JSON say, as far as nginx knows it, buffered as ours are.
NGINX_LOG = """log_format line escape=json '{{"time":"$time_iso8601","client":"$remote_addr",'
    '"client_port":$remote_port,"listener":"$server_port","version":"$server_protocol",'
    '"method":"$request_method","host":"$http_host","target":"$request_uri","status":$status,'
    '"received":"$request_length","sent":$body_bytes_sent,"referer":"$http_referer",'
    '"user_agent":"$http_user_agent","backend":"$upstream_addr","connect":"$upstream_connect_time",'
    '"head":"$upstream_header_time","total":$request_time}}';
  access_log {folder}/access.log line buffer=32k flush=1s"""

# The same as the flags, and a log of JSON.
UNDERSTUDY_LOGGED = """
workers: 1
listeners: [ "127.0.0.1:{port}" ]
admin: {{ address: "127.0.0.1:{admin}" }}
access_log: {{ to: "{folder}/access.log" }}
services:
  default:
    backends: [ "http://127.0.0.1:{primary}", "http://127.0.0.1:{standby}" ]
    health: {{ http: {{ path: /healthz }} }}
"""

# What Debian ships as /etc/nginx/proxy_params: the fields that a drop-in proxy sends.
NGINX_FORWARDED = """
      proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
"""

# The probes of haproxy are set to what ours are by default.
HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  http-reuse always
frontend listener
  bind 127.0.0.1:{port}
  default_backend service
backend service
  {forwarded}
  option httpchk GET /healthz
  default-server check inter 1s fastinter 100ms fall 3 rise 2 on-marked-down shutdown-sessions
  server a 127.0.0.1:{primary}
  server b 127.0.0.1:{standby} backup
"""


class Proxy(Child):
    """A proxy in front of a primary and a standby, with one worker."""

    def __init__(self, kind, tools, core, primary, standby, bare=False, logged=False):
        self.port = free_port()
        self.admin = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="peers-")
        values = {
            "port": self.port, "primary": primary, "standby": standby, "folder": self.folder.name,
        }
        if kind == "nginx":
            forwarded = "" if bare else NGINX_FORWARDED
            log = NGINX_LOG.format(**values) if logged else "access_log off"
            config = self.write("nginx.conf", NGINX.format(forwarded=forwarded, log=log, **values))
            arguments = [find("nginx"), "-p", self.folder.name, "-c", config]
        elif kind == "haproxy":
            forwarded = "" if bare else "option forwardfor"
            config = self.write("haproxy.cfg", HAPROXY.format(forwarded=forwarded, **values))
            arguments = [find("haproxy"), "-db", "-f", config]
        elif logged:
            config = self.write("understudy.yaml", UNDERSTUDY_LOGGED.format(admin=self.admin, **values))
            arguments = [tools.path("understudy"), "run", "-c", config]
        else:
            arguments = [
                tools.path("understudy"), "run", "--listen", f"127.0.0.1:{self.port}",
                "--primary", f"http://127.0.0.1:{primary}",
                "--standby", f"http://127.0.0.1:{standby}",
                "--health-path", "/healthz", "--admin", f"127.0.0.1:{self.admin}", "--workers", "1",
            ]
        super().__init__(kind, arguments, core)
        try:
            wait_until(f"{kind} forwards", 10, self.forwards)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.said()}") from None

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def forwards(self):
        if self.process.poll() is not None:
            raise Trouble(f"{self.name} ended with {self.process.returncode}\n{self.said()}")
        status, _, _ = fetch(self.port)
        return status == 200

    def end(self):
        super().end()
        self.folder.cleanup()


def present(kinds):
    """Those of the wanted proxies that are here; says which are not."""
    found = []
    for kind in kinds:
        if kind in ("nginx", "haproxy") and not find(kind):
            say(f"skipped: {kind} is not installed")
        else:
            found.append(kind)
    return found


def cores(proxy, load):
    """Refuses to measure where the load would take the proxy's time."""
    usable = os.sched_getaffinity(0)
    if proxy == load or not {proxy, load} <= usable:
        raise Trouble(f"needs two cores of {sorted(usable)}, not {proxy} and {load}")
    if not shutil.which("taskset"):
        raise Trouble("taskset (util-linux) is not installed")


def table(head, rows):
    widths = [max(len(row[column]) for row in [head] + rows) for column in range(len(head))]
    for row in [head, ["-" * width for width in widths]] + rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join(cells))
