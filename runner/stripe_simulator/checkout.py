"""The endpoints of Checkout Sessions. A session creates its intent when the customer pays, not before.

Source: https://docs.stripe.com/api/checkout/sessions
"""

from __future__ import annotations

from datetime import timedelta

from runner.stripe_simulator import objects, payment_intents
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid, missing_param
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.limits import check_amount, check_metadata, check_texts, merge_metadata
from runner.stripe_simulator.listing import page

LONGEST = int(timedelta(hours=24).total_seconds())
SHORTEST = int(timedelta(minutes=30).total_seconds())
REFERENCE_LENGTH = 200
_COMPLETING = ("succeeded", "processing", "requires_capture")
#: They would change the amount, so they are refused rather than ignored.
_NOT_SIMULATED = ("discounts", "optional_items", "shipping_options", "subscription_data", "setup_intent_data")
#: Parameters with code of their own. The others are copied to the session's field of the same name.
_WRITTEN_SEPARATELY = {"automatic_tax", "customer", "expires_at", "line_items", "metadata"}


def check_create(params: JSON) -> None:
    for name in ("mode", "line_items"):
        if not params.get(name):
            raise missing_param(name)
    _refuse_what_is_not_simulated(params)
    if params.get("ui_mode", "hosted_page") == "hosted_page" and "success_url" not in params:
        raise missing_param("success_url")
    if len(params.get("client_reference_id", "")) > REFERENCE_LENGTH:
        message = f"Invalid string: client_reference_id can have up to {REFERENCE_LENGTH} characters."
        raise invalid(message, param="client_reference_id")
    check_metadata(params.get("metadata"))
    check_texts(params.get("payment_intent_data", {}))
    _check_total(params["line_items"])


def create(account: Account, params: JSON) -> JSON:
    expires_at = params.get("expires_at", account.now() + LONGEST)
    if not SHORTEST <= expires_at - account.now() <= LONGEST:
        message = "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from creation."
        raise invalid(message, param="expires_at")
    items = [objects.line_item(account, item) for item in params["line_items"]]
    session = objects.checkout_session(account, sum(item["amount_total"] for item in items), items[0]["currency"])
    session |= {name: params[name] for name in (params.keys() & session.keys()) - _WRITTEN_SEPARATELY}
    session["expires_at"] = expires_at
    session["metadata"] = merge_metadata({}, params.get("metadata"))
    if customer := params.get("customer"):
        session["customer"] = account.find("customer", customer, "customer")["id"]
    data = params.get("payment_intent_data", {})
    account.hidden(session["id"]).update(payment_intent_data=data, line_items=items[::-1])
    account.set_deadline(expires_at, session)
    return account.add(session)


def check_update(params: JSON) -> None:
    for name in params.keys() - {"metadata", "payment_intent_data", "expand"}:
        raise invalid(f"The simulator does not simulate updating {name}.", param=name)
    check_metadata(params.get("metadata"))
    check_texts(params.get("payment_intent_data", {}))


def update(account: Account, params: JSON, session_id: str) -> JSON:
    session = account.find("checkout.session", session_id, "session")
    session["metadata"] = merge_metadata(session["metadata"], params.get("metadata"))
    if data := params.get("payment_intent_data"):
        require_open(session, "updated")
        account.hidden(session_id)["payment_intent_data"].update(data)
    return session


def line_items(account: Account, params: JSON, session_id: str) -> JSON:
    account.find("checkout.session", session_id, "session")
    return page(account.hidden(session_id)["line_items"], params, f"/v1/checkout/sessions/{session_id}/line_items")


def expire(account: Account, params: JSON, session_id: str) -> JSON:
    session = account.find("checkout.session", session_id, "session")
    require_open(session, "expired")
    session |= {"status": "expired", "url": None}
    if intent_id := session["payment_intent"]:
        payment_intents.close(account, account.find("payment_intent", intent_id), "expired")
    account.emit("checkout.session.expired", session)
    return session


