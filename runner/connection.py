"""The Dataverse environment the settings name, as a client.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/authenticate-oauth
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataverse_client.auth import ClientCertificate, ClientSecret, EntraTokens, NoAuthentication, TokenProvider
from dataverse_client.client import DataverseClient
from dataverse_client.errors import AuthenticationError
from runner.settings import SettingsError

if TYPE_CHECKING:
    from runner.settings import Settings


def connect(settings: Settings) -> DataverseClient:
    """A client of ``DATAVERSE_URL``, signing in as ``DATAVERSE_AUTH`` says. Nothing is sent yet.

    Raises:
      SettingsError: there is no ``DATAVERSE_URL``, or the library that signs in is not installed.
    """
    if settings.dataverse_url is None:
        raise SettingsError("DATAVERSE_URL is not set. Give the environment's address, or a served emulator's.")
    return DataverseClient(settings.dataverse_url, tokens=tokens_for(settings, settings.dataverse_url))


def tokens_for(settings: Settings, url: str) -> TokenProvider:
    """Where the tokens for the environment at ``url`` come from. Raises SettingsError."""
    match settings.dataverse_auth:
        case "none":
            return NoAuthentication()
        case "managed-identity" | "workload-identity":
            return _AzureIdentity(_identity(settings), url)
        case _:
            return EntraTokens(
                url, settings.dataverse_tenant_id or "", settings.dataverse_client_id or "", _credential(settings)
            )


def _credential(settings: Settings) -> ClientSecret | ClientCertificate:
    if settings.dataverse_auth == "certificate":
        return ClientCertificate(Path(settings.dataverse_client_certificate or ""))
    return ClientSecret(settings.dataverse_client_secret or "")


def _identity(settings: Settings) -> Any:
    try:
        from azure.identity import ManagedIdentityCredential, WorkloadIdentityCredential
    except ImportError:
        raise SettingsError(
            f"DATAVERSE_AUTH={settings.dataverse_auth} needs azure-identity: pip install dataverse-plugin-runner[azure]"
        ) from None
    kind = ManagedIdentityCredential if settings.dataverse_auth == "managed-identity" else WorkloadIdentityCredential
    return kind(client_id=settings.dataverse_client_id) if settings.dataverse_client_id else kind()


class _AzureIdentity:
    """The identity of the machine or pod. azure-identity keeps its tokens, and renews them in time."""

    def __init__(self, credential: Any, url: str) -> None:
        self._credential = credential
        self._scope = f"{url.rstrip('/')}/.default"

    def token(self) -> str:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return str(self._credential.get_token(self._scope).token)
        except ClientAuthenticationError as error:
            raise AuthenticationError(f"This machine's identity was given no token: {error.message}") from error

    def invalidate(self) -> None:
        """There is no way to: a token that was refused stays until it expires."""
