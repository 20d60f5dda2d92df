"""Tokens come from Microsoft Entra through MSAL, are kept, and are renewed when Dataverse refuses them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from dataverse_client.auth import EntraTokens, NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import AuthenticationError, DataverseUnavailableError
from dataverse_client.sign_in import Application, ClientCertificate, ClientSecret, FederatedToken

URL = "https://contoso.crm.dynamics.com"
TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "99999999-8888-4777-8666-555555555555"
SECRET = "Q~not-for-anyones-eyes"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
TOKEN_ENDPOINT = f"{AUTHORITY}/oauth2/v2.0/token"


@pytest.fixture
def entra() -> Iterator[responses.RequestsMock]:
    """Microsoft Entra, which hands out token-1, token-2, ..."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(
            f"{AUTHORITY}/v2.0/.well-known/openid-configuration",
            json={
                "issuer": f"{AUTHORITY}/v2.0",
                "authorization_endpoint": f"{AUTHORITY}/oauth2/v2.0/authorize",
                "token_endpoint": TOKEN_ENDPOINT,
            },
        )
        hosts = {"aliases": ["login.microsoftonline.com"], "preferred_network": "login.microsoftonline.com"}
        mock.get("https://login.microsoftonline.com/common/discovery/instance", json={"metadata": [hosts]})
        for number in (1, 2, 3):
            answer = {"access_token": f"token-{number}", "expires_in": 3600, "token_type": "Bearer"}
            mock.post(TOKEN_ENDPOINT, json=answer)
        yield mock


@pytest.fixture
def tokens() -> EntraTokens:
    return signed_in_with(ClientSecret(SECRET))


def signed_in_with(credential, **options) -> EntraTokens:
    return EntraTokens(URL, Application(TENANT, CLIENT, credential), **options)


def token_requests(entra: responses.RequestsMock) -> list[dict[str, list[str]]]:
    return [parse_qs(call.request.body) for call in entra.calls if call.request.url == TOKEN_ENDPOINT]


def refuse(entra: responses.RequestsMock, status: int, **answer: str) -> None:
    entra.replace(responses.POST, TOKEN_ENDPOINT, status=status, json=answer)


def test_a_client_secret_buys_a_token_for_the_environment(entra, tokens):
    assert tokens.token() == "token-1"

    [request] = token_requests(entra)
    assert request["scope"] == [f"{URL}/.default"]
    assert request["grant_type"] == ["client_credentials"]
    assert request["client_secret"] == [SECRET]


def test_a_token_is_kept_until_it_expires(entra, tokens):
    assert [tokens.token() for _ in range(3)] == ["token-1"] * 3
    assert len(token_requests(entra)) == 1


def test_threads_that_need_a_token_together_ask_for_one(entra, tokens):
    together = threading.Barrier(4, timeout=30)

    def token(_: int) -> str:
        together.wait()
        return tokens.token()

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(token, range(4))) == {"token-1"}


def test_a_refused_token_is_forgotten(entra, tokens):
    tokens.invalidate(tokens.token())

    assert tokens.token() == "token-2"


def test_a_late_refusal_does_not_cost_the_newer_token(entra, tokens):
    old = tokens.token()
    tokens.invalidate(old)
    new = tokens.token()
    tokens.invalidate(old)

    assert tokens.token() == new
    assert len(token_requests(entra)) == 2


def test_the_client_renews_a_token_dataverse_refuses(entra, tokens):
    account = f"{URL}/api/data/v9.2/WhoAmI()"
    entra.get(account, status=401)
    entra.get(account, json={"UserId": CLIENT, "BusinessUnitId": CLIENT, "OrganizationId": CLIENT})

    DataverseClient(URL, tokens=tokens).who_am_i()

    sent = [call.request.headers["Authorization"] for call in entra.calls if call.request.url == account]
    assert sent == ["Bearer token-1", "Bearer token-2"]


def test_a_wrong_secret_is_an_authentication_error_that_does_not_repeat_it(entra, tokens):
    refuse(entra, 401, error="invalid_client", error_description="AADSTS7000215: Invalid client secret.\r\nTrace ID: 1")

    with pytest.raises(AuthenticationError, match="invalid_client: AADSTS7000215") as refusal:
        tokens.token()
    assert CLIENT in str(refusal.value)
    assert SECRET not in f"{refusal.value!s} {refusal.value!r} {tokens!r} {ClientSecret(SECRET)!r}"


