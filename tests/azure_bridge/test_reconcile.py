"""Stripe and CRM are compared and put right: every kind of difference is planted, found, and fixed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from azure_bridge.processor import PaymentProcessor
from azure_bridge.reconcile import GRACE, Reconciliation
from azure_bridge.reconcile.cursor import Cursor, CursorUnreadableError, load, save
from azure_bridge.reconcile.differences import Kind
from azure_bridge.reconcile.fix import Fixer
from azure_bridge.reconcile.run import run
from azure_bridge.secrets import Secrets
from dataverse_client.types import Entity, Money, OptionSetValue
from runner.registrations.load import load as load_registrations

LATER = GRACE + timedelta(minutes=1)
PENDING, COMPLETED, CANCELED = (OptionSetValue(100_000_000 + number) for number in (1, 5, 7))


class Reconciled:
    """CRM, Stripe and the bridge between them; and what a run over the last two hundred days says."""

    def __init__(self, environment, crm, stripe, registrations, clock, directory) -> None:
        self.crm, self.stripe, self.clock, self.client = crm, stripe, clock, environment.client
        self.file = directory / "reconcile.json"
        bridge = load_registrations(registrations).to_bridge_configuration(Secrets({}))
        self.bridge = replace(bridge, organization_id=environment.client.who_am_i().organization_id)

    def payment(self, amount: str = "20.00"):
        """A Payment and its intent's id."""
        row_id = self.crm.create("new_payment", name="Invoice 7", amount=amount, currency="EUR")
        return row_id, self.row(row_id)["new_stripepaymentintentid"]

    def row(self, row_id: str) -> Entity:
        return self.crm.retrieve("new_payment", row_id)

    def compare(self, **options) -> list:
        """The differences a run finds, once what happened so far is no longer under way."""
        return [outcome.difference for outcome in self.outcomes(fixer=None, **options)]

    def fix(self, *, cancel_orphans: bool = False) -> list:
        """Why each difference is left; None where it was fixed."""
        client = self.stripe.client()
        processor = PaymentProcessor(self.client, self.bridge)
        fixer = Fixer(self.client, client, processor, self.bridge, self.clock, cancel_orphans=cancel_orphans)
        return [outcome.left for outcome in self.outcomes(fixer=fixer)]

    def outcomes(self, *, fixer, wait: timedelta = LATER, days: int = 200, undelivered: bool = False) -> list:
        self.clock.advance(wait)
        reconciliation = self.reconciliation()
        start = reconciliation.begin(self.clock.now() - timedelta(days=days), undelivered=undelivered)
        return [outcome for step in run(reconciliation, start, self.file, fixer) for outcome in step.outcomes]

    def reconciliation(self) -> Reconciliation:
        return Reconciliation(self.client, self.stripe.client(), self.bridge, clock=self.clock)

    def finds_nothing(self) -> bool:
        return self.compare() == []


@pytest.fixture
def books(embedded_environment, crm, stripe_simulator, registrations, clock, tmp_path) -> Reconciled:
    return Reconciled(embedded_environment, crm, stripe_simulator, registrations, clock, tmp_path)


def kinds(differences) -> list[Kind]:
    return [each.kind for each in differences]


def test_a_system_whose_events_arrived_has_nothing_to_reconcile(books, bridge, stripe_simulator) -> None:
    outcomes = ["pay", "decline", "cancel", "nothing"]
    intents = {outcome: books.payment()[1] for outcome in outcomes}
    stripe_simulator.pay(intents["pay"])
    stripe_simulator.pay(intents["decline"], "pm_card_visa_chargeDeclined")
    stripe_simulator.client().v1.payment_intents.cancel(intents["cancel"])
    books.crm.create("salesorder", name="Order 1", amount="100", currency="EUR")
    bridge.deliver()
    assert books.finds_nothing()


def test_an_event_that_never_arrived_is_found_and_applied(books) -> None:
    row_id, intent_id = books.payment()
    books.stripe.pay(intent_id)
    found = books.compare()
    assert found[0].kind is Kind.EVENT_MISSING
    assert (found[0].row_id, found[0].intent_id) == (row_id, intent_id)
    assert "is not delivered yet" in found[0].detail
    assert set(books.fix()) == {None}
    assert books.row(row_id)["new_paymentstatus"] == COMPLETED
    assert books.finds_nothing()


