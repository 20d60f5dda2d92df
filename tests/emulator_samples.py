"""What tests of the embedded Dataverse write, and what they have plug-ins do."""

from __future__ import annotations

from typing import Any, NoReturn

from dataverse_client.types import Entity
from runner.plugin import InvalidPluginExecutionException, OperationStatus, PluginContext


def account(name: str = "Contoso", id: str | None = None, **columns: Any) -> Entity:
    return Entity("account", id, {"name": name, **columns})


def refuse(context: PluginContext) -> NoReturn:
    raise InvalidPluginExecutionException("No.")


def busy(context: PluginContext) -> NoReturn:
    raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)


def state(row: Entity) -> tuple[int, int]:
    """The state and the status reason of a row, as numbers."""
    return row["statecode"].value, row["statuscode"].value
