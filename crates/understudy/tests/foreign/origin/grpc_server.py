"""A gRPC server of bytes, without generated code, with grpc.health.v1; `python -m origin.grpc_server`.

Each call that begins, is cancelled or ends becomes a line of the ledger file, written at once, so
that it outlives SIGKILL: `begin|cancel|end METHOD ID`. The call `SetHealth` says what the health service
says from then on, in the words of `SERVICE STATUS`; with `SERVICE` left out, of the server as a whole.
"""

import argparse
import concurrent.futures
import os
import threading
import time

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "understudy.Test"


class Test:
    """The four kinds of calls; messages are bytes, the metadata field `id` names a call."""

    def __init__(self, name, ledger, checks):
        self.name, self.checks = name, checks
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, what, method, call):
        os.write(self.ledger, f"{what} {method} {call}\n".encode())

    def begin(self, method, context):
        """Writes the call down, and sends our name before and after what it answers."""
        fields = dict(context.invocation_metadata())
        call = fields.get("id", "-")
        self.note("begin", method, call)
        ended = lambda: self.note("end" if context.code() is not None else "cancel", method, call)
        if not context.add_callback(ended):
            ended()
        given = fields.get("x-given", "")
        context.send_initial_metadata([("x-server", self.name), ("x-given", given)])
        context.set_trailing_metadata([("x-trailer", self.name), ("x-bytes-bin", b"\x00\xff\n")])
        context.set_code(grpc.StatusCode.OK)

    def echo(self, request, context):
        self.begin("Echo", context)
        return self.name.encode() + b":" + request

    def count(self, request, context):
        """As many messages as asked for, a few milliseconds apart; cancelled, it stops."""
        self.begin("Count", context)
        number, gap = (int(part) for part in request.split())
        gone = threading.Event()
        if not context.add_callback(gone.set):
            return
        for i in range(number):
            yield f"{self.name}:{i}".encode()
            if gone.wait(gap / 1000):
                return

    def collect(self, requests, context):
        self.begin("Collect", context)
        lengths = [len(request) for request in requests]
        return f"{self.name}:{len(lengths)}:{sum(lengths)}".encode()

    def chat(self, requests, context):
        self.begin("Chat", context)
        for request in requests:
            yield self.name.encode() + b":" + request

    def wait(self, request, context):
        """Answers after so many milliseconds, unless cancelled."""
        self.begin("Wait", context)
        gone = threading.Event()
        # A call that is over already calls nobody back.
        if not context.add_callback(gone.set):
            gone.set()
        gone.wait(int(request) / 1000)
        return self.name.encode()

    def fail(self, request, context):
        fields = dict(context.invocation_metadata())
        self.note("begin", "Fail", fields.get("id", "-"))
        context.set_trailing_metadata([("x-trailer", self.name)])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nicht möglich: 100 %\n")

    def remaining(self, _request, context):
        """How many seconds the caller gives, as this server sees it."""
        self.begin("Remaining", context)
        return str(context.time_remaining()).encode()

    def set_health(self, request, _context):
        service, _, status = request.decode().rpartition(" ")
        self.checks.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        return b""

    def handlers(self):
        return grpc.method_handlers_generic_handler(SERVICE, {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Remaining": grpc.unary_unary_rpc_method_handler(self.remaining),
            "SetHealth": grpc.unary_unary_rpc_method_handler(self.set_health),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        })


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    options = parser.parse_args()
    limits = [("grpc.max_receive_message_length", 64 << 20),
              ("grpc.max_send_message_length", 64 << 20)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), options=limits)
    checks = health.HealthServicer()
    server.add_generic_rpc_handlers((Test(options.name, options.ledger, checks).handlers(),))
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    checks.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    address = f"127.0.0.1:{options.port}"
    if options.tls:
        cert, key = (open(path, "rb").read() for path in options.tls)
        port = server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)]))
    else:
        port = server.add_insecure_port(address)
    server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
