"""The rows a message is about: its Target, or the Targets of CreateMultiple and UpdateMultiple.

A single Create also raises CreateMultiple, with one row in Targets: a plug-in has to work for any number of them, and a
notification of many may be taken for as many of one. Each then has its place in the order of its row, is tried again
by itself, and is set aside by itself.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/write-plugin-multiple-operation
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dataverse_client import exact_json
from dataverse_client.types import EMPTY_GUID, Entity, EntityCollection, is_guid
from runner.plugin import PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.errors import InvalidRemoteContextError

_MULTIPLE = {"createmultiple", "updatemultiple"}


def is_multiple(message: str) -> bool:
    return message.lower() in _MULTIPLE


def targets(input_parameters: Mapping[str, Any]) -> list[Entity]:
    """The rows to be written; none where the message writes none, or names only the row."""
    target, several = input_parameters.get("Target"), input_parameters.get("Targets")
    if isinstance(target, Entity):
        return [target]
    return list(several) if isinstance(several, EntityCollection) else []


def row_by_row(remote: RemoteContext) -> Sequence[RemoteContext]:
    """A notification for each row of Targets, each the PrimaryEntity of its own; any other message as it is."""
    context = remote.context
    if not is_multiple(context.message_name) or context.primary_entity_id != EMPTY_GUID:
        return (remote,)
    rows = targets(context.input_parameters)
    given = context.output_parameters.get("Ids")
    ids = given if isinstance(given, list | tuple) and all(map(_is_id, given)) else ()
    return [_about(remote, number, _id(row) or _at(ids, number)) for number, row in enumerate(rows)] or (remote,)


def require_row(context: PluginContext) -> None:
    """Raises InvalidRemoteContextError: what is to be written back, nobody knows where."""
    if context.primary_entity_id == EMPTY_GUID:
        raise InvalidRemoteContextError(
            f"{context.message_name} of {context.primary_entity_name} names no row that changes could be written to. "
            "Register the step on Create or Update, which Dataverse runs for each row."
        )


def _id(row: Entity) -> str | None:
    return None if row.id == EMPTY_GUID else row.id


def _is_id(value: object) -> bool:
    return isinstance(value, str) and is_guid(value)


def _at(ids: Sequence[str], number: int) -> str:
    return ids[number] if number < len(ids) else EMPTY_GUID


def _about(remote: RemoteContext, number: int, row_id: str) -> RemoteContext:
    """The document is cut, not written anew: it keeps what we know nothing of."""

    def of_one(rows: dict[str, Any]) -> dict[str, Any]:
        return {**rows, "Entities": [{**rows["Entities"][number], "Id": row_id}]}

    document = {
        **remote.document,
        "InputParameters": _replaced(remote.document.get("InputParameters"), "Targets", of_one),
        "OutputParameters": _replaced(remote.document.get("OutputParameters"), "Ids", lambda _: [row_id]),
        "PrimaryEntityId": row_id,
    }
    return RemoteContext.decode(exact_json.dumps(document))


def _replaced(pairs: Iterable[dict[str, Any]] | None, key: str, change: Callable[[Any], Any]) -> list[dict[str, Any]]:
    return [{**pair, "value": change(pair["value"])} if pair["key"] == key else pair for pair in pairs or ()]
