"""Stores jobs beyond the process: an ``asyncoperation`` row holds its step's context, as in Dataverse.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/asyncoperation
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from runner.emulator.jobs.job import Job
from runner.emulator.jobs.kept_values import read, written
from runner.emulator.storage.store import Store
from runner.execution.step import Step
from runner.plugin import PluginContext
from runner.remote_context.errors import UnknownValueTypeError

_log = logging.getLogger(__name__)

_UNFINISHED = """
    SELECT asyncoperationid, owningextensionid, retrycount, data FROM asyncoperation
    WHERE statecode <> 3 AND data IS NOT NULL ORDER BY rowid
"""


def data_of(job: Job) -> str | None:
    """The text that the row stores for a job; None when a value in its context cannot be stored."""
    try:
        return written(job.context)
    except UnknownValueTypeError as error:
        _log.warning("The job of step %s would be lost if this process ended before it runs: %s", job.step.name, error)
        return None


def unfinished_jobs(store: Store, steps: Iterable[Step], running: Iterable[Job]) -> Iterator[Job]:
    """The jobs in the table that are neither completed nor among those ``running``, oldest first.

    A job whose step is not registered stays in the table.
    """
    by_id = {step.id: step for step in steps}
    known = {job.id for job in running}
    for id, step_id, retries, data in store.execute(_UNFINISHED).fetchall():
        if id in known:
            continue
        if step_id not in by_id:
            _log.warning("Job %s waits for step %s, which is not registered.", id, step_id)
            continue
        try:
            yield _resumed(id, by_id[step_id], retries or 0, data)
        except (TypeError, ValueError) as error:
            _log.warning("Job %s cannot be run: its data is damaged, or of an earlier version (%s).", id, error)


def _resumed(id: str, step: Step, retries: int, data: str) -> Job:
    context = read(data)
    if not isinstance(context, PluginContext):
        raise TypeError(f"it holds a {type(context).__name__}")
    context.override(owning_extension=step.reference)
    return Job(id, step, context, retries + 1)
