"""One proxy between the rows' clients and a recording backend: Understudy, or a peer set up alike."""

import pathlib
import ssl

import certs
import lab

from .client1 import Client1
from .origin1 import Origin
from .origin2 import Origin2

PEERS = ("haproxy", "nginx", "nghttpx")
# What the rows of section "limits" count on.
URI_BYTES, HEADER_BYTES, HEADERS, BODY_BYTES = 1024, 8192, 20, 4096
TRUSTED = ["127.0.0.1/32", "10.0.0.0/8"]
# Which listeners a peer can be set up to have, and which backends it speaks to.
LISTENERS = {
    "understudy": ("plain", "limits", "trusted", "proxied", "mtls"),
    "haproxy": ("plain", "trusted", "proxied", "mtls"),
    "nginx": ("plain",),
    "nghttpx": ("plain",),
}
UPS = {"understudy": ("h1", "h2"), "haproxy": ("h1", "h2"), "nginx": ("h1",), "nghttpx": ("h1", "h2")}


class Stage:
    """A running proxy with the one backend it has."""

    def __init__(self, proxy, up, binary, folder):
        self.proxy, self.up, self.fences = proxy, up, 0
        self.folder = pathlib.Path(folder) / f"{proxy}-{up}"
        self.folder.mkdir()
        self.origin = Origin2() if up == "h2" else Origin()
        self.ports = {name: lab.free_port() for name in LISTENERS[proxy]}
        # A peer may not tell HTTP/1 from HTTP/2 at one port.
        self.ports2 = {"plain": lab.free_port()} if proxy == "nginx" else self.ports
        self._authority()
        command = {
            "understudy": self._understudy,
            "haproxy": self._haproxy,
            "nginx": self._nginx,
            "nghttpx": self._nghttpx,
        }[proxy](binary)
        self.process = lab.Process(proxy, command, self.folder)
        try:
            lab.wait_until(f"{proxy} serves", self._serves)
        except lab.Trouble as trouble:
            raise lab.Trouble(f"{trouble}\n{self.process.tail()}") from None

    def _serves(self):
        if not self.process.runs():
            raise lab.Trouble("it ended")
        return self.fence() is None

    def has(self, row):
        return row.up == self.up and row.listener in self.ports

    def address(self, listener, down="h1"):
        return "127.0.0.1", (self.ports2 if down == "h2" else self.ports)[listener]

    def tls(self, with_certificate):
        """What a client of the listener `mtls` needs."""
        context = ssl.create_default_context(cafile=str(self.ca.cert_file))
        context.set_alpn_protocols(["http/1.1"])
        if with_certificate:
            context.load_cert_chain(self.client.cert_file, self.client.key_file)
        return context

    def fence(self):
        """An ordinary request on a connection of its own gets its own answer; else what was wrong."""
        self.fences += 1
        target = b"/fence-%d" % self.fences
        client = Client1(self.address("plain"))
        client.send(b"GET " + target + b" HTTP/1.1\r\nhost: fence\r\n\r\n")
        answer = client.answer()
        client.close()
        if (answer.status, answer.body, answer.complete) == (200, target, True):
            return None
        return f"the next request of somebody else got {answer}"

    def end(self):
        self.process.end()
        self.origin.stop()

    def _authority(self):
        self.ca = certs.Authority(self.folder)
        self.server = self.ca.server("server", ["localhost", "127.0.0.1"])
        self.client = self.ca.client("client", "somebody")

    def _understudy(self, binary):
        listeners = {
            "plain": {},
            "limits": {
                "limits": {
                    "uri_bytes": f"{URI_BYTES}B",
                    "header_bytes": f"{HEADER_BYTES}B",
                    "headers": HEADERS,
                    "body_bytes": f"{BODY_BYTES}B",
                }
            },
            "trusted": {"trusted_proxies": TRUSTED},
            "proxied": {"proxy_protocol": ["127.0.0.1/32"]},
            "mtls": {
                "h2c": None,
                "tls": {
                    "certificates": [self.server.entry()],
                    "client_auth": {"ca": str(self.ca.cert_file), "mode": "optional"},
                },
            },
        }
        config = {
            # One worker: a fence behind a row goes through the same pool.
            "workers": 1,
            "admin": {"address": "127.0.0.1:0"},
            "listeners": [
                {
                    key: value
                    for key, value in {
                        "address": f"127.0.0.1:{self.ports[name]}",
                        "h2c": True,
                        **keys,
                    }.items()
                    if value is not None
                }
                for name, keys in listeners.items()
            ],
            "services": {
                "web": {
                    "backends": [{"name": "a", "url": "http://%s:%d" % self.origin.address}],
                    "protocol": "http2" if self.up == "h2" else "auto",
                    "health": {"tcp": {}},
                    "hold": {"timeout": "2s"},
                    "timeouts": {"response": "3s"},
                }
            },
        }
        path = self.folder / "understudy.yaml"
        path.write_text(lab.json.dumps(config, indent=1))
        return [binary, "run", "-c", path]

    def _haproxy(self, _binary):
        pem = self.folder / "both.pem"
        pem.write_bytes(self.server.cert_pem + self.server.key_pem)
        own = """
  http-request deny status 405 if {{ method CONNECT TRACE }}
  http-request del-header proxy
  http-request del-header x-real-ip
  http-request del-header x-forwarded-prefix
  http-request del-header ^client-cert|^x-client-cert|_ -m reg
  {chain}
  http-request add-header x-forwarded-for %[src]
  http-request set-header x-forwarded-proto http
  http-request set-header x-forwarded-host %[req.hdr(host)]
  http-request set-header x-forwarded-port %[dst_port]
  http-request add-header forwarded for=%[src];proto=http
  {more}
  default_backend web
"""
        fresh = "http-request del-header x-forwarded-for\n  http-request del-header forwarded"
        cert = (
            "http-request set-header client-cert :%[ssl_c_der,base64]: if { ssl_c_used }\n"
            "  http-request set-header x-client-cert-subject %{+Q}[ssl_c_s_dn] if { ssl_c_used }\n"
            "  http-request set-header x-client-cert-fingerprint %[ssl_c_der,sha2(256),hex,lower] "
            "if { ssl_c_used }"
        )
        trust = (
            f"acl trusted src {' '.join(TRUSTED)}\n  "
            + fresh.replace("forwarded-for", "forwarded-for if !trusted")
            + " if !trusted"
        )
        fronts = {
            "plain": ("", fresh, ""),
            "trusted": ("", trust, ""),
            "proxied": ("accept-proxy", fresh, ""),
            "mtls": (f"ssl crt {pem} ca-file {self.ca.cert_file} verify optional", fresh, cert),
        }
        text = (
            "global\n  maxconn 500\n  nbthread 1\ndefaults\n  mode http\n  timeout client 4s\n"
            "  timeout server 3s\n  timeout connect 2s\n  timeout http-request 3s\n"
        )
        for name, (options, chain, more) in fronts.items():
            text += f"frontend {name}\n  bind 127.0.0.1:{self.ports[name]} {options}\n"
            text += own.format(chain=chain, more=more)
        proto = " proto h2" if self.up == "h2" else ""
        text += "backend web\n  http-reuse always\n  server a %s:%d%s\n" % (*self.origin.address, proto)
        path = self.folder / "haproxy.cfg"
        path.write_text(text)
        return [lab.find("haproxy"), "-db", "-f", path]

    def _nginx(self, _binary):
        at = self.folder
        temp = " ".join(f"{k}_temp_path {at}/{k};" for k in ("proxy", "fastcgi", "uwsgi", "scgi"))
        path = at / "nginx.conf"
        backend = "%s:%d" % self.origin.address
        path.write_text(f"""
daemon off; master_process off; pid {at}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {at}/body; {temp}
upstream service {{ server {backend} max_fails=0; keepalive 16; }}
map $http_upgrade $with {{ default ""; websocket upgrade; }}
map $http_upgrade $upgrade {{ default ""; websocket websocket; }}
server {{ listen 127.0.0.1:{self.ports["plain"]}; listen 127.0.0.1:{self.ports2["plain"]} http2;
proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_http_version 1.1;
proxy_read_timeout 3s; client_max_body_size 0;
location / {{ proxy_pass http://service; proxy_set_header Host $host;
proxy_set_header Connection $with; proxy_set_header Upgrade $upgrade;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Prefix "";
proxy_set_header Forwarded "for=$remote_addr;proto=$scheme"; proxy_set_header Proxy "";
proxy_set_header Client-Cert ""; proxy_set_header Client-Cert-Chain "";
proxy_set_header X-Client-Cert-Subject ""; proxy_set_header X-Client-Cert-Fingerprint "";
}} }} }}
""")
        return [lab.find("nginx"), "-p", at, "-c", path]

    def _nghttpx(self, _binary):
        proto = ";proto=h2" if self.up == "h2" else ""
        host, port = self.origin.address
        return [
            lab.find("nghttpx"),
            "--conf=/dev/null",
            "--workers=1",
            "--no-ocsp",
            f"--frontend=127.0.0.1,{self.ports['plain']};no-tls",
            f"--backend={host},{port};/{proto}",
            "--add-x-forwarded-for",
            "--strip-incoming-x-forwarded-for",
            "--add-forwarded=for,proto,host",
            "--strip-incoming-forwarded",
            "--backend-read-timeout=3s",
            "--frontend-read-timeout=4s",
            "--no-via",
            "--no-server-rewrite",
            "--no-location-rewrite",
        ]
