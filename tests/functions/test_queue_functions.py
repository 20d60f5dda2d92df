"""Messages under the Functions host: the whole road, and how each of them ends."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml
from azure.functions.servicebus import ServiceBusMessage as Handed
from azure.servicebus import ServiceBusMessage

from azure_bridge.clock import ManualClock
from azure_bridge.functions import BridgeMissingError
from azure_bridge.hosted_messages import PATIENCE, HostedMessages, NotAtServiceBusError, SetAsideError
from azure_bridge.queues.contract import QueueMessage, QueueUnavailableError, ReceivedMessage
from azure_bridge.queues.service_bus import connect
from azure_bridge.secrets import SecretSourceError
from azure_bridge.settlement import Complete
from azure_bridge.tables import PaymentStatus
from plugins.payment_intents import CreatePaymentIntent
from runner.plugin import InvalidPluginExecutionException
from runner.settings import SettingsError
from runner.tracing.model import EventTraced

HOUR = timedelta(hours=1)
ROOT = Path(__file__).parents[2]
AN_EVENT = Handed(body=b"{}", message_id="evt_1", application_properties={}, user_properties={})


class AtServiceBus:
    """An app whose queues are the stand-in's, which gives a message up after three deliveries."""

    def __init__(self, here, broker) -> None:
        self.here, self.broker = here, broker
        self.work_on_events = partial(here.host.deliver, "dataverse_events", "dataverse-events")
        self.work_on_payments = partial(here.host.deliver, "payment_events", "payment-events")

    def payment_with_intent(self) -> str:
        row_id = self.here.create_payment()
        for told in self.here.notifications():
            assert self.here.notify(told).status_code == 202
        assert set(self.work_on_events()) == {None}
        return row_id

    def pay(self, row_id: str, times: int = 1) -> None:
        self.here.stripe.pay(self.here.payment(row_id)["new_stripepaymentintentid"])
        for delivery in self.here.happened() * times:
            assert self.here.post(delivery).status_code == 200

    def applied(self) -> list[str]:
        return [
            each.event_type
            for each in self.here.traces.records
            if isinstance(each, EventTraced) and each.station == "applied"
        ]


@pytest.fixture
def at_service_bus(world, start_broker):
    clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
    broker = start_broker(clock=clock)
    for name in ("dataverse-events", "payment-events"):
        broker.add_queue(name, max_deliveries=3)
    with closing(connect(broker.connection_string)) as bus:
        yield AtServiceBus(world(bus, clock, servicebus_connection_string=broker.connection_string), broker)


def test_a_payment_goes_all_the_way_round(at_service_bus) -> None:
    row_id = at_service_bus.payment_with_intent()
    assert at_service_bus.here.status(row_id) == PaymentStatus.PENDING

    at_service_bus.pay(row_id)
    assert set(at_service_bus.work_on_payments()) == {None}

    assert at_service_bus.here.status(row_id) == PaymentStatus.COMPLETED
    assert at_service_bus.work_on_payments() == []


def test_a_delivery_too_many_applies_nothing_twice(at_service_bus) -> None:
    row_id = at_service_bus.payment_with_intent()
    at_service_bus.pay(row_id, times=2)
    events = [QueueMessage(each.message.body, f"{each.message.message_id}-again") for each in _waiting(at_service_bus)]
    at_service_bus.here.service.payments.send(events)

    at_service_bus.work_on_payments()

    assert at_service_bus.applied().count("payment_intent.succeeded") == 1


def _waiting(at_service_bus):
    return at_service_bus.here.service.payments.peek()


def test_while_crm_is_away_a_message_is_retried_later_and_applied_afterwards(at_service_bus) -> None:
    here, row_id = at_service_bus.here, at_service_bus.payment_with_intent()
    at_service_bus.pay(row_id)
    with here.crm_is_away():
        assert set(at_service_bus.work_on_payments()) == {None}
    assert {each.attempt for each in _waiting(at_service_bus)} == {1}
    assert at_service_bus.work_on_payments() == []

    here.clock.advance(HOUR)
    at_service_bus.work_on_payments()

    assert here.status(row_id) == PaymentStatus.COMPLETED
    assert here.service.payments.counts().active == 0


