"""Repairs differences: through the processor, at Stripe, or by having the row's own plug-in run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure_bridge.clock import Clock
from azure_bridge.crm_rows import CrmClient
from azure_bridge.payment_event import encode
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.contract import QueueMessage, ReceivedMessage
from azure_bridge.reconcile.differences import ApplyEvents, CancelIntent, ChangeIntent, Difference, OfferRow
from azure_bridge.settlement import DeadLetter, RetryLater
from azure_bridge.tables import BridgeConfiguration
from dataverse_client.operations import Update
from dataverse_client.types import QueryExpression

if TYPE_CHECKING:
    import stripe


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one difference. ``left`` says why it remains, empty if nothing was tried; None: repaired."""

    difference: Difference
    left: str | None


class Fixer:
    """Repairs differences. Repairing one that somebody else has repaired in the meantime does no harm."""

    def __init__(
        self,
        client: CrmClient,
        stripe_client: stripe.StripeClient,
        processor: PaymentProcessor,
        configuration: BridgeConfiguration,
        clock: Clock,
        *,
        cancel_orphans: bool = False,
    ) -> None:
        """``cancel_orphans`` allows it to cancel open intents that belong to no row."""
        self._client = client
        self._intents = stripe_client.v1.payment_intents
        self._processor = processor
        self._configuration = configuration
        self._clock = clock
        self._cancel_orphans = cancel_orphans

    def fix(self, differences: Sequence[Difference]) -> list[Outcome]:
        """One outcome for each difference, in order.

        Raises:
          StripeError: Stripe could not be reached. What it refused is an outcome instead.
          DataverseError: CRM could not be read.
        """
        unapplied = self._apply(differences)
        return [
            Outcome(difference, unapplied.get(number) or self._put_right(difference))
            for number, difference in enumerate(differences)
        ]

    def _apply(self, differences: Sequence[Difference]) -> dict[int, str]:
        """Apply all events in one batch. Returns why some could not be applied, by the index of their difference."""
        messages = [
            self._message(f"{number}:{event.event_id}", encode(event))
            for number, difference in enumerate(differences)
            if isinstance(difference.remedy, ApplyEvents)
            for event in difference.remedy.events
        ]
        left: dict[int, str] = {}
        for settlement in self._processor.process(messages) if messages else ():
            number = int(settlement.message.message.message_id.partition(":")[0])
            match settlement:
                case RetryLater(reason=why) | DeadLetter(description=why):
                    left[number] = why
        return left

    def _message(self, message_id: str, body: bytes) -> ReceivedMessage:
        """The message as the processor would have received it from a queue."""
        now = self._clock.now()
        return ReceivedMessage(QueueMessage(body, message_id), "", 0, now, now, delivery_count=1)

    def _put_right(self, difference: Difference) -> str | None:
        match difference.remedy:
            case None:
                return "a person has to look at it"
            case ApplyEvents():
                return None
            case CancelIntent() as remedy:
                return self._cancel(remedy)
            case ChangeIntent() as remedy:
                return self._change(remedy)
            case OfferRow() as remedy:
                return self._offer(remedy)

    def _cancel(self, remedy: CancelIntent) -> str | None:
        import stripe

        if not self._cancel_orphans:
            return "--cancel-orphans would cancel it"
        try:
            self._intents.cancel(remedy.intent_id, {"cancellation_reason": remedy.reason})
        except stripe.InvalidRequestError as error:
            return f"Stripe refused: {error.user_message or error}"
        return None

    def _change(self, remedy: ChangeIntent) -> str | None:
        import stripe

        try:
            self._intents.update(remedy.intent_id, {"amount": remedy.amount, "currency": remedy.currency})
        except stripe.InvalidRequestError as error:
            return f"Stripe refused: {error.user_message or error}"
        return None

    def _offer(self, remedy: OfferRow) -> str | None:
        (result,) = self._client.batch([Update(remedy.row, if_match=remedy.if_match)])
        if result.error is not None:
            return str(result.error)
        # A step that runs outside Dataverse takes effect later; the next run sees whether it did.
        return None if self._has_intent(remedy) else "its plug-in was asked for one, and has not answered yet"

    def _has_intent(self, remedy: OfferRow) -> bool:
        table = self._configuration.table(remedy.row.logical_name)
        assert table is not None  # noqa: S101  # the row was found in it
        names = [name for name in (table.columns.intent_id, table.columns.checkout_session_id) if name]
        query = QueryExpression.of(table.logical_name, *names, where={table.primary_id: remedy.row.id})
        return any(row.get(name) for row in self._client.retrieve_multiple(query) for name in names)
