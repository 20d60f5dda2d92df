"""The queue of asynchronous jobs, first in first out, and the worker thread that takes them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from time import monotonic

from runner.emulator.jobs.job import Job

#: How often the worker looks at held jobs: their rows, and the clock, say nothing when they change.
LOOK_AGAIN = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class JobQueue:
    """Those that wait for their turn, and those held back: paused or postponed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._held: dict[str, Job] = {}
        self._changed = threading.Condition()
        self.is_open = True

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held)

    def __iter__(self) -> Iterator[Job]:
        """In the order of their turns; those held come last."""
        with self._changed:
            return iter((*self._waiting, *self._held.values()))

    def put(self, jobs: Iterable[Job]) -> None:
        with self._changed:
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """The job that has waited longest; None when there is none."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def wait(self, longest: timedelta) -> Job | None:
        """The job that has waited longest, as soon as there is one; None when none came, or the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self.is_open, longest.total_seconds())
            return self._waiting.popleft() if self._waiting and self.is_open else None

    @property
    def held(self) -> tuple[Job, ...]:
        with self._changed:
            return tuple(self._held.values())

    def hold(self, job: Job) -> None:
        """Keep the job back until it is released."""
        with self._changed:
            self._held[job.id] = job

    def release(self, jobs: Iterable[Job]) -> None:
        """Let held jobs have their turn before those that came later."""
        with self._changed:
            released = [job for job in jobs if self._held.pop(job.id, None) is not None]
            self._waiting.extendleft(reversed(released))
            self._changed.notify_all()

    def replace(self, jobs: Iterable[Job]) -> None:
        with self._changed:
            self._waiting = deque(jobs)
            self._held.clear()
            self._changed.notify_all()

    def open(self) -> None:
        """Let somebody wait again."""
        with self._changed:
            self.is_open = True

    def close(self) -> None:
        """Let whoever waits go home. Jobs not run yet stay in their table."""
        with self._changed:
            self.is_open = False
            self._changed.notify_all()


class JobWorker:
    """A thread that runs jobs as they come. ``release_due`` lets those have their turn whose time has come."""

    def __init__(self, queue: JobQueue, run: Callable[[Job], object], release_due: Callable[[], object]) -> None:
        self._queue = queue
        self._run = run
        self._release_due = release_due
        queue.open()
        self._thread = threading.Thread(target=self._work, name="asynchronous-service", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        look_again = 0.0
        while self._queue.is_open:
            if monotonic() >= look_again:
                self._look()
                look_again = monotonic() + LOOK_AGAIN.total_seconds()
            job = self._queue.wait(LOOK_AGAIN)
            if job is not None:
                self._try(job)

    def _look(self) -> None:
        try:
            self._release_due()
        except Exception:
            _log.exception("Postponed jobs could not be looked at.")

    def _try(self, job: Job) -> None:
        try:
            self._run(job)
        except Exception:
            _log.exception("Job %s of step %s could not be run.", job.id, job.step.name)

    def stop(self) -> None:
        """Finish the job at hand and end."""
        self._queue.close()
        self._thread.join()
