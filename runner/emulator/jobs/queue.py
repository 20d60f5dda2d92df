"""The queue of asynchronous jobs, first in first out, and the worker thread that takes them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from time import monotonic

from runner.emulator.jobs.job import Job

#: How often the worker looks for what does not notify it, such as a held job that is due by the clock.
LOOK_AGAIN = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class JobQueue:
    """The jobs that wait to run, and those held: paused or postponed ones. Safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._held: dict[str, Job] = {}
        self._changed = threading.Condition()
        self.is_open = True

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held)

    def __iter__(self) -> Iterator[Job]:
        """The jobs in the order they will run, held ones last."""
        with self._changed:
            return iter((*self._waiting, *self._held.values()))

    def put(self, jobs: Iterable[Job]) -> None:
        with self._changed:
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Remove and return the first job; None when there is none."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def wait(self, longest: timedelta) -> Job | None:
        """Wait for a job, and remove and return it; None when the time is over or the queue closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self.is_open, longest.total_seconds())
            return self._waiting.popleft() if self._waiting and self.is_open else None

    @property
    def held(self) -> tuple[Job, ...]:
        with self._changed:
            return tuple(self._held.values())

    def hold(self, job: Job) -> None:
        """Hold the job until it is released."""
        with self._changed:
            self._held[job.id] = job

    def release(self, jobs: Iterable[Job]) -> None:
        """Put held jobs back, before those that came later."""
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
        """Allow :meth:`wait` again."""
        with self._changed:
            self.is_open = True

    def close(self) -> None:
        """End every :meth:`wait`. Jobs that have not run stay in the table."""
        with self._changed:
            self.is_open = False
            self._changed.notify_all()


class JobWorker:
    """A thread that runs jobs as they come, and calls ``tend`` once a second for what else is due."""

    def __init__(self, queue: JobQueue, run: Callable[[Job], object], tend: Callable[[], object]) -> None:
        self._queue = queue
        self._run = run
        self._tend = tend
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
            self._tend()
        except Exception:
            _log.exception("Postponed jobs could not be released, or trace rows not be written.")

    def _try(self, job: Job) -> None:
        try:
            self._run(job)
        except Exception:
            _log.exception("Job %s of step %s could not be run.", job.id, job.step.name)

    def stop(self) -> None:
        """Finish the current job and end."""
        self._queue.close()
        self._thread.join()
