"""The queue contract, kept by every engine. A new engine joins by the fixture ``engine``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from azure_bridge.clock import ManualClock
from azure_bridge.queues.contract import (
    MessageLockLostError,
    MessageQueue,
    MessageTooLargeError,
    QueueCounts,
    QueueMessage,
    ReceivedMessage,
)
from azure_bridge.queues.embedded import EmbeddedQueue

MINUTE = timedelta(minutes=1)

_CLOSERS = ThreadPoolExecutor(4)


class EmbeddedEngine:
    """Opens embedded queues of one file, under one clock."""

    sees_locks = True

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self._path = directory / "queues.db"
        self._opened: list[EmbeddedQueue] = []

    def open(self, name: str = "payment-events", **settings: Any) -> MessageQueue:
        queue = EmbeddedQueue(self._path, name, clock=self.clock, **settings)
        self._opened.append(queue)
        return queue

    def close(self) -> None:
        for queue in self._opened:
            queue.close()


class ServiceBusEngine:
    """Opens queues of a stand-in for Azure Service Bus by the real SDK. What is set at the service is set there."""

    sees_locks = False

    def __init__(self, broker_class: Callable[..., Any]) -> None:
        # The SDK compares locks with the real time, and the wire has whole milliseconds.
        self.clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
        self._open = ExitStack()
        self._broker = self._open.enter_context(broker_class(clock=self.clock))

    def open(self, name: str = "payment-events", max_message_bytes: int = 256 * 1024, **settings: Any) -> MessageQueue:
        from azure_bridge.queues.service_bus import ServiceBusQueue, connect

        self._broker.add_queue(name, **settings)
        client = connect(self._broker.connection_string)
        limits = {"max_message_bytes": max_message_bytes, "shortest_wait": timedelta(seconds=0.1)}
        return self._open.enter_context(closing(ServiceBusQueue(client, name, clock=self.clock, **limits)))

    def close(self) -> None:
        """The SDK takes a second or two to close, which the next test need not wait for."""
        _CLOSERS.submit(self._open.close)


@pytest.fixture(params=["embedded", "service bus"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "embedded":
        engine: Any = EmbeddedEngine(tmp_path)
    else:
        engine = ServiceBusEngine(request.getfixturevalue("broker_class"))
    yield engine
    engine.close()


@pytest.fixture
def queue(engine: Any) -> MessageQueue:
    opened: MessageQueue = engine.open()
    return opened


def message(message_id: str = "evt_1", **facts: Any) -> QueueMessage:
    return QueueMessage(body=b'{"id": 1}', message_id=message_id, **facts)


def receive_one(queue: MessageQueue) -> ReceivedMessage:
    (received,) = queue.receive()
    return received


def ids(received: list[ReceivedMessage]) -> list[str]:
    return [one.message.message_id for one in received]


def dead_letter_one(queue: MessageQueue, message_id: str = "evt_1") -> int:
    """Sends and dead-letters a message; returns its sequence number."""
    queue.send([message(message_id)])
    received = receive_one(queue)
    queue.dead_letter(received, "RowNotFound", "No Payment has this intent.")
    return received.sequence_number


# --- sending and receiving ---------------------------------------------------------------------------------


def test_what_is_sent_is_received_whole(queue: MessageQueue) -> None:
    sent = message(
        correlation_id="c-1", subject="payment_intent.succeeded", session_id="pi_1", application_properties={"a": "ü"}
    )
    queue.send([sent])
    received = receive_one(queue)
    assert received.message == sent
    assert (received.delivery_count, received.attempt) == (1, 0)


def test_messages_come_in_the_order_they_arrived(queue: MessageQueue) -> None:
    queue.send([message("evt_1"), message("evt_2")])
    queue.send([message("evt_3")])
    assert ids(queue.receive(10)) == ["evt_1", "evt_2", "evt_3"]


def test_no_more_are_received_than_asked_for(queue: MessageQueue) -> None:
    queue.send([message("evt_1"), message("evt_2")])
    assert ids(queue.receive(1)) == ["evt_1"]
    assert ids(queue.receive(5)) == ["evt_2"]


def test_who_asks_for_no_message_gets_none(queue: MessageQueue) -> None:
    queue.send([message()])
    assert queue.receive(0) == []
    assert ids(queue.receive()) == ["evt_1"]


def test_an_empty_queue_gives_nothing(queue: MessageQueue) -> None:
    assert queue.receive(10) == []


def test_a_locked_message_is_hidden_from_others(queue: MessageQueue) -> None:
    queue.send([message()])
    receive_one(queue)
    assert queue.receive() == []


def test_sending_nothing_is_allowed(queue: MessageQueue) -> None:
    queue.send([])
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=0)


def test_a_body_over_the_limit_is_refused_and_nothing_of_the_batch_is_stored(engine: Any) -> None:
    queue = engine.open(max_message_bytes=10)
    with pytest.raises(MessageTooLargeError, match="evt_2 has 11 bytes"):
        queue.send([message("evt_1"), QueueMessage(body=b"x" * 11, message_id="evt_2")])
    assert queue.counts().active == 0


def test_a_waiting_receiver_gets_what_is_sent_meanwhile(queue: MessageQueue) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.receive, 1, MINUTE)
        queue.send([message()])
        assert ids(waiting.result(timeout=30)) == ["evt_1"]


def test_a_waiting_receiver_gets_what_another_opener_sends(engine: Any) -> None:
    here, elsewhere = engine.open(), engine.open()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.receive, 1, MINUTE)
        elsewhere.send([message()])
        assert ids(waiting.result(timeout=30)) == ["evt_1"]


def test_queues_know_nothing_of_each_other(engine: Any) -> None:
    payments, dataverse = engine.open("payment-events"), engine.open("dataverse-events")
    payments.send([message()])
    dataverse.send([message()])
    payments.complete(payments.receive())
    assert (payments.counts().active, dataverse.counts().active) == (0, 1)


def test_no_message_goes_to_two_receivers(engine: Any) -> None:
    queue, other = engine.open(), engine.open()
    queue.send([message(f"evt_{number}") for number in range(200)])
    received: list[str] = []

    def drain(source: MessageQueue) -> None:
        while batch := source.receive(7):
            received.extend(ids(batch))
            source.complete(batch)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(drain, source) for source in (queue, other, queue, other)]:
            done.result()
    assert sorted(received) == sorted({f"evt_{number}" for number in range(200)})


def test_senders_at_the_same_time_all_get_through(queue: MessageQueue) -> None:
    start = threading.Barrier(16)

    def send(sender: int) -> None:
        start.wait()
        for number in range(5):
            queue.send([message(f"evt_{sender}_{number}")])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(16)))
    assert queue.counts().active == 80


# --- duplicates --------------------------------------------------------------------------------------------


def test_a_known_id_is_accepted_and_dropped(queue: MessageQueue) -> None:
    queue.send([message(), message()])
    queue.send([message()])
    assert queue.counts().active == 1


def test_an_id_stays_known_after_its_message_is_done(queue: MessageQueue) -> None:
    queue.send([message()])
    queue.complete(queue.receive())
    queue.send([message()])
    assert queue.receive() == []


def test_an_id_is_forgotten_when_the_window_has_passed(engine: Any) -> None:
    queue = engine.open(duplicate_detection_window=timedelta(days=7))
    queue.send([message()])
    queue.complete(queue.receive())
    engine.clock.advance(timedelta(days=7))
    queue.send([message()])
    assert ids(queue.receive()) == ["evt_1"]


# --- locks -------------------------------------------------------------------------------------------------


def test_an_unsettled_message_comes_back_when_its_lock_runs_out(engine: Any) -> None:
    queue = engine.open(lock_duration=MINUTE)
    queue.send([message()])
    first = receive_one(queue)
    engine.clock.advance(MINUTE)
    again = receive_one(queue)
    assert again.delivery_count == 2
    assert again.lock_token != first.lock_token


def test_a_renewed_lock_holds_longer(engine: Any) -> None:
    queue = engine.open(lock_duration=MINUTE)
    queue.send([message()])
    held = receive_one(queue)
    engine.clock.advance(MINUTE / 2)
    renewed = queue.renew(held)
    engine.clock.advance(MINUTE / 2)
    assert renewed.locked_until > held.locked_until
    assert queue.receive() == []
    queue.complete([renewed])


@pytest.mark.parametrize(
    "settle",
    [
        lambda queue, held: queue.complete([held]),
        lambda queue, held: queue.renew(held),
        lambda queue, held: queue.retry_later(held, MINUTE),
        lambda queue, held: queue.dead_letter(held, "Reason"),
    ],
    ids=["complete", "renew", "retry_later", "dead_letter"],
)
def test_a_message_whose_lock_ran_out_cannot_be_settled(
    engine: Any, settle: Callable[[MessageQueue, ReceivedMessage], None]
) -> None:
    queue = engine.open(lock_duration=MINUTE)
    queue.send([message()])
    stale = receive_one(queue)
    engine.clock.advance(MINUTE)
    with pytest.raises(MessageLockLostError, match="evt_1"):
        settle(queue, stale)
    held = receive_one(queue)
    with pytest.raises(MessageLockLostError, match="evt_1"):
        settle(queue, stale)
    queue.complete([held])


def test_completing_a_batch_removes_those_still_held_and_names_the_others(queue: MessageQueue) -> None:
    queue.send([message("evt_1"), message("evt_2")])
    done, held = queue.receive(2)
    queue.complete([done])
    with pytest.raises(MessageLockLostError, match=r"evt_1\b") as lost:
        queue.complete([done, held])
    assert "evt_2" not in str(lost.value)
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=0)


# --- later, and never --------------------------------------------------------------------------------------


def test_a_message_retried_later_comes_back_when_its_time_has_come(engine: Any) -> None:
    queue = engine.open()
    queue.send([message()])
    queue.retry_later(receive_one(queue), MINUTE)
    assert queue.receive() == []
    engine.clock.advance(MINUTE)
    again = receive_one(queue)
    assert (again.attempt, again.delivery_count) == (1, 1)


def test_a_message_retried_later_is_as_old_as_it_was(engine: Any) -> None:
    queue = engine.open()
    queue.send([message()])
    first = receive_one(queue)
    queue.retry_later(first, MINUTE)
    engine.clock.advance(MINUTE)
    queue.retry_later(receive_one(queue), MINUTE)
    assert [peeked.enqueued_at for peeked in queue.peek()] == [first.enqueued_at]
    engine.clock.advance(MINUTE)
    again = receive_one(queue)
    assert (again.enqueued_at, again.message) == (first.enqueued_at, message())


def test_putting_off_does_not_use_up_deliveries(engine: Any) -> None:
    queue = engine.open(max_deliveries=2)
    queue.send([message()])
    for _ in range(5):
        queue.retry_later(receive_one(queue), timedelta(0))
    assert receive_one(queue).attempt == 5


def test_an_id_as_long_as_ids_may_be_outlasts_putting_off_and_resubmitting(engine: Any) -> None:
    queue = engine.open()
    sequence_number = dead_letter_one(queue, "x" * 128)
    queue.resubmit(sequence_number)
    resubmitted = receive_one(queue)
    queue.retry_later(resubmitted, MINUTE)
    engine.clock.advance(MINUTE)
    again = receive_one(queue)
    assert again.message.message_id == resubmitted.message.message_id
    assert again.message.application_properties["OriginalMessageId"] == "x" * 128


def test_a_message_delivered_too_often_becomes_a_dead_letter(engine: Any) -> None:
    queue = engine.open(max_deliveries=2, lock_duration=MINUTE)
    queue.send([message("evt_bad")])
    for delivery in (1, 2):
        assert receive_one(queue).delivery_count == delivery
        engine.clock.advance(MINUTE)
    queue.send([message("evt_good")])
    assert ids(queue.receive(1)) == ["evt_good"]
    (dead,) = queue.peek(dead_letters=True)
    assert dead.message.message_id == "evt_bad"
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"


def test_a_dead_letter_is_set_aside_with_its_reason(queue: MessageQueue) -> None:
    dead_letter_one(queue)
    assert queue.receive() == []
    (dead,) = queue.peek(dead_letters=True)
    assert (dead.dead_letter_reason, dead.dead_letter_description) == ("RowNotFound", "No Payment has this intent.")
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=1)


def test_a_resubmitted_dead_letter_is_sent_afresh_and_leads_back_to_the_first(queue: MessageQueue) -> None:
    queue.resubmit(dead_letter_one(queue))
    again = receive_one(queue)
    assert (again.message.message_id, again.delivery_count, again.attempt) == ("evt_1:resubmit-1", 1, 0)
    assert again.message.application_properties["OriginalMessageId"] == "evt_1"
    assert queue.peek(dead_letters=True) == []


def test_a_message_can_be_resubmitted_again_and_again(queue: MessageQueue) -> None:
    queue.resubmit(dead_letter_one(queue))
    second = receive_one(queue)
    queue.dead_letter(second, "RowNotFound")
    queue.resubmit(second.sequence_number)
    assert receive_one(queue).message.message_id == "evt_1:resubmit-2"


def test_a_property_of_another_sender_that_is_named_like_ours_keeps_no_dead_letter_back(queue: MessageQueue) -> None:
    queue.send([message(application_properties={"Resubmissions": "none yet"})])
    held = receive_one(queue)
    queue.dead_letter(held, "RowNotFound")
    queue.resubmit(held.sequence_number)
    assert receive_one(queue).message.message_id == "evt_1:resubmit-1"


def test_a_discarded_dead_letter_is_gone(queue: MessageQueue) -> None:
    queue.discard(dead_letter_one(queue))
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=0)


@pytest.mark.parametrize(("operation", "left_waiting"), [("resubmit", ["evt_2:resubmit-1"]), ("discard", [])])
def test_dead_letters_are_picked_from_among_others(
    queue: MessageQueue, operation: str, left_waiting: list[str]
) -> None:
    first, second, third = (dead_letter_one(queue, f"evt_{number}") for number in (1, 2, 3))
    getattr(queue, operation)(second)
    assert [dead.sequence_number for dead in queue.peek(dead_letters=True)] == [first, third]
    assert ids(queue.receive(5)) == left_waiting


def test_what_is_no_dead_letter_keeps_none_of_the_others_back(queue: MessageQueue) -> None:
    numbers = [dead_letter_one(queue, f"evt_{number}") for number in (1, 2)]
    with pytest.raises(LookupError, match="no dead letter 12345"):
        queue.discard(12345, *numbers)
    assert queue.counts().dead_lettered == 0


@pytest.mark.parametrize("operation", ["resubmit", "discard"])
def test_only_dead_letters_can_be_resubmitted_or_discarded(queue: MessageQueue, operation: str) -> None:
    queue.send([message()])
    alive = queue.peek()[0].sequence_number
    for number in (alive, 12345):
        with pytest.raises(LookupError, match=str(number)):
            getattr(queue, operation)(number)
    assert queue.counts().active == 1


# --- looking -----------------------------------------------------------------------------------------------


def test_peeking_shows_what_becomes_of_messages_and_locks_none(engine: Any) -> None:
    queue = engine.open(lock_duration=MINUTE)
    queue.send([message("evt_locked"), message("evt_later"), message("evt_waiting")])
    queue.receive(1)
    queue.retry_later(receive_one(queue), 2 * MINUTE)
    now = engine.clock.now()
    seen = {one.message.message_id: (one.locked_until, one.scheduled_for) for one in queue.peek()}
    assert seen == {
        "evt_locked": (now + MINUTE if engine.sees_locks else None, None),
        "evt_later": (None, now + 2 * MINUTE),
        "evt_waiting": (None, None),
    }
    assert ids(queue.receive(5)) == ["evt_waiting"]


def test_peeking_goes_on_from_a_sequence_number(queue: MessageQueue) -> None:
    queue.send([message(f"evt_{number}") for number in range(5)])
    first_page = queue.peek(2)
    second_page = queue.peek(2, first_page[-1].sequence_number + 1)
    assert [one.message.message_id for one in first_page + second_page] == ["evt_0", "evt_1", "evt_2", "evt_3"]


def test_counts_tell_the_states_apart(engine: Any) -> None:
    queue = engine.open(lock_duration=MINUTE)
    queue.send([message(f"evt_{number}") for number in range(7)])
    held = queue.receive(4)
    queue.dead_letter(held[0], "Reason")
    queue.retry_later(held[1], MINUTE)
    active, locked = (3, 2) if engine.sees_locks else (5, 0)
    assert queue.counts() == QueueCounts(active=active, locked=locked, scheduled=1, dead_lettered=1)
    engine.clock.advance(MINUTE)
    assert queue.counts() == QueueCounts(active=6, locked=0, scheduled=0, dead_lettered=1)
