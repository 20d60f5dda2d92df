"""Creates objects as Stripe returns them: with all fields, most of them null.

Source: https://docs.stripe.com/api
"""

from __future__ import annotations

from typing import Any

from runner.stripe_simulator.account import Account
from runner.stripe_simulator.behaviours import Behaviour
from runner.stripe_simulator.jsons import JSON

#: The account's name at the beginning of a statement descriptor.
STATEMENT_PREFIX = "SIMULATOR"
BILLING_DETAILS: JSON = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}

CUSTOMER_DETAILS: JSON = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "business_name": None,
    "email": "customer@example.com",
    "individual_name": None,
    "name": None,
    "phone": None,
    "tax_exempt": "none",
    "tax_ids": [],
}

_EVIDENCE = """access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
    cancellation_rebuttal customer_communication customer_email_address customer_name customer_purchase_ip
    customer_signature duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id
    product_description receipt refund_policy refund_policy_disclosure refund_refusal_explanation service_date
    service_documentation shipping_address shipping_carrier shipping_date shipping_documentation
    shipping_tracking_number uncategorized_file uncategorized_text"""


def _new(account: Account, kind: str, prefix: str, nulls: str, **fields: Any) -> JSON:
    heading = {"id": account.ids.new(prefix), "object": kind, "created": account.now(), "livemode": False}
    return {**dict.fromkeys(nulls.split()), **heading, "metadata": {}, **fields}


def payment_intent(account: Account, amount: int, currency: str) -> JSON:
    intent = _new(
        account,
        "payment_intent",
        "pi",
        """allowed_payment_method_types application application_fee_amount automatic_payment_methods canceled_at
        cancellation_reason customer customer_account description excluded_payment_method_types last_payment_error
        latest_charge managed_payments next_action on_behalf_of payment_method payment_method_configuration_details
        processing receipt_email review setup_future_usage shipping source statement_descriptor
        statement_descriptor_suffix transfer_data transfer_group""",
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        capture_method="automatic_async",
        confirmation_method="automatic",
        currency=currency,
        payment_method_options={},
        payment_method_types=["card"],
        status="requires_payment_method",
    )
    return {**intent, "client_secret": account.ids.new(f"{intent['id']}_secret", 25)}


def payment_method(account: Account, behaviour: Behaviour) -> JSON:
    details = _card(behaviour) if behaviour.type == "card" else _bank_account(behaviour)
    return _new(
        account,
        "payment_method",
        "pm",
        "customer customer_account",
        allow_redisplay="unspecified",
        billing_details=BILLING_DETAILS,
        type=behaviour.type,
        **{behaviour.type: details},
    )


def customer(account: Account) -> JSON:
    return _new(
        account,
        "customer",
        "cus",
        "address currency customer_account default_source description discount email name phone shipping test_clock",
        balance=0,
        delinquent=False,
        invoice_prefix=account.ids.new("C", 7)[2:].upper(),
        invoice_settings=dict.fromkeys(("custom_fields", "default_payment_method", "footer", "rendering_options")),
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
    )


def charge(account: Account, intent: JSON, method: JSON) -> JSON:
    """A successful, uncaptured charge; the caller sets what differs.

    The intent's metadata and texts are copied once, and later changes of the intent do not apply.
    """
    copied = "amount currency customer description metadata receipt_email shipping statement_descriptor_suffix"
    suffix = intent["statement_descriptor_suffix"]
    return _new(
        account,
        "charge",
        "ch",
        """application application_fee application_fee_amount balance_transaction failure_balance_transaction
        failure_code failure_message on_behalf_of receipt_number receipt_url review source_transfer
        statement_descriptor transfer_data transfer_group""",
        amount_captured=0,
        amount_refunded=0,
        billing_details=method["billing_details"],
        calculated_statement_descriptor=(f"{STATEMENT_PREFIX}* {suffix}" if suffix else STATEMENT_PREFIX)[:22],
        captured=False,
        disputed=False,
        fraud_details={},
        outcome=outcome("approved_by_network", "authorized", "Payment complete."),
        paid=True,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_payment_details(method),
        refunded=False,
        status="succeeded",
        **{name: intent[name] for name in copied.split()},
    )


def outcome(network_status: str, kind: str, seller_message: str, reason: str | None = None) -> JSON:
    codes = dict.fromkeys(("advice_code", "network_advice_code", "network_decline_code"))
    return {
        **codes,
        "network_status": network_status,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": seller_message,
        "type": kind,
    }


