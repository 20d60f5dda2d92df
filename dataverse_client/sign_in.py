"""The ways to sign in to Microsoft Entra without a person: as an application, or with a managed identity.

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

#: Returns MSAL's answer: a mapping with ``access_token``, or with ``error`` and ``error_description``.
AcquireToken = Callable[[], Mapping[str, Any]]


class SignIn(Protocol):
    """A way to sign in. ``str()`` of it is used in error messages.

    ``transient_statuses`` are HTTP statuses of the issuer that mean "try again", beside 429 and 5xx.
    """

    transient_statuses: ClassVar[frozenset[int]]

    @property
    def issuer(self) -> str:
        """The URL that issues the tokens."""
        ...

    def token_acquirer(self, resource: str, http: Any) -> AcquireToken:
        """A function that returns a token for ``resource``: from its own cache, or requested through ``http``.

        Raises:
          AuthenticationError: the credential cannot be read.
          ValueError: raised by MSAL for an unknown tenant, or a key it cannot read.
        """
        ...


class Credential(Protocol):
    """What proves an application's identity. ``str()`` of it is used in error messages."""

    def for_msal(self) -> Any:
        """The credential in the form MSAL takes. Raises AuthenticationError when it cannot be read."""
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
        """Raises AuthenticationError for an unusable file, which MSAL would report late, as a TypeError."""
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
    """Workload identity: a token of another issuer that Entra trusts, in a file that issuer keeps up to date.

    Source: https://learn.microsoft.com/entra/workload-id/workload-identity-federation
    """

    path: Path

    def __str__(self) -> str:
        return f"the federated token in {self.path}"

    def for_msal(self) -> Mapping[str, Any]:
        # Passed as a function, because MSAL then reads the file for every request: assertions expire.
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
    """An app registration that signs in by the client credentials flow. A sovereign cloud has its own ``authority``.

    Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    """

    tenant_id: str
    client_id: str
    credential: Credential
    authority: str = PUBLIC_CLOUD

    transient_statuses: ClassVar[frozenset[int]] = frozenset()

    def __str__(self) -> str:
        return f"application {self.client_id} with {self.credential}"

    @property
    def issuer(self) -> str:
        host = self.authority if "://" in self.authority else f"https://{self.authority}"
        return f"{host.rstrip('/')}/{self.tenant_id}"

    def token_acquirer(self, resource: str, http: Any) -> AcquireToken:
        import msal  # type: ignore[import-untyped]  # 0.3 seconds, which an emulator's user need not spend

        application = msal.ConfidentialClientApplication(
            self.client_id,
            client_credential=self.credential.for_msal(),
            authority=self.issuer,
            # For another authority MSAL would ask the public cloud whether it exists; it was named on purpose.
            instance_discovery=None if self.issuer.startswith(PUBLIC_CLOUD) else False,
            http_client=http,
        )
        return lambda: application.acquire_token_for_client(scopes=[f"{resource}/.default"])


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity Azure gives a machine, app or container; ``client_id`` names a user-assigned one.

    MSAL recognises its host by environment variables: App Service, Functions and Container Apps set
    ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``; on a virtual machine it asks 169.254.169.254.

    Source: https://learn.microsoft.com/entra/msal/python/advanced/managed-identity
    """

    client_id: str | None = None

    #: Answers of a virtual machine's endpoint while it is being updated.
    #: Source: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
    transient_statuses: ClassVar[frozenset[int]] = frozenset({404, 410})

    def __str__(self) -> str:
        return (
            f"user-assigned managed identity {self.client_id}" if self.client_id else "system-assigned managed identity"
        )

    @property
    def issuer(self) -> str:
        return "http://169.254.169.254"

    def token_acquirer(self, resource: str, http: Any) -> AcquireToken:
        import msal

        identity = (
            msal.UserAssignedManagedIdentity(client_id=self.client_id)
            if self.client_id
            else msal.SystemAssignedManagedIdentity()
        )
        client = msal.ManagedIdentityClient(identity, http_client=http)
        return lambda: client.acquire_token_for_client(resource=resource)
