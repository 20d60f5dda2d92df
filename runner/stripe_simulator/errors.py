"""Stripe's error responses, with their HTTP status and error object.

    StripeRefusal
      CardDeclined

Source: https://docs.stripe.com/api/errors
"""

from __future__ import annotations

from typing import Any

from runner.stripe_simulator.jsons import JSON, copied


class StripeRefusal(Exception):
    """A response other than 200. ``error`` is the error object of its body."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", **facts: Any) -> None:
        super().__init__(message)
        self.status = status
        known = {name: value for name, value in facts.items() if value is not None}
        self.error: JSON = {"type": kind, "message": message, **known}
        if code := known.get("code"):
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"


class CardDeclined(StripeRefusal):
    """402: the payment was attempted and declined. The changes of the attempt are kept."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(402, message, kind="card_error", **facts)


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> StripeRefusal:
    return StripeRefusal(400, message, code=code, param=param)


def missing_param(param: str) -> StripeRefusal:
    return invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)


def missing_resource(kind: str, resource_id: str, param: str) -> StripeRefusal:
    message = f"No such {kind.replace('.', ' ')}: '{resource_id}'"
    return StripeRefusal(404, message, code="resource_missing", param=param)


def unexpected_state(message: str, intent: JSON) -> StripeRefusal:
    """The error for a request that the intent's status does not allow.

    Source: https://docs.stripe.com/error-codes#payment-intent-unexpected-state
    """
    return StripeRefusal(400, message, code="payment_intent_unexpected_state", payment_intent=copied(intent))
