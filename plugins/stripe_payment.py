"""What Stripe has for one row, a PaymentIntent or a Checkout Session, and every call that reads or changes it."""

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
from plugins.demand import Demand, way_back_to
from plugins.payment_tables import INTENT, SESSION, table_of
from plugins.stripe_parameters import creation_parameters, with_metadata
from runner.plugin import PluginContext

#: How many of the newest intents or sessions are looked through for one that was lost.
_LOOK_BACK = 300
#: How many keys Stripe's own failures may spoil before a day has to pass.
_MOST_KEYS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StripePayment:
    """``status`` is Stripe's word. An open Checkout Session is one nobody has paid on yet.

    Source: https://docs.stripe.com/payments/paymentintents/lifecycle
    """

    kind: Collect
    id: str
    status: str
    amount: int
    currency: str
    url: str | None = None

    @property
    def is_open(self) -> bool:
        """Nothing was paid: it can be changed or closed."""
        return self.status in {"open", "requires_payment_method", "requires_confirmation", "requires_action"}

    @property
    def is_held(self) -> bool:
        """Authorized, not captured: it can be closed, no longer changed."""
        return self.status == "requires_capture"

    @property
    def is_closed(self) -> bool:
        return self.status in {"canceled", "expired"}

    def meets(self, demand: Demand) -> bool:
        return (self.amount, self.currency) == (demand.amount, demand.currency)