def test_while_crm_is_away_a_notification_is_retried_later_and_its_step_run_afterwards(at_service_bus) -> None:
    here, row_id = at_service_bus.here, at_service_bus.here.create_payment()
    for told in here.notifications():
        here.notify(told)
    with here.crm_is_away():
        assert at_service_bus.work_on_events() == [None]
    assert [each.attempt for each in here.service.events.peek()] == [1]

    here.clock.advance(HOUR)
    at_service_bus.work_on_events()

    assert here.status(row_id) == PaymentStatus.PENDING


@pytest.mark.parametrize(
    ("queue", "reason"), [("payment-events", "InvalidMessage"), ("dataverse-events", "InvalidNotification")]
)
def test_poison_ends_among_the_dead_letters_with_its_reason_and_goes_out_whole_again(
    at_service_bus, queue, reason
) -> None:
    service = at_service_bus.here.service
    ours = service.payments if queue == "payment-events" else service.events
    work = at_service_bus.work_on_payments if queue == "payment-events" else at_service_bus.work_on_events
    ours.send([QueueMessage(b"no such thing", "poison-1", application_properties={"From": "afar"})])

    assert work() == [None]
    assert [type(error) for _ in range(3) for error in work()] == [SetAsideError] * 3

    [dead] = ours.peek(dead_letters=True)
    assert (dead.message.message_id, dead.message.body) == ("poison-1", b"no such thing")
    assert dead.dead_letter_reason == reason
    assert dead.dead_letter_description

    ours.resubmit(dead.sequence_number)
    [again] = ours.peek()
    assert again.message.message_id == "poison-1:resubmit-1"
    assert again.message.application_properties.keys() == {"From", "OriginalMessageId", "Resubmissions"}
    assert work() == [None]


def test_the_log_of_a_failed_function_shows_no_secret(at_service_bus) -> None:
    payments = at_service_bus.here.service.payments
    now = at_service_bus.here.clock.now()
    received = ReceivedMessage(QueueMessage(b"{}", "evt_1"), "lock", 1, now, now, delivery_count=1)
    payments.send_set_aside(received, "Refused", "The customer sent sk_test_4eC39HqLyjWD.")
    [error] = at_service_bus.work_on_payments()
    assert "sk_test_***" in str(error)
    assert "4eC39HqLyjWD" not in str(error)


def test_poison_takes_nothing_along_that_arrives_with_it(at_service_bus) -> None:
    row_id = at_service_bus.payment_with_intent()
    at_service_bus.here.service.payments.send([QueueMessage(b"no such thing", "poison-1")])
    at_service_bus.work_on_payments()
    at_service_bus.pay(row_id)

    endings = at_service_bus.work_on_payments()

    assert [type(error) for error in endings if error] == [SetAsideError]
    assert at_service_bus.here.status(row_id) == PaymentStatus.COMPLETED


def test_what_a_plug_in_refuses_is_run_once_and_set_aside_with_its_words(at_service_bus, monkeypatch) -> None:
    runs = []

    def refuse(self, context):
        runs.append(context)
        raise InvalidPluginExecutionException("The customer is blocked.")

    monkeypatch.setattr(CreatePaymentIntent, "execute", refuse)
    here = at_service_bus.here
    here.create_payment()
    for told in here.notifications():
        here.notify(told)

    while at_service_bus.work_on_events():
        pass

    [dead] = here.service.events.peek(dead_letters=True)
    assert (dead.dead_letter_reason, dead.dead_letter_description) == ("RefusedByPlugin", "The customer is blocked.")
    assert len(runs) == 1


def test_a_message_comes_again_when_its_copy_cannot_be_sent(at_service_bus, monkeypatch) -> None:
    here, row_id = at_service_bus.here, at_service_bus.payment_with_intent()
    at_service_bus.pay(row_id)

    def away(*_):
        raise QueueUnavailableError("no connection")

    with here.crm_is_away(), monkeypatch.context() as broken:
        broken.setattr(here.service.payments, "send_scheduled_copy", away)
        assert {type(error) for error in at_service_bus.work_on_payments()} == {QueueUnavailableError}

    at_service_bus.work_on_payments()

    assert here.status(row_id) == PaymentStatus.COMPLETED


