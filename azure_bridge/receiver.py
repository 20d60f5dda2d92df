"""Verifies a webhook request of Stripe and turns its event into a queue message.

The signature is checked with Stripe's own code. The body is parsed once, as plain JSON: building a ``stripe.Event``
takes about a millisecond and is not needed here. The caller stores an :class:`Accepted` message before it answers 200,
answers 200 to an :class:`Ignored` event, and answers an ``EventRefusedError`` with its ``http_status``. When the queue
is away it answers 503, and Stripe sends the event again for three days.
Source: https://docs.stripe.com/webhooks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import orjson

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.errors import (
    EventTooLargeError,
    EventUnreadableError,
    SecretMissingError,
    SignatureRefusedError,
)
from azure_bridge.observer import BridgeObserver, SilentObserver
from azure_bridge.payment_event import PaymentEvent, encode
from azure_bridge.queues.contract import QueueMessage
from azure_bridge.stripe_events import check_snapshot, payment_event
from azure_bridge.tables import BridgeConfiguration

#: Stripe's default. An older request may be a replay.
TOLERANCE = timedelta(seconds=300)
#: Bytes. Stripe's payment events are a few KB; expanded ones reach tens.
MAX_BODY_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event to queue: ``message`` carries ``event``."""

    event: PaymentEvent
    message: QueueMessage


@dataclass(frozen=True, slots=True)
class Ignored:
    """A genuine event that is not processed, and why. Answer 200, because sending it again would change nothing."""

    event_id: str
    event_type: str
    reason: str


Reception: TypeAlias = Accepted | Ignored


class StripeReceiver:
    """Verifies Stripe's events and turns them into messages. Threads may share it.

    ``secrets`` is called for every event, so that rotated secrets need no restart; any one of them may have signed.
    Events of the other mode than ``configuration.livemode``, and of types it does not list, are ignored.
    ``renew_secrets`` looks for new secrets at their source, which may take a while.
    """

    def __init__(
        self,
        configuration: BridgeConfiguration,
        secrets: Callable[[], Sequence[str]],
        *,
        clock: Clock | None = None,
        tolerance: timedelta = TOLERANCE,
        max_body_bytes: int = MAX_BODY_BYTES,
        observer: BridgeObserver | None = None,
        renew_secrets: Callable[[], None] | None = None,
    ) -> None:
        # Importing stripe takes almost half a second, so only processes that receive events do it.
        from stripe import SignatureVerificationError, WebhookSignature

        self._verify_header = WebhookSignature.verify_header
        self._mismatch = SignatureVerificationError
        self._configuration = configuration
        self._secrets = secrets
        self._clock = clock or SystemClock()
        self._tolerance = tolerance
        self._max_body_bytes = max_body_bytes
        self._observer = observer or SilentObserver()
        self.renew_secrets = renew_secrets

    def receive(self, body: bytes, signature: str | None) -> Reception:
        """One webhook request: its raw body and its ``Stripe-Signature`` header.

        Raises:
          SignatureRefusedError: there is no signature, none of the secrets made it, or it is too old.
          EventUnreadableError: it is signed, but not a snapshot event.
          EventTooLargeError: it is longer than ``max_body_bytes``.
          SecretMissingError: there is no secret to verify with.
        """
        self._check_size(body)
        self._check_signature(body, signature)
        return self._admit(check_snapshot(_parse(body)))

    def _check_size(self, body: bytes) -> None:
        if len(body) > self._max_body_bytes:
            raise EventTooLargeError(f"The body has {len(body)} bytes; at most {self._max_body_bytes} are accepted")

    def _check_signature(self, body: bytes, signature: str | None) -> None:
        # The SDK's comparison fails on other characters.
        if not signature or not signature.isascii():
            raise SignatureRefusedError("No usable Stripe-Signature header: this endpoint takes Stripe's events only")
        secrets = self._secrets()
        if not secrets:
            raise SecretMissingError("No webhook signing secret is configured: set STRIPE_WEBHOOK_SECRET")
        if not any(self._signed_with(secret, body, signature) for secret in secrets):
            raise SignatureRefusedError(
                "None of the configured secrets signed this body: check the endpoint's signing secret, and that "
                "nothing between Stripe and here rewrites bodies"
            )
        self._check_age(signature)

    def _signed_with(self, secret: str, body: bytes, signature: str) -> bool:
        try:
            # Without a tolerance the SDK does not check the age by the system's clock; _check_age uses ours.
            self._verify_header(body, signature, secret, tolerance=None)
        except self._mismatch:
            return False
        except UnicodeDecodeError as error:
            raise EventUnreadableError("The body is not UTF-8, so it is not Stripe's") from error
        return True

    def _check_age(self, signature: str) -> None:
        """Refuse an old signature, but not one from the future, as Stripe's SDK does. A verified header has a time."""
        signed_at = int(next(part.split("=")[1] for part in signature.split(",") if part.startswith("t=")))
        age = self._clock.now().timestamp() - signed_at
        if age > self._tolerance.total_seconds():
            raise SignatureRefusedError(
                f"The signature is {age:.0f} s old; at most {self._tolerance.total_seconds():.0f} s are accepted. "
                "Stripe signs every attempt anew: check this machine's clock"
            )

    def _admit(self, event: Mapping[str, Any]) -> Reception:
        reception = self._judge(event)
        note = reception.reason if isinstance(reception, Ignored) else ""
        self._observer.received(event["id"], event["type"], note=note)
        return reception

    def _judge(self, event: Mapping[str, Any]) -> Reception:
        event_id, event_type = event["id"], event["type"]
        if event_type not in self._configuration.events:
            return Ignored(event_id, event_type, f"{event_type} is not among the events the bridge listens to")
        livemode = event.get("livemode") is True
        if livemode is not self._configuration.livemode:
            return Ignored(event_id, event_type, f"{_mode(livemode)} event in a {_mode(not livemode)} deployment")
        payment = payment_event(event, self._configuration.tables)
        if payment is None:
            return Ignored(event_id, event_type, f"{event_type} carries no payment")
        return Accepted(payment, message_for(payment))


def message_for(event: PaymentEvent) -> QueueMessage:
    """The queue message that carries an event. Its id is the event's; its session id the row's, or the payment's."""
    return QueueMessage(
        body=encode(event),
        message_id=event.event_id,
        correlation_id=event.correlation_id,
        subject=event.event_type,
        session_id=event.row_id or event.intent_id or event.checkout_session_id,
    )


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EventUnreadableError(f"The body is not JSON: {error}") from error


def _mode(livemode: bool) -> str:
    return "live" if livemode else "test"
