"""Answers a webhook request of Stripe, independent of the web server.

    reading = webhook.read(body, signature)     # cheap: may be done on an event loop
    if webhook.is_doubtful(reading):
        reading = webhook.read_again(body, signature)     # waits for the vault
    reply = reading if isinstance(reading, Reply) else webhook.store(reading)     # waits for the queue

After any answer but 2xx Stripe sends the event again, for three days.
Source: https://docs.stripe.com/webhooks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azure_bridge.errors import EventRefusedError, SignatureRefusedError
from azure_bridge.observer import BridgeObserver
from azure_bridge.queues.contract import MessageQueue, MessageTooLargeError, QueueError
from azure_bridge.receiver import Accepted, StripeReceiver
from azure_bridge.redaction import redact
from azure_bridge.secrets import SecretError


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: an HTTP status, and a text for the log of the failed request."""

    status: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Unsigned(Reply):
    """None of the secrets known here signed the request."""


class StripeWebhook:
    """Takes Stripe's events. Threads may share it. ``receiver`` is None when the registrations have no bridge."""

    def __init__(self, receiver: StripeReceiver | None, queue: MessageQueue, observer: BridgeObserver) -> None:
        self._receiver = receiver
        self._renew_secrets = None if receiver is None else receiver.renew_secrets
        self._queue = queue
        self._observer = observer

    def read(self, body: bytes, signature: str | None) -> Accepted | Reply:
        """The event to store, or the reply when there is none."""
        if self._receiver is None:
            return Reply(404, "The registrations have no bridge section, so Stripe's events are not applied.")
        try:
            reception = self._receiver.receive(body, signature)
        except SignatureRefusedError as error:
            return Unsigned(error.http_status, redact(str(error)))
        except EventRefusedError as error:
            return Reply(error.http_status, redact(str(error)))
        except SecretError as error:
            return Reply(503, redact(str(error)))
        return reception if isinstance(reception, Accepted) else Reply(200, reception.reason)

    def is_doubtful(self, reading: Accepted | Reply) -> bool:
        """Whether a secret that was rotated a moment ago may have signed the request."""
        return isinstance(reading, Unsigned) and self._renew_secrets is not None

    def read_again(self, body: bytes, signature: str | None) -> Accepted | Reply:
        """The same with the secrets there are by now. Waits for the vault, if it was not asked a moment ago."""
        try:
            if self._renew_secrets is not None:
                self._renew_secrets()
        except SecretError as error:
            return Reply(503, redact(str(error)))
        return self.read(body, signature)

    def store(self, accepted: Accepted) -> Reply:
        """Put the event on the queue; 200 when it is durable there."""
        return self.store_all([accepted])[0]

    def store_all(self, accepted: Sequence[Accepted]) -> list[Reply]:
        """The same for several at once, with an answer for each."""
        try:
            self._queue.send([each.message for each in accepted])
        except MessageTooLargeError as error:
            # One of them is: none was stored.
            return [self.store(each) for each in accepted] if len(accepted) > 1 else [Reply(413, str(error))]
        except QueueError as error:
            return [Reply(503, f"The queue takes nothing: {redact(str(error))}")] * len(accepted)
        for each in accepted:
            self._observer.queued(each.event)
        return [Reply(200)] * len(accepted)
