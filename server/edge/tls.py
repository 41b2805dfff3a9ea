"""A certificate authority of one's own and a server certificate, so that headsets on the local network get HTTPS.

Owns the files DATA/tls/{ca.pem, server.pem, server.key}. The CA can vouch only for the names it was made for (name
constraints), and its key is forgotten at once. Never used unless --tls-certificate names its files.
"""

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS, SERVER_DAYS = 3650, 397
BACKDATE = datetime.timedelta(hours=1)  # for clocks that are a little behind
NAMES_MAX = 20


class TlsError(RuntimeError):
    """The certificate could not be made; one line says why."""


def general_name(text: str) -> x509.GeneralName:
    """An IP address or DNS name as a certificate holds it; raises TlsError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.split(".")
    if len(text) > 253 or not all(_is_label(label) for label in labels):
        raise TlsError(f"{text!r} is no host name and no IP address")
    return x509.DNSName(text.lower())


def _is_label(label: str) -> bool:
    plain = label.replace("-", "a")
    return 0 < len(label) <= 63 and plain.isascii() and plain.isalnum() and label[0] != "-" and label[-1] != "-"


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_suffix(path.suffix + ".new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise TlsError(f"{path} cannot be written: {error.strerror}") from None


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _constraint(name: x509.GeneralName) -> x509.GeneralName:
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ipaddress.ip_network(str(name.value)))
    return name


def _begin(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int,
           now: datetime.datetime) -> x509.CertificateBuilder:  # fmt: skip
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATE).not_valid_after(now + datetime.timedelta(days=days))


def make_ca(
    names: list[x509.GeneralName], now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A new CA that can sign for these names only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("Asclepion local CA")
    builder = _begin(subject, subject, key.public_key(), CA_DAYS, now)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.NameConstraints([_constraint(name) for name in names], None), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def make_server(
    names: list[x509.GeneralName], ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A server certificate for these names, signed by the CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begin(_name("Asclepion edge"), ca.subject, key.public_key(), SERVER_DAYS, now)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(authority, critical=False)
    return builder.sign(ca_key, hashes.SHA256()), key


def make(data: Path, hosts: list[str], now: datetime.datetime) -> list[str]:
    """Make CA and server certificate for `hosts` (localhost is always one); lines that say how to use them."""
    if len(hosts) > NAMES_MAX:
        raise TlsError(f"{len(hosts)} names were given, allowed is {NAMES_MAX}")
    names = [general_name(host) for host in dict.fromkeys([*hosts, "localhost", "127.0.0.1"])]
    folder = data / "tls"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise TlsError(f"{folder} cannot be made: {error.strerror}") from None
    ca, ca_key = make_ca(names, now)
    server, key = make_server(names, ca, ca_key, now)
    pem = serialization.Encoding.PEM
    _write(folder / "ca.pem", ca.public_bytes(pem), 0o644)
    _write(folder / "server.key", _key_bytes(key), 0o600)
    _write(folder / "server.pem", server.public_bytes(pem) + ca.public_bytes(pem), 0o644)
    return [
        f"Made {folder / 'server.pem'} for {', '.join(dict.fromkeys([*hosts, 'localhost', '127.0.0.1']))}.",
        f"On every headset, install {folder / 'ca.pem'} as a trusted authority. It can vouch for these names only.",
        f"Start with: asclepion serve --edge-host 0.0.0.0 --tls-certificate {folder / 'server.pem'}"
        f" --tls-key {folder / 'server.key'}",
    ]
