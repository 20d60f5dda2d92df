"""Traces every request to Stripe: method, path, status and request id, but never the body."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import stripe

from azure_bridge.clock import Clock
from runner.tracing.model import StripeCalled, TraceSink


class TracingHTTPClient(stripe.HTTPClient):
    """Stands in front of another ``stripe.HTTPClient`` and tells the sink about each attempt."""

    name = "tracing"

    def __init__(self, inner: stripe.HTTPClient, sink: TraceSink, clock: Clock) -> None:
        super().__init__()
        self._inner = inner
        self._sink = sink
        self._clock = clock

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        started = time.perf_counter()
        try:
            body, status, reply = self._inner.request(method, url, headers, post_data)
        except stripe.StripeError as error:
            self._trace(method, url, started, error=_reason(error))
            raise
        self._trace(method, url, started, body=body, status=status, headers=reply)
        return body, status, reply

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        started = time.perf_counter()
        try:
            body, status, reply = await self._inner.request_async(method, url, headers, post_data)
        except stripe.StripeError as error:
            self._trace(method, url, started, error=_reason(error))
            raise
        self._trace(method, url, started, body=body, status=status, headers=reply)
        return body, status, reply

    def close(self) -> None:
        self._inner.close()  # type: ignore[no-untyped-call]  # stripe leaves it bare

    async def close_async(self) -> None:
        await self._inner.close_async()  # type: ignore[no-untyped-call]

    async def sleep_async(self, secs: float) -> None:
        await self._inner.sleep_async(secs)

    def _trace(
        self,
        method: str,
        url: str,
        started: float,
        *,
        body: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> None:
        reply = {name.lower(): value for name, value in (headers or {}).items()}
        subject, refusal = _subject(body)
        self._sink.record(
            StripeCalled(
                at=self._clock.now(),
                method=method.upper(),
                path=urlsplit(url).path,
                status=status,
                request_id=reply.get("request-id"),
                duration=time.perf_counter() - started,
                subject=subject,
                replayed=reply.get("idempotent-replayed") == "true",
                error=error or refusal,
            )
        )


def _reason(error: stripe.StripeError) -> str:
    """Why there was no answer, on one line: without the SDK's advice to write to Stripe, where it gives a cause."""
    said = " ".join((error.user_message or type(error).__name__).split())
    *_, cause = said.partition("(Network error: ")
    return cause.removesuffix(")") or said


def _subject(body: Any) -> tuple[str | None, str | None]:
    """The id of the object answered, or the code of the refusal."""
    try:
        answer = orjson.loads(body)
    except (orjson.JSONDecodeError, TypeError):
        return None, None
    if not isinstance(answer, dict):
        return None, None
    refusal = answer.get("error")
    if isinstance(refusal, dict):
        return None, refusal.get("decline_code") or refusal.get("code") or refusal.get("type")
    return answer.get("id"), None
