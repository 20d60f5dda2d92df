"""A paid checkout that names no row becomes a Sales Order, when that is asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_bridge.processor import DrainSummary, PaymentProcessor
from azure_bridge.settlement import (
    REJECTED_BY_CRM,
    RetryPolicy,
)
from azure_bridge.tables import BridgeConfiguration, PaymentStatus
from dataverse_client.types import Entity, QueryExpression, new_guid


@pytest.fixture
def maker(crm, settings, diary):
    retries = RetryPolicy(attempts=2, jitter=lambda: 1)
    configuration = BridgeConfiguration(**settings, create_sales_orders=True)
    return PaymentProcessor(crm, configuration, observer=diary, retries=retries)


def orders_in(crm) -> list[Entity]:
    return list(crm.client.query(QueryExpression("salesorder")))


CHECKOUT = {"event_type": "checkout.session.completed", "checkout_session_id": "cs_1", "payment_status": "paid"}


def test_a_paid_checkout_that_names_no_row_makes_one_sales_order(maker, queue, crm, clock, enqueue, status_of):
    enqueue(**CHECKOUT)
    enqueue(**CHECKOUT)
    enqueue()  # its intent's own event, which names no row either
    maker.drain(queue)
    clock.advance(timedelta(seconds=10))
    maker.drain(queue)

    (order,) = orders_in(crm)
    assert status_of(order.id, "salesorder") is PaymentStatus.COMPLETED
    assert order["new_amountreceived"].value == 129
    assert order["new_stripecheckoutsessionid"] == "cs_1"
    currency = crm.client.retrieve("transactioncurrency", order["transactioncurrencyid"].id, ["isocurrencycode"])
    assert currency["isocurrencycode"] == "EUR"
    assert queue.counts().active == queue.counts().dead_lettered == queue.counts().scheduled == 0


def test_an_unpaid_checkout_makes_no_order_and_neither_does_one_that_names_a_row(maker, queue, crm, enqueue):
    enqueue(**{**CHECKOUT, "payment_status": "unpaid"})
    enqueue(**CHECKOUT, row_id=new_guid())
    assert maker.drain(queue) == DrainSummary(retry_later=2)
    assert orders_in(crm) == []


def test_a_currency_crm_does_not_have_is_shown_to_a_person(maker, queue, crm, enqueue, dead_letters):
    enqueue(**CHECKOUT, currency="mga")
    maker.drain(queue)
    assert dead_letters() == [REJECTED_BY_CRM]
    assert orders_in(crm) == []


def test_orders_are_made_only_when_asked_for(processor, queue, crm, enqueue):
    enqueue(**CHECKOUT)
    assert processor.drain(queue) == DrainSummary(retry_later=1)
    assert orders_in(crm) == []
