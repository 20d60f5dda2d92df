"""Reads the rows that notifications are about, and writes a step's changes back to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataverse_client.errors import NotFoundError
from dataverse_client.options import RequestOptions
from dataverse_client.types import Entity
from runner.execution.step import Step
from runner.intake.origin import Origin
from runner.intake.step_runner import Resources
from runner.plugin import PluginContext
from runner.tracing.model import WrittenBack


class Rows:
    """Rows of Dataverse, read and written as the application user."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def read(self, context: PluginContext, columns: Sequence[str] | None = ()) -> Entity | None:
        """The row of ``context``, with its row version; None when there is none. ``columns`` None means all."""
        try:
            return self._resources.client.retrieve(context.primary_entity_name, context.primary_entity_id, columns)
        except NotFoundError:
            return None

    def write_back(self, step: Step, context: PluginContext, row: Entity, changes: Mapping[str, Any]) -> None:
        """Write ``changes`` on the row as it was read, in a request that is known as the step's own.

        Raises:
          ConcurrencyConflictError: the row is another by now.
          NotFoundError: it was deleted.
        """
        origin = Origin(Origin.of(context).depth + 1, step.id)
        options = RequestOptions(tag=origin.tag(), correlation_id=context.correlation_id)
        client = self._resources.client.with_options(options)
        client.update(Entity(row.logical_name, row.id, changes), if_match=row.row_version)
        self._resources.sink.record(
            WrittenBack(
                at=self._resources.clock.now(),
                step=step.name,
                entity=row.logical_name,
                entity_id=row.id or "",
                changes=changes,
            )
        )


def carries(row: Entity | None, changes: Mapping[str, Any]) -> bool:
    """Whether the row says what a run wanted it to say, because that run or a twin of it has written already.

    Ids and addresses decide, where there are any: a status may have moved on since.
    """
    if row is None:
        return False
    texts = {column: value for column, value in changes.items() if isinstance(value, str)}
    return all(row.get(column) == value for column, value in (texts or changes).items())