def checkout_session(account: Account, total: int, currency: str) -> JSON:
    """An open session, on a page hosted by Stripe."""
    session = _new(
        account,
        "checkout.session",
        "cs_test",
        """adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types
        billing_address_collection cancel_url client_reference_id client_secret collected_information consent
        consent_collection currency_conversion customer customer_account customer_creation customer_details
        customer_email integration_identifier invoice invoice_creation locale
        managed_payments origin_context payment_intent payment_link payment_method_configuration_details
        permissions recovered_from saved_payment_method_options setup_intent
        shipping_address_collection shipping_cost submit_type subscription success_url wallet_options""",
        amount_subtotal=total,
        amount_total=total,
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        currency=currency,
        custom_fields=[],
        custom_text=dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        discounts=[],
        mode="payment",
        payment_method_collection="if_required",
        payment_method_options={},
        payment_method_types=["card"],
        payment_status="unpaid",
        phone_number_collection={"enabled": False},
        shipping_options=[],
        status="open",
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        ui_mode="hosted_page",
    )
    return {**session, "url": f"https://checkout.stripe.com/c/pay/{session['id']}"}


def line_item(account: Account, given: JSON) -> JSON:
    currency, unit_amount = given["price_data"]["currency"].lower(), given["price_data"]["unit_amount"]
    total = unit_amount * given["quantity"]
    return {
        "id": account.ids.new("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "created": account.now(),
        "currency": currency,
        "description": given["price_data"]["product_data"]["name"],
        "metadata": given.get("metadata", {}),
        "price": _price(account, currency, unit_amount),
        "quantity": given["quantity"],
    }


def webhook_endpoint(account: Account) -> JSON:
    return _new(account, "webhook_endpoint", "we", "api_version application description", status="enabled")


def refund(account: Account, charge: JSON, amount: int) -> JSON:
    new = _new(
        account,
        "refund",
        "re",
        """balance_transaction customer customer_account payment_method reason receipt_number
        source_transfer_reversal transfer_reversal""",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        status="succeeded",
    )
    if charge["payment_method_details"]["type"] == "card":
        new["destination_details"] = {"type": "card", "card": {"type": "refund"}}
    return new


def dispute(account: Account, charge: JSON, reason: str, status: str) -> JSON:
    inquiry = status.startswith("warning_")
    new = _new(
        account,
        "dispute",
        "du",
        "",
        amount=charge["amount"],
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence={**dict.fromkeys(_EVIDENCE.split()), "enhanced_evidence": {}},
        evidence_details={
            "due_by": account.now() + 9 * 24 * 3600,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=inquiry,
        payment_intent=charge["payment_intent"],
        reason=reason,
        status=status,
    )
    if card := charge["payment_method_details"].get("card"):
        case = {"brand": card["brand"], "case_type": "inquiry" if inquiry else "chargeback"}
        new["payment_method_details"] = {
            "type": "card",
            "card": {**case, "network": card["network"], "network_reason_code": "10.4"},
        }
    return new


def balance_transaction(account: Account, source: JSON, kind: str, amount: int) -> JSON:
    """A balance transaction of a charge, refund or dispute, with US card pricing: 2.9 % and 30 minor units."""
    fee = (amount * 29 + 500) // 1000 + 30 if kind == "charge" else 0
    fee_details = {"amount": fee, "currency": source["currency"], "type": "stripe_fee", "application": None}
    new = _new(
        account,
        "balance_transaction",
        "txn",
        "exchange_rate",
        amount=amount,
        available_on=account.now(),
        balance_type="payments",
        currency=source["currency"],
        description=source.get("description"),
        fee=fee,
        fee_details=[{**fee_details, "description": "Stripe processing fees"}] if fee else [],
        net=amount - fee,
        reporting_category=kind,
        source=source["id"],
        status="available",
        type=kind,
    )
    return {name: value for name, value in new.items() if name not in ("livemode", "metadata")}


def _price(account: Account, currency: str, unit_amount: int) -> JSON:
    return _new(
        account,
        "price",
        "price",
        "custom_unit_amount lookup_key nickname recurring tiers_mode transform_quantity",
        active=False,
        billing_scheme="per_unit",
        currency=currency,
        product=account.ids.new("prod", 14),
        tax_behavior="unspecified",
        type="one_time",
        unit_amount=unit_amount,
        unit_amount_decimal=str(unit_amount),
    )


def _card(behaviour: Behaviour) -> JSON:
    return {
        "brand": behaviour.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": behaviour.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"simulated{behaviour.brand}{behaviour.last4}",
        "funding": "credit",
        "generated_from": None,
        "last4": behaviour.last4,
        "networks": {"available": [behaviour.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_account(behaviour: Behaviour) -> JSON:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": f"simulatedbank{behaviour.last4}",
        "last4": behaviour.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


_CHARGED_CARD = "brand checks country exp_month exp_year fingerprint funding last4 regulated_status wallet"
_CHARGED_BANK = "account_holder_type account_type bank_name fingerprint last4 routing_number"


def _payment_details(method: JSON) -> JSON:
    kind = method["type"]
    shown = {name: method[kind][name] for name in (_CHARGED_CARD if kind == "card" else _CHARGED_BANK).split()}
    if kind == "card":
        shown |= {"installments": None, "mandate": None, "network": shown["brand"], "three_d_secure": None}
    return {"type": kind, kind: shown}
