"""Bearer tokens for a Dataverse environment, from Microsoft Entra through MSAL.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/authenticate-oauth
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import requests

from dataverse_client.errors import AuthenticationError, DataverseError, DataverseUnavailableError

if TYPE_CHECKING:
    import msal  # type: ignore[import-untyped]

PUBLIC_CLOUD = "https://login.microsoftonline.com"

#: What Entra answers when the same question may succeed a moment later.
_TRANSIENT = frozenset({"temporarily_unavailable", "server_error"})


class TokenProvider(Protocol):
    """Where the transport gets its bearer tokens. Called by several threads at once."""

    def token(self) -> str:
        """A token that is valid now; empty when requests carry none.

        Raises:
          AuthenticationError: the credential was refused.
          DataverseUnavailableError: nobody could be asked.
        """
        ...

    def invalidate(self) -> None:
        """Forgets what is cached: Dataverse has refused it."""
        ...


class NoAuthentication:
    """For an emulator, which asks for no token."""

    def token(self) -> str:
        return ""

    def invalidate(self) -> None:
        """There is nothing to forget."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret of the app registration."""

    secret: str = field(repr=False)

    def for_msal(self) -> str:
        return self.secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A PEM file with the private key and the certificate; the thumbprint is computed from the latter.

    Source: https://learn.microsoft.com/entra/msal/python/advanced/client-credentials
    """

    path: Path
    passphrase: str | None = field(default=None, repr=False)

    def for_msal(self) -> Mapping[str, str]:
        """Raises AuthenticationError when the file cannot be read or lacks one of its two parts."""
        try:
            pem = self.path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationError(f"The client certificate {self.path} cannot be read: {error}") from error
        for part in ("PRIVATE KEY", "CERTIFICATE"):
            if f"{part}-----" not in pem:
                raise AuthenticationError(f"{self.path} holds no {part}: it needs both, as PEM, in one file")
        passphrase = {"passphrase": self.passphrase} if self.passphrase else {}
        return {"private_key": pem, "public_certificate": pem, **passphrase}


class EntraTokens:
    """Tokens for the environment at ``url``, by the client credentials flow; MSAL keeps them in memory.

    ``timeout`` is in seconds, for each request to Entra. ``authority`` is another host in a sovereign cloud, or a
    served emulator.
    ``session`` is the requests session those go through; one that ignores proxy variables by default.

    Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    """

    def __init__(
        self,
        url: str,
        tenant_id: str,
        client_id: str,
        credential: ClientSecret | ClientCertificate,
        *,
        authority: str = PUBLIC_CLOUD,
        session: requests.Session | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._scopes = [f"{url.rstrip('/')}/.default"]
        self._authority = f"{authority.rstrip('/')}/{tenant_id}"
        self._client_id = client_id
        self._credential = credential
        self._http = _HttpClient(session or _session(), timeout)
        self._application: msal.ConfidentialClientApplication | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"EntraTokens({self._scopes[0]!r}, client_id={self._client_id!r}, authority={self._authority!r})"

    def token(self) -> str:
        try:
            answer = self._application_of_now().acquire_token_for_client(scopes=self._scopes)
        except requests.RequestException as error:
            raise DataverseUnavailableError(
                f"Microsoft Entra at {self._authority} did not answer: {type(error).__name__}"
            ) from error
        except ValueError as error:
            # MSAL's way to say that it does not know the tenant, or cannot read the key.
            raise AuthenticationError(f"No token for {self._client_id}: {error}") from error
        if "access_token" not in answer:
            raise self._refused(answer)
        return str(answer["access_token"])

    def invalidate(self) -> None:
        # MSAL can drop single tokens only after asking Entra for its aliases; a new application asks for less.
        with self._lock:
            self._application = None

    def _application_of_now(self) -> msal.ConfidentialClientApplication:
        with self._lock:
            if self._application is None:
                import msal  # 0.3 seconds, which an emulator's user need not spend

                self._application = msal.ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._credential.for_msal(),
                    authority=self._authority,
                    # Who names another authority vouches for it; MSAL would ask the public cloud whether it exists.
                    instance_discovery=None if self._authority.startswith(PUBLIC_CLOUD) else False,
                    http_client=self._http,
                )
            return self._application

    def _refused(self, answer: Mapping[str, Any]) -> DataverseError:
        reason = str(answer.get("error", "unknown_error"))
        kind = DataverseUnavailableError if reason in _TRANSIENT else AuthenticationError
        lines = str(answer.get("error_description") or "no description").splitlines()
        return kind(
            f"Microsoft Entra gave application {self._client_id} no token: {reason}: {lines[0]}",
            request_id=answer.get("correlation_id"),
        )


class _HttpClient:
    """The two calls MSAL makes, through a session and with a timeout that are ours."""

    def __init__(self, session: requests.Session, timeout: float) -> None:
        self._session = session
        self._timeout = timeout

    def post(self, url: str, **options: Any) -> requests.Response:
        return _reached(self._session.post(url, timeout=self._timeout, **options))

    def get(self, url: str, **options: Any) -> requests.Response:
        return _reached(self._session.get(url, timeout=self._timeout, **options))

    def close(self) -> None:
        self._session.close()


def _reached(response: requests.Response) -> requests.Response:
    """Raises requests.HTTPError where Entra is overloaded or down, which MSAL takes for a refusal."""
    if response.status_code == 429 or response.status_code >= 500:
        response.raise_for_status()
    return response


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
