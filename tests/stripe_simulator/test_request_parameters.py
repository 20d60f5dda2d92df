"""Parameters are refused as Stripe refuses them, and what is refused changes nothing."""

from __future__ import annotations

import pytest
import stripe

VALID = {"amount": 1999, "currency": "usd"}


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        (
            {"automatic_payment_methods": {"enabled": True, "always": 1}},
            "parameter_unknown",
            "automatic_payment_methods[always]",
        ),
        ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported", "payment_method_types"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"amount": "19.99"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 10**12}, "amount_too_large", "amount"),
        ({"amount": 5124, "currency": "kwd"}, None, "amount"),
        ({"amount": 29, "currency": "gbp"}, "amount_too_small", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"confirm": "perhaps"}, None, "confirm"),
        ({"shipping": "home"}, None, "shipping"),
        ({"shipping": {"name": "A"}}, "parameter_missing", "shipping[address]"),
        ({"description": {"a": "b"}}, None, "description"),
        ({"description": "x" * 1001}, None, "description"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {str(n): "v" for n in range(51)}}, None, "metadata"),
        ({"statement_descriptor_suffix": "x" * 23}, None, "statement_descriptor_suffix"),
        ({"statement_descriptor_suffix": "ORDER*1"}, None, "statement_descriptor_suffix"),
        ({"statement_descriptor_suffix": "2026"}, None, "statement_descriptor_suffix"),
        ({"off_session": True}, None, "off_session"),
        ({"expand": ["amount"]}, None, "expand"),
        ({"customer": "cus_missing"}, "resource_missing", "customer"),
        ({"payment_method": "pm_missing"}, "resource_missing", "payment_method"),
    ],
)
def test_what_stripe_refuses_is_refused_by_name(simulator, intents, changes, code, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.create({**VALID, **changes})

    assert (refused.value.code, refused.value.param) == (code, param)
    assert not simulator.payment_intents
    assert not simulator.events


def test_a_refusal_carries_what_support_asks_for(intents):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.retrieve("pi_missing")

    assert refused.value.http_status == 404
    assert refused.value.request_id.startswith("req_")
    assert refused.value.request_id in refused.value.error.request_log_url
    assert refused.value.error.doc_url.endswith("/resource-missing")


def test_a_refused_update_changes_nothing(intents):
    intent = intents.create(VALID)

    with pytest.raises(stripe.InvalidRequestError):
        intents.update(intent.id, {"description": "half", "amount": 10})
    assert intents.retrieve(intent.id).description is None


def test_numbers_booleans_and_lists_arrive_as_such(intents):
    intent = intents.create({**VALID, "excluded_payment_method_types": ["us_bank_account", "klarna"]})

    assert intent.amount == 1999
    assert intent.payment_method_types == ["card"]


def test_confirming_without_a_return_url_needs_redirects_ruled_out(simulator, intents):
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        intents.create({**VALID, "payment_method": "pm_card_visa", "confirm": True})
    assert not simulator.payment_intents


def test_an_intent_for_cards_alone_needs_no_return_url(intents):
    params = {**VALID, "payment_method": "pm_card_visa", "confirm": True, "allowed_payment_method_types": ["card"]}

    assert intents.create(params).status == "succeeded"


def test_a_method_of_another_type_is_refused(intents):
    params = {**VALID, "payment_method": "pm_usBankAccount_success", "allowed_payment_method_types": ["card"]}

    with pytest.raises(stripe.InvalidRequestError, match="not allowed for this PaymentIntent"):
        intents.create(params)


def test_a_card_statement_shows_the_suffix_after_the_account(charge_with):
    intent = charge_with(statement_descriptor_suffix="ORDER 7", expand=["latest_charge"])

    assert intent.latest_charge.calculated_statement_descriptor == "SIMULATOR* ORDER 7"


def test_a_card_payment_takes_no_whole_statement_descriptor(charge_with):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        charge_with(statement_descriptor="SHOP")
    assert refused.value.param == "statement_descriptor"


def test_a_used_method_without_customer_is_spent(intents, charge_with):
    used = charge_with().payment_method

    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        intents.create({**VALID, "payment_method": used})


def test_a_method_saved_with_its_customer_pays_again(client, charge_with):
    customer = client.v1.customers.create({"email": "anna@example.com"})
    first = charge_with(customer=customer.id, setup_future_usage="off_session")

    again = charge_with(first.payment_method, customer=customer.id, off_session=True)
    assert again.status == "succeeded"


@pytest.mark.parametrize("key", ["sk_test_other", "sk_live_secret", "rk_live_secret"])
def test_other_keys_are_refused_and_not_repeated(simulator, key):
    client = stripe.StripeClient(key, http_client=simulator.http_client())

    with pytest.raises(stripe.AuthenticationError) as refused:
        client.v1.payment_intents.create(VALID)
    assert key not in str(refused.value)


def test_an_endpoint_stripe_does_not_have_is_not_found(client):
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.raw_request("get", "/v1/nothing")


@pytest.mark.parametrize("name", ["metadata[a", "amount[b][c]"])
def test_a_name_that_cannot_be_read_is_refused(simulator, name):
    body, status, _ = simulator.http_client().request(
        "post",
        "https://api.stripe.com/v1/payment_intents",
        {"Authorization": f"Bearer {simulator.api_key}"},
        f"amount=1&amount[b]=2&{name}=x",
    )

    assert status == 400
    assert "invalid_request_error" in body


def test_another_account_is_out_of_reach(intents):
    with pytest.raises(stripe.PermissionError):
        intents.create(VALID, {"stripe_account": "acct_other"})


def test_a_bank_account_can_be_described_with_the_payment(intents):
    account = {"type": "us_bank_account", "us_bank_account": {"account_number": "000123456789"}}
    methods = {"enabled": True, "allow_redirects": "never"}
    params = {**VALID, "payment_method_data": account, "confirm": True, "automatic_payment_methods": methods}

    assert intents.create(params).status == "processing"


def test_a_card_is_made_from_its_token_and_never_from_its_number(client, charge_with):
    card = {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Anna"}}
    method = client.v1.payment_methods.create(card)

    assert method.billing_details.name == "Anna"
    assert charge_with(method.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="pm_card_visa"):
        client.v1.payment_methods.create({"type": "card", "card": {"number": "4242424242424242"}})
