"""HTTP/1.1 by hand: a connection that sends what it is told, when it is told."""

import http.client
import socket
import ssl
import time


class Wire:
    """One connection. Times are in seconds since it was opened."""

    def __init__(self, address, tls=None, timeout=10, source="127.0.0.1"):
        self.socket = socket.create_connection(address[:2], timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.begun = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def since(self):
        return time.monotonic() - self.begun

    def send(self, data):
        """False if the other side has ended the connection."""
        try:
            self.socket.sendall(data if isinstance(data, bytes) else data.encode())
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def get(self, path="/name", *lines):
        """A request without a body, and its answer."""
        self.send(head("GET", path, *lines))
        return self.answer()

    def answer(self):
        """(status, fields in lower case, body); status None if there is none."""
        answer = http.client.HTTPResponse(self.socket)
        try:
            answer.begin()
            body = answer.read()
        except (ConnectionError, ssl.SSLError, http.client.HTTPException):
            return None, {}, b""
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def drip(self, parts, pause):
        """Sends part by part with pauses, until there is an answer or an end; true if all was sent."""
        for part in parts:
            if not self.send(part) or self.has_more(pause):
                return False
        return True

    def has_more(self, timeout):
        """Whether an answer, or the end, comes within this time."""
        self.socket.settimeout(timeout)
        try:
            # A look; TLS sockets cannot look.
            self.socket.recv(1, socket.MSG_PEEK)
            return True
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(10)

    def is_over(self, timeout):
        """Whether the other side ends the connection within this time; reads what comes until then."""
        ends = time.monotonic() + timeout
        while (left := ends - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                break
            except ConnectionError:
                return True
        self.socket.settimeout(10)
        return False

    def wait_end(self, deadline):
        """Everything that comes until the end, and when that was."""
        got, ends = b"", time.monotonic() + deadline
        try:
            while (left := ends - time.monotonic()) > 0:
                self.socket.settimeout(left)
                part = self.socket.recv(65536)
                if not part:
                    return got, self.since()
                got += part
        except (TimeoutError, BlockingIOError):
            pass
        except (ConnectionError, ssl.SSLError):
            return got, self.since()
        raise AssertionError(f"open after {deadline} s; got {got[:200]!r}")

    def close(self):
        self.socket.close()


def head(method, path, *lines):
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nHost: h.test\r\n{fields}\r\n"
