"""The embedded queue: what group commit gains, and what a large backlog costs.

    python benchmarks/embedded_queue.py [--backlog 1000000]

Both sides of a ratio run in the same process, in interleaved rounds, on new files; the median is printed. Ratios
carry from machine to machine roughly, rates do not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.embedded import EmbeddedQueue

SENDERS = 64
ROUNDS = 5
REPEATS = 300
BODY = b"x" * 600


def messages(prefix: str, count: int) -> list[QueueMessage]:
    return [QueueMessage(body=BODY, message_id=f"{prefix}_{number}") for number in range(count)]


@contextmanager
def new_queue() -> Iterator[EmbeddedQueue]:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(EmbeddedQueue(Path(directory) / "q.db", "events")) as queue,
    ):
        yield queue


def seconds(action: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def send_from_threads(send: Callable[[list[QueueMessage]], None], each: int = 40) -> tuple[float, list[float]]:
    """Messages per second, and the seconds each single send took."""
    latencies: list[float] = []

    def sender(number: int) -> None:
        for message in messages(f"evt_{number}", each):
            latencies.append(seconds(send, [message]))

    def run() -> None:
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(sender, range(SENDERS)))

    return SENDERS * each / seconds(run), latencies


def group_commit() -> None:
    """The same code on the same disk; only the sharing of commits differs."""
    gains, rates, p99s = [], [], []
    for _ in range(ROUNDS):
        with new_queue() as queue:
            one_by_one, _ = send_from_threads(one_at_a_time(queue))
        with new_queue() as queue:
            grouped, latencies = send_from_threads(queue.send)
        gains.append(grouped / one_by_one)
        rates.append(grouped)
        p99s.append(statistics.quantiles(latencies, n=100)[98] * 1000)
    rate, p99, gain = map(statistics.median, (rates, p99s, gains))
    print(f"group commit, {SENDERS} senders: {rate:,.0f} messages/s, p99 {p99:.0f} ms (target 50 ms)")
    print(f"  against one commit per message: {gain:.1f}x (target 3x)")


def one_at_a_time(queue: EmbeddedQueue) -> Callable[[list[QueueMessage]], None]:
    turn = threading.Lock()

    def send(batch: list[QueueMessage]) -> None:
        with turn:
            queue.send(batch)

    return send


Operation = Callable[[EmbeddedQueue, str], object]

OPERATIONS: dict[str, Operation] = {
    "send 10": lambda queue, prefix: queue.send(messages(prefix, 10)),
    "receive and complete 10": lambda queue, _: queue.complete(queue.receive(10)),
    "peek 10": lambda queue, _: queue.peek(10),
    "counts": lambda queue, _: queue.counts(),
}


def fill(queue: EmbeddedQueue, count: int) -> None:
    for start in range(0, count, 1000):
        queue.send(messages(f"backlog_{start}", 1000))


def backlog(large: int, small: int = 10_000) -> None:
    with new_queue() as few, new_queue() as many:
        fill(few, small)
        fill(many, large)
        for name, operation in OPERATIONS.items():
            with_few, with_many = compare(operation, name, few, many)
            print(
                f"{name}: {with_many * 1e6:,.0f} us with {large:,} waiting, {with_few * 1e6:,.0f} us with {small:,}: "
                f"{with_many / with_few:.2f}x (target 1.5x)"
            )


def compare(operation: Operation, name: str, few: EmbeddedQueue, many: EmbeddedQueue) -> tuple[float, float]:
    """Median seconds of the operation on either queue."""
    pairs = [
        (seconds(operation, few, f"{name}{repeat}"), seconds(operation, many, f"{name}{repeat}"))
        for repeat in range(REPEATS)
    ]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="messages waiting in the large queue")
    arguments = parser.parse_args()
    group_commit()
    backlog(arguments.backlog)


if __name__ == "__main__":
    main()
