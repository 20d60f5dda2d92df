"""Who the settings make us, to Dataverse."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataverse_client.sign_in import Application, ClientCertificate, ClientSecret, FederatedToken, ManagedIdentity
from runner.connection import connect, sign_in
from runner.settings import Settings, SettingsError

APP = {"dataverse_tenant_id": "tenant", "dataverse_client_id": "client"}


@pytest.mark.parametrize(
    ("settings", "identity"),
    [
        ({"dataverse_auth": "none"}, None),
        ({"dataverse_auth": "managed-identity"}, ManagedIdentity()),
        ({"dataverse_auth": "managed-identity", "dataverse_client_id": "client"}, ManagedIdentity("client")),
        (
            {"dataverse_auth": "client-secret", "dataverse_client_secret": "hidden", **APP},
            Application("tenant", "client", ClientSecret("hidden")),
        ),
        (
            {
                "dataverse_auth": "certificate",
                "dataverse_client_certificate": "app.pfx",
                "dataverse_client_certificate_password": "hidden",
                **APP,
            },
            Application("tenant", "client", ClientCertificate(Path("app.pfx"), "hidden")),
        ),
        (
            {"dataverse_auth": "workload-identity", "azure_federated_token_file": "token", **APP},
            Application("tenant", "client", FederatedToken(Path("token"))),
        ),
    ],
)
def test_each_way_to_sign_in_has_what_it_needs(settings, identity) -> None:
    assert sign_in(Settings(**settings)) == identity


def test_a_sovereign_cloud_is_asked_at_its_own_authority() -> None:
    settings = Settings(
        dataverse_auth="client-secret",
        dataverse_client_secret="x",
        azure_authority_host="login.microsoftonline.us",
        **APP,
    )
    assert sign_in(settings).issuer == "https://login.microsoftonline.us/tenant"


def test_without_an_address_there_is_nobody_to_connect_to() -> None:
    with pytest.raises(SettingsError, match="DATAVERSE_URL is not set"):
        connect(Settings())