def test_undelivered_events_alone_are_quickly_looked_through(books) -> None:
    (_, one), (_, other) = books.payment(), books.payment()
    books.stripe.pay(one)
    books.stripe.pay(other)
    for event in books.stripe.events:
        if event["data"]["object"].get("id") == other:
            books.stripe.acknowledge(event["id"])
    assert {each.intent_id for each in books.compare(undelivered=True)} == {one}


def test_what_has_just_happened_is_still_on_its_way(books) -> None:
    _, intent_id = books.payment()
    books.clock.advance(LATER)
    books.stripe.pay(intent_id)
    assert books.compare(wait=timedelta(minutes=1)) == []


def test_an_older_intent_that_just_changed_is_given_time(books) -> None:
    row_id, intent_id = books.payment()
    books.clock.advance(timedelta(days=2))
    books.crm.update("new_payment", row_id, name="Invoice 8")
    books.clock.advance(LATER)
    books.stripe.pay(intent_id)
    assert books.compare(days=1, wait=timedelta(minutes=1)) == []
    assert books.compare(days=1) != []


def test_a_status_whose_events_stripe_has_forgotten_is_told_by_the_intent(books) -> None:
    row_id, intent_id = books.payment()
    books.stripe.pay(intent_id)
    books.clock.advance(timedelta(days=40))
    assert kinds(books.compare()) == [Kind.STATUS]
    assert books.fix() == [None]
    row = books.row(row_id)
    assert (row["new_paymentstatus"], row["new_amountreceived"]) == (COMPLETED, Money(Decimal(20)))
    assert books.finds_nothing()


def test_a_row_is_compared_with_an_intent_older_than_the_time_asked_for(books) -> None:
    row_id, intent_id = books.payment()
    books.clock.advance(timedelta(days=40))
    books.crm.update("new_payment", row_id, name="Invoice 8")
    books.stripe.client().v1.payment_intents.cancel(intent_id)
    books.clock.advance(timedelta(days=31))
    found = books.compare(days=33)
    assert (kinds(found), found[0].row_id) == ([Kind.STATUS], row_id)


def test_a_refund_whose_events_are_forgotten_is_found_and_applied(books, bridge) -> None:
    row_id, intent_id = books.payment()
    books.stripe.pay(intent_id)
    bridge.deliver()
    books.stripe.client().v1.refunds.create({"payment_intent": intent_id, "amount": 500})
    books.clock.advance(timedelta(days=40))
    assert books.compare() != []
    assert books.fix() == [None]
    assert books.row(row_id)["new_amountrefunded"] == Money(Decimal(5))
    assert books.finds_nothing()


def test_a_refund_of_a_part_that_was_captured_leaves_out_what_never_was(books, bridge) -> None:
    row_id, intent_id = books.payment()
    intents = books.stripe.client().v1.payment_intents
    intents.update(intent_id, {"capture_method": "manual"})
    books.stripe.pay(intent_id)
    intents.capture(intent_id, {"amount_to_capture": 1200})
    books.stripe.client().v1.refunds.create({"payment_intent": intent_id, "amount": 500})
    books.clock.advance(timedelta(days=40))
    assert books.fix() == [None]
    row = books.row(row_id)
    assert (row["new_amountreceived"], row["new_amountrefunded"]) == (Money(Decimal(12)), Money(Decimal(5)))
    assert books.finds_nothing()


def test_a_refund_made_a_moment_ago_is_still_on_its_way_too(books, bridge) -> None:
    _, intent_id = books.payment()
    books.stripe.pay(intent_id)
    bridge.deliver()
    books.clock.advance(LATER)
    books.stripe.client().v1.refunds.create({"payment_intent": intent_id})
    assert books.compare(wait=timedelta(minutes=1)) == []
    assert books.compare() != []


def test_a_dispute_whose_events_are_forgotten_is_found_and_applied(books, bridge) -> None:
    row_id, intent_id = books.payment()
    books.stripe.pay(intent_id)
    bridge.deliver()
    books.stripe.open_dispute(intent_id)
    books.clock.advance(timedelta(days=40))
    assert books.fix() == [None]
    assert books.crm.retrieve("new_payment", row_id).formatted_values["new_paymentstatus"] == "Disputed"
    assert books.finds_nothing()


