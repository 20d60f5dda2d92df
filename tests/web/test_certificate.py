"""A throw-away certificate that clients can trust and nobody else can use."""

from __future__ import annotations

import socket
import ssl
import stat
from datetime import timedelta

import pytest
import requests
from cryptography import x509

from azure_bridge.clock import SystemClock
from runner.web.certificate import certificate_in


@pytest.fixture
def certificate(tmp_path):
    return certificate_in(tmp_path / "tls", SystemClock())


def test_a_client_that_trusts_the_authority_trusts_the_server(site, certificate):
    http = site(certificate=certificate)
    http.session.verify = str(certificate.authority)
    assert http.url.startswith("https://127.0.0.1:")
    assert http.who_am_i().json()["@odata.context"].startswith(f"{http.url}/api/data/v9.2/")


def test_a_client_that_does_not_trust_it_refuses_it(site, certificate):
    http = site(certificate=certificate)
    with pytest.raises(requests.exceptions.SSLError):
        http.who_am_i()


def test_it_passes_strict_x509_verification(site, certificate):
    port = int(site(certificate=certificate).url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(certificate.authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", port), 30) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_only_its_owner_reads_the_key(certificate):
    assert stat.S_IMODE(certificate.key.stat().st_mode) == 0o600


def test_the_authority_can_sign_nothing_more(certificate):
    kept = certificate.authority.parent.iterdir()
    keys = [file.name for file in kept if b"PRIVATE KEY" in file.read_bytes()]
    assert keys == ["server.key"]
    leaf = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_it_is_reused_until_it_is_about_to_expire(clock, tmp_path):
    first = certificate_in(tmp_path, clock).chain.read_bytes()
    clock.advance(timedelta(days=80))
    assert certificate_in(tmp_path, clock).chain.read_bytes() == first
    clock.advance(timedelta(days=5))
    assert certificate_in(tmp_path, clock).chain.read_bytes() != first


def test_another_host_needs_another_one(clock, tmp_path):
    first = certificate_in(tmp_path, clock).chain.read_bytes()
    files = certificate_in(tmp_path, clock, "crm.example")
    leaf = x509.load_pem_x509_certificate(files.chain.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "crm.example"]
    assert files.chain.read_bytes() != first


@pytest.mark.parametrize("broken", ["ca.pem", "server.pem", "server.key"])
def test_what_cannot_be_read_is_made_anew(clock, tmp_path, broken):
    certificate_in(tmp_path, clock)
    (tmp_path / broken).write_text("nonsense")
    files = certificate_in(tmp_path, clock)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.chain, files.key)
