"""From the queue to the row: a real queue, the real client, the embedded Dataverse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

import pytest

from azure_bridge.payment_event import PaymentEvent, RefundFact, encode
from azure_bridge.processor import DrainSummary, PaymentProcessor
from azure_bridge.queues.contract import QueueCounts, QueueMessage
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.receiver import message_for
from azure_bridge.settlement import (
    ANOTHER_INTENT_PAID,
    INVALID_MESSAGE,
    REJECTED_BY_CRM,
    ROW_NOT_FOUND,
    RetryPolicy,
    settle,
)
from azure_bridge.tables import BridgeConfiguration, PaymentStatus
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import (
    AccessDeniedError,
    AuthenticationError,
    DataverseError,
    DataverseUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from dataverse_client.operations import BatchResult, Operation
from dataverse_client.types import Entity, EntityCollection, QueryExpression, new_guid
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.webapi import WebApi

URL = "http://embedded.dataverse.local"
ORGANIZATION_ID = "0ad1e2f3-2f52-ee11-be6f-000d3a2f9c33"


class Crm:
    """The client the processor is given: the real one, which a test can make fail or be overtaken."""

    def __init__(self, client: DataverseClient) -> None:
        self.client = client
        self.requests = 0
        self.query_error: DataverseError | None = None
        self.write_error: DataverseError | None = None
        self.before_write: Callable[[], None] = lambda: None

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        self.requests += 1
        if self.query_error:
            raise self.query_error
        return self.client.retrieve_multiple(query)

    def batch(self, operations: Sequence[Operation]) -> list[BatchResult]:
        self.requests += 1
        self.before_write()
        if self.write_error:
            return [BatchResult(None, self.write_error) for _ in operations]
        return self.client.batch(operations)


class Diary:
    """An observer that writes down what happened, event by event."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def applied(self, event, table, row_id, changes):
        self.lines.append(("applied", event.event_id, table))

    def ignored(self, event, reason):
        self.lines.append(("ignored", event.event_id, reason))

    def retry_later(self, event, reason, *, attempt, delay_seconds):
        self.lines.append(("retry later", event.event_id, reason))

    def dead_lettered(self, event, reason, description):
        self.lines.append(("dead-lettered", event.event_id if event else "?", f"{reason}: {description}"))


@pytest.fixture
def crm(clock):
    emulator = Emulator(clock=clock)
    client = DataverseClient(URL, tokens=NoAuthentication())
    client.mount(URL, EmbeddedAdapter(WebApi(emulator)))
    yield Crm(client)
    client.close()
    emulator.close()


