"""The Service Bus queue: what the contract costs over the bare SDK, on the same broker.

    python benchmarks/service_bus.py [--messages 1000]

The broker is the tests' stand-in, in a process of its own, without TLS; it shares the machine with both sides, and no
rate measured here is one of Azure's. Both sides of a ratio run in interleaved rounds on new queues; medians are
printed. Needs python-qpid-proton.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TypeAlias

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.service_bus import ServiceBusQueue, connect

ROUNDS = 5
BATCH = 100
SENDERS = 8
BODY = b"x" * 600
Opener: TypeAlias = "Callable[[type], Ours | Bare]"

BROKER = """
import sys
sys.path.insert(0, sys.argv[1])
from service_bus_broker.broker import Broker
with Broker() as broker:
    for number in range(200):
        broker.add_queue(f"q{number}", max_deliveries=100)
    print(broker.connection_string, flush=True)
    sys.stdin.read()
"""


@contextmanager
def stand_in() -> Iterator[str]:
    """Its connection string; 200 queues named q0 to q199 are ready."""
    tests = Path(__file__).parents[1] / "tests"
    with subprocess.Popen(
        [sys.executable, "-c", BROKER, str(tests)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class Ours:
    """Send, receive and complete through the queue contract."""

    def __init__(self, connection_string: str, queue: str) -> None:
        self._queue = ServiceBusQueue(connect(connection_string), queue)
        self._queue.send([QueueMessage(body=BODY, message_id="warm-up")])
        self._queue.complete(self._queue.receive(1, timedelta(seconds=5)))

    def send_batches(self, messages: int) -> None:
        for start in range(0, messages, BATCH):
            numbers = range(start, start + BATCH)
            self._queue.send([QueueMessage(body=BODY, message_id=f"evt_{number}") for number in numbers])

    def send_singly(self, messages: int) -> None:
        for number in range(messages):
            self._queue.send([QueueMessage(body=BODY, message_id=f"one_{number}")])

    def send_from_threads(self, messages: int) -> None:
        def send(sender: int) -> None:
            for number in range(messages // SENDERS):
                self._queue.send([QueueMessage(body=BODY, message_id=f"evt_{sender}_{number}")])

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(send, range(SENDERS)))

    def drain(self, messages: int) -> None:
        done = 0
        while done < messages:
            received = self._queue.receive(BATCH, timedelta(seconds=5))
            self._queue.complete(received)
            done += len(received)

    def close(self) -> None:
        self._queue.close()


class Bare:
    """The same with the SDK alone, as its samples show."""

    def __init__(self, connection_string: str, queue: str) -> None:
        self._client = ServiceBusClient.from_connection_string(connection_string)
        self._sender = self._client.get_queue_sender(queue)
        self._receiver = self._client.get_queue_receiver(queue)
        self._sender.send_messages(ServiceBusMessage(BODY, message_id="warm-up"))
        for message in self._receiver.receive_messages(1, 5):
            self._receiver.complete_message(message)

    def send_batches(self, messages: int) -> None:
        for start in range(0, messages, BATCH):
            numbers = range(start, start + BATCH)
            self._sender.send_messages([ServiceBusMessage(BODY, message_id=f"evt_{number}") for number in numbers])

    def send_singly(self, messages: int) -> None:
        for number in range(messages):
            self._sender.send_messages(ServiceBusMessage(BODY, message_id=f"one_{number}"))

    def send_from_threads(self, messages: int) -> None:
        """A sender is not safe for threads: one after the other is what it offers."""
        for number in range(messages):
            self._sender.send_messages(ServiceBusMessage(BODY, message_id=f"evt_{number}"))

    def drain(self, messages: int) -> None:
        done = 0
        while done < messages:
            received = self._receiver.receive_messages(BATCH, 5)
            for message in received:
                self._receiver.complete_message(message)
            done += len(received)

    def close(self) -> None:
        self._client.close()


def road(side: Ours | Bare, messages: int) -> float:
    """Sent in batches, received and completed: seconds."""
    return seconds(lambda: side.send_batches(messages)) + seconds(lambda: side.drain(messages))


def singly(side: Ours | Bare, messages: int) -> float:
    return seconds(lambda: side.send_singly(messages))


def together(side: Ours | Bare, messages: int) -> float:
    return seconds(lambda: side.send_from_threads(messages))


def compare(title: str, measure: Callable[[Ours | Bare, int], float], messages: int, opener: Opener) -> None:
    """The ratio is taken within each round, whose two sides run one right after the other."""
    rates = []
    for _ in range(ROUNDS):
        with closing(opener(Ours)) as ours, closing(opener(Bare)) as bare:
            rates.append((messages / measure(ours, messages), messages / measure(bare, messages)))
    ours_rate, bare_rate = (statistics.median(side) for side in zip(*rates, strict=True))
    ratio = statistics.median(ours / bare for ours, bare in rates)
    print(f"{title:44} {ours_rate:8,.0f}/s   bare SDK {bare_rate:8,.0f}/s   ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    messages = parser.parse_args().messages
    queues = count()
    with stand_in() as connection_string:

        def opener(side: type) -> Ours | Bare:
            opened: Ours | Bare = side(connection_string, f"q{next(queues)}")
            return opened

        compare("send by hundreds, receive, complete", road, messages, opener)
        compare("send one at a time", singly, messages, opener)
        compare(f"send one at a time from {SENDERS} threads", together, messages, opener)


if __name__ == "__main__":
    main()
