"""The endpoints of PaymentIntents, one function each; ``params`` have been checked.

Source: https://docs.stripe.com/api/payment_intents
"""

from __future__ import annotations

from runner.stripe_simulator import attempts, charges, objects, payment_methods
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid, unexpected_state
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.limits import check_amount, check_texts, merge_metadata

UPDATABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
_ONLY_WHEN_CONFIRMING = ("error_on_requires_action", "mandate", "mandate_data", "off_session", "return_url")
_ALWAYS_WRITABLE = {"description", "expand", "metadata"}
#: Parameters with code of their own. The others are copied to the intent's field of the same name.
_WRITTEN_SEPARATELY = {"amount", "currency", "customer", "metadata", "payment_method"}


def check_create(params: JSON) -> None:
    check_amount(params["amount"], params["currency"])
    check_texts(params)
    for name in _ONLY_WHEN_CONFIRMING:
        if name in params and not params.get("confirm"):
            raise invalid(f"The parameter `{name}` cannot be passed unless `confirm` is set to true.", param=name)


def create(account: Account, params: JSON) -> JSON:
    """Create an intent. It exists even if ``confirm`` is declined, but not if a parameter is refused."""
    intent = objects.payment_intent(account, params["amount"], params["currency"].lower())
    intent["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    _write(account, intent, params)
    if params.get("confirm"):
        _require_confirmable(intent, params)
    account.add(intent)
    account.emit("payment_intent.created", intent)
    if params.get("confirm"):
        _attempt(account, intent, params)
    return intent


def update(account: Account, params: JSON, intent_id: str) -> JSON:
    """Update an intent. That clears ``last_payment_error``; a new amount or method must be confirmed again."""
    intent = account.find("payment_intent", intent_id, "intent")
    for name in params:
        if name not in _ALWAYS_WRITABLE and intent["status"] not in UPDATABLE:
            raise _not_updatable(intent, name)
    draft = copied(intent)
    _write(account, draft, params)
    intent |= draft | {"last_payment_error": None}
    return intent


def confirm(account: Account, params: JSON, intent_id: str) -> JSON:
    intent = account.find("payment_intent", intent_id, "intent")
    _forbid_checkout(account, intent, "confirm")
    draft = copied(intent)
    if intent["status"] in UPDATABLE:
        _write(account, draft, params)
    _require_confirmable(draft, params)
    intent |= draft
    _attempt(account, intent, params)
    return intent


def cancel(account: Account, params: JSON, intent_id: str) -> JSON:
    intent = account.find("payment_intent", intent_id, "intent")
    if intent["status"] != "requires_capture":
        _forbid_checkout(account, intent, "cancel")
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(_refusal("You cannot cancel this PaymentIntent", intent, "canceled", CANCELABLE), intent)
    close(account, intent, params.get("cancellation_reason"))
    return intent


def capture(account: Account, params: JSON, intent_id: str) -> JSON:
    intent = account.find("payment_intent", intent_id, "intent")
    if intent["status"] != "requires_capture":
        begin = "This PaymentIntent could not be captured"
        raise unexpected_state(_refusal(begin, intent, "captured", ("requires_capture",)), intent)
    capturable: int = intent["amount_capturable"]
    amount: int = params.get("amount_to_capture", capturable)
    if not 0 < amount <= capturable:
        message = f"The amount to capture must be between 1 and the {capturable} that can be captured."
        raise invalid(message, param="amount_to_capture")
    intent["metadata"] = merge_metadata(intent["metadata"], params.get("metadata"))
    attempts.receive(account, intent, account.find("charge", intent["latest_charge"]), amount, "charge.captured")
    if session_id := account.hidden(intent_id).get("session"):
        account.find("checkout.session", session_id)["payment_status"] = "paid"
    return intent


def close(account: Account, intent: JSON, reason: str | None) -> None:
    """Cancel an intent, and release an authorized amount."""
    held = intent["status"] == "requires_capture"
    closed = {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": reason}
    intent |= closed | {"amount_capturable": 0, "next_action": None}
    if held:
        charges.release(account, account.find("charge", intent["latest_charge"]))
    account.emit("payment_intent.canceled", intent)


def expire_authorization(account: Account, intent: JSON) -> None:
    """Cancel an intent that was not captured in time.

    Source: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
    """
    account.emit("charge.expired", account.find("charge", intent["latest_charge"]))
    close(account, intent, "automatic")


def pay(account: Account, intent: JSON, method_name: str) -> None:
    """Confirm as a customer, in a browser that can be redirected.

    Raises:
      CardDeclined: the payment was declined.
      StripeRefusal: the intent's status does not allow a payment.
    """
    draft = copied(intent)
    _choose_method(account, draft, payment_methods.resolve(account, method_name))
    _require_confirmable(draft, {"return_url": "https://example.com/return"})
    intent |= draft
    attempts.attempt(account, intent, on_session=True, return_url="https://example.com/return")


def _attempt(account: Account, intent: JSON, params: JSON) -> None:
    on_session = not (params.get("off_session") or params.get("error_on_requires_action"))
    attempts.attempt(account, intent, on_session=on_session, return_url=params.get("return_url"))


def _write(account: Account, intent: JSON, params: JSON) -> None:
    """Copy parameters to an intent. The caller passes a copy of it, because this may raise half-way."""
    as_it_is = (params.keys() & intent.keys()) - _WRITTEN_SEPARATELY
    intent |= {name: None if params[name] == "" else params[name] for name in as_it_is}
    intent["metadata"] = merge_metadata(intent["metadata"], params.get("metadata"))
    if "customer" in params:
        intent["customer"] = account.find("customer", params["customer"], "customer")["id"]
    _write_method_types(intent)
    _write_amount(intent, params)
    if data := params.get("payment_method_data"):
        _choose_method(account, intent, payment_methods.from_data(account, data))
    elif name := params.get("payment_method"):
        _choose_method(account, intent, payment_methods.resolve(account, name))


def _write_amount(intent: JSON, params: JSON) -> None:
    changed: JSON = {name: params[name] for name in ("amount", "currency") if name in params}
    if not changed:
        return
    intent |= changed
    intent["currency"] = intent["currency"].lower()
    check_amount(intent["amount"], intent["currency"])
    if intent["status"] == "requires_action":
        intent |= {"status": "requires_confirmation", "next_action": None}


def _write_method_types(intent: JSON) -> None:
    usual = ["card", "us_bank_account"] if intent["currency"] == "usd" else ["card"]
    allowed = intent["allowed_payment_method_types"] or usual
    excluded = intent["excluded_payment_method_types"] or []
    intent["payment_method_types"] = [kind for kind in allowed if kind not in excluded]


def _choose_method(account: Account, intent: JSON, method: JSON) -> None:
    restricted = intent["allowed_payment_method_types"] or intent["excluded_payment_method_types"]
    if restricted and method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(intent['payment_method_types'])}",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
    if account.hidden(method["id"]).get("spent") and method["id"] != intent["payment_method"]:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment. It may "
            "not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )
    intent["payment_method"] = method["id"]
    if intent["status"] in UPDATABLE:
        intent |= {"status": "requires_confirmation", "next_action": None}


def _require_confirmable(intent: JSON, params: JSON) -> None:
    if intent["status"] == "succeeded":
        message = "You cannot confirm this PaymentIntent because it has already succeeded after being confirmed."
        raise unexpected_state(message, intent)
    if intent["status"] not in UPDATABLE:
        raise unexpected_state(
            _refusal("You cannot confirm this PaymentIntent", intent, "confirmed", UPDATABLE), intent
        )
    if intent["payment_method"] is None:
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            intent,
        )
    if _may_redirect(intent) and not params.get("return_url"):
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never`."
        )
    if intent["statement_descriptor"]:
        message = "For card charges `statement_descriptor` is not supported: use `statement_descriptor_suffix`."
        raise invalid(message, param="statement_descriptor")


def _may_redirect(intent: JSON) -> bool:
    """Whether redirects are allowed and some allowed payment method may redirect."""
    automatic = intent["automatic_payment_methods"] or {}
    never_redirect = {"card", "us_bank_account"}
    if intent["allowed_payment_method_types"] and never_redirect.issuperset(intent["payment_method_types"]):
        return False
    return bool(automatic.get("enabled")) and automatic.get("allow_redirects", "always") == "always"


def _forbid_checkout(account: Account, intent: JSON, verb: str) -> None:
    if account.hidden(intent["id"]).get("session"):
        message = (
            f"You cannot {verb} this PaymentIntent because it was created by Checkout. Expire the session instead."
        )
        raise unexpected_state(message, intent)


def _not_updatable(intent: JSON, name: str) -> Exception:
    message = (
        f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}. You may only "
        f"update the {name} of a PaymentIntent with one of the following statuses: {', '.join(UPDATABLE)}."
    )
    return unexpected_state(message, intent)


def _refusal(begin: str, intent: JSON, done: str, statuses: tuple[str, ...]) -> str:
    return (
        f"{begin} because it has a status of {intent['status']}. Only a PaymentIntent with one of the following "
        f"statuses may be {done}: {', '.join(statuses)}."
    )