@pytest.fixture
def queue(tmp_path, clock):
    queue = EmbeddedQueue(tmp_path / "queue.db", "payment-events", clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def diary():
    return Diary()


@pytest.fixture
def settings(payments, orders):
    return {"tables": (payments, orders), "events": frozenset(), "organization_id": ORGANIZATION_ID}


@pytest.fixture
def processor(crm, settings, diary, clock):
    retries = RetryPolicy(attempts=2, jitter=lambda: 1)
    return PaymentProcessor(crm, BridgeConfiguration(**settings), observer=diary, retries=retries, clock=clock)


@pytest.fixture
def a_payment(crm):
    """Makes a Payment row and returns its id."""

    def create(table: str = "new_payment", **columns) -> str:
        title = "name" if table == "salesorder" else "new_name"
        return crm.client.create(Entity(table, None, {title: "PAY-1", **columns}))

    return create


@pytest.fixture
def tell(queue, clock):
    """Puts an event on the queue: by default, that an intent of 129.00 EUR succeeded."""
    numbers = iter(range(1, 10_000))

    def send(event_type: str = "payment_intent.succeeded", **facts) -> PaymentEvent:
        number = next(numbers)
        event = PaymentEvent(
            **{
                "event_id": f"evt_{number}",
                "event_type": event_type,
                "created": clock.now() + timedelta(seconds=number),
                "livemode": False,
                "object_id": "obj_1",
                "intent_id": "pi_1",
                "currency": "eur",
                "amount": 12_900,
                **({"amount_received": 12_900} if event_type == "payment_intent.succeeded" else {}),
                **facts,
            }
        )
        queue.send([message_for(event)])
        return event

    return send


def named(row_id: str, table: str = "new_payment") -> dict[str, str]:
    return {"row_table": table, "row_id": row_id}


@pytest.fixture
def status_of(crm, payments):
    shown = {number: status for status, number in payments.statuses.items()}

    def status(row_id: str, table: str = "new_payment") -> PaymentStatus | None:
        value = crm.client.retrieve(table, row_id, ["new_paymentstatus"]).get("new_paymentstatus")
        return shown[value.value] if value else None

    return status


def dead_letters(queue) -> list[str]:
    return [message.dead_letter_reason for message in queue.peek(dead_letters=True)]


def test_a_paid_intent_completes_the_row_its_metadata_names(processor, queue, crm, a_payment, tell, status_of, diary):
    row_id = a_payment()
    tell(**named(row_id))

    assert processor.drain(queue) == DrainSummary(completed=1)

    row = crm.client.retrieve("new_payment", row_id)
    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert row["new_amountreceived"].value == 129
    assert row["new_stripepaymentintentid"] == "pi_1"
    assert row["new_lastevent"].endswith("payment_intent.succeeded evt_1")
    assert diary.lines == [("applied", "evt_1", "new_payment")]


def test_an_event_completes_a_sales_order_too(processor, queue, a_payment, tell, status_of):
    row_id = a_payment("salesorder")
    tell(**named(row_id, "salesorder"))
    processor.drain(queue)
    assert status_of(row_id, "salesorder") is PaymentStatus.COMPLETED


def test_a_refund_finds_the_row_by_its_intent(processor, queue, a_payment, tell, status_of):
    row_id = a_payment(new_stripepaymentintentid="pi_1")
    tell()
    tell("refund.created", refund=RefundFact(refund_id="re_1", status="succeeded", amount=2_900))
    processor.drain(queue)
    assert status_of(row_id) is PaymentStatus.PARTIALLY_REFUNDED


def test_an_intent_whose_metadata_was_edited_still_finds_the_row_that_holds_it(
    processor, queue, a_payment, tell, status_of
):
    row_id, other_id = (a_payment(new_stripepaymentintentid=intent) for intent in ("pi_1", "pi_2"))
    tell(**named(other_id))
    processor.drain(queue)
    assert (status_of(row_id), status_of(other_id)) == (PaymentStatus.COMPLETED, PaymentStatus.DRAFT)
    assert dead_letters(queue) == []


def test_a_checkout_finds_the_row_by_its_session_and_brings_the_intent(processor, queue, crm, a_payment, tell):
    row_id = a_payment(new_stripecheckoutsessionid="cs_1")
    tell("checkout.session.completed", checkout_session_id="cs_1", payment_status="paid")
    processor.drain(queue)
    assert crm.client.retrieve("new_payment", row_id)["new_stripepaymentintentid"] == "pi_1"


def test_a_hundred_events_cost_two_requests(processor, queue, crm, a_payment, tell, status_of):
    row_ids = [a_payment() for _ in range(100)]
    for number, row_id in enumerate(row_ids):
        tell(intent_id=f"pi_{number}", **named(row_id))

    assert processor.drain(queue) == DrainSummary(completed=100)

    assert crm.requests == 2
    assert {status_of(row_id) for row_id in row_ids} == {PaymentStatus.COMPLETED}


def test_the_events_of_one_row_are_one_write(processor, queue, crm, a_payment, tell, status_of, diary):
    row_id = a_payment()
    for event_type in ("succeeded", "payment_failed", "processing", "requires_action"):
        tell(f"payment_intent.{event_type}", **named(row_id))
    writes = []
    crm.before_write = lambda: writes.append(1)

    assert processor.drain(queue) == DrainSummary(completed=4)

    assert len(writes) == 1
    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert {what for what, _, _ in diary.lines} == {"applied"}


LIFE = [
    {"event_type": "payment_intent.payment_failed", "failure_code": "card_declined"},
    {"event_type": "payment_intent.requires_action"},
    {"event_type": "payment_intent.succeeded"},
    {"event_type": "charge.refunded", "amount_refunded": 2_900, "amount_received": 12_900},
    {"event_type": "refund.created", "refund": RefundFact(refund_id="re_1", status="succeeded", amount=2_900)},
    {"event_type": "refund.created", "refund": RefundFact(refund_id="re_2", status="pending", amount=1_000)},
]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize("seed", range(3))
def test_one_by_one_or_all_at_once_the_row_ends_the_same(processor, queue, crm, a_payment, tell, batch_size, seed):
    row_id = a_payment(new_stripepaymentintentid="pi_1")
    for facts in Random(seed).sample(LIFE, len(LIFE)):  # noqa: S311  # a shuffle, not a secret
        tell(**facts)

    processor.drain(queue, batch_size=batch_size)

    row = crm.client.retrieve("new_payment", row_id)
    assert row["new_paymentstatus"].value == 100_000_009
    assert (row["new_amountreceived"].value, row["new_amountrefunded"].value) == (129, 39)
    assert row.get("new_failurecode") is None


def test_an_event_that_comes_again_is_ignored(processor, queue, a_payment, tell, diary):
    row_id = a_payment()
    event = tell(**named(row_id))
    processor.drain(queue)
    queue.send([QueueMessage(encode(event), message_id="the same, delivered anew")])
    processor.drain(queue)
    assert diary.lines[1:] == [("ignored", "evt_1", "the row knows already")]


def test_a_row_that_changed_meanwhile_is_read_again(processor, queue, crm, a_payment, tell, status_of):
    row_id = a_payment()
    tell(**named(row_id))
    edits = iter(["a clerk was here"])
    crm.before_write = lambda: [crm.client.update(Entity("new_payment", row_id, {"new_name": name})) for name in edits]

    assert processor.drain(queue) == DrainSummary(completed=1)

    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert crm.client.retrieve("new_payment", row_id)["new_name"] == "a clerk was here"


def test_the_locks_of_a_batch_outlast_a_crm_that_is_slow(processor, queue, crm, clock, a_payment, tell):
    tell(**named(a_payment()))
    renewed = threading.Event()
    renew = queue.renew
    queue.renew = lambda message: (renew(message), renewed.set())[0]

    def slowly() -> None:
        clock.advance(timedelta(seconds=40))
        assert renewed.wait(30)
        clock.advance(timedelta(seconds=40))

    crm.before_write = slowly

    assert processor.drain(queue) == DrainSummary(completed=1)
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=0)


