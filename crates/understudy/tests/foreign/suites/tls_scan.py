"""sslyze on both TLS policies, with both kinds of keys: nothing above "low" may be found."""

import sslyze
from sslyze.mozilla_tls_profile import tls_config_checker as mozilla

from cases import Suite, expect
from certs import Authority
from lab import Trouble, service

AEAD = {f"TLS_ECDHE_{kind}_WITH_{cipher}" for kind in ("ECDSA", "RSA")
        for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")}
TLS_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
CURVES = {"X25519", "X448", "prime256v1", "secp256r1", "secp384r1", "secp521r1"}

# What Mozilla's profiles say of things that do not matter here. Without TLS 1.0 and 1.1 there is
# nothing to fall back to that the signature over the handshake of TLS 1.3 does not protect
# (RFC 8446 4.1.3). The certificates are a test's.
BESIDE_THE_POINT = ("tls_vulnerability_fallback_scsv", "certificate", "maximum_certificate_lifespan")

# sslyze takes a session for resumed if the second ticket is the same as the first; RFC 5077 3.3 lets a
# server send a new one each time, and ours does. The suite `tickets` asks OpenSSL instead.
COMMANDS = set(sslyze.ScanCommand) - {
    sslyze.ScanCommand.HTTP_HEADERS, sslyze.ScanCommand.SESSION_RESUMPTION}


class Stage:
    """Scans all four listeners once; the cases read the results."""

    def __init__(self, lab):
        ca = Authority(lab.folder)
        origin = lab.origin("a")
        names = ["localhost", "127.0.0.1"]
        pairs = {kind: ca.server(f"server-{kind}", names, kind) for kind in ("ecdsa", "rsa")}
        kinds = [(policy, kind) for policy in ("intermediate", "modern") for kind in pairs]
        listeners = [
            {"address": "127.0.0.1:0",
             "tls": {"policy": policy, "certificates": [pairs[kind].entry()]}}
            for policy, kind in kinds
        ]
        balancer = lab.understudy({"listeners": listeners, "services": {"web": service(origin)}}, "a")
        scanner = sslyze.Scanner()
        scanner.queue_scans([
            sslyze.ServerScanRequest(
                server_location=sslyze.ServerNetworkLocation("localhost", port, ip_address=host),
                scan_commands=COMMANDS)
            for host, port in balancer.listeners
        ])
        by_port = dict(zip((port for _, port in balancer.listeners), kinds))
        self.results = {}
        for result in scanner.get_results():
            if not result.scan_result:
                raise Trouble(f"no scan of {result.server_location}: {result.connectivity_error_trace}")
            self.results[by_port[result.server_location.port]] = result

    def of(self, which, command):
        attempt = getattr(self.results[which].scan_result, command)
        if attempt.result is None:
            raise Trouble(f"{command}: {attempt.error_reason} {attempt.error_trace}")
        return attempt.result


suite = Suite("tls_scan", Stage)


def accepted(stage, which, version):
    result = stage.of(which, f"{version}_cipher_suites")
    return {suite.cipher_suite.name for suite in result.accepted_cipher_suites}


for which in [(policy, kind) for policy in ("intermediate", "modern") for kind in ("ecdsa", "rsa")]:
    where = f"{which[0]}, {which[1]}"

    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        @suite.case(f"{where}: {version} is refused", which, version)
        def old(stage, which, version):
            expect(accepted(stage, which, version), set().__eq__)

    @suite.case(f"{where}: TLS 1.2 with ECDHE and AEAD only, or not at all", which)
    def tls_1_2(stage, which):
        found = accepted(stage, which, "tls_1_2")
        if which[0] == "modern":
            return expect(found, set().__eq__)
        wanted = {name for name in AEAD if f"_{which[1].upper()}_" in name}
        expect(found, wanted.__eq__)

    @suite.case(f"{where}: TLS 1.3", which)
    def tls_1_3(stage, which):
        expect(accepted(stage, which, "tls_1_3"), TLS_1_3.__eq__)

    @suite.case(f"{where}: strong curves only", which)
    def curves(stage, which):
        result = stage.of(which, "elliptic_curves")
        found = {curve.name for curve in result.supported_curves or []}
        assert found and found <= CURVES, found
        assert "X25519" in found, found

    @suite.case(f"{where}: no compression, no early data, no renegotiation", which)
    def switched_off(stage, which):
        expect(stage.of(which, "tls_compression").supports_compression, False)
        expect(stage.of(which, "tls_1_3_early_data").supports_early_data, False)
        renegotiation = stage.of(which, "session_renegotiation")
        expect(renegotiation.is_vulnerable_to_client_renegotiation_dos, False)
        if which[0] == "intermediate":
            expect(renegotiation.supports_secure_renegotiation, True, "RFC 5746")

    @suite.case(f"{where}: no known vulnerability", which)
    def vulnerabilities(stage, which):
        expect(stage.of(which, "heartbleed").is_vulnerable_to_heartbleed, False)
        expect(stage.of(which, "openssl_ccs_injection").is_vulnerable_to_ccs_injection, False)
        robot = stage.of(which, "robot").robot_result
        expect(robot, {sslyze.RobotScanResultEnum.NOT_VULNERABLE_NO_ORACLE,
                       sslyze.RobotScanResultEnum.NOT_VULNERABLE_RSA_NOT_SUPPORTED})
        if which[0] == "intermediate":
            extended = stage.of(which, "tls_extended_master_secret")
            expect(extended.supports_ems_extension, True, "RFC 7627")

    @suite.case(f"{where}: Mozilla's profile", which)
    def profile(stage, which):
        # `modern` also wants certificates of its kind only, which is beside the point.
        wanted = mozilla.MozillaTlsConfiguration.get(mozilla.TlsConfigurationEnum(which[0]))
        try:
            mozilla.check_server_against_tls_configuration(stage.results[which], wanted)
        except mozilla.ServerNotCompliantWithTlsConfiguration as found:
            issues = {name: text for name, text in found.issues.items()
                      if not name.startswith(BESIDE_THE_POINT)}
            expect(issues, {})

if __name__ == "__main__":
    suite.main()
