"""The ways to sign in to Microsoft Entra without a person: as an application, or as the machine's own identity.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/build-web-applications-server-server-s2s-authentication
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dataverse_client.errors import AuthenticationError

PUBLIC_CLOUD = "https://login.microsoftonline.com"

_PFX = frozenset({".pfx", ".p12"})

Ask = Callable[[], Mapping[str, Any]]


class SignIn(Protocol):
    """A way to sign in; as text, what a person calls it. ``passing`` statuses are no refusal: ask again."""

    passing: ClassVar[frozenset[int]]

    @property
    def place(self) -> str:
        """The address of who gives the tokens."""
        ...

    def opened(self, resource: str, http: Any) -> Ask:
        """What asks for a token to ``resource``, through ``http``, and keeps it in a cache of its own.

        Raises:
          AuthenticationError: the credential cannot be read.
          ValueError: MSAL's way to say that it does not know the tenant, or cannot read the key.
        """
        ...


class Credential(Protocol):
    """What proves an application's identity; as text, what a person calls it."""

    def for_msal(self) -> Any:
        """As MSAL takes it. Raises AuthenticationError."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret of the app registration."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return "a client secret"

    def for_msal(self) -> str:
        return self.secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A file with the private key and the certificate: PEM, or PKCS #12 by the name ``.pfx`` or ``.p12``.

    The thumbprint is computed from the certificate.

    Source: https://learn.microsoft.com/entra/msal/python/advanced/client-credentials
    """

    path: Path
    passphrase: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"the certificate {self.path}"

    def for_msal(self) -> Mapping[str, Any]:
        """Raises AuthenticationError: the file cannot be read, lacks one of its parts, or needs another passphrase."""
        passphrase = {"passphrase": self.passphrase} if self.passphrase else {}
        if self.path.suffix.lower() in _PFX:
            self._read()
            return {"private_key_pfx_path": str(self.path), "public_certificate": True, **passphrase}
        try:
            pem = self._read().decode("ascii")
        except UnicodeDecodeError as error:
            raise AuthenticationError(f"The client certificate {self.path} cannot be read: it is not PEM") from error
        for part in ("PRIVATE KEY", "CERTIFICATE"):
            if f"{part}-----" not in pem:
                raise AuthenticationError(f"{self.path} holds no {part}: it needs both, as PEM, in one file")
        self._check(pem.encode())
        return {"private_key": pem, "public_certificate": pem, **passphrase}

    def _check(self, pem: bytes) -> None:
        """What is wrong with it MSAL would say as a TypeError or an error of PyJWT's, and late."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate

        try:
            load_pem_private_key(pem, self.passphrase.encode() if self.passphrase else None)
            load_pem_x509_certificate(pem)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise AuthenticationError(f"The client certificate {self.path} cannot be used: {error}") from error

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise AuthenticationError(f"The client certificate {self.path} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """A token of another issuer that Entra trusts, in a file which that issuer keeps fresh: workload identity.

    Source: https://learn.microsoft.com/entra/workload-id/workload-identity-federation
    """

    path: Path

    def __str__(self) -> str:
        return f"the federated token in {self.path}"

    def for_msal(self) -> Mapping[str, Any]:
        # MSAL calls it for every token request: what was read an hour ago has expired.
        return {"client_assertion": self._read}

    def _read(self) -> str:
        try:
            assertion = self.path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationError(f"The federated token {self.path} cannot be read: {error}") from error
        if not assertion:
            raise AuthenticationError(f"The federated token {self.path} is empty: its issuer has not written it yet")
        return assertion


@dataclass(frozen=True, slots=True)
class Application:
    """An app registration, by the client credentials flow. ``authority`` is another host in a sovereign cloud.

    Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    """

    tenant_id: str
    client_id: str
    credential: Credential
    authority: str = PUBLIC_CLOUD

    passing: ClassVar[frozenset[int]] = frozenset()

    def __str__(self) -> str:
        return f"application {self.client_id} with {self.credential}"

    @property
    def place(self) -> str:
        host = self.authority if "://" in self.authority else f"https://{self.authority}"
        return f"{host.rstrip('/')}/{self.tenant_id}"

    def opened(self, resource: str, http: Any) -> Ask:
        import msal  # type: ignore[import-untyped]  # 0.3 seconds, which an emulator's user need not spend

        application = msal.ConfidentialClientApplication(
            self.client_id,
            client_credential=self.credential.for_msal(),
            authority=self.place,
            # Who names another authority vouches for it; MSAL would ask the public cloud whether it exists.
            instance_discovery=None if self.place.startswith(PUBLIC_CLOUD) else False,
            http_client=http,
        )
        return lambda: application.acquire_token_for_client(scopes=[f"{resource}/.default"])


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity Azure gives the machine, app or container; ``client_id`` names a user-assigned one.

    MSAL finds out where it runs by the variables that place sets: App Service, Functions and Container Apps have
    ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``, a virtual machine is asked at 169.254.169.254.

    Source: https://learn.microsoft.com/entra/msal/python/advanced/managed-identity
    """

    client_id: str | None = None

    #: While a virtual machine's endpoint is being updated.
    #: Source: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
    passing: ClassVar[frozenset[int]] = frozenset({404, 410})

    def __str__(self) -> str:
        return (
            f"user-assigned managed identity {self.client_id}" if self.client_id else "system-assigned managed identity"
        )

    @property
    def place(self) -> str:
        return "http://169.254.169.254"

    def opened(self, resource: str, http: Any) -> Ask:
        import msal

        identity = (
            msal.UserAssignedManagedIdentity(client_id=self.client_id)
            if self.client_id
            else msal.SystemAssignedManagedIdentity()
        )
        client = msal.ManagedIdentityClient(identity, http_client=http)
        return lambda: client.acquire_token_for_client(resource=resource)
