"""The errors of the bridge, and the HTTP status to answer with.

BridgeError
  EventRefusedError            nothing is stored; answer the sender with ``http_status``
    SignatureRefusedError      400  not signed with one of our secrets, or signed too long ago
    EventUnreadableError       400  signed, but not a snapshot event
    EventTooLargeError         413  over the size limit; the signature was not checked
    SecretMissingError         503  no signing secret is configured; Stripe tries again
  PaymentEventError            a queued body is not a PaymentEvent: it becomes a dead letter
    UnknownVersionError        written by a newer bridge: upgrade, then resubmit
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of the bridge's errors."""


class EventRefusedError(BridgeError):
    """The request carries no event that can be accepted. Answer it with ``http_status``."""

    http_status: ClassVar[int] = 400


class SignatureRefusedError(EventRefusedError):
    """The signature is missing, was made with another secret, or is older than the tolerance."""


class EventUnreadableError(EventRefusedError):
    """The body is not a snapshot event: not UTF-8, not JSON, a thin event, or without its required fields."""


class EventTooLargeError(EventRefusedError):
    """The body is over the size limit."""

    http_status = 413


class SecretMissingError(EventRefusedError):
    """No webhook signing secret is configured, so nothing can be verified yet."""

    http_status = 503


class PaymentEventError(BridgeError):
    """The body of a queue message is not a PaymentEvent. Reading it again does not help."""


class UnknownVersionError(PaymentEventError):
    """A newer bridge wrote this PaymentEvent: upgrade this one, then resubmit the dead letter."""