def test_an_intent_that_asks_for_another_amount_is_changed_to_the_rows(books) -> None:
    _, intent_id = books.payment("20.00")
    books.stripe.client().v1.payment_intents.update(intent_id, {"amount": 1500})
    found = books.compare()
    assert kinds(found) == [Kind.AMOUNT]
    assert "asks for 15.00 EUR, the row for 20.00 EUR" in found[0].detail
    assert books.fix() == [None]
    assert books.stripe.payment_intents[intent_id]["amount"] == 2000
    assert books.finds_nothing()


def test_another_currency_is_another_amount(books) -> None:
    _, intent_id = books.payment("20.00")
    books.stripe.client().v1.payment_intents.update(intent_id, {"currency": "usd"})
    assert kinds(books.compare()) == [Kind.AMOUNT]
    assert books.fix() == [None]
    assert books.stripe.payment_intents[intent_id]["currency"] == "eur"


def test_a_wrong_amount_that_was_paid_is_left_to_a_person(books, bridge) -> None:
    _, intent_id = books.payment("20.00")
    books.stripe.client().v1.payment_intents.update(intent_id, {"amount": 1500})
    books.stripe.pay(intent_id)
    bridge.deliver()
    assert kinds(books.compare()) == [Kind.AMOUNT]
    assert books.fix() == ["a person has to look at it"]


def orphan(books, **metadata) -> str:
    ours = {
        "CRM_PaymentId": "7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11",
        "CRM_Table": "new_payment",
        "CRM_OrganizationId": books.bridge.organization_id,
    }
    intents = books.stripe.client().v1.payment_intents
    return intents.create({"amount": 900, "currency": "eur", "metadata": {**ours, **metadata}}).id


def test_an_open_intent_whose_row_is_gone_is_canceled_only_when_asked_to(books) -> None:
    intent_id = orphan(books)
    assert kinds(books.compare()) == [Kind.ORPHANED_INTENT]
    assert books.fix() == ["--cancel-orphans would cancel it"]
    assert books.stripe.payment_intents[intent_id]["status"] == "requires_payment_method"
    assert books.fix(cancel_orphans=True) == [None]
    assert books.stripe.payment_intents[intent_id]["status"] == "canceled"
    assert books.finds_nothing()


def test_a_paid_intent_whose_row_is_gone_is_told_and_never_touched(books) -> None:
    intent_id = orphan(books)
    books.stripe.pay(intent_id)
    assert books.fix(cancel_orphans=True) == ["a person has to look at it"]
    assert books.stripe.payment_intents[intent_id]["status"] == "succeeded"


def test_another_organizations_intents_are_none_of_ours(books) -> None:
    intent_id = orphan(books, CRM_OrganizationId="11111111-2f52-ee11-be6f-000d3a2f9c33")
    assert books.fix(cancel_orphans=True) == []
    assert books.stripe.payment_intents[intent_id]["status"] == "requires_payment_method"


def test_an_intent_that_names_no_organization_is_told_and_never_canceled(books) -> None:
    intent_id = orphan(books, CRM_OrganizationId="")
    assert books.fix(cancel_orphans=True) == ["a person has to look at it"]
    assert books.stripe.payment_intents[intent_id]["status"] == "requires_payment_method"


def test_of_two_live_intents_the_one_the_row_does_not_name_is_canceled(books) -> None:
    row_id, own = books.payment()
    second = orphan(books, CRM_PaymentId=row_id)
    found = books.compare()
    assert [(each.kind, each.intent_id) for each in found] == [(Kind.SECOND_INTENT, second)]
    assert books.fix(cancel_orphans=True) == [None]
    statuses = [books.stripe.payment_intents[each]["status"] for each in (own, second)]
    assert statuses == ["requires_payment_method", "canceled"]
    assert books.finds_nothing()


def test_a_row_that_lost_its_intent_is_offered_to_its_plug_in_again(books) -> None:
    row_id, first = books.payment()
    books.stripe.client().v1.payment_intents.cancel(first)
    books.crm.update("new_payment", row_id, new_stripepaymentintentid=None, new_paymentstatus=PENDING)
    books.clock.advance(timedelta(days=40))
    books.crm.update("new_payment", row_id, name="Invoice 8")
    found = books.compare(days=33)
    assert (kinds(found), found[0].row_id) == ([Kind.ROW_WITHOUT_INTENT], row_id)
    assert books.fix() == [None]
    intent_id = books.row(row_id)["new_stripepaymentintentid"]
    assert books.stripe.payment_intents[intent_id]["amount"] == 2000
    assert books.finds_nothing()


