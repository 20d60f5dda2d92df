"""Makes a temporary certificate authority and a certificate, for clients that insist on https.

The authority's own key is never written: it signs one certificate and is forgotten, so that trusting it on a
laptop trusts nothing but this one server.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azure_bridge.clock import Clock

_LIFETIME = timedelta(days=90)
_RENEWED_BEFORE = timedelta(days=7)
#: Clocks of containers and virtual machines differ by minutes.
_BACKDATED = timedelta(hours=1)
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: ``authority`` is what clients trust; ``chain`` and ``key`` (mode 0600) are what the server shows."""

    authority: Path
    chain: Path
    key: Path


def certificate_in(directory: Path, clock: Clock, host: str = "localhost") -> Certificate:
    """The certificate kept in ``directory``, made anew when there is none or it no longer serves ``host``."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificate(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    names = tuple(dict.fromkeys((*_LOCAL_NAMES, host)))
    if not _serves(files, names, clock.now()):
        _make(files, names, clock.now())
    return files


def _serves(files: Certificate, names: Iterable[str], now: datetime) -> bool:
    try:
        leaf, authority = (x509.load_pem_x509_certificate(file.read_bytes()) for file in (files.chain, files.authority))
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        leaf.verify_directly_issued_by(authority)
        known = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # Whatever is wrong with what was found, the answer is a new one.
        return False
    lasts = leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - _RENEWED_BEFORE
    return lasts and key.public_key() == leaf.public_key() and set(_general_names(names)) <= set(known)


def _make(files: Certificate, names: Iterable[str], now: datetime) -> None:
    authority_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _authority(authority_key, now)
    leaf = _leaf(authority, authority_key, key, names, now)
    _write_private(files.key, _pem(key))
    files.chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))


def _authority(key: EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("Embedded Dataverse (local development)")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    key: EllipticCurvePrivateKey,
    names: Iterable[str],
    now: datetime,
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_name("localhost"), authority.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(file: Path, content: bytes) -> None:
    """Readable by its owner alone from the first byte on, whatever was there before."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
