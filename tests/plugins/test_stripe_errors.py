"""Stripe's errors as a clerk reads them, and what the administrator finds in the trace."""

from __future__ import annotations

import pytest
import stripe

from runner.emulator.plugin_faults import IsvAborted
from runner.plugin import OperationStatus


@pytest.mark.parametrize(
    "fault",
    ["connection_reset_before", "rate_limited", "lock_timeout", "key_in_use", "server_error", "unavailable"],
)
def test_what_passes_is_to_be_tried_again(shop, fault) -> None:
    shop.stripe.fail_next(fault)
    with pytest.raises(IsvAborted, match="Save again in a minute") as refused:
        shop.create_payment()
    assert refused.value.operation_status is OperationStatus.RETRY
    assert shop.live_intents() == []


def test_a_wrong_key_is_the_administrators_business(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(), key="sk_test_wrong")
    with pytest.raises(IsvAborted, match="check STRIPE_SECRET_KEY") as refused:
        shop.create_payment()
    assert refused.value.operation_status is OperationStatus.FAILED


def test_an_intent_of_another_account_is_not_replaced(shop) -> None:
    payment_id = shop.create_payment()
    shop.update("new_payment", payment_id, new_stripepaymentintentid="pi_elsewhere")
    with pytest.raises(IsvAborted, match="Stripe does not know this payment"):
        shop.set_amount(payment_id, "25.00")
    assert len(shop.stripe.payment_intents) == 1


def test_what_stripe_refuses_is_named_without_what_was_sent(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(allowed_payment_method_types=["no_such_method"]))
    with pytest.raises(IsvAborted, match="Stripe refused the payment because of allowed_payment_method_types"):
        shop.create_payment()


def test_the_request_id_is_traced(shop) -> None:
    shop.stripe.fail_next("unavailable")
    with pytest.raises(IsvAborted):
        shop.create_payment()
    assert shop.stripe.requests[-1].request_id in shop.trace_lines()


def test_where_stripe_never_answered_only_the_error_is_traced(shop) -> None:
    shop.stripe.fail_next("connection_reset_before")
    with pytest.raises(IsvAborted):
        shop.create_payment()
    assert "Stripe refused: APIConnectionError\n" in f"{shop.trace_lines()}\n"


def test_an_address_stripe_refuses_is_not_repeated(shop, monkeypatch) -> None:
    def refuse(*_, **__):
        raise stripe.InvalidRequestError("Invalid email address: ann@", "receipt_email", code="email_invalid")

    monkeypatch.setattr(stripe.PaymentIntentService, "create", refuse)
    with pytest.raises(IsvAborted, match="e-mail address for the receipt is not a valid one"):
        shop.create_payment(new_receiptemail="ann@example.com")
    assert "ann@" not in shop.trace_lines()