def test_nothing_is_asked_for_a_row_that_was_put_away(books) -> None:
    """It was imported inactive, say; its plug-in would create no intent for it."""
    row_id = books.crm.create("new_payment", name="Invoice 6", amount="20.00", statecode=OptionSetValue(1))
    assert "new_stripepaymentintentid" not in books.row(row_id)
    assert books.finds_nothing()


def test_rows_that_are_put_right_meanwhile_hide_no_others(books, monkeypatch) -> None:
    monkeypatch.setattr("azure_bridge.reconcile.rows.PAGE", 2)
    rows = [books.payment()[0] for _ in range(5)]
    for row_id in rows:
        books.crm.update("new_payment", row_id, new_stripepaymentintentid=None, new_paymentstatus=PENDING)
    books.clock.advance(timedelta(days=40))
    for row_id in rows:
        books.crm.update("new_payment", row_id, name="Invoice 8")
        books.clock.advance(timedelta(seconds=1))
    found = books.compare(days=33)
    assert [each.row_id for each in found] == rows
    assert books.fix().count(None) == 5
    assert all(books.row(row_id)["new_stripepaymentintentid"] for row_id in rows)


def test_a_paid_checkout_nobody_made_an_order_for_gets_one(books) -> None:
    books.bridge = replace(books.bridge, create_sales_orders=True)
    price = {"currency": "eur", "unit_amount": 4000, "product_data": {"name": "Chair"}}
    sessions = books.stripe.client().v1.checkout.sessions
    session = sessions.create(
        {
            "mode": "payment",
            "success_url": "https://shop.example/thanks",
            "line_items": [{"price_data": price, "quantity": 1}],
        }
    )
    books.stripe.complete_checkout(session.id)
    found = books.compare()
    assert kinds(found) == [Kind.EVENT_MISSING]
    assert "no salesorder was made" in found[0].detail
    assert books.fix() == [None]
    (order,) = books.crm.find("salesorder")
    assert order["new_amountreceived"] == Money(Decimal(40))
    assert books.fix() == [None]  # its intent's own event has a row to go to by now
    assert books.finds_nothing()


@pytest.fixture
def visit(books):
    """A Payment that holds a checkout session and no intent, and the session."""
    row_id = books.crm.create("new_payment", name="Invoice 7", currency="EUR")
    ours = {"CRM_PaymentId": row_id, "CRM_Table": "new_payment", "CRM_OrganizationId": books.bridge.organization_id}
    session = books.stripe.client().v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": price("eur", 4990)}],
            "success_url": "https://example.com/thanks",
            "metadata": ours,
            "payment_intent_data": {"metadata": ours},
        }
    )
    books.crm.update("new_payment", row_id, new_stripecheckoutsessionid=session.id, new_paymentstatus=PENDING)
    return row_id, session.id


def price(currency: str, amount: int) -> dict:
    return {"currency": currency, "unit_amount": amount, "product_data": {"name": "Invoice 7"}}


def test_an_open_session_agrees_with_its_row(books, visit) -> None:
    assert books.finds_nothing()


def test_a_session_whose_end_stripe_has_forgotten_is_told_by_the_session(books, visit) -> None:
    row_id, session_id = visit
    books.stripe.expire(session_id)
    books.clock.advance(timedelta(days=40))
    assert [each.detail for each in books.compare()] == [
        "its session is expired: the row says Pending, and should say Canceled"
    ]
    assert books.fix() == [None]
    assert books.row(row_id)["new_paymentstatus"] == CANCELED
    assert books.finds_nothing()


def test_a_session_paid_before_the_time_asked_for_is_told_with_its_intent(books, visit) -> None:
    row_id, session_id = visit
    books.stripe.pay(session_id)
    books.clock.advance(timedelta(days=40))
    books.crm.update("new_payment", row_id, name="Invoice 8")
    books.clock.advance(LATER)
    start = books.reconciliation().begin(books.clock.now() - timedelta(days=1))
    assert [each.kind for page in books.reconciliation().pages(start) for each in page.differences] == [Kind.STATUS]
    assert None in books.fix()
    row = books.row(row_id)
    assert (row["new_paymentstatus"], row["new_amountreceived"]) == (COMPLETED, Money(Decimal("49.9")))
    assert books.finds_nothing()


