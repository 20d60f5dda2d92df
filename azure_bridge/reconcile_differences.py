"""What can differ between Stripe and CRM, and what would put it right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from azure_bridge.payment_event import PaymentEvent
from dataverse_client.types import Entity


class Kind(StrEnum):
    """The kinds of difference. ``docs/reconcile.md`` tells each in a user's words."""

    #: Stripe has an event that the row has not taken in.
    EVENT_MISSING = "event-missing"
    STATUS = "different-status"
    AMOUNT = "different-amount"
    #: The intent's metadata names a row that does not exist.
    ORPHANED_INTENT = "orphaned-intent"
    #: The intent's metadata names a row that stands for another intent.
    SECOND_INTENT = "second-intent"
    #: The row waits for money, and there is no intent anybody could pay.
    ROW_WITHOUT_INTENT = "row-without-intent"


@dataclass(frozen=True, slots=True)
class ApplyEvents:
    """Give these events to the processor."""

    events: tuple[PaymentEvent, ...]


#: In Stripe's words.
CancellationReason: TypeAlias = Literal["abandoned", "duplicate"]


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """Cancel the intent, on which nothing was paid."""

    intent_id: str
    reason: CancellationReason


@dataclass(frozen=True, slots=True)
class ChangeIntent:
    """Let the open intent ask for ``amount`` minor units of ``currency``."""

    intent_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class OfferRow:
    """Write the amount the row has once more: its plug-in then starts the intent. ``row`` carries that alone."""

    row: Entity
    #: The row's version as it was read.
    if_match: str | None


Remedy: TypeAlias = ApplyEvents | CancelIntent | ChangeIntent | OfferRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing to put right. ``remedy`` None: only a person can, and ``detail`` says what is to be done."""

    kind: Kind
    detail: str
    remedy: Remedy | None = None
    table: str | None = None
    row_id: str | None = None
    intent_id: str | None = None
