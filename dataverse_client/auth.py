"""Bearer tokens for a Dataverse environment, from Microsoft Entra through MSAL.

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
from dataverse_client.sign_in import Ask, SignIn

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

    def invalidate(self, token: str) -> None:
        """Forgets ``token``, which Dataverse has refused. A newer one is kept."""
        ...


class NoAuthentication:
    """For an emulator, which asks for no token."""

    def token(self) -> str:
        return ""

    def invalidate(self, token: str) -> None:
        """There is nothing to forget."""


class EntraTokens:
    """Tokens for the environment at ``url``; MSAL keeps them in memory and renews them in time.

    ``timeout`` is in seconds, for each request for a token. ``session`` is the requests session those go through;
    without one, one that ignores proxy and certificate variables unless ``trust_env``.
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
        self._http = _HttpClient(session or session_to(sign_in.place, trust_env=trust_env), timeout, sign_in.passing)
        self._ask: Ask | None = None
        self._given = ""
        self._lock = threading.Lock()
        self._asking = threading.Lock()

    def __repr__(self) -> str:
        return f"EntraTokens({self._resource!r}, {self._sign_in!r})"

    def token(self) -> str:
        # Of many threads whose token has expired one asks, and the others are given what it got.
        with self._asking:
            answer = self._answer()
        if "access_token" not in answer:
            self._begin_anew()  # by the next time a certificate's file may have been replaced
            raise self._refused(answer)
        self._given = str(answer["access_token"])
        return self._given

    def _answer(self) -> Mapping[str, Any]:
        try:
            return self._ask_now()()
        except requests.exceptions.SSLError as error:
            raise AuthenticationError(
                f"{self._asked()} shows a certificate that is not to be trusted: {error}. {TRUST_ADVICE}"
            ) from error
        except requests.RequestException as error:
            raise DataverseUnavailableError(f"{self._asked()} did not answer: {trouble(error)}") from error
        except ValueError as error:
            # MSAL's way to say that it does not know the tenant, or cannot read the key.
            raise AuthenticationError(f"No token for {self._sign_in}: {error}") from error

    def invalidate(self, token: str) -> None:
        # Of several threads whose token was refused, the first throws it away, and no other its successor.
        if token == self._given:
            self._begin_anew()

    def _begin_anew(self) -> None:
        # MSAL can drop single tokens only after asking Entra for its aliases; a new application asks for less.
        with self._lock:
            self._ask, self._given = None, ""

    def _ask_now(self) -> Ask:
        with self._lock:
            if self._ask is None:
                self._ask = self._sign_in.opened(self._resource, self._http)
            return self._ask

    def _asked(self) -> str:
        return f"{self._sign_in.place}, asked for a token for {self._sign_in},"

    def _refused(self, answer: Mapping[str, Any]) -> DataverseError:
        reason = str(answer.get("error", "unknown_error"))
        kind = DataverseUnavailableError if reason in _TRANSIENT else AuthenticationError
        lines = str(answer.get("error_description") or "no description").splitlines()
        return kind(
            f"Microsoft Entra gave {self._sign_in} no token: {reason}: {lines[0]}",
            request_id=answer.get("correlation_id"),
        )


class _HttpClient:
    """The two calls MSAL makes, through a session and with a timeout that are ours."""

    def __init__(self, session: requests.Session, timeout: float, passing: frozenset[int]) -> None:
        self._session = session
        self._timeout = timeout
        self._passing = passing

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._reached(self._session.post(url, timeout=self._timeout, **options))

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._reached(self._session.get(url, timeout=self._timeout, **options))

    def close(self) -> None:
        self._session.close()

    def _reached(self, response: requests.Response) -> requests.Response:
        """Raises requests.HTTPError where the other side is overloaded or down, which MSAL takes for a refusal."""
        if response.status_code in self._passing or response.status_code == 429 or response.status_code >= 500:
            response.raise_for_status()
        return response
