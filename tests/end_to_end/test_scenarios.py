"""The scenarios of docs/scenarios.md, each from the row in CRM to Stripe and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

Simulate = Callable[..., Any]


def test_create_a_row_and_see_the_intent(simulate: Simulate) -> None:
    """Given a new Payment, an intent exists for it that carries the row's id."""
    seen = simulate("--outcome", "none")
    assert seen.exit_code == 0
    assert seen.document["status"] == "Pending"
    assert seen.row["new_stripepaymentintentid"] == seen.intent["id"]
    assert seen.intent["amount"] == 4990
    assert seen.intent["currency"] == "usd"
    assert seen.intent["metadata.CRM_PaymentId"] == seen.document["row_id"]


def test_a_payment_that_succeeds_completes_its_row(simulate: Simulate) -> None:
    """When the customer pays, the row says Completed, with what was received and when."""
    seen = simulate("--outcome", "succeeded")
    assert seen.exit_code == 0
    assert seen.document["status"] == "Completed"
    assert float(seen.row["new_amountreceived"]) == 49.90
    assert seen.row["new_paidon"]
    assert "payment_intent.succeeded" in seen.row["new_lastevent"]


def test_the_message_on_the_queue_is_small_and_holds_no_secret(simulate: Simulate, tmp_path: Path) -> None:
    """Between Stripe and CRM the event lies on a durable queue, small and without a secret."""
    seen = simulate("--outcome", "succeeded", "--keep", str(tmp_path))
    stations = [record["station"] for record in seen.records("EventTraced", event_type="payment_intent.succeeded")]
    assert stations == ["received", "queued", "applied"]
    with sqlite3.connect(tmp_path / "queue.db") as queue:
        assert queue.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert "_secret_" not in json.dumps(seen.document)


def test_the_payment_fails_with_the_reason(simulate: Simulate) -> None:
    """When the card is declined, the row says Failed, with Stripe's code and words."""
    seen = simulate("--outcome", "failed")
    assert seen.exit_code == 0
    assert seen.document["status"] == "Failed"
    assert seen.row["new_failurecode"] == "card_declined"
    assert "declined" in seen.row["new_failuremessage"]
    assert seen.records("EventTraced", event_type="payment_intent.payment_failed", station="applied")


def test_a_failed_payment_is_not_the_end(simulate: Simulate) -> None:
    seen = simulate("--outcome", "failed-then-succeeded")
    assert seen.document["status"] == "Completed"
    assert seen.row.get("new_failurecode") is None


def test_duplicates_and_disorder_end_in_the_same_row(simulate: Simulate) -> None:
    """Events that arrive twice and in any order end in the same row."""
    plain = simulate("--outcome", "refunded")
    for seed in range(5):
        mixed = simulate("--outcome", "refunded", "--duplicate", "--shuffle", str(seed))
        assert mixed.exit_code == 0
        assert mixed.document["status"] == plain.document["status"] == "Refunded"
        assert mixed.row["new_amountrefunded"] == plain.row["new_amountrefunded"]


def test_a_rollback_leaves_nothing_behind(simulate: Simulate) -> None:
    """When a later step throws, the row is gone and its intent canceled."""
    seen = simulate("--rollback")
    assert seen.exit_code == 0
    assert seen.records("Compensated", error=None)
    assert seen.records("OperationFinished", message="Create", outcome="failed")
    canceled = [call for call in seen.records("StripeCalled", method="POST") if call["path"].endswith("/cancel")]
    assert [call["status"] for call in canceled] == [200]


def test_amounts_stripe_cannot_take(run: Simulate, simulate: Simulate) -> None:
    """Too little, and not exact: refused in words. Zero-decimal currencies: exact."""
    too_small = run("--set", "amount=0.30")
    assert too_small.exit_code == 1
    assert "the minimum is 0.50 USD" in too_small.said

    inexact = run("--set", "amount=5.124", "--set", "currency=KWD")
    assert inexact.exit_code == 1
    assert "5.12 or 5.13 KWD" in inexact.said

    yen = simulate("--set", "amount=500", "--set", "currency=JPY", "--outcome", "none")
    assert (yen.intent["amount"], yen.intent["currency"]) == (500, "jpy")


def test_a_sales_order_is_paid_like_a_payment_and_at_a_checkout_page(simulate: Simulate) -> None:
    """An order is paid like a payment, and also at a checkout page."""
    order = simulate("--entity", "sales_order")
    assert order.document["status"] == "Completed"
    assert order.intent["metadata.CRM_SalesOrderId"] == order.document["row_id"]

    page = simulate("--entity", "sales_order", "--outcome", "checkout")
    assert page.document["status"] == "Completed"
    assert page.row["new_checkouturl"].startswith("https://")