def test_a_message_repeated_after_its_copy_was_sent_leaves_one_copy(at_service_bus) -> None:
    """The host dies between the function's return and the completion."""
    payments = at_service_bus.here.service.payments
    now = at_service_bus.here.clock.now()
    received = ReceivedMessage(QueueMessage(b"{}", "evt_1"), "lock", 1, now, now, delivery_count=1)
    for _ in range(2):
        payments.send_scheduled_copy(received, HOUR)
        payments.send_set_aside(received, "InvalidMessage", "unreadable")
    assert len(payments.peek()) == 2


def test_a_message_dataverse_itself_has_put_on_the_queue_is_handled(at_service_bus) -> None:
    here, row_id = at_service_bus.here, at_service_bus.here.create_payment()
    [told] = here.notifications()
    with (
        closing(connect(at_service_bus.broker.connection_string)) as dataverse,
        dataverse.get_queue_sender("dataverse-events") as sender,
    ):
        sender.send_messages(ServiceBusMessage(told))
    assert at_service_bus.work_on_events() == [None]
    assert here.status(row_id) == PaymentStatus.PENDING


def test_a_queue_that_is_not_at_service_bus_cannot_be_worked_on(world) -> None:
    here = world()
    with pytest.raises(NotAtServiceBusError, match="SERVICEBUS__fullyQualifiedNamespace"):
        here.host.call("payment_events", AN_EVENT)


def test_without_a_bridge_section_no_event_is_taken_or_consumed(world, start_broker, tmp_path) -> None:
    document = yaml.safe_load((ROOT / "registrations.yaml").read_text(encoding="utf-8"))
    registrations = tmp_path / "without-bridge.yaml"
    registrations.write_text(yaml.safe_dump({name: part for name, part in document.items() if name != "bridge"}))
    broker = start_broker()
    broker.add_queue("payment-events")
    here = world(runner_registrations=registrations, servicebus_connection_string=broker.connection_string)

    assert here.host.post("stripe_webhook", "/stripe/webhook", b"{}", Stripe_Signature="t=1").status_code == 404
    with pytest.raises(BridgeMissingError, match=r"payment_events\.Disabled"):
        here.host.call("payment_events", AN_EVENT)


class AQueue:
    """Just enough of one for messages that are neither retried later nor set aside."""

    name = "payment-events"

    def send_scheduled_copy(self, message, delay): ...
    def send_set_aside(self, message, reason, description=""): ...


@pytest.fixture
def held(monkeypatch):
    """For how many seconds messages were held, without waiting for them to pass."""
    held = []

    async def hold(seconds):
        held.append(seconds)

    monkeypatch.setattr("asyncio.sleep", hold)
    return held


def test_what_fails_for_no_fault_of_its_message_is_held_on_to_before_it_is_given_back(held) -> None:
    def decide(_):
        raise RuntimeError("a bug of ours")

    hosted = HostedMessages(AQueue, decide, at_once=1)
    with pytest.raises(RuntimeError):
        asyncio.run(hosted.work_on(AN_EVENT))
    assert held == [60.0]


def test_a_message_waits_minutes_for_an_app_that_cannot_work_yet_and_is_given_back_at_last(held) -> None:
    def closed():
        raise SettingsError("DATAVERSE_URL is not set")

    hosted = HostedMessages(closed, Complete, at_once=1)
    with pytest.raises(SettingsError):
        asyncio.run(hosted.work_on(AN_EVENT))
    assert held == [60.0] * PATIENCE


def test_a_message_that_waited_for_the_vault_is_worked_on_and_costs_no_delivery(held) -> None:
    vault, worked_on = iter([SecretSourceError("away"), SecretSourceError("away"), None]), []

    def opened():
        if error := next(vault):
            raise error
        return AQueue()

    def decide(message):
        worked_on.append(message.message.message_id)
        return Complete(message)

    asyncio.run(HostedMessages(opened, decide, at_once=1).work_on(AN_EVENT))
    assert (worked_on, held) == (["evt_1"], [60.0] * 2)
