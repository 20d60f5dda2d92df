"""Plays one row's story: it is created or changed, plug-ins call Stripe, the customer pays, and the events come back.

Everything here goes through the Web API client, Stripe's SDK and signed bytes, as it does in production.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import stripe

from azure_bridge.minor_units import AmountError, to_minor_units
from azure_bridge.tables import PaymentStatus, PaymentTable
from dataverse_client.errors import DataverseError, NotFoundError
from dataverse_client.types import Entity, OptionSetValue
from runner.simulation.environment import EmbeddedEnvironment
from runner.simulation.outcomes import Outcome, Purchase
from runner.simulation.row_input import SHORT_NAMES
from runner.simulation.stripe_side import SignedEvent, StripeSide
from runner.tracing.model import StripeCalled
from runner.tracing.recorder import Recorder

_CREATIONS = {("POST", "/v1/payment_intents"), ("POST", "/v1/checkout/sessions")}
#: Statuses in which an intent or a session takes no money any more.
_ENDED = {"canceled", "expired"}


class Narrator(Protocol):
    """Receives headings and notes as the story goes on."""

    def heading(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is to happen: ``row`` is created, then updated if there is a ``change``, or deleted with ``delete``."""

    table: PaymentTable | None
    row: Entity
    change: Entity | None = None
    delete: bool = False
    rollback: bool = False
    outcome: Outcome
    duplicate: bool = False
    shuffle: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the story ended. ``problems`` is empty when everything is as the outcome requires."""

    row_id: str | None
    row: Entity | None
    intent: Mapping[str, Any] | None
    status: PaymentStatus | None
    expected: PaymentStatus | None
    problems: tuple[str, ...]


class Story:
    """Plays a plot in an environment. One story, one row."""

    def __init__(
        self,
        plot: Plot,
        environment: EmbeddedEnvironment,
        stripe_side: StripeSide,
        narrator: Narrator,
        recorder: Recorder,
    ) -> None:
        """``recorder`` is one of the environment's sinks, from which the intents that were created are known."""
        self._plot = plot
        self._environment = environment
        self._stripe = stripe_side
        self._narrator = narrator
        self._recorder = recorder
        self._crm = environment.client

    def play(self) -> Ending:
        """Play the plot to its end. Raises StripeSideError when the chosen Stripe cannot do what the plot needs."""
        plot = self._plot
        self._narrator.heading(f"CRM · {plot.row.logical_name}")
        try:
            row_id = self._crm.create(plot.row)
        except DataverseError as error:
            return self._refused(error)
        if plot.rollback:
            return _ending(row_id, problems=["The later step did not throw: nothing was rolled back."])
        if plot.delete:
            return self._delete(row_id)
        if plot.change is not None:
            plot.change.id = row_id
            try:
                self._crm.update(plot.change)
            except DataverseError as error:
                return _ending(row_id, row=self._read(row_id), problems=[f"CRM refused the change: {error.message}"])
        if plot.table is None:
            return _ending(row_id, row=self._read(row_id))
        return self._pay(row_id, plot.table)

    # --- endings without a payment -------------------------------------------------------------------------

    def _refused(self, error: DataverseError) -> Ending:
        if not self._plot.rollback:
            return _ending(None, problems=[f"CRM refused the row: {error.message}"])
        self._narrator.heading("After the rollback")
        row_id = self._plot.row.id or ""
        left = ["The row is still there."] if self._read(row_id) is not None else []
        if not left:
            self._narrator.note("The row is gone.")
        created = self._created_at_stripe()
        for made in created:
            self._narrator.note(f"{made['object']} {made['id']}: {made['status']}")
            if made["status"] not in _ENDED:
                left.append(f"The row is gone, but {made['object']} {made['id']} is {made['status']}.")
        return _ending(row_id, intent=created[-1] if created else None, problems=left)

    def _delete(self, row_id: str) -> Ending:
        intent_id = self._column(self._read(row_id), "intent_id")
        try:
            self._crm.delete(self._plot.row.logical_name, row_id)
        except DataverseError as error:
            return _ending(row_id, row=self._read(row_id), problems=[f"CRM refused the deletion: {error.message}"])
        intent = self._intent(intent_id) if intent_id else None
        problems = []
        if self._read(row_id) is not None:
            problems.append("The row is still there.")
        if intent is not None and intent["status"] != "canceled":
            problems.append(f"The row is gone, but intent {intent['id']} is {intent['status']}.")
        return _ending(row_id, intent=intent, problems=problems)

    # --- the payment ---------------------------------------------------------------------------------------

    def _pay(self, row_id: str, table: PaymentTable) -> Ending:
        outcome = self._plot.outcome
        row = self._read(row_id)
        intent_id, session_id = self._column(row, "intent_id"), self._column(row, "checkout_session_id")
        purchase = Purchase(self._stripe, intent_id, session_id)
        if outcome.awaited:
            if not (intent_id or session_id):
                problem = "The plug-ins put neither an intent nor a checkout session on the row: is there an amount?"
                return _ending(row_id, row=row, problems=[problem])
            self._narrator.heading(f"Stripe · {self._stripe.title}")
            try:
                outcome.play(purchase)
            except stripe.StripeError as error:
                return _ending(row_id, row=row, problems=[f"Stripe refused: {error.user_message}"])
            self._deliver(outcome.awaited, row_id)
        return self._look(row_id, table)

    def _deliver(self, awaited: Sequence[str], row_id: str) -> None:
        row = self._read(row_id)
        ours = {row_id, self._column(row, "intent_id"), self._column(row, "checkout_session_id")} - {None}
        events = self._stripe.events(awaited, lambda event: _mentions(event, ours))
        self._narrator.heading("Bridge · signed event → queue → row")
        for event in self._arranged(events):
            self._environment.deliver(event.payload, event.signature)
            self._environment.drain()

    def _arranged(self, events: list[SignedEvent]) -> list[SignedEvent]:
        arranged = [event for event in events for _ in range(2 if self._plot.duplicate else 1)]
        if self._plot.shuffle is not None:
            random.Random(self._plot.shuffle).shuffle(arranged)  # noqa: S311 - an order, not a secret
        return arranged

    def _look(self, row_id: str, table: PaymentTable) -> Ending:
        row = self._read(row_id)
        if row is None:
            return _ending(row_id, problems=["The row is gone."])
        status, expected = _status(row, table), self._plot.outcome.status
        intent_id = self._column(row, "intent_id")
        intent = self._intent(intent_id) if intent_id else None
        problems = [] if status is expected else [f"The row says {status or 'nothing'}; it should say {expected}."]
        if intent is not None:
            problems += self._mismatches(row, intent, table)
        return _ending(row_id, row=row, intent=intent, status=status, expected=expected, problems=problems)

    def _mismatches(self, row: Entity, intent: Mapping[str, Any], table: PaymentTable) -> list[str]:
        """The differences between intent and row: amount, currency, or each other's id."""
        problems = []
        if intent["metadata"].get(table.metadata_key) != row.id:
            problems.append(f"Intent {intent['id']} does not carry the row's id as {table.metadata_key}.")
        currency = self._currency(row)
        if currency is not None and intent["currency"] != currency.lower():
            problems.append(f"The intent is in {intent['currency']}, the row in {currency.lower()}.")
        amount = row.get(SHORT_NAMES.get(row.logical_name, {}).get("amount", ""))
        try:
            if amount is not None and to_minor_units(amount.value, intent["currency"]) != intent["amount"]:
                problems.append(f"The intent is over {intent['amount']}, the row over {amount.value}.")
        except AmountError as error:
            problems.append(str(error))
        return problems

    # --- looking things up ---------------------------------------------------------------------------------

    def _read(self, row_id: str) -> Entity | None:
        try:
            return self._crm.retrieve(self._plot.row.logical_name, row_id)
        except NotFoundError:
            return None

    def _column(self, row: Entity | None, fact: str) -> str | None:
        column = getattr(self._plot.table.columns, fact) if self._plot.table else None
        value = row.get(column) if row is not None and column else None
        return value if isinstance(value, str) else None

    def _currency(self, row: Entity) -> str | None:
        reference = row.get("transactioncurrencyid")
        if reference is None:
            return None
        code = self._crm.retrieve("transactioncurrency", reference.id, ["isocurrencycode"])["isocurrencycode"]
        return str(code)

    def _intent(self, intent_id: str) -> Mapping[str, Any]:
        intent: Mapping[str, Any] = self._stripe.client.v1.payment_intents.retrieve(intent_id).to_dict()
        return intent

    def _created_at_stripe(self) -> list[Mapping[str, Any]]:
        """The intents and sessions that this story created, as they are now."""
        made = [
            call.subject
            for call in self._recorder.records
            if isinstance(call, StripeCalled) and (call.method, call.path) in _CREATIONS and call.subject
        ]
        return [self._intent(each) if each.startswith("pi_") else self._session(each) for each in made]

    def _session(self, session_id: str) -> Mapping[str, Any]:
        session: Mapping[str, Any] = self._stripe.client.v1.checkout.sessions.retrieve(session_id).to_dict()
        return session


def _ending(
    row_id: str | None,
    *,
    row: Entity | None = None,
    intent: Mapping[str, Any] | None = None,
    status: PaymentStatus | None = None,
    expected: PaymentStatus | None = None,
    problems: Sequence[str] = (),
) -> Ending:
    return Ending(row_id=row_id, row=row, intent=intent, status=status, expected=expected, problems=tuple(problems))


def _status(row: Entity, table: PaymentTable) -> PaymentStatus | None:
    """The status that people see. For an order it combines its own intent and its Payments; plug-ins keep it."""
    shown = SHORT_NAMES.get(row.logical_name, {}).get("status", table.columns.status)
    value = row.get(shown)
    names = {number: status for status, number in table.statuses.items()}
    return names.get(value.value) if isinstance(value, OptionSetValue) else None


def _mentions(event: Mapping[str, Any], ids: set[str | None]) -> bool:
    """Whether the event's object is, or belongs to, one of ``ids``."""
    subject = event["data"]["object"]
    metadata = subject.get("metadata") or {}
    return not ids.isdisjoint({subject.get("id"), subject.get("payment_intent"), *metadata.values()})
