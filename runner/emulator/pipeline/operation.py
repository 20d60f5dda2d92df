"""An operation that the pipeline runs: a message, its rows, and the platform's own work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call

#: PrimaryEntityName of messages without a table.
NO_ENTITY = "none"


class Operation:
    """One message in the pipeline: its rows, its parameters, and its main operation (stage 30).

    A :class:`~runner.plugin.MessageOperation` is the part of it that plug-ins see. ``main`` is the main operation, and
    returns the output parameters. ``targets`` are the rows of the message (or references to them), which are in the
    parameter ``row_parameter``.
    """

    #: The columns of each target in the request, in lower case, without those that plug-ins add.
    sent: Sequence[frozenset[str]] = ()
    #: The rows before and after the operation, with the columns that the steps' images need.
    before: Sequence[Entity | None] = ()
    after: Sequence[Entity | None] = ()
    #: Whether it writes with a single SQL statement, after all checks.
    writes_once = False
    outputs: dict[str, Any]
    created_on: datetime
    _id: str | None = None

    def __init__(
        self,
        message: str,
        entity: str,
        call: Call,
        parameters: dict[str, Any],
        main: Callable[[Operation], dict[str, Any]],
        targets: list[Any] | None = None,
        row_parameter: str = "Target",
        *,
        reads: bool = False,
    ) -> None:
        self.message = message
        self.entity = entity
        self.call = call
        self.parameters = parameters
        self.main = main
        self.targets: list[Any] = targets or []
        self.row_parameter = row_parameter
        #: It only reads, so that it needs no transaction by itself.
        self.reads = reads

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = next(self.call.engine.ids)
        return self._id

    def references(self) -> Iterable[EntityReference]:
        for target in self.targets:
            yield target if isinstance(target, EntityReference) else EntityReference(target.logical_name, target.id)

    def copy_targets(self) -> None:
        """Copy the targets, so that changes to them do not show in the caller's request."""
        self.targets = [target.copy() if type(target) is Entity else target for target in self.targets]
