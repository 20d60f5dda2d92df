"""Reads what an environment has registered: what the file names, and what was registered from it earlier.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessagefilter
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    LogicalOperator,
    QueryExpression,
)
from runner.registrations.deploy.rows import (
    API,
    COMPARED,
    ENDPOINT,
    FILTER,
    IMAGE,
    MESSAGE,
    PARAMETER,
    PROPERTY,
    STEP,
    Listening,
    Row,
)
from runner.registrations.identity import custom_api_id, endpoint_id, handler_of, step_id

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient

#: How many values a question names at once: Dataverse takes 500 conditions.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/filter-rows
_AT_ONCE = 100

_ALL = FilterExpression()

_SECRETS_SET = {ENDPOINT: ("isauthvalueset", "issaskeyset")}
_MANAGED = {STEP: ("ismanaged",)}


@dataclass(frozen=True, slots=True)
class Registered:
    """What is registered: rows by id."""

    endpoints: Mapping[str, Row] = field(default_factory=dict)
    steps: Mapping[str, Row] = field(default_factory=dict)
    images: Mapping[str, Row] = field(default_factory=dict)
    #: Those of such files, with what they are made of.
    custom_apis: Mapping[str, Row] = field(default_factory=dict)
    #: Somebody else's, by unique name in lower case.
    others_apis: Mapping[str, Row] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Row]:
        for rows in (self.endpoints, self.steps, self.images, self.custom_apis):
            yield from rows.values()


@dataclass(frozen=True, slots=True)
class Listener:
    """Ids of what a step listens to. ``allowed`` is whether custom steps may."""

    message: EntityReference
    filter: EntityReference | None
    allowed: bool = True


def is_ours(row: Row) -> bool:
    """Whether a row was made from such a file: its id follows from its name."""
    if row.table == ENDPOINT:
        return row.id == endpoint_id(row.name)
    if row.table == API:
        return row.id == custom_api_id(str(row.columns.get("uniquename", "")))
    handler = handler_of(row.name)
    return handler is not None and row.id == step_id(handler)


def read_registered(client: DataverseClient, wanted_steps: Collection[str]) -> Registered:
    """All service endpoints, the steps on those that are ours, the steps with these ids, and their images."""
    endpoints = _rows(client, ENDPOINT)
    ours = [id for id, row in endpoints.items() if is_ours(row)]
    steps = {**_rows_where(client, STEP, "eventhandler", ours), **_rows_where(client, STEP, f"{STEP}id", wanted_steps)}
    images = _rows_where(client, IMAGE, f"{STEP}id", steps)
    return _with_custom_apis(client, Registered(endpoints, steps, images))


def _with_custom_apis(client: DataverseClient, registered: Registered) -> Registered:
    apis = _rows(client, API)
    ours = {id: row for id, row in apis.items() if is_ours(row)}
    parameters = _rows_where(client, PARAMETER, f"{API}id", ours)
    properties = _rows_where(client, PROPERTY, f"{API}id", ours)
    others = {str(row.columns.get("uniquename", "")).lower(): row for id, row in apis.items() if id not in ours}
    return replace(registered, custom_apis={**ours, **parameters, **properties}, others_apis=others)


def read_endpoint_steps(client: DataverseClient) -> Registered:
    """All service endpoints and the steps and images that hang on them, whoever registered them."""
    endpoints = _rows(client, ENDPOINT)
    steps = _rows_where(client, STEP, "eventhandler", endpoints)
    images = _rows_where(client, IMAGE, f"{STEP}id", steps)
    return _with_custom_apis(client, Registered(endpoints, steps, images))


def _rows(client: DataverseClient, table: str, criteria: FilterExpression = _ALL) -> dict[str, Row]:
    columns = (f"{table}id", *COMPARED[table], *_SECRETS_SET.get(table, ()), *_MANAGED.get(table, ()))
    found = client.query(QueryExpression(table, columns, criteria))
    return {row.id: row for row in map(Row.of, found)}


def _rows_where(client: DataverseClient, table: str, column: str, values: Iterable[str]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for some in _chunks(sorted(values)):
        rows |= _rows(client, table, _is_one_of(column, some))
    return rows


def read_listeners(client: DataverseClient, wanted: Iterable[Listening]) -> dict[Listening, Listener]:
    """The ids of messages and message filters; what this environment has not got is absent."""
    asked = list(dict.fromkeys(wanted))
    names = sorted({each.message for each in asked})
    messages = {row["name"].lower(): row for row in _found(client, MESSAGE, ("name",), "name", names)}
    filters = _filters(client, asked, messages)
    return {each: found for each in asked if (found := _listener(each, messages, filters)) is not None}


def _filters(
    client: DataverseClient, asked: Sequence[Listening], messages: Mapping[str, Entity]
) -> dict[tuple[str, str], Entity]:
    tables = sorted({each.table for each in asked if each.table})
    columns = ("sdkmessageid", "primaryobjecttypecode", "iscustomprocessingstepallowed")
    ids = {row.id for row in messages.values()}
    found = _found(client, FILTER, columns, "primaryobjecttypecode", tables)
    return {
        (row["sdkmessageid"].id, row["primaryobjecttypecode"]): row for row in found if row["sdkmessageid"].id in ids
    }


def _listener(
    listening: Listening, messages: Mapping[str, Entity], filters: Mapping[tuple[str, str], Entity]
) -> Listener | None:
    message = messages.get(listening.message.lower())
    if message is None:
        return None
    reference = EntityReference(MESSAGE, message.id or "", listening.message)
    if listening.table is None:
        return Listener(reference, None)
    found = filters.get((reference.id, listening.table))
    if found is None:
        return None
    allowed = bool(found.get("iscustomprocessingstepallowed", True))
    return Listener(reference, EntityReference(FILTER, found.id or "", str(listening)), allowed)


def read_users(client: DataverseClient, wanted: Collection[str]) -> set[str]:
    """Which of these users the environment has."""
    return {row.id for row in _found(client, "systemuser", (), "systemuserid", sorted(wanted)) if row.id}


def read_listening(client: DataverseClient, steps: Mapping[str, Row]) -> dict[str, Listening]:
    """What registered steps listen to, by the steps' ids."""
    filters = {
        id: row.columns["sdkmessagefilterid"].id for id, row in steps.items() if "sdkmessagefilterid" in row.columns
    }
    tables = {
        row.id: row["primaryobjecttypecode"]
        for row in _found(client, FILTER, ("primaryobjecttypecode",), f"{FILTER}id", sorted(set(filters.values())))
    }
    return {id: Listening(row.columns["sdkmessageid"].name, tables.get(filters.get(id))) for id, row in steps.items()}


def name_filters(client: DataverseClient, steps: Mapping[str, Row]) -> dict[str, Row]:
    """The steps with their message filters named, which have no names of their own."""
    listening = read_listening(client, steps)
    return {id: _named(row, str(listening[id])) for id, row in steps.items()}


def _named(step: Row, name: str) -> Row:
    reference = step.columns.get("sdkmessagefilterid")
    if reference is None:
        return step
    return replace(step, columns={**step.columns, "sdkmessagefilterid": replace(reference, name=name)})


def _found(
    client: DataverseClient, table: str, columns: tuple[str, ...], column: str, values: Sequence[str]
) -> Iterator[Entity]:
    for some in _chunks(values):
        yield from client.query(QueryExpression(table, (f"{table}id", *columns), _is_one_of(column, some)))


def _is_one_of(column: str, values: Sequence[str]) -> FilterExpression:
    conditions = tuple(ConditionExpression(column, ConditionOperator.EQUAL, (value,)) for value in values)
    return FilterExpression(LogicalOperator.OR, conditions)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
