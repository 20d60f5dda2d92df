"""Compares a file with an environment, row by row and column by column. Secrets are never shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference
from runner.registrations.deploy.custom_apis import custom_api_problems, custom_api_rows
from runner.registrations.deploy.endpoints import Site, endpoint_problems, endpoint_rows
from runner.registrations.deploy.environment import (
    Listener,
    Registered,
    is_ours,
    name_filters,
    read_listeners,
    read_registered,
)
from runner.registrations.deploy.problems import UndeployableError
from runner.registrations.deploy.requirements import unmet
from runner.registrations.deploy.rows import FILTER, MESSAGE, PART_OF, STEP, Listening, Row, same, text
from runner.registrations.deploy.steps import RemoteStep, remote_steps

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from dataverse_client.client import DataverseClient
    from runner.registrations.model import Registrations

#: A column that holds a secret -> the one that tells whether it is set.
_IS_SET = {"authvalue": "isauthvalueset", "saskey": "issaskeyset"}


class Kind(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column, before and after, as text; None is no value. Of a secret it says "set" or "changed"."""

    column: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a row. ``row`` is the wanted one, or the one to remove; ``values`` are what is written.

    ``obsolete``: an endpoint or step of an earlier file, which is removed only on request.
    """

    kind: Kind
    row: Row
    columns: tuple[ColumnChange, ...] = ()
    values: Mapping[str, Any] | None = field(default=None, repr=False)
    obsolete: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from the environment to the file. Changes are in the order in which they can be made."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def without_removals(self) -> Plan:
        """The same, with endpoints and steps of earlier files left where they are."""
        return Plan(tuple(change for change in self.changes if not change.obsolete))

    def count(self, kind: Kind) -> int:
        return sum(change.kind is kind for change in self.changes)


def make_plan(registrations: Registrations, client: DataverseClient, site: Site, secrets: Secrets) -> Plan:
    """Compare the file with the environment.

    Raises:
      UndeployableError: the environment cannot have what the file asks for.
      SecretError: a reference cannot be resolved.
      DataverseError: the environment cannot be read.
    """
    endpoints = endpoint_rows(registrations, site, secrets)
    steps = remote_steps(registrations, endpoints, secrets)
    apis = custom_api_rows(registrations)
    listeners = {
        **dict(_awaited(steps, registrations.custom_apis)),
        **read_listeners(client, (s.listening for s in steps)),
    }
    registered = read_registered(client, [step.row.id for step in steps])
    problems = [
        *endpoint_problems(endpoints.values(), site),
        *custom_api_problems(client, apis, registered),
        *unmet(client, steps, listeners, registered.others_apis),
        *_taken(steps, registered),
    ]
    if problems:
        raise UndeployableError(problems)
    wanted = [*endpoints.values(), *apis, *_rows(steps, listeners)]
    return compare(wanted, replace(registered, steps=name_filters(client, registered.steps)))


def compare(wanted: Sequence[Row], registered: Registered) -> Plan:
    """What turns the registered rows into the wanted ones."""
    present = {row.id: row for row in registered}
    ids = {row.id for row in wanted}
    gone = [row for row in present.values() if row.id not in ids and _follows_the_file(row, ids)]
    removals = [_removal(row, ids) for row in gone]
    # Removed endpoints come last, when their steps have moved elsewhere; images first, since they bind their step.
    last = [change for change in removals if change.row.table not in _REMOVED_FIRST]
    first = sorted((change for change in removals if change.row.table in _REMOVED_FIRST), key=_parts_first)
    return Plan((*first, *_writes(wanted, present), *last))


_REMOVED_FIRST = frozenset({STEP, *PART_OF})


def _follows_the_file(row: Row, wanted: set[str]) -> bool:
    """Rows that prove to be ours; what is part of a row that is in the file, whoever added it."""
    return _whole(row) in wanted if row.table in PART_OF else is_ours(row)


def _whole(part: Row) -> str:
    return str(part.columns[PART_OF[part.table]].id)


def _removal(row: Row, wanted: set[str]) -> Change:
    return Change(Kind.REMOVED, row, obsolete=row.table not in PART_OF)


def _parts_first(change: Change) -> bool:
    return change.row.table not in PART_OF


def _writes(wanted: Iterable[Row], present: Mapping[str, Row]) -> Iterator[Change]:
    for row in wanted:
        current = present.get(row.id)
        if current is None:
            yield _creation(row)
        elif change := _change(row, current):
            yield change


def _creation(row: Row) -> Change:
    values = {column: value for column, value in row.columns.items() if value is not None}
    shown = [ColumnChange(column, None, text(column, value)) for column, value in values.items()]
    shown += [ColumnChange(column, None, "set") for column in row.secrets]
    return Change(Kind.CREATED, row, tuple(shown), {**values, **row.secrets})


def _change(row: Row, current: Row) -> Change | None:
    differing = {
        column: value for column, value in row.columns.items() if not same(column, value, current.columns.get(column))
    }
    secrets = dict(_changed_secrets(row, current, "description" in differing))
    if not differing and not secrets:
        return None
    shown = [_shown(column, current.columns.get(column), value) for column, value in differing.items()]
    shown += [ColumnChange(column, None, word) for column, word in secrets.items()]
    return Change(Kind.CHANGED, row, tuple(shown), {**differing, **{name: row.secrets[name] for name in secrets}})


def _shown(column: str, before: Any, after: Any) -> ColumnChange:
    return ColumnChange(column, text(column, before), text(column, after))


def _changed_secrets(row: Row, current: Row, noted: bool) -> Iterator[tuple[str, str]]:
    """What is known of them: that one is not set, or that the note of what was set differs."""
    for column in row.secrets:
        if not current.columns.get(_IS_SET[column]):
            yield column, "set"
        elif noted:
            yield column, "changed"


def _rows(steps: Iterable[RemoteStep], listeners: Mapping[Listening, Listener]) -> Iterator[Row]:
    """Every step followed by its images."""
    for step in steps:
        listener = listeners[step.listening]
        listens = {"sdkmessageid": listener.message, "sdkmessagefilterid": listener.filter}
        awaits = None if listener.message.id else step.listening
        yield replace(step.row, columns={**step.row.columns, **listens}, awaits=awaits)
        yield from (replace(image, awaits=awaits) for image in step.images)


def _awaited(steps: Iterable[RemoteStep], custom_apis: Collection[str]) -> Iterator[tuple[Listening, Listener]]:
    """Messages that custom APIs of the file bring; their ids are the environment's to give."""
    for step in steps:
        listening = step.listening
        if listening.message in custom_apis:
            found = EntityReference(FILTER, "", str(listening)) if listening.table else None
            yield listening, Listener(EntityReference(MESSAGE, "", listening.message), found)


def _taken(steps: Iterable[RemoteStep], registered: Registered) -> Iterator[str]:
    managed = {id for id, row in registered.steps.items() if row.columns.get("ismanaged")}
    if taken := [f"  {step.row.name}" for step in steps if step.row.id in managed]:
        names = "\n".join(taken)
        yield (
            "These steps are part of a managed solution there, or the embedded Dataverse runs them itself. Change the "
            f"solution, or start the emulator with --no-registrations:\n{names}"
        )
