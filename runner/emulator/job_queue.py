"""The queue of asynchronous jobs, first in first out, and the worker thread that takes them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from runner.emulator.jobs import Job

_log = logging.getLogger(__name__)


class JobQueue:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._waiting))

    def put(self, jobs: Iterable[Job]) -> None:
        with self._changed:
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """The job that has waited longest; None when there is none."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def wait(self) -> Job | None:
        """The job that has waited longest, as soon as there is one; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.popleft()

    def replace(self, jobs: Iterable[Job]) -> None:
        with self._changed:
            self._waiting = deque(jobs)
            self._changed.notify_all()

    def open(self) -> None:
        """Let somebody wait again."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """Let whoever waits go home. Jobs not run yet stay in their table."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class JobWorker:
    """A thread that runs jobs as they come."""

    def __init__(self, queue: JobQueue, run: Callable[[Job], object]) -> None:
        self._queue = queue
        self._run = run
        queue.open()
        self._thread = threading.Thread(target=self._work, name="asynchronous-service", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._queue.wait()) is not None:
            try:
                self._run(job)
            except Exception:
                _log.exception("Job %s of step %s could not be run.", job.id, job.step.name)

    def stop(self) -> None:
        """Finish the job at hand and end."""
        self._queue.close()
        self._thread.join()