class StripePayments:
    """Stripe's side of one row during one execution."""

    def __init__(self, context: PluginContext, row: Entity, settings: CollectionSettings) -> None:
        self._context = context
        self._row = row
        self._settings = settings
        client = context.service(stripe.StripeClient)
        self._intents = client.v1.payment_intents
        self._sessions = client.v1.checkout.sessions
        self._service: Any = self._sessions if settings.collect is Collect.CHECKOUT else self._intents

    # --- reading -------------------------------------------------------------------------------------------

    def find(self) -> StripePayment | None:
        """What the row names, if it is the row's. A session leads: the intent beside it is the session's own."""
        if session_id := self._row.get(SESSION):
            session = self._sessions.retrieve(session_id)
            return self._of_session(session) if self._is_ours(session) else None
        if intent_id := self._row.get(INTENT):
            intent = self._intents.retrieve(intent_id)
            return _payment(intent) if self._is_ours(intent) else None
        return None

    def _is_ours(self, found: stripe.PaymentIntent | stripe.checkout.Session) -> bool:
        """Not if its metadata names another row: ours is a copy of that one, or our whole environment of that one's."""
        told = _metadata(found)
        way_back = way_back_to(self._row, table_of(self._row.logical_name), self._context)
        is_ours = all(told.get(key, ours).lower() == ours.lower() for key, ours in way_back.items())
        if not is_ours:
            self._context.trace("Left {} alone, which is another row's", found.id)
        return is_ours

    def _of_session(self, session: stripe.checkout.Session) -> StripePayment:
        """Once complete, a session is done and its intent tells what became of the money."""
        if session.status != "complete" or not session.payment_intent:
            return _payment(session)
        intent = _payment(self._intents.retrieve(str(session.payment_intent)))
        # The bank refused after the customer had left the page: nobody can pay there any more.
        return replace(_payment(session), status="expired") if intent.is_open else intent

    # --- creating ------------------------------------------------------------------------------------------

    def create(self, demand: Demand, replacing: StripePayment | None = None) -> StripePayment:
        """A new intent or session; closed again if the transaction does not survive.

        The same row and demand get the same one, however often asked: until it is closed, as a rollback does.
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
        except (stripe.IdempotencyError, stripe.APIError) as error:
            if isinstance(error, stripe.APIError) and not _is_replay(error.headers):
                raise
            # The key stands for everything but the correlation id. Another call got this far before, and either its
            # row did not survive or Stripe's answer did not arrive; or Stripe failed, which it repeats for a day.
            return self._find_lost(demand) or self._create_uncorrelated(parameters, key)
        return self._as_it_is_now(made)

    def _create_uncorrelated(self, parameters: Any, key: str, turn: int = 1) -> StripePayment:
        """Without a correlation id, all calls that come this far agree: on the first key that no failure spoilt."""
        # Repeated by the SDK, Stripe's first failure under a key would look like one it repeats.
        options: Any = {"idempotency_key": f"{key}:{turn}", "max_network_retries": 0}
        try:
            return self._as_it_is_now(self._service.create(parameters, options))
        except stripe.APIError as error:
            if turn == _MOST_KEYS or not _is_replay(error.headers):
                raise
            return self._create_uncorrelated(parameters, key, turn + 1)

    def _find_lost(self, demand: Demand) -> StripePayment | None:
        """What an earlier call made for the same demand. Lists begin with the newest, and it is recent."""
        for made in islice(self._service.list({"limit": 100}).auto_paging_iter(), _LOOK_BACK):
            payment = _payment(made)
            if payment.is_open and payment.meets(demand) and demand.metadata.items() <= _metadata(made).items():
                return payment
        return None

    def _as_it_is_now(self, made: Any) -> StripePayment:
        """A replayed answer shows the object as it was when it was created."""
        return _payment(self._service.retrieve(made.id) if _is_replay(made.last_response.headers) else made)

    def _idempotency_key(self, parameters: Mapping[str, Any], attempt: str) -> str:
        """At most 255 characters, and nothing personal: texts and amounts are only in the hash.

        Source: https://docs.stripe.com/api/idempotent_requests
        """
        facts = json.dumps([parameters, attempt], sort_keys=True).encode()
        digest = hashlib.sha256(facts).hexdigest()[:32]
        row = f"{self._row.logical_name}:{self._row.id}"
        return f"{self._context.organization_id}:{row}:{self._settings.collect}:{digest}"

    # --- changing and closing ------------------------------------------------------------------------------

    def change(self, payment: StripePayment, demand: Demand) -> None:
        """Set an open intent's amount, currency and texts; set back if the transaction does not survive."""
        self._update_intent(payment.id, {"amount": demand.amount, "currency": demand.currency, **demand.texts})
        before = {"amount": payment.amount, "currency": payment.currency}
        self._context.on_rollback(partial(self._update_intent, payment.id, before))
        self._context.trace("Changed {} to {} {}", payment.id, demand.amount, demand.currency)

    def _update_intent(self, intent_id: str, parameters: Any) -> None:
        self._intents.update(intent_id, parameters)

    def close(self, payment: StripePayment) -> None:
        """Cancel the intent, or expire the session, so that nobody can pay it. Closed already is well too."""
        is_session = payment.kind is Collect.CHECKOUT
        try:
            (self._sessions.expire if is_session else self._intents.cancel)(payment.id)
        except stripe.InvalidRequestError:
            now = (self._sessions if is_session else self._intents).retrieve(payment.id)
            if not _payment(now).is_closed:
                raise
        self._context.trace("Closed {}", payment.id)


def _is_replay(headers: Mapping[str, str] | None) -> bool:
    """Whether Stripe repeats what it answered to the key's first request, be it a failure of its own.

    Source: https://docs.stripe.com/error-low-level#server-errors
    """
    return "idempotent-replayed" in {name.lower() for name in headers or ()}


def _metadata(made: stripe.PaymentIntent | stripe.checkout.Session) -> dict[str, str]:
    """Of a session Stripe may say that it has none."""
    return made.metadata.to_dict() if made.metadata else {}


def _payment(made: stripe.PaymentIntent | stripe.checkout.Session) -> StripePayment:
    if isinstance(made, stripe.PaymentIntent):
        return StripePayment(
            kind=Collect.INTENT, id=made.id, status=made.status, amount=made.amount, currency=made.currency
        )
    return StripePayment(
        kind=Collect.CHECKOUT,
        id=made.id,
        status=str(made.status),
        amount=made.amount_total or 0,
        currency=str(made.currency),
        url=made.url,
    )
