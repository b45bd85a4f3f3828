"""Session tickets: good at every worker and after a reload, worth nothing at a listener with other rules."""

import json
import ssl

from cases import Suite, expect
from certs import Authority, write_over
from lab import service, wait_until
from suites.wire import Wire


class Stage:
    """Listeners with and without client certificates, all with the same server certificate."""

    def __init__(self, lab):
        self.lab = lab
        self.ca, self.other_ca = Authority(lab.folder), Authority(lab.folder, "other")
        self.pair = self.ca.server("server", ["localhost", "127.0.0.1"])
        self.client = self.ca.client("client", "alice")
        self.other = self.other_ca.client("other-client", "oscar")
        self.a = lab.origin("a")
        self.crl = lab.folder / "crl.pem"
        self.crl.write_bytes(self.ca.crl("crl-nobody").read_bytes())
        auths = {
            "none": {},
            "required": {"client_auth": {"ca": str(self.ca.cert_file)}},
            "optional": {"client_auth": {"ca": str(self.ca.cert_file), "mode": "optional"}},
            "other": {"client_auth": {"ca": str(self.other_ca.cert_file)}},
            "crl": {"client_auth": {"ca": str(self.ca.cert_file), "crl": [str(self.crl)]}},
        }
        listeners = [{"address": "127.0.0.1:0",
                      "tls": {"certificates": [self.pair.entry()], **keys}}
                     for keys in auths.values()]
        self.config = {"workers": 4, "listeners": listeners, "services": {"web": service(self.a)}}
        self.balancer = lab.understudy(self.config, "a")
        self.addresses = dict(zip(auths, self.balancer.listeners))

    def context(self, version, client=None):
        context = ssl.create_default_context(cadata=self.ca.cert_pem.decode())
        context.minimum_version = context.maximum_version = version
        if client:
            context.load_cert_chain(client.cert_file, client.key_file)
        return context

    def visit(self, listener, context, session=None):
        """One request; (whether the session was resumed, what the backend got, the new session).

        What the backend got is None where the client was turned away.
        """
        class Resuming:
            """Stands in for the context: `Wire` knows nothing of sessions."""

            @staticmethod
            def wrap_socket(plain, server_hostname):
                return context.wrap_socket(plain, server_hostname=server_hostname, session=session)
        try:
            with Wire(self.addresses[listener], Resuming) as wire:
                status, _, body = wire.get("/echo")
                resumed, fresh = wire.socket.session_reused, wire.socket.session
        except (ssl.SSLError, ConnectionError):
            return False, None, None
        return resumed, json.loads(body) if status == 200 else None, fresh


suite = Suite("tickets", Stage)

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


def subject(seen):
    return dict(seen["headers"]).get("x-client-cert-subject")


for name, version in VERSIONS.items():
    @suite.case(f"{name}: resumed at every worker, and after a reload", version)
    def everywhere(stage, version):
        context = stage.context(version)
        resumed, seen, session = stage.visit("none", context)
        expect((resumed, seen is not None), (False, True))
        # Four workers: that all twenty meet the one that made the ticket has a chance of 1 : 4^20.
        again = [stage.visit("none", context, session)[0] for _ in range(20)]
        expect(again, [True] * 20)
        changed = json.loads(json.dumps(stage.config))
        changed["services"]["web"]["hold"] = {"requests": version.value}
        stage.balancer.reload(changed)
        again = [stage.visit("none", context, session)[0] for _ in range(20)]
        expect(again, [True] * 20, "after a reload")

    @suite.case(f"{name}: a resumed client is still the one with the certificate", version)
    def identity(stage, version):
        context = stage.context(version, stage.client)
        _, seen, session = stage.visit("required", context)
        assert "alice" in subject(seen), seen
        for _ in range(5):
            resumed, seen, _ = stage.visit("required", context, session)
            assert "alice" in subject(seen), seen
            expect(resumed, True)

    for origin, where in [("none", "required"), ("none", "optional"), ("required", "none"),
                          ("optional", "required"), ("required", "optional"),
                          ("required", "other"), ("other", "required")]:
        @suite.case(f"{name}: a ticket of `{origin}` is worth nothing at `{where}`",
                    version, origin, where)
        def crossing(stage, version, origin, where):
            own = {"none": None, "optional": None, "required": stage.client, "other": stage.other}
            context = stage.context(version, own[origin])
            _, seen, session = stage.visit(origin, context)
            assert seen and session, "no session to try"
            # The control: at its own listener the session is good.
            expect(stage.visit(origin, context, session)[0], True, "at home")
            # A context may be given another certificate, or, at `other`, has the wrong one.
            for _ in range(5):
                resumed, seen, _ = stage.visit(where, context, session)
                expect(resumed, False, "resumed")
                fine = where in ("none", "optional") or (origin, where) == ("required", "optional")
                expect(seen is not None, fine, "served")
                if where == "optional" and origin == "none":
                    expect(subject(seen), None)

    @suite.case(f"{name}: a revoked client's ticket is worth nothing", version)
    def revoked(stage, version):
        context = stage.context(version, stage.client)
        _, seen, session = stage.visit("crl", context)
        assert "alice" in subject(seen), seen
        write_over(stage.crl, stage.ca.crl("crl-client", stage.client).read_bytes())
        fresh = stage.context(version, stage.client)
        wait_until("new handshakes are refused", lambda: stage.visit("crl", fresh)[1] is None)
        for _ in range(5):
            expect(stage.visit("crl", context, session)[1], None, "served by its ticket")
        write_over(stage.crl, stage.ca.crl("crl-nobody").read_bytes())
        wait_until("it is served again", lambda: stage.visit("crl", fresh)[1])


if __name__ == "__main__":
    suite.main()
