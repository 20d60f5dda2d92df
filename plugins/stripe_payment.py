"""What Stripe has for one row, a PaymentIntent or a Checkout Session, and every call that reads or changes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import stripe

from dataverse_client.types import Entity
from plugins.configuration import Collect, CollectionSettings
from plugins.demand import Demand
from plugins.payment_tables import INTENT, SESSION
from runner.plugin import PluginContext

_LONGEST_PRODUCT_NAME = 250


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

    def __init__(self, context: PluginContext, row_id: str, settings: CollectionSettings) -> None:
        self._context = context
        self._row_id = row_id
        self._settings = settings
        client = context.service(stripe.StripeClient)
        self._intents = client.v1.payment_intents
        self._sessions = client.v1.checkout.sessions

    # --- reading -------------------------------------------------------------------------------------------

    def find(self, row: Entity) -> StripePayment | None:
        """What the row names. A session leads: the intent beside it is the session's own."""
        if session_id := row.get(SESSION):
            return self._read_session(session_id)
        if intent_id := row.get(INTENT):
            return _of_intent(self._intents.retrieve(intent_id))
        return None

    def _read_session(self, session_id: str) -> StripePayment:
        """Once complete, a session is done and its intent tells what became of the money."""
        session = self._sessions.retrieve(session_id)
        if session.status == "complete" and session.payment_intent:
            return _of_intent(self._intents.retrieve(str(session.payment_intent)))
        return _of_session(session)

    # --- creating ------------------------------------------------------------------------------------------

    def create(self, demand: Demand, replacing: StripePayment | None = None) -> StripePayment:
        """A new intent or session; closed again if the transaction does not survive.

        The same row and demand get the same one, however often asked: until it is closed, as a rollback does.
        """
        attempt = replacing.id if replacing else ""
        if self._settings.collect is Collect.CHECKOUT:
            made = _of_session(self._create_once(self._sessions.create, self._session_parameters(demand), attempt))
        else:
            made = _of_intent(self._create_once(self._intents.create, self._intent_parameters(demand), attempt))
        if made.is_closed:
            return self.create(demand, replacing=made)
        self._context.on_rollback(partial(self.close, made))
        self._context.trace("Created {} for {} {}", made.id, demand.amount, demand.currency)
        return made

    def _create_once(self, create: Callable[..., Any], parameters: dict[str, Any], attempt: str) -> Any:
        key = self._idempotency_key(parameters, attempt)
        correlated = {"CRM_CorrelationId": self._context.correlation_id, **parameters["metadata"]}
        try:
            made = create(_with_metadata(parameters, correlated), {"idempotency_key": key})
        except stripe.IdempotencyError:
            # The key stands for everything but the correlation id: another call got this far before, and its row
            # did not survive. Without a correlation id, all that come after it agree.
            made = create(parameters, {"idempotency_key": f"{key}:again"})
        return self._as_it_is_now(made)

    def _as_it_is_now(self, made: Any) -> Any:
        """A replayed answer shows the object as it was when it was created."""
        if "idempotent-replayed" not in {name.lower() for name in made.last_response.headers}:
            return made
        service = self._sessions if made.object == "checkout.session" else self._intents
        return service.retrieve(made.id)

    def _idempotency_key(self, parameters: Mapping[str, Any], attempt: str) -> str:
        """At most 255 characters, and nothing personal: texts and amounts are only in the hash.

        Source: https://docs.stripe.com/api/idempotent_requests
        """
        facts = json.dumps([parameters, attempt], sort_keys=True).encode()
        table = parameters["metadata"]["CRM_Table"]
        digest = hashlib.sha256(facts).hexdigest()[:32]
        return f"{self._context.organization_id}:{table}:{self._row_id}:{self._settings.collect}:{digest}"

    def _intent_parameters(self, demand: Demand) -> dict[str, Any]:
        methods: dict[str, Any] = {"automatic_payment_methods": {"enabled": True}}
        return {
            "amount": demand.amount,
            "currency": demand.currency,
            "metadata": dict(demand.metadata),
            **demand.texts,
            **self._capture(),
            **(self._allowed_methods() or methods),
        }

    def _session_parameters(self, demand: Demand) -> dict[str, Any]:
        """The metadata goes to the intent too: Checkout does not copy it there."""
        product = {"name": (demand.description or "Payment")[:_LONGEST_PRODUCT_NAME]}
        price = {"currency": demand.currency, "unit_amount": demand.amount, "product_data": product}
        pages = {"success_url": self._settings.success_url, "cancel_url": self._settings.cancel_url}
        return {
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": price}],
            "payment_intent_data": {"metadata": dict(demand.metadata), **demand.texts, **self._capture()},
            "metadata": dict(demand.metadata),
            "client_reference_id": self._row_id,
            **{name: page for name, page in pages.items() if page},
            **({"customer_email": demand.receipt_email} if demand.receipt_email else {}),
            **self._allowed_methods(),
        }

    def _capture(self) -> dict[str, Any]:
        method = self._settings.capture_method
        return {"capture_method": method.value} if method else {}

    def _allowed_methods(self) -> dict[str, Any]:
        allowed = self._settings.allowed_payment_method_types
        return {"allowed_payment_method_types": list(allowed)} if allowed else {}

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
        try:
            if payment.kind is Collect.CHECKOUT:
                self._sessions.expire(payment.id)
            else:
                self._intents.cancel(payment.id)
        except stripe.InvalidRequestError:
            if not self._read_again(payment).is_closed:
                raise
        self._context.trace("Closed {}", payment.id)

    def _read_again(self, payment: StripePayment) -> StripePayment:
        if payment.kind is Collect.CHECKOUT:
            return _of_session(self._sessions.retrieve(payment.id))
        return _of_intent(self._intents.retrieve(payment.id))


def _of_intent(intent: stripe.PaymentIntent) -> StripePayment:
    return StripePayment(
        kind=Collect.INTENT, id=intent.id, status=intent.status, amount=intent.amount, currency=intent.currency
    )


def _of_session(session: stripe.checkout.Session) -> StripePayment:
    return StripePayment(
        kind=Collect.CHECKOUT,
        id=session.id,
        status=str(session.status),
        amount=session.amount_total or 0,
        currency=str(session.currency),
        url=session.url,
    )


def _with_metadata(parameters: dict[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    marked = {**parameters, "metadata": metadata}
    if "payment_intent_data" in parameters:
        marked["payment_intent_data"] = {**parameters["payment_intent_data"], "metadata": metadata}
    return marked
