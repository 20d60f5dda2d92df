"""What the bridge refuses, and what its caller answers.

BridgeError
  EventRefusedError            nothing is stored; answer the sender with ``http_status``
    SignatureRefusedError      400  nobody with our secret signed these bytes, or too long ago
    EventUnreadableError       400  signed, but no snapshot event
    EventTooLargeError         413  over the size limit; not even hashed
    SecretMissingError         503  no signing secret is configured; Stripe tries again
  PaymentEventError            a queued body is no PaymentEvent: a dead letter
    UnknownVersionError        written by a newer bridge: upgrade, then resubmit
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of what the bridge raises."""


class EventRefusedError(BridgeError):
    """The request carries no event we accept. Answer it with ``http_status``."""

    http_status: ClassVar[int] = 400


class SignatureRefusedError(EventRefusedError):
    """The signature is missing, is not ours, or is older than the tolerance."""


class EventUnreadableError(EventRefusedError):
    """The body is not a snapshot event: not UTF-8, not JSON, a thin event, or without its required fields."""


class EventTooLargeError(EventRefusedError):
    """The body is over the size limit."""

    http_status = 413


class SecretMissingError(EventRefusedError):
    """No webhook signing secret is configured, so nothing can be verified yet."""

    http_status = 503


class PaymentEventError(BridgeError):
    """These bytes are not a PaymentEvent. Reading them again will not help."""


class UnknownVersionError(PaymentEventError):
    """A newer bridge wrote this PaymentEvent: upgrade this one, then resubmit the dead letter."""
