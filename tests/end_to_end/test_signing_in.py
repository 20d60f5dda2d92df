"""Who the settings say we are, the served emulator's Microsoft Entra and Dataverse take us for, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

import pytest
import requests
from identity_endpoint import identity_endpoint

from azure_bridge.clock import ManualClock, SystemClock
from dataverse_client.client import DataverseClient
from dataverse_client.errors import AuthenticationError
from runner.connection import connect
from runner.emulator.emulator import Emulator
from runner.settings import Settings
from runner.web.certificate import certificate_in
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts
from runner.web.dataverse.tokens import LIFETIME

APPLICATION = "11111111-2222-3333-4444-555555555555"
TENANT = "contoso.onmicrosoft.com"


@dataclass
class Site:
    """An emulator behind https that asks everybody for a token of its own, and the token requests it got."""

    url: str
    clock: ManualClock
    authority: str
    forms: list[dict[str, str]]

    def settings(self, **variables: str) -> Settings:
        return Settings.load({"DATAVERSE_URL": self.url, "AZURE_AUTHORITY_HOST": self.url, **variables})

    def token(self) -> str:
        """As Entra gives it to an identity endpoint of Azure."""
        grant = {"grant_type": "client_credentials", "client_secret": "any", "scope": "any", "client_id": APPLICATION}
        answer = requests.post(f"{self.url}/{TENANT}/oauth2/v2.0/token", data=grant, verify=self.authority, timeout=30)
        return answer.json()["access_token"]


@pytest.fixture
def site(serve, tmp_path, monkeypatch) -> Iterator[Site]:
    certificate = certificate_in(tmp_path / "tls", SystemClock())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
    clock, forms = ManualClock(), []
    with Emulator(clock=clock) as emulator:
        app = application(emulator, Facts("simulator", certificate, True))
        yield Site(serve(noting(app, forms), certificate), clock, str(certificate.authority), forms)
        app.close()


def noting(app, forms):
    """The application, with the forms sent to the token endpoint noted on their way."""

    async def passing(scope, receive, send):
        async def noted():
            message = await receive()
            if message.get("body") and scope["path"].endswith("/token"):
                forms.append(dict(parse_qsl(message["body"].decode())))
            return message

        await app(scope, noted if scope["type"] == "http" else receive, send)

    return passing


def is_signed_in(client: DataverseClient) -> bool:
    user = client.retrieve("systemuser", client.who_am_i().user_id, ["applicationid"])
    return user["applicationid"] == APPLICATION


@pytest.fixture
def pod(tmp_path):
    """What the workload identity webhook of Kubernetes puts into a pod."""
    token = tmp_path / "azure-identity-token"
    token.write_text("first.signed.token")
    return {
        "DATAVERSE_AUTH": "workload-identity",
        "AZURE_CLIENT_ID": APPLICATION,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
    }


def test_a_client_secret_signs_in_at_the_configured_authority(site):
    secret = {
        "DATAVERSE_TENANT_ID": TENANT,
        "DATAVERSE_CLIENT_ID": APPLICATION,
        "DATAVERSE_CLIENT_SECRET": "any-secret",
    }
    with connect(site.settings(**secret)) as client:
        assert is_signed_in(client)
    assert [form["scope"] for form in site.forms] == [f"{site.url}/.default"]


def test_a_workload_identity_signs_in_with_the_token_the_pod_has_now(site, pod, tmp_path):
    with connect(site.settings(**pod)) as client:
        assert is_signed_in(client)
        (tmp_path / "azure-identity-token").write_text("second.signed.token")
        site.clock.advance(LIFETIME)
        assert is_signed_in(client)

    assert [form["client_assertion"] for form in site.forms] == ["first.signed.token", "second.signed.token"]


def test_a_managed_identity_signs_in_with_what_the_endpoint_gives_it(site, monkeypatch):
    with identity_endpoint() as endpoint:
        endpoint.as_app_service(monkeypatch)
        endpoint.issue = site.token
        with connect(site.settings(DATAVERSE_AUTH="managed-identity", AZURE_CLIENT_ID=APPLICATION)) as client:
            assert is_signed_in(client)
            site.clock.advance(LIFETIME)
            assert is_signed_in(client)

    assert [asked["client_id"] for asked in endpoint.asked] == [APPLICATION] * 2
    assert {asked["resource"] for asked in endpoint.asked} == {site.url}


def test_an_authority_nobody_vouches_for_is_not_trusted(site, pod, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with (
        connect(site.settings(**pod)) as client,
        pytest.raises(AuthenticationError, match=r"certificate.*not to be trusted"),
    ):
        client.who_am_i()
    assert site.forms == []
