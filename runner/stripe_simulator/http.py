"""A ``stripe.HTTPClient`` that calls the simulated API in process, without delays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe
from requests.structures import CaseInsensitiveDict

from runner.stripe_simulator.api import Api, ConnectionReset


class SimulatorClient(stripe.HTTPClient):
    """The HTTP client for synchronous and asynchronous calls of the SDK.

    Source: https://github.com/stripe/stripe-python#configuring-an-http-client
    """

    name = "simulator"

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        try:
            answer = self._api.answer(method, url, headers or {}, post_data or "")
        except ConnectionReset:
            message = "The connection to Stripe was reset."
            raise stripe.APIConnectionError(message, should_retry=True) from None  # type: ignore[no-untyped-call]
        return answer.body, answer.status, CaseInsensitiveDict(answer.headers)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        body, status, answered = self.request(method, url, headers, post_data)
        return body.encode(), status, answered

    def close(self) -> None:
        """Do nothing, as there is no connection."""

    async def close_async(self) -> None:
        """Do nothing, as there is no connection."""

    async def sleep_async(self, secs: float) -> None:
        """Return at once, so that retries have no delay."""

    def _sleep_time_seconds(self, num_retries: int) -> float:
        """The SDK's delay before a retry: none."""
        return 0
