"""Workers that are to end while a plug-in does not: somebody is told, and may leave at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import QueueMessage

REPOSITORY = Path(__file__).parents[2]
#: Handles a message without end, in a C call that nothing interrupts.
PROGRAM = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from types import SimpleNamespace

    from azure_bridge.clock import SystemClock
    from azure_bridge.queues import open_queue
    from runner.service.until_stopped import until_stopped
    from runner.service.workers import Workers

    def hang(message):
        print("begun", flush=True)
        time.sleep(10_000)

    service = SimpleNamespace(
        events=open_queue("events", directory=Path(sys.argv[1])),
        dispatcher=SimpleNamespace(handle=hang),
        resources=SimpleNamespace(clock=SystemClock()),
        processor=None,
    )
    with Workers(service) as workers:
        until_stopped(workers.wait)
""")


@pytest.fixture
def hanging(tmp_path):
    """A process whose worker hangs, with one message at work."""
    with closing(open_queue("events", directory=tmp_path)) as queue:
        queue.send([QueueMessage(b"{}", "1")])
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_whoever_does_not_want_to_wait_for_a_plugin_ends_at_once_and_loses_nothing(hanging, tmp_path):
    hanging.send_signal(signal.SIGINT)
    assert hanging.stderr.readline() == "Waiting for what is being processed. Ctrl-C ends at once.\n"
    hanging.send_signal(signal.SIGINT)
    assert hanging.wait(60) == 130
    assert hanging.stderr.read().startswith("Ended at once. What was being processed is delivered again")
    with closing(open_queue("events", directory=tmp_path)) as queue:
        assert queue.counts().locked == 1
