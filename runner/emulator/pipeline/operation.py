"""What travels through the pipeline: one message, its rows, and the platform's own work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call

#: PrimaryEntityName of messages that are about no table.
NO_ENTITY = "none"


class Operation:
    """One message on its way: its rows, its parameters, and the platform's own work at stage 30.

    A :class:`~runner.plugin.MessageOperation` differs from it in being what a plug-in may see of it.
    ``main`` does the work and answers the output parameters. ``targets`` are the rows (or references to them) the
    message is about, found in its parameters under ``row_parameter``.
    """

    #: Lower-case columns each target came with, before any plug-in added to them.
    sent: Sequence[frozenset[str]] = ()
    #: The rows as they were and as they are, as far as the steps have asked for images of them.
    before: Sequence[Entity | None] = ()
    after: Sequence[Entity | None] = ()
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
        writes_once: bool = False,
    ) -> None:
        self.message = message
        self.entity = entity
        self.call = call
        self.parameters = parameters
        self.main = main
        self.targets: list[Any] = targets or []
        self.row_parameter = row_parameter
        #: It changes nothing, so that by itself it needs no transaction.
        self.reads = reads
        #: What it changes, it changes by one statement, all else having been checked before.
        self.writes_once = writes_once

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = next(self.call.engine.ids)
        return self._id

    def references(self) -> Iterable[EntityReference]:
        for target in self.targets:
            yield target if isinstance(target, EntityReference) else EntityReference(target.logical_name, target.id)

    def own_its_targets(self) -> None:
        """From now on changes to Target no longer show in the request that was made."""
        self.targets = [target.copy() if type(target) is Entity else target for target in self.targets]