def pay(account: Account, session: JSON, method_name: str) -> None:
    """Pay as a customer on the page.

    Raises:
      CardDeclined: the payment was declined; the session stays open for another attempt.
    """
    require_open(session, "paid")
    if session["amount_total"] == 0:
        _complete(account, session, "no_payment_required")
        return
    intent = _intent_of(account, session)
    payment_intents.pay(account, intent, method_name)
    complete_session_of(account, intent)


def complete_session_of(account: Account, intent: JSON) -> None:
    """Complete the session of ``intent``, if it has one and the intent's new status completes it."""
    session = _session_of(account, intent)
    if session and session["status"] == "open" and intent["status"] in _COMPLETING:
        _complete(account, session, "paid" if intent["status"] == "succeeded" else "unpaid")


def settle(account: Account, intent: JSON) -> None:
    """Apply the bank's response to a session that was completed unpaid."""
    session = _session_of(account, intent)
    if session is None:
        return
    succeeded = intent["status"] == "succeeded"
    session["payment_status"] = "paid" if succeeded else "unpaid"
    account.emit(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)


def require_open(session: JSON, done: str) -> None:
    if session["status"] != "open":
        raise invalid(
            f"Only Checkout Sessions with a status in ['open'] can be {done}. "
            f"This Checkout Session has a status of {session['status']}."
        )


def _session_of(account: Account, intent: JSON) -> JSON | None:
    session_id = account.hidden(intent["id"]).get("session")
    return account.find("checkout.session", session_id) if session_id else None


def _complete(account: Account, session: JSON, payment_status: str) -> None:
    details = copied(objects.CUSTOMER_DETAILS)
    details["email"] = session["customer_email"] or details["email"]
    session |= {"status": "complete", "payment_status": payment_status, "url": None, "customer_details": details}
    account.emit("checkout.session.completed", session)


def _intent_of(account: Account, session: JSON) -> JSON:
    """Create the intent. It gets ``payment_intent_data``, but not the session's own metadata."""
    if session["payment_intent"]:
        return account.find("payment_intent", session["payment_intent"])
    given = {"amount": session["amount_total"], "currency": session["currency"]}
    if session["customer"]:
        given["customer"] = session["customer"]
    intent = payment_intents.create(account, account.hidden(session["id"])["payment_intent_data"] | given)
    session["payment_intent"] = intent["id"]
    account.hidden(intent["id"])["session"] = session["id"]
    return intent


def _refuse_what_is_not_simulated(params: JSON) -> None:
    refused = [name for name in _NOT_SIMULATED if params.get(name)]
    if params["mode"] != "payment":
        refused.append("mode")
    if params.get("automatic_tax", {}).get("enabled"):
        refused.append("automatic_tax")
    if refused:
        raise invalid(f"The simulator does not simulate this value of {refused[0]}.", param=refused[0])


def _check_total(items: list[JSON]) -> None:
    for position, item in enumerate(items):
        _check_item(item, f"line_items[{position}]")
    if len({item["price_data"]["currency"].lower() for item in items}) > 1:
        raise invalid("All line items must have the same currency.", param="line_items")
    if total := sum(item["price_data"]["unit_amount"] * item["quantity"] for item in items):
        check_amount(total, items[0]["price_data"]["currency"])


def _check_item(item: JSON, path: str) -> None:
    if "price_data" not in item:
        raise invalid(f"The simulator has no stored prices. Use {path}[price_data].", param=f"{path}[price]")
    if item.get("quantity", 0) < 1:
        raise invalid(f"Quantity is required. Add `quantity` to `{path}`", param=f"{path}[quantity]")
    if item.get("tax_rates"):
        raise invalid("The simulator does not simulate tax rates.", param=f"{path}[tax_rates]")
    for name in ("unit_amount", "product_data"):
        if name not in item["price_data"]:
            raise missing_param(f"{path}[price_data][{name}]")
    if item["price_data"]["unit_amount"] < 0:
        message = "This value must be greater than or equal to 0."
        raise invalid(message, code="parameter_invalid_integer", param=f"{path}[price_data][unit_amount]")
