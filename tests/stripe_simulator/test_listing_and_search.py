"""Intents are found again: by list, by page and by search."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from runner.stripe_simulator import StripeSimulator


@pytest.fixture
def five(intents, clock):
    """Five intents, a minute apart; the n-th is of n dollars and says so in its metadata."""
    made = []
    for number in range(1, 6):
        made.append(intents.create({"amount": number * 100, "currency": "usd", "metadata": {"number": str(number)}}))
        clock.advance(timedelta(minutes=1))
    return made


def amounts(found):
    return [intent.amount for intent in found]


def test_the_newest_come_first_a_page_at_a_time(intents, five):
    first = intents.list({"limit": 2})
    second = intents.list({"limit": 2, "starting_after": first.data[-1].id})
    back = intents.list({"limit": 2, "ending_before": second.data[0].id})

    assert (amounts(first), first.has_more) == ([500, 400], True)
    assert amounts(second) == [300, 200]
    assert amounts(back) == [500, 400]
    assert amounts(intents.list({"limit": 2}).auto_paging_iter()) == [500, 400, 300, 200, 100]


def test_a_list_can_be_narrowed_by_time(intents, five):
    assert amounts(intents.list({"created": {"gt": five[1].created, "lte": five[3].created}})) == [400, 300]
    assert amounts(intents.list({"created": five[0].created})) == [100]


def test_a_list_expands_each_of_its_objects(client, intents):
    customer = client.v1.customers.create({"name": "Anna"})
    intents.create({"amount": 100, "currency": "usd", "customer": customer.id})

    [intent] = intents.list({"customer": customer.id, "expand": ["data.customer"]})
    assert intent.customer.name == "Anna"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("metadata['number']:'3'", [300]),
        ('metadata["number"]:"3" AND status:"requires_payment_method"', [300]),
        ("amount>=400 OR metadata['number']:'1'", [500, 400, 100]),
        ("-metadata['number']:'3' AND amount<400", [200, 100]),
        ("currency:'eur'", []),
        ("-metadata['other']:null", []),
    ],
)
def test_intents_are_searched_by_metadata_and_more(intents, five, query, expected):
    assert amounts(intents.search({"query": query})) == expected


@pytest.mark.parametrize(
    "query", ["nonsense", "metadata:'3'", "amount:'x'", "status>'a'", "amount>1 AND amount<3 OR amount:5"]
)
def test_a_query_that_cannot_be_read_is_refused(intents, query):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.search({"query": query})
    assert refused.value.param == "query"


def test_search_pages_on(intents, five):
    first = intents.search({"query": "currency:'usd'", "limit": 3})

    assert amounts(intents.search({"query": "currency:'usd'", "limit": 3, "page": first.next_page})) == [200, 100]


def test_searching_is_behind_and_listing_is_not(clock):
    intents = StripeSimulator(clock=clock, search_lag=timedelta(minutes=1)).client().v1.payment_intents
    intents.create({"amount": 100, "currency": "usd"})

    assert amounts(intents.search({"query": "currency:'usd'"})) == []
    assert amounts(intents.list()) == [100]
    clock.advance(timedelta(minutes=1))
    assert amounts(intents.search({"query": "currency:'usd'"})) == [100]


def test_expansion_goes_four_deep_and_no_deeper(client, charge_with, intents):
    intent = charge_with(expand=["latest_charge.balance_transaction", "latest_charge.refunds"])
    assert intent.latest_charge.balance_transaction.net == 1999 - 88
    assert intent.latest_charge.refunds.data == []

    with pytest.raises(stripe.InvalidRequestError, match="4 levels"):
        intents.retrieve(intent.id, {"expand": [".".join(["latest_charge", "payment_intent"] * 3)]})


def test_held_money_is_let_go_after_a_week(clock, intents, charge_with, event_types):
    held = charge_with(capture_method="manual")
    clock.advance(timedelta(days=7))

    released = intents.retrieve(held.id)
    assert (released.status, released.cancellation_reason) == ("canceled", "automatic")
    assert "charge.expired" in event_types()


def test_the_account_can_be_asked_for(client):
    assert client.v1.accounts.retrieve_current().charges_enabled
