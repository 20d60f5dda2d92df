"""Jobs that outlive the process: an ``asyncoperation`` row keeps its step's context, as in Dataverse.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/asyncoperation
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dataverse_client import exact_json
from dataverse_client.types import Entity, EntityCollection
from runner.emulator.jobs import Job
from runner.emulator.metadata.model import Table
from runner.emulator.store import Store
from runner.execution.remote_context import RemoteContext
from runner.execution.remote_errors import InvalidRemoteContextError, UnknownValueTypeError
from runner.execution.remote_values import decode_entity, decode_pairs, encode_entity, encode_pairs
from runner.execution.step import Step
from runner.plugin import INERT_HOST, PluginContext

_log = logging.getLogger(__name__)

#: What a notification of Dataverse's has no room for, and the property of the context it is.
_COLLECTIONS = {
    "PreEntityImagesCollection": "pre_entity_images_collection",
    "PostEntityImagesCollection": "post_entity_images_collection",
}
_UNFINISHED = """
    SELECT asyncoperationid, owningextensionid, retrycount, data FROM asyncoperation
    WHERE statecode <> 3 AND data IS NOT NULL ORDER BY rowid
"""


def data_of(job: Job) -> str | None:
    """What the row keeps of a job; None when a shared variable has no form in which it could be kept."""
    try:
        document = dict(RemoteContext.of(job.context).document)
        for key, name in _COLLECTIONS.items():
            document[key] = _written(getattr(job.context, name))
    except UnknownValueTypeError as error:
        _log.warning("The job of step %s is lost if this process ends before it has run: %s", job.step.name, error)
        return None
    return exact_json.dumps(document).decode()


def _written(collection: Sequence[Mapping[str, Entity]]) -> list[Any]:
    return [encode_pairs(images, encode_entity) for images in collection]


def unfinished_jobs(store: Store, steps: Iterable[Step], running: Iterable[Job]) -> Iterator[Job]:
    """The jobs in the table that are neither over nor among those ``running``, oldest first.

    One whose step is not registered stays in the table.
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
            job = _resumed(id, by_id[step_id], retries or 0, data)
        except InvalidRemoteContextError as error:
            _log.warning("Job %s cannot be run: %s", id, error)
        else:
            for row in _rows_told(job.context):
                _tell_days(row, store.metadata.tables)
            yield job


def _resumed(id: str, step: Step, retries: int, data: str) -> Job:
    remote = RemoteContext.decode(data.encode())
    context = remote.context_for(INERT_HOST)
    context.owning_extension = step.reference
    for key, name in _COLLECTIONS.items():
        setattr(context, name, _read(remote.document.get(key), key))
    return Job(id, step, context, retries + 1)


def _read(collection: Any, key: str) -> tuple[dict[str, Entity], ...]:
    return tuple(decode_pairs(images, key, decode_entity) for images in collection or ())


def _rows_told(context: PluginContext) -> Iterator[Entity]:
    images = (*context.pre_entity_images_collection, *context.post_entity_images_collection)
    parameters = (context.input_parameters, context.output_parameters)
    for told in (*parameters, context.pre_entity_images, context.post_entity_images, *images):
        for value in told.values():
            if isinstance(value, Entity):
                yield value
            elif isinstance(value, EntityCollection):
                yield from value
    if context.parent_context is not None:
        yield from _rows_told(context.parent_context)


def _tell_days(row: Entity, tables: Mapping[str, Table]) -> None:
    """The wire does not tell a day from its midnight; the row's table does."""
    columns = tables[row.logical_name].columns if row.logical_name in tables else {}
    for name, value in row.items():
        if name in columns and columns[name].date_only and isinstance(value, datetime):
            row[name] = value.date()