def test_an_unknown_tenant_is_an_authentication_error(entra, tokens):
    entra.replace(
        responses.GET,
        f"{AUTHORITY}/v2.0/.well-known/openid-configuration",
        status=400,
        json={"error": "invalid_tenant"},
    )

    with pytest.raises(AuthenticationError, match="check your tenant"):
        tokens.token()


@pytest.mark.parametrize("failure", [requests.ConnectionError("refused"), requests.ReadTimeout("slow")])
def test_an_unreachable_entra_is_a_passing_trouble(entra, tokens, failure):
    entra.replace(responses.POST, TOKEN_ENDPOINT, body=failure)

    with pytest.raises(DataverseUnavailableError, match="did not answer"):
        tokens.token()


def test_an_overloaded_entra_is_a_passing_trouble(entra, tokens):
    entra.replace(responses.POST, TOKEN_ENDPOINT, status=503, body="busy")
    with pytest.raises(DataverseUnavailableError):
        tokens.token()

    refuse(entra, 400, error="temporarily_unavailable", error_description="Try again")
    with pytest.raises(DataverseUnavailableError):
        tokens.token()


def test_requests_to_entra_have_a_timeout(entra):
    seen: list[object] = []

    class Session(requests.Session):
        def send(self, request, **options):
            seen.append(options["timeout"])
            return super().send(request, **options)

    signed_in_with(ClientSecret(SECRET), session=Session(), timeout=7.5).token()

    assert set(seen) == {7.5}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def certificate(key: rsa.RSAPrivateKey, tmp_path: Path) -> Callable[..., Path]:
    """A PEM file with a key and its self-signed certificate, or one of the two."""

    def write(*, with_key: bool = True, with_certificate: bool = True, passphrase: bytes | None = None) -> Path:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "runner")])
        today = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + timedelta(days=1))
        hiding = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        pkcs8 = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, pkcs8, hiding) if with_key else b""
        if with_certificate:
            pem += builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        path = tmp_path / "client.pem"
        path.write_bytes(pem)
        return path

    return write


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_a_certificate_buys_a_token_with_a_signed_assertion(entra, certificate, passphrase):
    path = certificate(passphrase=passphrase.encode() if passphrase else None)

    assert signed_in_with(ClientCertificate(path, passphrase)).token() == "token-1"

    [request] = token_requests(entra)
    assert request["client_assertion"][0].count(".") == 2
    assert "client_secret" not in request


@pytest.mark.parametrize(
    ("parts", "missing"), [({"with_key": False}, "PRIVATE KEY"), ({"with_certificate": False}, "CERTIFICATE")]
)
def test_a_certificate_file_with_one_half_says_which_is_missing(entra, certificate, parts, missing):
    path = certificate(**parts)

    with pytest.raises(AuthenticationError, match=f"holds no {missing}"):
        signed_in_with(ClientCertificate(path)).token()


@pytest.mark.parametrize("name", ["nothing.pem", "nothing.pfx"])
def test_a_certificate_file_that_is_not_there_is_named(entra, tmp_path, name):
    with pytest.raises(AuthenticationError, match=f"{name} cannot be read"):
        signed_in_with(ClientCertificate(tmp_path / name)).token()


@pytest.mark.parametrize(
    ("encrypted_with", "passphrase"), [(b"open sesame", "hunter2"), (b"open sesame", None), (None, "hunter2")]
)
def test_a_passphrase_that_does_not_fit_is_an_authentication_error(entra, certificate, encrypted_with, passphrase):
    path = certificate(passphrase=encrypted_with)

    with pytest.raises(AuthenticationError, match=r"client\.pem") as refusal:
        signed_in_with(ClientCertificate(path, passphrase)).token()
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("part", ["PRIVATE KEY", "CERTIFICATE"])
def test_a_certificate_file_that_was_cut_is_an_authentication_error(entra, certificate, part):
    path = certificate()
    path.write_text(path.read_text().replace(f"BEGIN {part}-----\nMII", f"BEGIN {part}-----\n"))

    with pytest.raises(AuthenticationError, match=r"client\.pem"):
        signed_in_with(ClientCertificate(path)).token()


