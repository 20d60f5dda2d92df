"""A process that drains and sends is killed with SIGKILL, again and again: nothing is lost, nothing done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from azure_bridge.clock import ManualClock
from azure_bridge.queues.embedded import EmbeddedQueue

KILLS = 4
ENOUGH_NOTES = 120

# Writes what it is about to settle before, and what is settled after: the kill may come between any two lines.
WORKER = """
import os, sys, threading
from datetime import timedelta
from pathlib import Path
from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.embedded import EmbeddedQueue

queue = EmbeddedQueue(Path(sys.argv[1]), "events", lock_duration=timedelta(hours=1))
run = sys.argv[2]

def note(what, ids):
    os.write(1, "".join(f"{what} {one}\\n" for one in ids).encode())

def send():
    for number in range(100_000):
        message_id = f"evt_{run}_{number}"
        queue.send([QueueMessage(body=b"{}", message_id=message_id)])
        note("sent", [message_id])

threading.Thread(target=send, daemon=True).start()
while True:
    batch = queue.receive(5, timedelta(seconds=10))
    ids = [one.message.message_id for one in batch]
    note("handled", ids)
    queue.complete(batch)
    note("completed", ids)
"""


def notes_until_killed(path: Path, run: int) -> list[str]:
    """Starts the worker, kills it once it has written enough, and returns all it had written."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(run)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker.stdout:
        notes = list(islice(worker.stdout, ENOUGH_NOTES))
        worker.kill()
        notes += worker.stdout
    assert worker.wait() == -signal.SIGKILL
    return notes


def drain_what_is_left(path: Path) -> list[str]:
    """Everything still queued, the killed workers' locks having run out."""
    later = ManualClock(datetime.now(UTC) + timedelta(days=1))
    queue = EmbeddedQueue(path, "events", clock=later)
    left: list[str] = []
    while batch := queue.receive(100):
        left += [one.message.message_id for one in batch]
        queue.complete(batch)
    queue.close()
    return left


def test_a_killed_process_loses_no_message_and_settles_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "queues.db"
    notes = [note.split() for run in range(KILLS) for note in notes_until_killed(path, run)]
    left = drain_what_is_left(path)
    sent, handled, completed = (
        [who for what, who in notes if what == kind] for kind in ("sent", "handled", "completed")
    )

    assert len(sent) > KILLS
    assert len(completed) > KILLS
    assert set(sent) <= set(handled) | set(left), "a message that was acknowledged to its sender is lost"
    assert not set(completed) & set(left), "a completed message came again"
    assert max(Counter(completed).values()) == 1, "a message was completed twice"
    assert max(Counter(left).values(), default=1) == 1, "a message was left twice"
