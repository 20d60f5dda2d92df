"""Service Bus and Key Vault are signed in to with the identity Azure gives this machine, as its own SDKs find it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import responses
from identity_endpoint import IdentityEndpoint, identity_endpoint

from azure_bridge.key_vault import KeyVaultSecrets
from azure_bridge.queues.service_bus import connect

USER_ASSIGNED = "99999999-8888-4777-8666-555555555555"
VAULT = "https://contoso.vault.azure.net"
SERVICE_BUS = "https://servicebus.azure.net/.default"


@pytest.fixture
def app_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_SERVER_THUMBPRINT"):
        monkeypatch.delenv(name, raising=False)
    with identity_endpoint() as endpoint:
        endpoint.as_app_service(monkeypatch)
        yield endpoint


@pytest.mark.parametrize("client_id", [USER_ASSIGNED, None])
def test_service_bus_is_given_a_token_of_the_apps_identity(app_service, monkeypatch, client_id):
    monkeypatch.setenv("AZURE_CLIENT_ID", client_id or "")
    with connect(namespace="contoso.servicebus.windows.net") as client:
        # What the SDK does when it opens a link to the namespace, which cannot exist here.
        assert client._credential.get_token(SERVICE_BUS).token == "token-1"

    [asked] = app_service.asked
    assert (asked["resource"], asked.get("client_id")) == ("https://servicebus.azure.net", client_id)


def test_key_vault_is_given_a_token_of_the_same_identity(app_service, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_ID", USER_ASSIGNED)
    with responses.RequestsMock() as vault:
        vault.add_passthru(app_service.url)
        secret = f"{VAULT}/secrets/stripe-secret-key/"
        where = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
        vault.get(secret, status=401, headers={"WWW-Authenticate": where})
        vault.get(secret, json={"value": "of-the-vault", "id": f"{secret}1"})

        assert KeyVaultSecrets(VAULT, overlap=timedelta(0)).get("stripe-secret-key") == "of-the-vault"
        assert vault.calls[1].request.headers["Authorization"] == "Bearer token-1"

    [asked] = app_service.asked
    assert (asked["resource"], asked["client_id"]) == ("https://vault.azure.net", USER_ASSIGNED)