def test_a_session_stripe_does_not_know_is_left_to_a_person(books, visit) -> None:
    books.crm.update("new_payment", visit[0], new_stripecheckoutsessionid="cs_test_elsewhere")
    assert "Stripe does not know cs_test_elsewhere" in " ".join(each.detail for each in books.compare())


def test_an_intent_stripe_does_not_know_is_left_to_a_person(books) -> None:
    row_id, _ = books.payment()
    books.crm.update("new_payment", row_id, new_stripepaymentintentid="pi_of_another_account")
    found = [each for each in books.compare() if each.kind is Kind.ROW_WITHOUT_INTENT]
    assert "does not know pi_of_another_account" in found[0].detail
    assert found[0].remedy is None


def test_a_run_that_was_stopped_goes_on_where_it_was(books, monkeypatch) -> None:
    intents = [books.payment()[1] for _ in range(7)]
    for intent_id in intents:
        books.stripe.pay(intent_id)
    monkeypatch.setattr("azure_bridge.reconcile.reconciliation._PAGE", 3)
    books.clock.advance(LATER)
    reconciliation = books.reconciliation()
    steps = run(reconciliation, reconciliation.begin(books.clock.now() - timedelta(days=1)), books.file)
    told = [next(steps), next(steps)]
    steps.close()
    kept = load(books.file)
    assert kept == told[0].cursor
    rest = list(run(books.reconciliation(), kept, books.file))
    missing = [
        outcome.difference.intent_id
        for step in [told[0], *rest]
        for outcome in step.outcomes
        if outcome.difference.kind is Kind.EVENT_MISSING
    ]
    assert sorted(missing) == sorted(intents)
    assert rest[-1].cursor.found == sum(len(step.outcomes) for step in [told[0], *rest])
    assert not books.file.exists()


def test_an_empty_page_ends_a_list_whatever_it_says_of_more(books, monkeypatch) -> None:
    client = books.stripe.client()
    monkeypatch.setattr(client.v1.events, "list", lambda asked: SimpleNamespace(data=[], has_more=True))
    reconciliation = Reconciliation(books.client, client, books.bridge, clock=books.clock)
    start = reconciliation.begin(books.clock.now() - timedelta(days=1), undelivered=True)
    assert list(reconciliation.pages(start)) == []


def test_a_run_cannot_go_on_in_a_table_that_is_not_kept_any_more(books) -> None:
    cursor = replace(books.reconciliation().begin(books.clock.now()), stage="rows:new_invoice")
    with pytest.raises(CursorUnreadableError, match="rows:new_invoice, which is not compared any more"):
        next(books.reconciliation().pages(cursor))


def test_a_cursor_is_read_as_it_was_written(tmp_path, clock) -> None:
    now = clock.now()
    cursor = Cursor(since=now, until=now, organization_id=None, undelivered=False, stage="intents", after="pi_1")
    save(tmp_path / "cursor.json", cursor)
    assert load(tmp_path / "cursor.json") == cursor


def test_a_cursor_takes_the_place_of_the_one_before_as_a_whole(tmp_path, clock) -> None:
    """Whoever opened the earlier one reads that."""
    file, now = tmp_path / "cursor.json", clock.now()
    first = Cursor(since=now, until=now, organization_id=None, undelivered=False, stage="intents", after="pi_1")
    save(file, first)
    with file.open() as reader:
        save(file, replace(first, stage="events", after="evt_1"))
        assert '"pi_1"' in reader.read()
    assert load(file).after == "evt_1"
    assert list(tmp_path.iterdir()) == [file]


def test_no_cursor_is_no_interrupted_run(tmp_path) -> None:
    assert load(tmp_path / "cursor.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"since": "x", "until": "y"}'])
def test_a_file_that_is_no_cursor_says_so(tmp_path, text) -> None:
    (tmp_path / "cursor.json").write_text(text)
    with pytest.raises(CursorUnreadableError, match="start without --resume"):
        load(tmp_path / "cursor.json")
