"""The two webhook addresses, as bare ASGI.

A request is answered once what it brought is durable, and all who wait for that at the same time share one commit; too
many at once are sent away with 503, which both senders try again.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from azure_bridge.observer import BridgeObserver
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.receiver import MAX_BODY_BYTES, StripeReceiver
from azure_bridge.webhook import Reply, StripeWebhook
from runner.intake.credentials import Credentials
from runner.intake.webhook import MAX_BODY, WebhookIntake
from runner.web.asgi import BodyTooLong, Disconnected, client_of, headers_of, read_body, respond
from runner.web.dataverse.authentication import is_local
from runner.web.serving.batches import Batches

#: Requests that wait for a vault at the same time.
_RENEWING = 4
#: Steps Dataverse waits for at the same time; each may take a minute.
_ANSWERING = 16
#: Requests accepted at the same time; the next one is sent away.
_AT_ONCE = 512

_Result = TypeVar("_Result")

_SIZE_EXCEEDED = "x-ms-dynamics-msg-size-exceeded"
_BUSY = Reply(503, "Too many requests at once. Try again in a moment.")


class Hook(ABC):
    """What both hooks have in common: POST only, bounded bodies, a bounded number at once, a text to read."""

    max_body: int

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._room = at_once
        self._renewing = ThreadPoolExecutor(_RENEWING, "renew")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._reply(scope, receive)
        except Disconnected:
            return
        headers = {"content-type": "text/plain; charset=utf-8"}
        if reply.status == 405:
            headers["allow"] = "POST"
        if reply.status == 503:
            headers["retry-after"] = "1"
        await respond(send, reply.status, reply.text.encode() or b"\n", headers)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != "POST":
            return Reply(405, "Only POST is answered here.")
        if not self._room:
            return _BUSY
        self._room -= 1
        try:
            return await self._answer(scope, headers_of(scope), receive)
        except BodyTooLong:
            return Reply(413, f"The body is longer than {self.max_body} bytes.")
        finally:
            self._room += 1

    @abstractmethod
    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply: ...

    async def _in_thread(self, threads: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def close(self) -> None:
        """Let what has begun come to its end."""
        self._renewing.shutdown()


class DataverseHook(Hook):
    """``POST /dataverse/webhook``. Without credentials only this machine is let in."""

    max_body = MAX_BODY

    def __init__(self, intake: WebhookIntake, credentials: Credentials, *, at_once: int = _AT_ONCE) -> None:
        super().__init__(at_once)
        self._intake = intake
        self._credentials = credentials
        self._store = Batches(intake.store_all, "store notifications")
        self._answering = ThreadPoolExecutor(_ANSWERING, "answer")

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            return refusal
        if not await self._is_admitted(headers, scope["query_string"]):
            return Reply(401, "The request shows none of the configured keys.")
        body = await read_body(receive, headers, self.max_body)
        notice = self._intake.read(body, size_exceeded=_SIZE_EXCEEDED in headers)
        if isinstance(notice, Reply):
            return notice
        if notice.inline:
            return await self._in_thread(self._answering, lambda: self._intake.answer(notice))
        return await self._store(notice)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Reply | None:
        if not self._credentials and not is_local(client_of(scope), headers):
            return Reply(401, "No key is configured, so only this machine is let in. Set DATAVERSE_WEBHOOK_KEY.")
        if "json" not in headers.get("content-type", "application/json").lower():
            return Reply(415, "A notification is JSON: Content-Type: application/json.")
        return None

    async def _is_admitted(self, headers: Mapping[str, str], query: bytes) -> bool:
        """Also with a key that was rotated a moment ago."""
        if not self._credentials or self._credentials.admit(headers, query):
            return True
        await self._in_thread(self._renewing, self._credentials.renew)
        return self._credentials.admit(headers, query)

    def close(self) -> None:
        super().close()
        self._store.close()
        self._answering.shutdown()


class StripeHook(Hook):
    """``POST /stripe/webhook``: verified, shrunk to a PaymentEvent, stored."""

    max_body = MAX_BODY_BYTES

    def __init__(
        self, receiver: StripeReceiver | None, queue: MessageQueue, observer: BridgeObserver, *, at_once: int = _AT_ONCE
    ) -> None:
        super().__init__(at_once)
        self._webhook = StripeWebhook(receiver, queue, observer)
        self._store = Batches(self._webhook.store_all, "store events")

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
        body = await read_body(receive, headers, self.max_body)
        signature = headers.get("stripe-signature")
        reading = self._webhook.read(body, signature)
        if self._webhook.is_doubtful(reading):
            reading = await self._in_thread(self._renewing, lambda: self._webhook.read_again(body, signature))
        if isinstance(reading, Reply):
            return reading
        return await self._store(reading)

    def close(self) -> None:
        super().close()
        self._store.close()
