"""A managed identity's tokens come from the endpoint Azure gives the app or the machine, asked over HTTP by MSAL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from identity_endpoint import IdentityEndpoint, identity_endpoint

from dataverse_client.auth import EntraTokens
from dataverse_client.errors import AuthenticationError, DataverseUnavailableError
from dataverse_client.sign_in import ManagedIdentity

URL = "https://contoso.crm.dynamics.com"
CLIENT = "99999999-8888-4777-8666-555555555555"


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    # What a proxy does with a machine's own address is of no interest.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with identity_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def app_service(azure: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> IdentityEndpoint:
    azure.as_app_service(monkeypatch)
    return azure


@pytest.fixture
def virtual_machine(azure: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> IdentityEndpoint:
    azure.as_virtual_machine(monkeypatch)
    return azure


@pytest.fixture(params=["app_service", "virtual_machine"])
def place(request: pytest.FixtureRequest) -> IdentityEndpoint:
    return request.getfixturevalue(request.param)


def tokens(client_id: str | None = None) -> EntraTokens:
    return EntraTokens(f"{URL}/", ManagedIdentity(client_id), trust_env=True)


def test_a_system_assigned_identity_is_given_a_token_for_the_environment(place):
    assert tokens().token() == "token-1"

    [asked] = place.asked
    assert asked["resource"] == URL
    assert "client_id" not in asked


def test_a_user_assigned_identity_is_named(place):
    assert tokens(CLIENT).token() == "token-1"
    assert [asked["client_id"] for asked in place.asked] == [CLIENT]


def test_a_token_is_kept_until_dataverse_refuses_it(place):
    identity = tokens()
    assert [identity.token() for _ in range(3)] == ["token-1"] * 3

    identity.invalidate("token-1")

    assert [identity.token() for _ in range(3)] == ["token-2"] * 3


def test_a_token_about_to_expire_is_renewed(place):
    place.lifetime = 60
    identity = tokens()
    assert [identity.token(), identity.token()] == ["token-1", "token-2"]


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
def test_an_endpoint_in_trouble_is_asked_again_later(place, status):
    place.troubles = [status]
    identity = tokens()

    with pytest.raises(DataverseUnavailableError, match=rf"system-assigned managed identity.*{status}"):
        identity.token()
    assert identity.token() == "token-2"


def test_an_identity_that_was_not_assigned_is_named(app_service, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "of another app")

    with pytest.raises(AuthenticationError, match=f"user-assigned managed identity {CLIENT} no token.*No MSI found"):
        tokens(CLIENT).token()


def test_a_refusal_of_the_virtual_machine_is_told(virtual_machine):
    virtual_machine.troubles = [400]

    with pytest.raises(AuthenticationError, match="system-assigned managed identity no token: trouble: for now"):
        tokens().token()


def test_without_an_endpoint_nobody_could_be_asked(app_service, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")

    with pytest.raises(DataverseUnavailableError, match="did not answer: ConnectionError"):
        tokens().token()
