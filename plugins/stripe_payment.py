"""The PaymentIntent or Checkout Session of one row, and every Stripe call that reads or changes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import stripe

from dataverse_client.types import Entity
from plugins.configuration import Collect, CollectionSettings
from plugins.demand import Demand, row_metadata
from plugins.payment_tables import INTENT, SESSION, table_of
from plugins.stripe_parameters import creation_parameters, with_metadata
from runner.plugin import PluginContext

#: How many of the newest intents or sessions are searched for one whose id was lost.
_LOOK_BACK = 300
#: How many idempotency keys are tried. Stripe repeats a failure for a day under the key it happened with.
_MOST_KEYS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StripePayment:
    """A PaymentIntent or a Checkout Session. ``status`` is Stripe's own; a session is ``open`` until it is paid.

    ``intent_id`` is None for a session on which nobody has tried to pay yet.

    Source: https://docs.stripe.com/payments/paymentintents/lifecycle
    """

    kind: Collect
    id: str
    status: str
    amount: int
    currency: str
    intent_id: str | None = None
    url: str | None = None

    @property
    def is_open(self) -> bool:
        """Nothing has been paid, so it can be changed or closed."""
        return self.status in {"open", "requires_payment_method", "requires_confirmation", "requires_action"}

    @property
    def can_be_closed(self) -> bool:
        """It is open, or authorized but not captured: then it can no longer be changed."""
        return self.is_open or self.status == "requires_capture"

    @property
    def is_closed(self) -> bool:
        """Nobody can pay it any more."""
        return self.status in {"canceled", "expired"}

    def meets(self, demand: Demand) -> bool:
        """Whether it collects the amount and currency demanded."""
        return (self.amount, self.currency) == (demand.amount, demand.currency)


class StripePayments:
    """The Stripe calls for one row, made during one execution of a step."""

    def __init__(self, context: PluginContext, row: Entity, settings: CollectionSettings) -> None:
        self._context = context
        self._row = row
        self._settings = settings

    # The client is asked for when it is needed: a row without an intent can be put away where there is no Stripe.

    @property
    def _intents(self) -> Any:
        return self._context.service(stripe.StripeClient).v1.payment_intents

    @property
    def _sessions(self) -> Any:
        return self._context.service(stripe.StripeClient).v1.checkout.sessions

    @property
    def _service(self) -> Any:
        """What makes the intents or sessions that the step is configured to collect with."""
        return self._sessions if self._settings.collect is Collect.CHECKOUT else self._intents

    # --- reading -------------------------------------------------------------------------------------------

    def find(self) -> StripePayment | None:
        """The session or intent whose id the row holds; None when there is none, or when it belongs to another row.

        The session comes first: when the row holds both ids, the intent was created by the session.
        """
        if session_id := self._row.get(SESSION):
            session = self._sessions.retrieve(session_id)
            return self._of_session(session) if self._is_ours(session) else None
        if intent_id := self._row.get(INTENT):
            intent = self._intents.retrieve(intent_id)
            return _payment(intent) if self._is_ours(intent) else None
        return None

    def _is_ours(self, found: stripe.PaymentIntent | stripe.checkout.Session) -> bool:
        """False when the metadata names another row: this row, or the whole environment, was then copied from there."""
        named = _metadata(found)
        expected = row_metadata(self._row, table_of(self._row.logical_name), self._context)
        is_ours = all(named.get(key, ours).lower() == ours.lower() for key, ours in expected.items())
        if not is_ours:
            self._context.trace("Left {} alone, which is another row's", found.id)
        return is_ours

    def _of_session(self, session: stripe.checkout.Session) -> StripePayment:
        """The session; once it is complete, its intent, which has the status of the payment."""
        if session.status != "complete" or not session.payment_intent:
            return _payment(session)
        intent = _payment(self._intents.retrieve(str(session.payment_intent)))
        # The bank refused after the customer had completed the page, which cannot be paid on a second time.
        return replace(_payment(session), status="expired") if intent.is_open else intent

    # --- creating ------------------------------------------------------------------------------------------

    def create(self, demand: Demand, replacing: StripePayment | None = None) -> StripePayment:
        """A new intent or session, which is closed again if the transaction is rolled back.

        Repeated calls for the same row and demand return the same one until it is closed.
        """
        parameters = creation_parameters(demand, str(self._row.id), self._settings)
        key = self._idempotency_key(parameters, replacing.id if replacing else "")
        made = self._create_once(demand, parameters, key)
        if made.is_closed:
            return self.create(demand, replacing=made)
        self._context.on_rollback(partial(self.close, made))
        self._context.trace("Created {} for {} {}", made.id, demand.amount, demand.currency)
        return made

    def _create_once(self, demand: Demand, parameters: dict[str, Any], key: str) -> StripePayment:
        correlated = {"CRM_CorrelationId": self._context.correlation_id, **demand.metadata}
        try:
            made = self._service.create(with_metadata(parameters, correlated), {"idempotency_key": key})
        except stripe.StripeError as error:
            if not (isinstance(error, stripe.IdempotencyError) or _is_replay(error.headers)):
                raise
            # An earlier call used the same key, which covers everything but the correlation id: either its row was
            # rolled back, or Stripe's answer was lost, or Stripe refused or failed and now repeats that for a day.
            return self._find_lost(demand) or self._create_uncorrelated(parameters, key)
        return self._as_it_is_now(made)

    def _create_uncorrelated(self, parameters: Any, key: str, turn: int = 1) -> StripePayment:
        """Create without a correlation id: all callers then send the same request under the first key that works."""
        # A retry by the SDK would make Stripe's first failure under a key look like a replayed one.
        options: Any = {"idempotency_key": f"{key}:{turn}", "max_network_retries": 0}
        try:
            return self._as_it_is_now(self._service.create(parameters, options))
        except stripe.StripeError as error:
            if turn == _MOST_KEYS or not _is_replay(error.headers):
                raise
            return self._create_uncorrelated(parameters, key, turn + 1)

    def _find_lost(self, demand: Demand) -> StripePayment | None:
        """The one that an earlier call created for the same demand; it is among the newest, which come first."""
        for made in islice(self._service.list({"limit": 100}).auto_paging_iter(), _LOOK_BACK):
            payment = _payment(made)
            if payment.is_open and payment.meets(demand) and demand.metadata.items() <= _metadata(made).items():
                return payment
        return None

    def _as_it_is_now(self, made: Any) -> StripePayment:
        """``made``, read again if the answer was replayed: a replay shows the object as it was at its creation."""
        return _payment(self._service.retrieve(made.id) if _is_replay(made.last_response.headers) else made)

    def _idempotency_key(self, parameters: Mapping[str, Any], attempt: str) -> str:
        """At most 255 characters and no personal data: texts and amounts are part of the hash only.

        Source: https://docs.stripe.com/api/idempotent_requests
        """
        facts = json.dumps([parameters, attempt], sort_keys=True).encode()
        digest = hashlib.sha256(facts).hexdigest()[:32]
        row = f"{self._row.logical_name}:{self._row.id}"
        return f"{self._context.organization_id}:{row}:{self._settings.collect}:{digest}"

    # --- changing and closing ------------------------------------------------------------------------------

    def change(self, payment: StripePayment, demand: Demand) -> None:
        """Set an open intent's amount, currency and texts. Amount and currency are set back on a rollback."""
        self._update_intent(payment.id, {"amount": demand.amount, "currency": demand.currency, **demand.texts})
        before = {"amount": payment.amount, "currency": payment.currency}
        self._context.on_rollback(partial(self._update_intent, payment.id, before))
        self._context.trace("Changed {} to {} {}", payment.id, demand.amount, demand.currency)

    def _update_intent(self, intent_id: str, parameters: Any) -> None:
        self._intents.update(intent_id, parameters)

    def close(self, payment: StripePayment) -> StripePayment:
        """Cancel the intent or expire the session, so that nobody can pay it; no error if it is closed already.

        Returns it as it is then.
        """
        is_session = payment.kind is Collect.CHECKOUT
        try:
            closed = _payment((self._sessions.expire if is_session else self._intents.cancel)(payment.id))
        except stripe.InvalidRequestError:
            closed = _payment((self._sessions if is_session else self._intents).retrieve(payment.id))
            if not closed.is_closed:
                raise
        self._context.trace("Closed {}", payment.id)
        return closed


def _is_replay(headers: Mapping[str, str] | None) -> bool:
    """Whether Stripe repeated its answer to the first request with this key, which may have been a failure.

    Source: https://docs.stripe.com/error-low-level#server-errors
    """
    return "idempotent-replayed" in {name.lower() for name in headers or ()}


def _metadata(made: stripe.PaymentIntent | stripe.checkout.Session) -> dict[str, str]:
    """The object's metadata; Stripe may answer null for a session."""
    return made.metadata.to_dict() if made.metadata else {}


def _payment(made: stripe.PaymentIntent | stripe.checkout.Session) -> StripePayment:
    if isinstance(made, stripe.PaymentIntent):
        return StripePayment(
            kind=Collect.INTENT,
            id=made.id,
            status=made.status,
            amount=made.amount,
            currency=made.currency,
            intent_id=made.id,
        )
    return StripePayment(
        kind=Collect.CHECKOUT,
        id=made.id,
        status=str(made.status),
        amount=made.amount_total or 0,
        currency=str(made.currency),
        intent_id=str(made.payment_intent) if made.payment_intent else None,
        url=made.url,
    )
