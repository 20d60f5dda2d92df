"""Sends one HTTP request to the Web API, and repeats it while that is safe and may help.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/api-limits
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.auth
from requests.adapters import HTTPAdapter

from dataverse_client.auth import NoAuthentication, TokenProvider
from dataverse_client.errors import DataverseUnavailableError, InvalidRequestError, UnexpectedResponseError
from dataverse_client.exchange import Answer, Request, prefer
from dataverse_client.retry import GATEWAY_STATUSES, RetrySettings, never_sent, read_retry_after, trouble
from dataverse_client.sessions import TRUST_ADVICE, session_to
from dataverse_client.types import new_guid

API_PATH = "/api/data/v9.2/"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_STANDARD_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "User-Agent": "dataverse-plugin-runner",
    **prefer(),
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds. Dataverse gives an operation two minutes; whoever stops waiting sooner misses its result."""

    connect: float = 10.0
    read: float = 130.0


class Transport:
    """Sends requests to the environment at ``url`` through one pooled session. Threads may share it.

    ``session`` is a requests session whose adapters, proxies and certificates are used; without one, a session is
    made that ignores proxy and certificate variables unless ``trust_env``. The last four parameters are for tests:
    ``sleep`` and ``monotonic`` work in seconds, ``now`` returns an aware datetime, ``uniform`` draws the jitter.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenProvider,
        *,
        session: requests.Session | None = None,
        trust_env: bool = False,
        retry: RetrySettings | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.root = _api_root(url, tokens)
        self.session = session if session is not None else _pooled_session(url, trust_env)
        self._tokens = tokens
        self._retry = retry or RetrySettings()
        self._timeouts = timeouts or Timeouts()
        self._sleep = sleep
        self._monotonic = monotonic
        self.now = now
        self._uniform = uniform

    def send(self, request: Request, *, correlation_id: str) -> Answer:
        """The final answer to ``request``, whatever its status.

        Raises:
          DataverseUnavailableError: there was no answer within the deadline.
          AuthenticationError: no token could be obtained.
          InvalidRequestError: requests refused the URL or a header.
          UnexpectedResponseError: the server's certificate is not trusted.
        """
        call = _Call(request, correlation_id, self._monotonic() + self._retry.deadline)
        while True:
            outcome = self._attempt(call)
            wait = self._wait(call, outcome)
            if wait is None:
                return outcome.answer_or_raise()
            call.attempts += 1
            call.in_doubt |= outcome.may_have_taken_effect
            self._sleep(wait)

    def _wait(self, call: _Call, outcome: _Outcome) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        harmless = call.request.repeatable or not outcome.may_have_taken_effect
        if not outcome.is_transient or not harmless or call.attempts >= self._retry.attempts:
            return None
        wait = self._retry.wait(call.attempts, outcome.retry_after, self._uniform)
        return wait if self._monotonic() + wait < call.end else None

    def _attempt(self, call: _Call) -> _Outcome:
        try:
            answer = self._exchange(call)
            if answer.status == 401 and not call.token_refreshed:
                call.token_refreshed = True
                self._tokens.invalidate(call.token)
                answer = self._exchange(call)
        except requests.exceptions.SSLError as error:
            raise UnexpectedResponseError(
                f"The certificate of {self.root} is not to be trusted: {error}. {TRUST_ADVICE}",
                request=str(call.request),
            ) from error
        except requests.RequestException as error:
            if isinstance(error, ValueError):  # requests raises these for an invalid URL or header
                raise InvalidRequestError(str(error), request=str(call.request)) from error
            return _Outcome(self._unanswered(call, error), not never_sent(error))
        except DataverseUnavailableError as error:
            return _Outcome(error, False)  # no token could be obtained, so nothing was sent
        return _Outcome(answer, answer.status in GATEWAY_STATUSES)

    def _exchange(self, call: _Call) -> Answer:
        headers = {
            **_STANDARD_HEADERS,
            **call.request.headers,
            "x-ms-client-request-id": new_guid(),
            "x-ms-correlation-id": call.correlation_id,
        }
        call.token = self._tokens.token()
        prepared = requests.PreparedRequest()
        prepared.prepare(
            call.request.method,
            self.root + call.request.path,
            headers=headers,
            data=call.request.body,
            auth=_Bearer(call.token),
        )
        response = self._send(prepared, call.end)
        lower = {name.lower(): value for name, value in response.headers.items()}
        asked = read_retry_after(lower, self.now())
        return Answer(call.request, response.status_code, lower, response.content, asked, call.in_doubt)

    def _send(self, prepared: requests.PreparedRequest, end: float) -> requests.Response:
        patience = max(0.001, min(self._timeouts.read, end - self._monotonic()))
        # Reading the environment for every request would cost as much as the rest of sending it.
        environment: dict[str, Any] = {}
        if self.session.trust_env:
            environment.update(self.session.merge_environment_settings(prepared.url, {}, None, None, None))
        return self.session.send(
            prepared,
            timeout=(min(self._timeouts.connect, patience), patience),
            allow_redirects=False,  # a redirect would send the token to a host that nobody configured
            **environment,
        )

    def _unanswered(self, call: _Call, error: requests.RequestException) -> DataverseUnavailableError:
        what = "did not answer in time" if isinstance(error, requests.Timeout) else "could not be reached"
        return DataverseUnavailableError(
            f"{self.root} {what} ({call.attempts} attempts, last: {trouble(error)}). Check the address, and whether it "
            "is up",
            request=str(call.request),
            is_repeat=call.in_doubt,
        )


@dataclass(slots=True)
class _Call:
    """The state of one request across its attempts. ``end`` is its deadline on the monotonic clock."""

    request: Request
    correlation_id: str
    end: float
    attempts: int = 1
    in_doubt: bool = False
    token: str = field(default="", repr=False)
    token_refreshed: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of one attempt: an answer, or the error that there was none."""

    result: Answer | DataverseUnavailableError
    may_have_taken_effect: bool

    @property
    def is_transient(self) -> bool:
        if isinstance(self.result, DataverseUnavailableError):
            return True
        return self.result.status == 429 or self.result.status in GATEWAY_STATUSES

    @property
    def retry_after(self) -> float | None:
        return self.result.retry_after if isinstance(self.result, Answer) else None

    def answer_or_raise(self) -> Answer:
        if isinstance(self.result, DataverseUnavailableError):
            raise self.result
        return self.result


class _Bearer(requests.auth.AuthBase):
    """The token as a requests credential, because requests lets a .netrc file overwrite a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _api_root(url: str, tokens: TokenProvider) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidRequestError("The environment's address must not contain a name or password")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequestError(f"{url!r} is not an environment's address such as https://contoso.crm.dynamics.com")
    is_private = parts.hostname in _LOOPBACK or isinstance(tokens, NoAuthentication)
    if parts.scheme == "http" and not is_private:
        raise InvalidRequestError(f"{url}: a bearer token is sent over https only, except to this machine")
    return f"{parts.scheme}://{parts.netloc}{API_PATH}"


def _pooled_session(url: str, trust_env: bool) -> requests.Session:
    session = session_to(url, trust_env=trust_env)
    session.mount("https://", HTTPAdapter(pool_maxsize=32))
    session.mount("http://", HTTPAdapter(pool_maxsize=32))
    # With the affinity cookie all our requests would go to one web server, and share its limits.
    # Source: https://learn.microsoft.com/power-apps/developer/data-platform/send-parallel-requests#server-affinity
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session
