"""Makes the client for the Dataverse environment that the settings name.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/authenticate-oauth
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dataverse_client.auth import EntraTokens, NoAuthentication, TokenProvider
from dataverse_client.client import DataverseClient
from dataverse_client.sign_in import (
    PUBLIC_CLOUD,
    Application,
    ClientCertificate,
    ClientSecret,
    Credential,
    FederatedToken,
    ManagedIdentity,
    SignIn,
)
from runner.settings import SettingsError

if TYPE_CHECKING:
    from runner.settings import Settings


def connect(settings: Settings) -> DataverseClient:
    """A client of ``DATAVERSE_URL`` that signs in as ``DATAVERSE_AUTH`` says. It sends nothing yet.

    Raises SettingsError when there is no ``DATAVERSE_URL``.
    """
    if settings.dataverse_url is None:
        raise SettingsError("DATAVERSE_URL is not set. Give the environment's address, or a served emulator's.")
    tokens = _tokens(settings, settings.dataverse_url)
    return DataverseClient(settings.dataverse_url, tokens=tokens, trust_env=True)


def _tokens(settings: Settings, url: str) -> TokenProvider:
    identity = sign_in(settings)
    return EntraTokens(url, identity, trust_env=True) if identity else NoAuthentication()


def sign_in(settings: Settings) -> SignIn | None:
    """The identity to sign in with; None for an emulator without authentication."""
    if settings.dataverse_auth == "none":
        return None
    if settings.dataverse_auth == "managed-identity":
        return ManagedIdentity(settings.dataverse_client_id)
    return Application(
        settings.dataverse_tenant_id or "",
        settings.dataverse_client_id or "",
        _credential(settings),
        settings.azure_authority_host or PUBLIC_CLOUD,
    )


def _credential(settings: Settings) -> Credential:
    if settings.dataverse_auth == "certificate":
        path = Path(settings.dataverse_client_certificate or "")
        return ClientCertificate(path, settings.dataverse_client_certificate_password)
    if settings.dataverse_auth == "workload-identity":
        return FederatedToken(Path(settings.azure_federated_token_file or ""))
    return ClientSecret(settings.dataverse_client_secret or "")