def test_a_certificate_may_come_as_pkcs12(entra, key, certificate, tmp_path):
    leaf = x509.load_pem_x509_certificate(certificate(with_key=False).read_bytes())
    path = tmp_path / "client.pfx"
    hiding = serialization.BestAvailableEncryption(b"open sesame")
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"runner", key, leaf, None, hiding))

    assert signed_in_with(ClientCertificate(path, "open sesame")).token() == "token-1"
    with pytest.raises(AuthenticationError):
        signed_in_with(ClientCertificate(path, "hunter2")).token()


def test_a_certificate_that_was_refused_is_read_again(entra, certificate):
    tokens = signed_in_with(ClientCertificate(certificate()))
    refuse(entra, 401, error="invalid_client", error_description="AADSTS700027: The certificate has expired.")
    with pytest.raises(AuthenticationError, match="AADSTS700027"):
        tokens.token()

    certificate(with_key=False)

    with pytest.raises(AuthenticationError, match="holds no PRIVATE KEY"):
        tokens.token()


@pytest.fixture
def federated(tmp_path: Path) -> Path:
    """The file in which Kubernetes keeps a service account's token fresh."""
    path = tmp_path / "azure-identity-token"
    path.write_text("first.signed.token\n")
    return path


def test_a_federated_token_is_read_anew_for_each_token_request(entra, federated):
    tokens = signed_in_with(FederatedToken(federated))
    tokens.invalidate(tokens.token())
    federated.write_text("second.signed.token\n")
    tokens.token()

    assert [request["client_assertion"] for request in token_requests(entra)] == [
        ["first.signed.token"],
        ["second.signed.token"],
    ]


def test_a_federated_token_is_read_anew_when_a_token_expires(entra, federated):
    answer = {"access_token": "brief", "expires_in": 1, "token_type": "Bearer"}
    entra.replace(responses.POST, TOKEN_ENDPOINT, json=answer)
    tokens = signed_in_with(FederatedToken(federated))
    tokens.token()
    federated.write_text("second.signed.token")
    tokens.token()

    first, second = token_requests(entra)
    assert (first["client_assertion"], second["client_assertion"]) == (["first.signed.token"], ["second.signed.token"])
    assert first["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]


def test_a_federated_token_that_is_not_there_yet_is_named(entra, federated):
    tokens = signed_in_with(FederatedToken(federated))
    federated.write_text("")
    with pytest.raises(AuthenticationError, match=r"azure-identity-token is empty"):
        tokens.token()
    federated.unlink()
    with pytest.raises(AuthenticationError, match=r"azure-identity-token cannot be read"):
        tokens.token()


@pytest.mark.parametrize("host", ["https://login.microsoftonline.us/", "login.microsoftonline.us"])
def test_a_sovereign_cloud_has_its_own_authority(host):
    assert (
        Application(TENANT, CLIENT, ClientSecret(SECRET), host).issuer == f"https://login.microsoftonline.us/{TENANT}"
    )


@pytest.mark.parametrize(
    ("credential", "called"),
    [
        (ClientSecret(SECRET), "a client secret"),
        (ClientCertificate(Path("app.pem"), SECRET), "the certificate app.pem"),
        (FederatedToken(Path("token")), "the federated token in token"),
    ],
)
def test_a_way_to_sign_in_says_what_it_is_and_no_secret(credential, called):
    assert str(Application(TENANT, CLIENT, credential)) == f"application {CLIENT} with {called}"
    assert SECRET not in repr(Application(TENANT, CLIENT, credential))


def test_an_emulator_is_sent_no_token(entra):
    whoami = "http://embedded.dataverse.local/api/data/v9.2/WhoAmI()"
    entra.get(whoami, json={"UserId": CLIENT, "BusinessUnitId": CLIENT, "OrganizationId": CLIENT})

    DataverseClient("http://embedded.dataverse.local", tokens=NoAuthentication()).who_am_i()

    assert "Authorization" not in entra.calls[0].request.headers
    assert json.loads(entra.calls[0].response.text)["UserId"] == CLIENT
