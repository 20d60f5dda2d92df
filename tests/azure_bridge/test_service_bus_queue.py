"""What is special to the queue at Service Bus: a network that fails, a service that refuses, subscriptions, copies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("azure.servicebus")

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from azure_bridge.clock import ManualClock
from azure_bridge.queues import open_queue, service_bus_outbox
from azure_bridge.queues.contract import (
    MessageLockLostError,
    MessageTooLargeError,
    QueueAccessError,
    QueueError,
    QueueMessage,
    QueueUnavailableError,
)
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.queues.service_bus import ServiceBusQueue, connect

MINUTE = timedelta(minutes=1)
EVENTS = "payment-events"

OpenEvents = Callable[..., ServiceBusQueue]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def broker(start_broker: Callable[..., Any], clock: ManualClock) -> Any:
    broker = start_broker(clock=clock)
    broker.add_queue(EVENTS)
    return broker


@pytest.fixture
def open_events(broker: Any, clock: ManualClock) -> Iterator[OpenEvents]:
    """Opens the queue, or another, and closes it after the test."""
    with ExitStack() as opened:

        def open_events(name: str = EVENTS, **settings: Any) -> ServiceBusQueue:
            client = connect(broker.connection_string)
            settings = {"clock": clock, "shortest_wait": timedelta(seconds=0.2), **settings}
            return opened.enter_context(closing(ServiceBusQueue(client, name, **settings)))

        yield open_events


@pytest.fixture
def queue(open_events: OpenEvents) -> ServiceBusQueue:
    return open_events()


@pytest.fixture
def opened_sockets(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every socket that this process connects from now on."""
    opened: list[socket.socket] = []
    create_connection = socket.create_connection

    def create(*arguments: Any, **options: Any) -> socket.socket:
        opened.append(create_connection(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(socket, "create_connection", create)
    return opened


def message(message_id: str = "evt_1", body: bytes = b"{}", **facts: Any) -> QueueMessage:
    return QueueMessage(body=body, message_id=message_id, **facts)


def couriers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"send {EVENTS}"]


def ids(found: list[Any]) -> list[str]:
    return [one.message.message_id for one in found]


# --- sending -----------------------------------------------------------------------------------------------


def test_a_busy_service_is_asked_again(broker: Any, queue: ServiceBusQueue) -> None:
    broker.faults.busy_sends = 1
    queue.send([message()])
    assert ids(queue.peek()) == ["evt_1"]


def test_a_service_that_stays_busy_is_reported_as_unavailable(broker: Any, open_events: OpenEvents) -> None:
    broker.faults.busy_sends = 100
    queue = open_events(send_timeout=timedelta(seconds=1))
    with pytest.raises(QueueUnavailableError, match=f"{EVENTS}.*Try again"):
        queue.send([message()])


def test_a_send_given_up_in_the_middle_of_its_retries_leaves_no_socket_open(
    broker: Any, open_events: OpenEvents, opened_sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_bus_outbox, "_WATCH_SECONDS", -7.0)
    queue = open_events(send_timeout=timedelta(seconds=8))
    broker.faults.busy_sends = 2
    with pytest.raises(QueueUnavailableError):
        queue.send([message()])
    for thread in couriers():
        thread.join(30)
    assert {one.fileno() for one in opened_sockets} == {-1}


def test_a_message_whose_answer_was_lost_is_sent_again_and_stored_once(broker: Any, queue: ServiceBusQueue) -> None:
    broker.faults.lost_send_answers = 1
    queue.send([message()])
    assert ids(queue.peek()) == ["evt_1"]


def test_a_send_that_never_returns_is_given_up_and_the_next_one_works(
    broker: Any, open_events: OpenEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's callback dies of an answer it does not expect, and its loop never ends."""
    queue = open_events(send_timeout=timedelta(seconds=30))
    queue.send([message("evt_1")])
    [stuck] = couriers()
    broker.faults.released_sends = 1
    monkeypatch.setattr(service_bus_outbox, "_WATCH_SECONDS", -29.0)
    with pytest.raises(QueueUnavailableError, match="same id"):
        queue.send([message("evt_2")])
    monkeypatch.undo()
    queue.send([message("evt_2")])
    assert ids(queue.peek()) == ["evt_1", "evt_2"]
    stuck.join(60)
    assert len(couriers()) == 1


def test_more_than_one_transfer_can_carry_is_sent_in_several(queue: ServiceBusQueue) -> None:
    queue.send([message(f"evt_{number}", b"x" * 2000) for number in range(300)])
    assert len(queue.peek(1000)) == 300


def test_what_the_service_finds_too_large_spoils_no_other_message(open_events: OpenEvents) -> None:
    queue = open_events(max_message_bytes=10**9)
    large = message("evt_large", b"x" * 300_000)
    with ThreadPoolExecutor(2) as pool:
        small = pool.submit(queue.send, [message("evt_small")])
        with pytest.raises(MessageTooLargeError, match=EVENTS):
            queue.send([large])
        small.result(timeout=30)
    assert ids(queue.peek()) == ["evt_small"]


def test_a_queue_that_does_not_exist_is_named(open_events: OpenEvents) -> None:
    queue = open_events("paymant-events")
    with pytest.raises(QueueAccessError, match=r"paymant-events.*Check its name"):
        queue.send([message()])
    with pytest.raises(QueueAccessError, match="paymant-events"):
        queue.receive()


def test_a_service_that_does_not_answer_is_unavailable(broker: Any) -> None:
    nobody_listens = broker.connection_string.replace(str(broker.port), "9")
    queue = ServiceBusQueue(connect(nobody_listens), EVENTS, send_timeout=timedelta(seconds=1))
    with closing(queue), pytest.raises(QueueUnavailableError, match="Try again"):
        queue.send([message()])


def test_senders_that_wait_together_share_a_transfer(broker: Any, queue: ServiceBusQueue) -> None:
    queue.send([message("evt_first")])
    broker.faults.delay = timedelta(seconds=0.2)
    before = broker.transfers_seen
    start = threading.Barrier(8)

    def send(number: int) -> None:
        start.wait()
        queue.send([message(f"evt_{number}")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    assert len(queue.peek()) == 9
    assert broker.transfers_seen - before <= 3


# --- connections and locks that are lost -------------------------------------------------------------------


def test_a_message_held_over_a_lost_connection_can_still_be_settled(broker: Any, queue: ServiceBusQueue) -> None:
    queue.send([message("evt_1"), message("evt_2"), message("evt_3")])
    done, later, bad = queue.receive(3)
    broker.drop_connections()
    queue.complete([done])
    queue.retry_later(later, MINUTE)
    queue.dead_letter(bad, "RowNotFound", "There is no such row.")
    assert ids(queue.peek()) == ["evt_2"]
    assert ids(queue.peek(dead_letters=True)) == ["evt_3"]


def test_a_receiver_goes_on_after_its_connection_was_lost(broker: Any, queue: ServiceBusQueue) -> None:
    assert queue.receive() == []
    broker.drop_connections()
    queue.send([message()])
    assert ids(queue.receive(1, MINUTE)) == ["evt_1"]


def test_a_connection_that_was_lost_leaves_no_socket_open(
    broker: Any, queue: ServiceBusQueue, opened_sockets: list[socket.socket]
) -> None:
    queue.send([message("evt_1")])
    held = queue.receive()
    lost = list(opened_sockets)
    broker.drop_connections()
    queue.send([message("evt_2")])
    queue.complete(held)
    assert len(lost) == 2
    assert [one.fileno() for one in lost] == [-1, -1]


def test_a_completion_whose_answer_was_lost_is_done_all_the_same(broker: Any, queue: ServiceBusQueue) -> None:
    """The SDK asks again, finds no lock, and says it was lost: done already, as the contract's error says."""
    queue.send([message()])
    held = queue.receive()
    broker.faults.lost_settlement_answers = 1
    with pytest.raises(MessageLockLostError, match="done already"):
        queue.complete(held)
    assert queue.peek() == []


def test_nothing_is_copied_of_a_message_whose_lock_was_lost(broker: Any, queue: ServiceBusQueue) -> None:
    queue.send([message()])
    (held,) = queue.receive()
    broker.lose_locks()
    with pytest.raises(MessageLockLostError, match="evt_1"):
        queue.retry_later(held, MINUTE)
    assert ids(queue.peek()) == ["evt_1"]


def test_a_message_retried_later_twice_as_the_same_attempt_comes_back_once(broker: Any, queue: ServiceBusQueue) -> None:
    """As when the process dies between storing the copy and completing the message."""
    queue.send([message()])
    (held,) = queue.receive()
    broker.faults.lost_settlement_answers = 1
    with pytest.raises(MessageLockLostError):
        queue.retry_later(held, MINUTE)
    assert [(one.message.message_id, one.attempt) for one in queue.peek()] == [("evt_1", 1)]


def test_settling_does_not_wait_for_a_receiver_that_waits(queue: ServiceBusQueue) -> None:
    queue.send([message()])
    held = queue.receive()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.receive, 1, MINUTE)
        queue.complete(held)
        assert not waiting.done()
        queue.send([message("evt_2")])
        assert ids(waiting.result(timeout=30)) == ["evt_2"]


# --- services that are not quite Azure's -------------------------------------------------------------------


def test_a_service_without_management_carries_messages_all_the_same(broker: Any, queue: ServiceBusQueue) -> None:
    broker.faults.no_management = True
    queue.send([message("evt_1"), message("evt_2")])
    done, bad = queue.receive(2)
    queue.complete([done])
    queue.dead_letter(bad, "RowNotFound")
    assert queue.receive(2) == []


def test_what_a_service_without_management_cannot_retry_later_comes_again(
    broker: Any, clock: ManualClock, queue: ServiceBusQueue
) -> None:
    broker.faults.no_management = True
    queue.send([message("evt_1")])
    (held,) = queue.receive()
    with pytest.raises(QueueUnavailableError, match=EVENTS):
        queue.retry_later(held, timedelta(hours=1))
    clock.advance(MINUTE)
    assert ids(queue.receive()) == ["evt_1"]


def test_a_service_without_management_says_that_it_cannot_be_looked_into(broker: Any, queue: ServiceBusQueue) -> None:
    broker.faults.no_management = True
    with pytest.raises(QueueUnavailableError, match=EVENTS):
        queue.peek()


def test_a_service_that_does_not_detect_duplicates_hands_both_out(broker: Any, open_events: OpenEvents) -> None:
    """Whoever applies them has to recognise the second one, as it must a repeated delivery."""
    broker.add_queue("plain", duplicate_detection_window=None)
    queue = open_events("plain")
    queue.send([message()])
    queue.send([message()])
    held = queue.receive(2)
    queue.complete(held)
    assert ids(held) == ["evt_1", "evt_1"]
    assert queue.peek() == []


# --- which service -----------------------------------------------------------------------------------------


def test_a_connection_string_or_a_namespace_chooses_service_bus(tmp_path: Path, broker: Any) -> None:
    by_string = open_queue(EVENTS, directory=tmp_path, connection_string=broker.connection_string)
    by_namespace = open_queue(EVENTS, directory=tmp_path, namespace="contoso.servicebus.windows.net")
    with closing(by_string), closing(by_namespace):
        assert (type(by_string), type(by_namespace)) == (ServiceBusQueue, ServiceBusQueue)
    with closing(open_queue(EVENTS, directory=tmp_path)) as by_default:
        assert isinstance(by_default, EmbeddedQueue)


def test_a_malformed_connection_string_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(QueueAccessError, match="SERVICEBUS_CONNECTION_STRING") as refused:
        open_queue(EVENTS, directory=tmp_path, connection_string="Endpoint=sb://contoso;SharedAccessKey=s3cr3t")
    assert "s3cr3t" not in str(refused.value)


# --- subscriptions, expiry, other senders ------------------------------------------------------------------


def test_a_subscription_is_received_from_and_settled(broker: Any, open_events: OpenEvents) -> None:
    broker.add_topic("orders", "bridge", "audit")
    client = ServiceBusClient.from_connection_string(broker.connection_string)
    with client, client.get_topic_sender("orders") as sender:
        sender.send_messages(ServiceBusMessage(b"{}", message_id="evt_1"))
    bridge, audit = open_events("orders/Subscriptions/bridge"), open_events("orders/Subscriptions/audit")
    bridge.complete(bridge.receive())
    (held,) = audit.receive()
    audit.dead_letter(held, "RowNotFound")
    assert bridge.peek() == []
    assert ids(audit.peek(dead_letters=True)) == ["evt_1"]


def test_a_message_retried_later_on_a_subscription_comes_back_with_its_lock(
    broker: Any, clock: ManualClock, open_events: OpenEvents
) -> None:
    """A copy would go to the whole topic."""
    from proton import Message

    (subscription,) = broker.add_topic("orders", "bridge")
    subscription.accept(Message(body=b"{}", id="evt_1", inferred=True), "evt_1")
    queue = open_events("orders/Subscriptions/bridge")
    (held,) = queue.receive()
    queue.retry_later(held, timedelta(hours=1))
    assert queue.receive() == []
    clock.advance(MINUTE)
    (again,) = queue.receive()
    assert again.delivery_count == 2


@pytest.mark.parametrize("send", [lambda queue: queue.send([message()]), lambda queue: queue.resubmit(1)])
def test_a_subscription_cannot_be_sent_to_alone(
    broker: Any, open_events: OpenEvents, send: Callable[[ServiceBusQueue], None]
) -> None:
    broker.add_topic("orders", "bridge")
    with pytest.raises(QueueError, match="Forward it to a queue"):
        send(open_events("orders/Subscriptions/bridge"))


def test_an_expired_message_is_a_dead_letter(broker: Any, clock: ManualClock, open_events: OpenEvents) -> None:
    broker.add_queue("short-lived", time_to_live=MINUTE)
    queue = open_events("short-lived")
    queue.send([message()])
    clock.advance(MINUTE)
    assert queue.receive() == []
    (dead,) = queue.peek(dead_letters=True)
    assert dead.dead_letter_reason == "TTLExpiredException"


def test_messages_of_other_senders_are_understood(broker: Any, queue: ServiceBusQueue) -> None:
    """They may have no message id, a body that is a string, and properties that are not."""
    from proton import Message, int32

    properties = {"Depth": int32(1), "PrimaryEntity": "account"}
    broker.add_queue(EVENTS).accept(Message(body="{}", inferred=True, properties=properties), None)
    (received,) = queue.receive()
    assert received.message.body == b"{}"
    assert received.message.message_id == "sequence-1"
    assert received.message.application_properties == {"Depth": "1", "PrimaryEntity": "account"}


@pytest.mark.parametrize(
    "properties",
    [{"RetryAttempt": "first"}, {"RetryEnqueuedAt": "yesterday"}, {"RetryAttempt": "2"}, {"Checksum": b"\xff\xfe"}],
    ids=str,
)
def test_properties_of_other_senders_that_are_named_like_ours_mean_nothing(
    broker: Any, queue: ServiceBusQueue, clock: ManualClock, properties: Mapping[str, Any]
) -> None:
    from proton import Message

    broker.add_queue(EVENTS).accept(Message(body=b"{}", inferred=True, properties=properties), "theirs")
    (peeked,) = queue.peek()
    (received,) = queue.receive()
    assert (received.attempt, peeked.attempt) == (0, 0)
    assert (received.enqueued_at, peeked.enqueued_at) == (clock.now(), clock.now())


def test_ids_of_other_senders_that_are_no_strings_are_told_as_strings(broker: Any, queue: ServiceBusQueue) -> None:
    from proton import Message, ulong

    number, name = ulong(7), UUID("7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11")
    broker.add_queue(EVENTS).accept(Message(body=b"{}", inferred=True, id=name, correlation_id=number), "theirs")
    (received,) = queue.receive()
    assert (received.message.message_id, received.message.correlation_id) == (str(name), "7")


def test_a_session_id_is_cut_to_what_the_service_takes(queue: ServiceBusQueue) -> None:
    """Stripe's ids may be longer."""
    queue.send([message(session_id="cs_" + "a" * 200)])
    (received,) = queue.receive()
    assert received.message.session_id == "cs_" + "a" * 125


def test_dead_letters_another_tool_holds_are_not_said_to_be_missing(
    queue: ServiceBusQueue, open_events: OpenEvents, broker: Any
) -> None:
    queue.send([message()])
    (held,) = queue.receive()
    queue.dead_letter(held, "RowNotFound")
    another = ServiceBusClient.from_connection_string(broker.connection_string)
    with another, another.get_queue_receiver(EVENTS, sub_queue="deadletter") as holder:
        holder.receive_messages(1, 5)
        with pytest.raises(QueueUnavailableError, match="Somebody else holds"):
            queue.discard(held.sequence_number)
