"""Turns Stripe's errors into messages for the user who saves the row; the request id goes to the trace.

The content of requests is never traced: parameters can hold an e-mail address, answers a client secret.

Source: https://docs.stripe.com/error-low-level
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import stripe

from runner.plugin import InvalidPluginExecutionException, OperationStatus, PluginContext

_BUSY = "Stripe cannot be reached at the moment. Nothing was charged. Save again in a minute."
_KEY = "Stripe does not accept the key of this environment. Ask your administrator to check STRIPE_SECRET_KEY."
_WORDS: Mapping[str, str] = {
    "amount_too_small": "The amount is too little for Stripe to charge. Raise it.",
    "amount_too_large": "The amount is too much for Stripe to charge in one payment. Split it.",
    "email_invalid": "The e-mail address for the receipt is not a valid one. Correct it.",
    "livemode_mismatch": _KEY,
    "payment_intent_unexpected_state": (
        "Stripe has moved on with this payment meanwhile, so it can no longer be changed. "
        "Open the row again to see its status."
    ),
    "resource_missing": (
        "Stripe does not know this payment any more. It may belong to another Stripe account, "
        "or to test mode. Ask your administrator to check STRIPE_SECRET_KEY."
    ),
}
#: Stripe was busy with the same object. Nothing was done, and a later attempt can succeed.
_TRANSIENT_CODES = frozenset({"idempotency_key_in_use", "lock_timeout", "rate_limit"})


@contextmanager
def stripe_errors_as_refusals(context: PluginContext) -> Iterator[None]:
    """Inside the block a ``StripeError`` refuses the operation, with a message for the user.

    Raises:
      InvalidPluginExecutionException: with status RETRY when the same call can succeed later.
    """
    try:
        yield
    except stripe.StripeError as error:
        code = code_of(error)
        context.trace("Stripe refused: {}", _facts(error, code))
        status = OperationStatus.RETRY if _is_transient(error, code) else OperationStatus.FAILED
        # Not chained: Stripe's own message can quote what was sent.
        raise InvalidPluginExecutionException(_words(error, code), status=status) from None


def _facts(error: stripe.StripeError, code: str | None) -> str:
    """What the administrator needs. When Stripe never answered, only the class of the error is known."""
    status = f"HTTP {error.http_status}" if error.http_status else None
    request = f"request {error.request_id}" if error.request_id else None
    return ", ".join(fact for fact in (type(error).__name__, code, status, request) if fact)


def code_of(error: stripe.StripeError) -> str | None:
    """The error's code, which the SDK keeps in either of two places."""
    return error.code or getattr(error.error, "code", None)


def _is_transient(error: stripe.StripeError, code: str | None) -> bool:
    if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError) or code in _TRANSIENT_CODES:
        return True
    return isinstance(error, stripe.APIError) and (error.http_status or 500) >= 500


def _words(error: stripe.StripeError, code: str | None) -> str:
    if _is_transient(error, code):
        return _BUSY
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return _KEY
    if words := _WORDS.get(code or ""):
        return words
    parameter = getattr(error, "param", None)
    about = f" because of {parameter}" if parameter else ""
    return f"Stripe refused the payment{about}. Give your administrator the request id {error.request_id}."