def test_a_row_that_never_stands_still_is_retried_later(processor, queue, crm, a_payment, tell):
    row_id = a_payment()
    tell(**named(row_id))
    crm.before_write = lambda: crm.client.update(Entity("new_payment", row_id, {"new_name": new_guid()}))
    assert processor.drain(queue) == DrainSummary(retry_later=1)


def test_a_row_that_is_not_there_yet_is_waited_for(processor, queue, crm, clock, tell, status_of):
    row_id = new_guid()
    tell(**named(row_id))
    assert processor.drain(queue) == DrainSummary(retry_later=1)

    crm.client.create(Entity("new_payment", row_id, {"new_name": "committed at last"}))
    assert processor.drain(queue) == DrainSummary()
    clock.advance(timedelta(seconds=2))

    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is PaymentStatus.COMPLETED


def test_a_row_that_never_comes_makes_a_dead_letter_in_the_end(processor, queue, clock, tell):
    tell(**named(new_guid()))
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters(queue) == [ROW_NOT_FOUND]


@pytest.mark.parametrize("ending", ["payment_intent.canceled", "checkout.session.expired"])
def test_what_ended_unpaid_with_its_row_is_nobodys_work(processor, queue, clock, tell, ending):
    """A deleted or rolled-back row takes its intent along; the news of that needs no row and no person."""
    tell(ending, **named(new_guid()), amount_received=None)
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters(queue) == []
    assert queue.counts().active == queue.counts().scheduled == 0


def test_another_organizations_event_is_ignored(processor, queue, a_payment, tell, status_of, diary):
    row_id = a_payment()
    tell(organization_id="sandbox", **named(row_id))
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    assert diary.lines == [("ignored", "evt_1", "it belongs to organization sandbox")]


def test_money_on_an_intent_the_row_has_left_is_shown_to_a_person(processor, queue, a_payment, tell, status_of):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    tell(intent_id="pi_old", **named(row_id))
    processor.drain(queue)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == ANOTHER_INTENT_PAID
    assert "pi_old" in letter.dead_letter_description
    assert "pi_new" in letter.dead_letter_description


def test_news_of_an_intent_the_row_has_left_is_ignored(processor, queue, a_payment, tell, diary):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    tell("payment_intent.canceled", intent_id="pi_old", **named(row_id))
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert diary.lines[0][0] == "ignored"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version": 99}'])
def test_a_body_nobody_can_read_is_a_dead_letter_and_delays_no_other(processor, queue, a_payment, tell, body):
    queue.send([QueueMessage(body, message_id="garbage")])
    tell(**named(a_payment()))
    assert processor.drain(queue) == DrainSummary(completed=1, dead_lettered=1)
    assert dead_letters(queue) == [INVALID_MESSAGE]


def test_a_currency_nobody_knows_is_a_dead_letter_and_delays_no_other(processor, queue, a_payment, tell):
    row_id = a_payment()
    tell("payment_intent.processing", **named(row_id))
    tell(currency="zzz", **named(row_id))
    assert processor.drain(queue) == DrainSummary(completed=1, dead_lettered=1)


