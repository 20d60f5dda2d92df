"""What can differ between Stripe and CRM, and how each difference can be repaired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from azure_bridge.payment_event import PaymentEvent
from dataverse_client.types import Entity


class Kind(StrEnum):
    """The kinds of difference, which ``docs/reconcile.md`` explains to users."""

    #: Stripe has an event that was not applied to the row.
    EVENT_MISSING = "event-missing"
    STATUS = "different-status"
    AMOUNT = "different-amount"
    #: The intent's metadata names a row that does not exist.
    ORPHANED_INTENT = "orphaned-intent"
    #: The intent's metadata names a row that has another intent.
    SECOND_INTENT = "second-intent"
    #: The row waits for money, and has no intent that could be paid.
    ROW_WITHOUT_INTENT = "row-without-intent"


@dataclass(frozen=True, slots=True)
class ApplyEvents:
    """Pass these events to the processor."""

    events: tuple[PaymentEvent, ...]


#: Values of Stripe's ``cancellation_reason``.
CancellationReason: TypeAlias = Literal["abandoned", "duplicate"]


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """Cancel the intent, which has not been paid."""

    intent_id: str
    reason: CancellationReason


@dataclass(frozen=True, slots=True)
class ChangeIntent:
    """Set the open intent to ``amount`` minor units of ``currency``."""

    intent_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class OfferRow:
    """Write the row's amount again, so that its plug-in creates the intent. ``row`` holds that column only."""

    row: Entity
    #: The row's version as it was read.
    if_match: str | None


Remedy: TypeAlias = ApplyEvents | CancelIntent | ChangeIntent | OfferRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. Without a ``remedy`` only a person can repair it, and ``detail`` says how."""

    kind: Kind
    detail: str
    remedy: Remedy | None = None
    table: str | None = None
    row_id: str | None = None
    intent_id: str | None = None
