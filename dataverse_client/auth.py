"""Bearer tokens for a Dataverse environment, obtained from Microsoft Entra through MSAL.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/authenticate-oauth
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import requests

from dataverse_client.errors import AuthenticationError, DataverseError, DataverseUnavailableError
from dataverse_client.retry import trouble
from dataverse_client.sessions import TRUST_ADVICE, session_to
from dataverse_client.sign_in import AcquireToken, SignIn

#: Errors of Entra after which the same request may succeed a moment later.
_TRANSIENT = frozenset({"temporarily_unavailable", "server_error"})


class TokenProvider(Protocol):
    """Where the transport gets its bearer tokens. Called by several threads at once."""

    def token(self) -> str:
        """A token that is valid now; empty when requests carry none.

        Raises:
          AuthenticationError: the credential was refused.
          DataverseUnavailableError: the token endpoint did not answer.
        """
        ...

    def invalidate(self, token: str) -> None:
        """Forgets ``token``, which Dataverse has refused. If a newer one was issued since, that one is kept."""
        ...


class NoAuthentication:
    """Sends no token: for an emulator."""

    def token(self) -> str:
        return ""

    def invalidate(self, token: str) -> None:
        """Does nothing: there is no token to forget."""


class EntraTokens:
    """Tokens for the environment at ``url``; MSAL caches them in memory and renews them before they expire.

    ``timeout`` is in seconds and applies to each request for a token. ``session`` is the requests session to send
    those through; without one, a session is made that ignores proxy and certificate variables unless ``trust_env``.
    """

    def __init__(
        self,
        url: str,
        sign_in: SignIn,
        *,
        session: requests.Session | None = None,
        trust_env: bool = False,
        timeout: float = 20.0,
    ) -> None:
        self._resource = url.rstrip("/")
        self._sign_in = sign_in
        self._http = _HttpClient(
            session or session_to(sign_in.issuer, trust_env=trust_env), timeout, sign_in.transient_statuses
        )
        self._acquire: AcquireToken | None = None
        self._last_token = ""
        self._lock = threading.Lock()
        self._asking = threading.Lock()

    def __repr__(self) -> str:
        return f"EntraTokens({self._resource!r}, {self._sign_in!r})"

    def token(self) -> str:
        # When a token has expired, one thread asks for the next one; the others wait and find it in MSAL's cache.
        with self._asking:
            answer = self._answer()
        if "access_token" not in answer:
            self._forget_tokens()  # so that the next attempt reads the certificate's file again
            raise self._refused(answer)
        self._last_token = str(answer["access_token"])
        return self._last_token

    def _answer(self) -> Mapping[str, Any]:
        try:
            return self._acquire_token()()
        except requests.exceptions.SSLError as error:
            raise AuthenticationError(
                f"{self._endpoint()} shows a certificate that is not to be trusted: {error}. {TRUST_ADVICE}"
            ) from error
        except requests.RequestException as error:
            raise DataverseUnavailableError(f"{self._endpoint()} did not answer: {trouble(error)}") from error
        except ValueError as error:
            # MSAL raises it for an unknown tenant and for a key it cannot read.
            raise AuthenticationError(f"No token for {self._sign_in}: {error}") from error

    def invalidate(self, token: str) -> None:
        # Several threads may report the same token: only the first drops it, and none drops its successor.
        if token == self._last_token:
            self._forget_tokens()

    def _forget_tokens(self) -> None:
        # MSAL cannot drop a single token without first asking Entra for its aliases, so the whole cache goes.
        with self._lock:
            self._acquire, self._last_token = None, ""

    def _acquire_token(self) -> AcquireToken:
        with self._lock:
            if self._acquire is None:
                self._acquire = self._sign_in.token_acquirer(self._resource, self._http)
            return self._acquire

    def _endpoint(self) -> str:
        return f"{self._sign_in.issuer}, asked for a token for {self._sign_in},"

    def _refused(self, answer: Mapping[str, Any]) -> DataverseError:
        reason = str(answer.get("error", "unknown_error"))
        kind = DataverseUnavailableError if reason in _TRANSIENT else AuthenticationError
        lines = str(answer.get("error_description") or "no description").splitlines()
        return kind(
            f"Microsoft Entra gave {self._sign_in} no token: {reason}: {lines[0]}",
            request_id=answer.get("correlation_id"),
        )


class _HttpClient:
    """The HTTP client that MSAL is given: our session, with our timeout."""

    def __init__(self, session: requests.Session, timeout: float, transient_statuses: frozenset[int]) -> None:
        self._session = session
        self._timeout = timeout
        self._transient_statuses = transient_statuses

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._reached(self._session.post(url, timeout=self._timeout, **options))

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._reached(self._session.get(url, timeout=self._timeout, **options))

    def close(self) -> None:
        self._session.close()

    def _reached(self, response: requests.Response) -> requests.Response:
        """Raises requests.HTTPError when the server is overloaded or down; MSAL would report a refused credential."""
        if (
            response.status_code in self._transient_statuses
            or response.status_code == 429
            or response.status_code >= 500
        ):
            response.raise_for_status()
        return response
