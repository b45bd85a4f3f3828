"""Plays the table on other proxies: a case that they all fail is probably wrong.

`python -m h2_conformance.peers haproxy [--tls] [options of h2_conformance]`; also nghttpx, nginx and caddy. Needs the
program itself, and `openssl` for --tls. Everything runs on loopback, in a temporary folder, and ends with this.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def haproxy(port, origin, pem):
    bind = f"ssl crt {pem} alpn h2,http/1.1" if pem else "proto h2"
    return (
        "haproxy -f peer.conf",
        f"""
global
  nbthread 2
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 2s
frontend f
  bind 127.0.0.1:{port} {bind}
  default_backend b
backend b
  server o 127.0.0.1:{origin}
""",
    )


def nginx(port, origin, pem):
    listen = f"{port} ssl http2" if pem else f"{port} http2"
    certificate = f"ssl_certificate {pem}; ssl_certificate_key {pem};" if pem else ""
    return (
        "nginx -e stderr -p . -c peer.conf",
        f"""
daemon off; worker_processes 2; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 2000; }}
http {{
  access_log off; client_max_body_size 100m; client_body_temp_path t1; proxy_temp_path t2;
  fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{
    listen 127.0.0.1:{listen}; {certificate}
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_request_buffering off; proxy_buffering off; proxy_set_header Connection ""; }}
  }}
}}
""",
    )


def nghttpx(port, origin, pem):
    frontend = f"frontend=127.0.0.1,{port}" + ("" if pem else ";no-tls")
    key = f"private-key-file={pem}\ncertificate-file={pem}" if pem else ""
    return (
        "nghttpx --conf=peer.conf",
        f"{frontend}\nbackend=127.0.0.1,{origin}\n{key}\nworkers=2\nerrorlog-file=/dev/stderr\n",
    )


def caddy(port, origin, pem):
    start, tls = ("https", f"tls {pem} {pem}") if pem else ("http", "")
    return (
        "caddy run --config peer.conf --adapter caddyfile",
        f"""
{{
  admin off
  auto_https off
  servers {{
    protocols h1 h2 {"" if pem else "h2c"}
  }}
}}
{start}://localhost:{port} {{
  bind 127.0.0.1
  {tls}
  reverse_proxy 127.0.0.1:{origin} {{
    flush_interval -1
  }}
}}
""",
    )


PEERS = {"haproxy": haproxy, "nginx": nginx, "nghttpx": nghttpx, "caddy": caddy}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, child, seconds=10):
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the peer does not listen")


def make_certificate(folder):
    both = os.path.join(folder, "both.pem")
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes {names} -keyout k -out c"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    with open(both, "w", encoding="ascii") as out:
        for part in ("c", "k"):
            with open(os.path.join(folder, part), encoding="ascii") as read:
                out.write(read.read())
    return both


def play(name, tls, options):
    """Starts origin and peer, plays, ends both; returns the table's exit code."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    module = [sys.executable, "-m"]
    children = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # Peers started by root give up their rights.
        try:
            command = [*module, "h2_conformance.origin"]
            origin = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
            children.append(origin)
            port = free_port()
            pem = make_certificate(folder) if tls else None
            command, text = PEERS[name](port, int(origin.stdout.readline()), pem)
            with open(os.path.join(folder, "peer.conf"), "w", encoding="ascii") as out:
                out.write(text)
            program, *rest = command.split()
            with open(os.path.join(folder, "log"), "w", encoding="ascii") as log:
                peer = subprocess.Popen(
                    [shutil.which(program, path=path) or program, *rest], cwd=folder, stderr=log, stdout=log
                )
            children.append(peer)
            wait_for(port, peer)
            authority = f"localhost:{port}"
            where = ["--connect", f"127.0.0.1:{port}", "--authority", authority] + (["--tls"] if tls else [])
            return subprocess.run([*module, "h2_conformance", *where, *options], cwd=FOLDER).returncode
        finally:
            for child in reversed(children):
                child.terminate()
                child.wait(10)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PEERS:
        raise SystemExit(__doc__)
    others = [option for option in sys.argv[2:] if option != "--tls"]
    sys.exit(play(sys.argv[1], "--tls" in sys.argv, others))
