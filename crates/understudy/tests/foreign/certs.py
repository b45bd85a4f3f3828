"""Certificates for the suites: an authority, servers with both kinds of keys, clients, a CRL.

Made anew for each run with the bindings of OpenSSL that `cryptography` is; nothing here is kept.
"""

import datetime
import hashlib
import ipaddress
import os
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage, NameOID

DAY = datetime.timedelta(days=1)


class Pair:
    """A certificate and its key, in memory and as files."""

    def __init__(self, folder, name, certificate, key, chain=()):
        self.name, self.certificate, self.key = name, certificate, key
        self.cert_file = pathlib.Path(folder) / f"{name}.pem"
        self.key_file = pathlib.Path(folder) / f"{name}.key"
        pem = serialization.Encoding.PEM
        self.cert_pem = b"".join(c.public_bytes(pem) for c in (certificate, *chain))
        self.key_pem = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.cert_file.write_bytes(self.cert_pem)
        self.key_file.write_bytes(self.key_pem)

    @property
    def serial(self):
        return self.certificate.serial_number

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self):
        """SHA-256 of the certificate, lower-case hex."""
        return hashlib.sha256(self.der).hexdigest()

    def rewrite(self):
        """Writes the same files anew, which looks like a renewal."""
        write_over(self.key_file, self.key_pem)
        write_over(self.cert_file, self.cert_pem)

    def entry(self):
        """As a config names it: `{ cert, key }`."""
        return {"cert": str(self.cert_file), "key": str(self.key_file)}


class Authority(Pair):
    """A private authority; writes `<name>.pem`."""

    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )
        certificate = (
            _builder(subject, subject, key, -DAY, 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        super().__init__(folder, name, certificate, key)

    def server(self, file, names, kind="ecdsa", begins=-DAY, ends=20 * DAY):
        """A server's certificate for DNS names and IP addresses; `kind` is `ecdsa` or `rsa`."""
        return self._issue(file, names, kind, Usage.SERVER_AUTH, begins, ends)

    def client(self, file, common_name=None, begins=-DAY, ends=20 * DAY):
        """A client's certificate; its subject is `CN=<common_name>,O=Understudy Tests`."""
        return self._issue(file, [common_name or file], "ecdsa", Usage.CLIENT_AUTH, begins, ends)

    def crl(self, file, *revoked):
        """A list that revokes these pairs; returns its path."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - DAY).next_update(now + 10 * DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        )
        for pair in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(pair.serial)
            builder = builder.add_revoked_certificate(one.revocation_date(now - DAY).build())
        path = self.folder / f"{file}.pem"
        signed = builder.sign(self.key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path

    def _issue(self, file, names, kind, usage, begins, ends):
        key = (
            ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        builder = _builder(_name(names[0]), self.certificate.subject, key, begins, ends)
        certificate = (
            builder
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .sign(self.key, hashes.SHA256())
        )
        return Pair(self.folder, file, certificate, key)


def write_over(path, content):
    """Puts new content in place of a file by renaming, as careful tools do."""
    fresh = pathlib.Path(f"{path}.new")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def _builder(subject, issuer, key, begins, ends):
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins).not_valid_after(now + ends)
    )


def _name(common):
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Understudy Tests"),
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ])


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