@pytest.mark.parametrize("error", [DataverseUnavailableError("away"), AuthenticationError("expired secret")])
@pytest.mark.parametrize("fault", ["query_error", "write_error"])
def test_a_crm_that_is_away_never_makes_dead_letters(
    processor, queue, crm, clock, a_payment, tell, status_of, error, fault
):
    row_id = a_payment()
    tell(**named(row_id))
    setattr(crm, fault, error)
    for _ in range(5):
        assert processor.drain(queue) == DrainSummary(retry_later=1)
        clock.advance(timedelta(minutes=10))
    setattr(crm, fault, None)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is PaymentStatus.COMPLETED


def test_a_throttled_client_waits_as_long_as_it_was_told(processor, queue, crm, clock, a_payment, tell):
    tell(**named(a_payment()))
    crm.query_error = ThrottledError("too many requests", retry_after=120)
    processor.drain(queue)
    crm.query_error = None

    clock.advance(timedelta(seconds=120))
    assert processor.drain(queue) == DrainSummary()
    clock.advance(timedelta(seconds=2))
    assert processor.drain(queue) == DrainSummary(completed=1)


def test_what_crm_will_never_take_is_a_dead_letter(processor, queue, crm, a_payment, tell):
    tell(**named(a_payment()))
    crm.write_error = AccessDeniedError("missing privilege prvWritenew_payment")
    processor.drain(queue)
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == REJECTED_BY_CRM
    assert "prvWritenew_payment" in letter.dead_letter_description


def test_an_answer_nobody_understands_is_tried_again_a_while(processor, queue, crm, clock, a_payment, tell):
    tell(**named(a_payment()))
    crm.write_error = UnexpectedResponseError("<html>")
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters(queue) == [REJECTED_BY_CRM]


def test_a_crash_between_the_write_and_the_settling_is_harmless(processor, queue, clock, a_payment, tell, diary):
    tell(**named(a_payment()))
    processor.process(queue.receive(10))  # and here the worker dies, having settled nothing
    clock.advance(timedelta(minutes=2))
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert [what for what, _, _ in diary.lines] == ["applied", "ignored"]


def test_settling_what_another_worker_has_settled_is_no_error(processor, queue, clock, a_payment, tell):
    tell(**named(a_payment()))
    tell(intent_id="pi_2", **named(new_guid()))
    slow = processor.process(queue.receive(10))
    clock.advance(timedelta(minutes=2))
    assert processor.drain(queue) == DrainSummary(completed=1, retry_later=1)

    settle(queue, slow)

    assert (queue.counts().active, queue.counts().scheduled) == (0, 1)


def test_a_worker_goes_on_until_it_is_told_to_stop(processor, queue, a_payment, tell):
    tell(**named(a_payment()))
    rounds = iter([False, False, True])
    summary = processor.drain(queue, until=lambda: next(rounds), max_wait=timedelta(0))
    assert summary == DrainSummary(completed=1)


@pytest.fixture
def maker(crm, settings, diary):
    retries = RetryPolicy(attempts=2, jitter=lambda: 1)
    configuration = BridgeConfiguration(**settings, create_sales_orders=True)
    return PaymentProcessor(crm, configuration, observer=diary, retries=retries)


def orders_in(crm) -> list[Entity]:
    return list(crm.client.query(QueryExpression("salesorder")))


CHECKOUT = {"event_type": "checkout.session.completed", "checkout_session_id": "cs_1", "payment_status": "paid"}


def test_a_paid_checkout_that_names_no_row_makes_one_sales_order(maker, queue, crm, clock, tell, status_of):
    tell(**CHECKOUT)
    tell(**CHECKOUT)
    tell()  # its intent's own event, which names no row either
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


def test_an_unpaid_checkout_makes_no_order_and_neither_does_one_that_names_a_row(maker, queue, crm, tell):
    tell(**{**CHECKOUT, "payment_status": "unpaid"})
    tell(**CHECKOUT, **named(new_guid()))
    assert maker.drain(queue) == DrainSummary(retry_later=2)
    assert orders_in(crm) == []


def test_a_currency_crm_does_not_have_is_shown_to_a_person(maker, queue, crm, tell):
    tell(**CHECKOUT, currency="mga")
    maker.drain(queue)
    assert dead_letters(queue) == [REJECTED_BY_CRM]
    assert orders_in(crm) == []


def test_orders_are_made_only_when_asked_for(processor, queue, crm, tell):
    tell(**CHECKOUT)
    assert processor.drain(queue) == DrainSummary(retry_later=1)
    assert orders_in(crm) == []
